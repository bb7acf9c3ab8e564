"""Exports are run on the golden rows before weights are promoted."""

from __future__ import annotations

import numpy as np
import pytest

from ces_ml.errors import SpecError
from ces_ml.exporters import PARITY, check_parity
from ces_ml.weights import Band, GoldenRow, Scale, WeightedTerm, WeightSet


def weight_set(raw_score: float = 2.0) -> WeightSet:
    return WeightSet(
        name="churn",
        terms=(WeightedTerm(name="<b>", event="<b>", window="30d", weight=0.5),),
        intercept=0.0,
        scale=Scale(method="min_max", knots=((0.0, 0.0), (4.0, 100.0))),
        bands=(Band(name="low", from_score=0), Band(name="high", from_score=50)),
        golden_rows=(GoldenRow(counts={"<b>": 4.0}, raw_score=raw_score, score=50.0, band="high"),),
    )


def test_json_reproduces_the_golden_rows() -> None:
    [found] = [f for f in check_parity(weight_set()) if f.format == "json"]
    assert found.holds
    assert (found.rows, found.worst) == (1, 0.0)


def test_golden_rows_that_are_wrong_do_not_hold() -> None:
    [found] = [f for f in check_parity(weight_set(raw_score=2.1)) if f.format == "json"]
    assert not found.holds
    assert "golden row 0 gives another score" in found.problem


@pytest.mark.parametrize("worst", [1e-6, float("nan"), float("inf")])
def test_an_export_that_is_off_does_not_hold(worst, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARITY, "abacus", lambda _: worst)
    found = next(f for f in check_parity(weight_set()) if f.format == "abacus")
    assert not found.holds
    assert "a golden row is off by" in found.problem
    assert found.worst == worst or np.isnan(worst)


def test_an_export_that_cant_be_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: WeightSet) -> float:
        raise SpecError("this scale can't be said there", got="x", allowed="y", hint="z")

    monkeypatch.setitem(PARITY, "abacus", broken)
    found = next(f for f in check_parity(weight_set()) if f.format == "abacus")
    assert found.problem == "this scale can't be said there"
