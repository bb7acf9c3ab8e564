"""Counts in, score out: every consumer of an export gives what the scorer gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ces_ml.exporters.pmml import xml_names
from ces_ml.scoring import Scorer
from ces_ml.weights import WeightSet

from .weight_sets import counts, weight_sets

TOLERANCE = 1e-9
#: PMML4S takes 0.1 s a model.
FORMATS = ("python", "javascript", "onnx", pytest.param("pmml", marks=pytest.mark.slow))
SETTINGS = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("format", FORMATS)
@SETTINGS
@given(data=st.data())
def test_a_consumer_scores_random_counts_as_the_scorer_does(
    format: str, consumers: dict[str, Any], data: st.DataObject
) -> None:
    weight_set = data.draw(weight_sets())
    rows = data.draw(counts(weight_set))
    for row, found in zip(rows, consumers[format].score(weight_set, rows), strict=True):
        compare(weight_set, row, found, in_xml=format == "pmml")


def compare(
    weight_set: WeightSet, row: dict[str, float], found: dict[str, Any], *, in_xml: bool = False
) -> None:
    wanted = Scorer(weight_set, n_reasons=100).score(row).iloc[0]
    # Up to 1e-9, or what float64 leaves of larger numbers.
    near = TOLERANCE * max(1.0, abs(wanted["raw_score"]) / 100)
    assert found["raw_score"] == pytest.approx(wanted["raw_score"], abs=near, rel=0)
    assert found["score"] == pytest.approx(wanted["score"], abs=near, rel=0)
    assert found["probability"] == pytest.approx(wanted["probability"], abs=near, rel=0)
    edges = [abs(band.from_score - wanted["score"]) for band in weight_set.bands[1:]]
    if min(edges, default=1.0) > near:  # at an edge the last bit decides
        names = xml_names([b.name for b in weight_set.bands]) if in_xml else []
        shown = {b.name: n for b, n in zip(weight_set.bands, names, strict=False)}
        assert found["band"] == shown.get(wanted["band"], wanted["band"])
    if "contributions" in found:
        reasons = {
            wanted[f"reason_{k}"]: wanted[f"points_{k}"]
            for k in range(1, len(weight_set.terms) + 1)
            if wanted[f"points_{k}"] == wanted[f"points_{k}"]
        }
        held = {n: p for n, p in found["contributions"].items() if p != 0}
        assert held == pytest.approx(reasons, abs=near, rel=0)
        assert sum(held.values()) == pytest.approx(found["raw_score"], abs=near, rel=0)
    if "reasons" in found:
        points = [abs(r["points"]) for r in found["reasons"]]
        assert points == sorted(points, reverse=True)
        assert {r["term"] for r in found["reasons"]} == set(reasons)
