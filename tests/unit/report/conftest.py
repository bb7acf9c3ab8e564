"""Weight sets whose names, rules and bands hold anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.figure import Figure

from ces_ml.weights import Band, Interval, Provenance, Scale, WeightedTerm, WeightSet

HOSTILE = (
    "login",
    "a|b `code`",
    "two\nlines\t",
    "<script>alert('1')</script>",
    "$\\frac{x}$ costs $5",
    "😀",
    "",
    "  ",
    "right \u202e left",
    "注册成功",
    "x" * 400,
    "[link](http://x) *bold* _soft_",
)


@pytest.fixture
def make_weight_set() -> Callable[..., WeightSet]:
    def make(
        names: tuple[str, ...] = HOSTILE, *, name: str = "churn", intervals: bool = True
    ) -> WeightSet:
        terms = tuple(
            WeightedTerm(
                name=e,
                event=e,
                window="30d",
                half_life="7d" if k == 1 else None,
                cap=9.0 if k == 1 else None,
                transform="log1p",
                weight=(-1) ** k * k / 8,
                interval=Interval(low=k / 8 - 1, high=k / 8 + 1, level=0.9) if intervals else None,
            )
            for k, e in enumerate(names)
        )
        return WeightSet(
            name=name,
            terms=terms,
            intercept=-1.25,
            rules=("purchase >= page_view", '"a|b `code`" <= 0'),
            scale=Scale(method="probability"),
            bands=(
                Band(name="at_risk", from_score=0, rate=0.125, rows=1200),
                Band(name="potential", from_score=40),
                Band(name="ad|vocate", from_score=80, rate=0.9, rows=55),
            ),
            provenance=Provenance(
                data_digest="ab" * 32,
                config_digest="cd" * 32,
                as_of=("2025-01-01T00:00:00+00:00",),
                rows=2000,
                customers=10,
                positives=5,
                versions={"numpy": "2.4.6"},
                metrics={"auc": 0.8125},
            ),
        )

    return make


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn, to look at what stands in them."""
    figures: list[Figure] = []
    save = Figure.savefig

    def remember(figure: Figure, *args: Any, **options: Any) -> None:
        figures.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", remember)
    return figures
