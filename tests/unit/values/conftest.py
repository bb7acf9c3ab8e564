from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ces_ml.events import EventSchema
from ces_ml.spec import OutcomeSpec
from ces_ml.weights import Band, GoldenRow, Interval, Provenance, Scale, WeightedTerm, WeightSet

HOSTILE = (
    "",
    " ",
    "it's",
    'say "hi"',
    "a; DROP TABLE events; --",
    "line\nbreak\r\ttab",
    "<script>alert(1)</script>",
    "back\\slash",
    "{{ template }} %s {0}",
    "null\x00byte",
    "🎉 ünïcode \u202e \u2028",
    "*",
    "[a-z]?",
    "after",
    "every 7d from 2020-01-01 to 2021-01-01",
    "'",
    '"',
    "x" * 5000,
)


@pytest.fixture(params=HOSTILE, ids=[repr(h)[:20] for h in HOSTILE])
def hostile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def make_weight_set() -> Callable[..., WeightSet]:
    """A weight set that uses every key of the format; keyword arguments replace fields."""

    def make(**changes: Any) -> WeightSet:
        terms = (
            WeightedTerm(
                name="login 30d",
                event="login",
                window="30d",
                cap=20,
                transform="log1p",
                weight=0.75,
                interval=Interval(low=0.5, high=1.0, level=0.9),
            ),
            WeightedTerm(
                name="login 90d",
                event="login",
                measure="active_days",
                window="90d",
                transform="sqrt",
                weight=0.25,
            ),
            WeightedTerm(
                name='it\'s <b>"bought"</b>; 🎉',
                event='it\'s <b>"bought"</b>; 🎉',
                measure="sum",
                property="amount",
                window="90d",
                half_life="30d",
                weight=-0.125,
            ),
        )
        fields: dict[str, Any] = {
            "name": "churn",
            "terms": terms,
            "intercept": -1.5,
            "events": EventSchema(customer_col="user", value_col="amount", arrival_col="seen_at"),
            "outcome": OutcomeSpec(
                task="churn", silence_of="*", horizon="28d", gap="7d", active_within="90d"
            ),
            "rules": ("login 30d >= login 90d", 'it\'s <b>"bought"</b>; 🎉 <= 0'),
            "scale": Scale(knots=((-2.0, 0.0), (0.0, 50.0), (2.0, 100.0))),
            "bands": (
                Band(name="at_risk", from_score=0, rate=0.25, rows=40),
                Band(name="potential", from_score=40, rate=0.5, rows=40),
                Band(name="advocate", from_score=75.5, rate=None, rows=0),
            ),
            "provenance": Provenance(
                data_digest="ab" * 32,
                config_digest="cd" * 32,
                as_of=("2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z"),
                rows=80,
                customers=50,
                positives=30,
                versions={"ces-ml": "0.1.0"},
                metrics={"roc_auc": 0.75},
            ),
            "golden_rows": (
                GoldenRow(counts={}, raw_score=0.0, score=50.0, band="potential"),
                GoldenRow(
                    counts={"login 90d": 4.0, 'it\'s <b>"bought"</b>; 🎉': 20.0},
                    raw_score=-2.0,
                    score=0.0,
                    band="at_risk",
                ),
            ),
        }
        return WeightSet(**{**fields, **changes})

    return make


@pytest.fixture
def weight_set(make_weight_set: Callable[..., WeightSet]) -> WeightSet:
    return make_weight_set()
