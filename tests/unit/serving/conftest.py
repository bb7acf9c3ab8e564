"""Weights that are served, and the application over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from ces_ml.serving import ServedWeights, make_app
from ces_ml.spec import CountSpec, Term
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

HOSTILE = "</script>'; DROP TABLE x; -- \n😀"


@pytest.fixture
def make_weight_set() -> Callable[..., WeightSet]:
    def make(shift: float = 0.0) -> WeightSet:
        terms = CountSpec(
            terms=(
                Term(event="login", window="30d", transform="log1p"),
                Term(event="buy", window="90d", measure="sum", property="amount", cap=500),
                Term(event="refund", window="90d", half_life="10d", where="amount > 10"),
                Term(event="visit", window="7d", measure="active_days"),
                Term(event=HOSTILE, window="30d", transform="sqrt"),
            )
        ).terms
        weights = [0.7 + shift, 0.004, -0.9, 0.2, 0.1]
        return WeightSet(
            name="churn",
            terms=tuple(
                WeightedTerm(**t.model_dump(), weight=w)
                for t, w in zip(terms, weights, strict=True)
            ),
            intercept=-1.5,
            scale=Scale(method="min_max", knots=((-1.0, 0.0), (4.0, 100.0))),
            bands=(
                Band(name="at_risk", from_score=0),
                Band(name="potential", from_score=40),
                Band(name="advocate", from_score=75),
            ),
        )

    return make


@pytest.fixture
def weight_set(make_weight_set: Callable[..., WeightSet]) -> WeightSet:
    return make_weight_set()


@pytest.fixture
def client(weight_set: WeightSet) -> Iterator[TestClient]:
    app = make_app(ServedWeights(lambda: weight_set))
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened
