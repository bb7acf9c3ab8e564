from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ces_ml.events import EventSchema
from ces_ml.spec import CountSpec
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

from .consumers import JavaScript, Onnx, Pmml, Python
from .weight_sets import HOSTILE


@pytest.fixture(scope="session")
def consumers() -> Iterator[dict[str, Any]]:
    """Everything that reads an export, by format."""
    node = JavaScript()
    yield {"python": Python(), "javascript": node, "onnx": Onnx(), "pmml": Pmml()}
    node.close()


@pytest.fixture(scope="session")
def make() -> Callable[..., WeightSet]:
    """A weight set of the terms given; keyword arguments replace its fields."""

    def made(*terms: dict[str, Any], **changes: Any) -> WeightSet:
        named = CountSpec(terms=tuple({"window": "30d", **t} for t in terms)).terms
        fields: dict[str, Any] = {
            "name": "a test",
            "terms": tuple(
                WeightedTerm(**t.model_dump(), weight=0.5 * (-1) ** k / (k + 1))
                for k, t in enumerate(named)
            ),
            "intercept": -0.25,
            "events": EventSchema(value_col="value"),
            "scale": Scale(knots=((-2.0, 0.0), (0.0, 30.0), (4.0, 100.0))),
            "bands": (Band(name="low", from_score=0), Band(name="high", from_score=40)),
        }
        return WeightSet(**{**fields, **changes})

    return made


@pytest.fixture(scope="session")
def hostile(make: Callable[..., WeightSet]) -> WeightSet:
    """A weight set whose names are everything that breaks naive writers."""
    return make(
        *({"event": name, "transform": "log1p"} for name in HOSTILE),
        name="</script> ''' <!-- & \x00",
        bands=(Band(name="</band> & 'low'\n", from_score=0), Band(name="\x00", from_score=40)),
    )
