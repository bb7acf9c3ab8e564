"""The map from log-odds to probability: an optional key of version 1."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from ces_ml.errors import WeightSetError
from ces_ml.scoring import Scorer
from ces_ml.weights import Recalibration, Scale, WeightSet, probabilities, scores

Make = Callable[..., WeightSet]
PLATT = Recalibration(method="platt", slope=0.5, intercept=0.25)
KNOTS = Recalibration(method="isotonic", knots=((-3.0, 0.1), (-1.0, 0.1), (1.0, 0.7)))


@pytest.mark.parametrize("calibration", [PLATT, KNOTS])
def test_it_survives_the_file_and_is_part_of_the_fingerprint(make_weight_set: Make, calibration):
    weight_set = make_weight_set(calibration=calibration)
    assert WeightSet.from_json(weight_set.to_json()) == weight_set
    assert weight_set.fingerprint != make_weight_set().fingerprint


def test_without_it_the_fingerprint_is_what_it_was_before_there_was_any(make_weight_set: Make):
    body = json.loads(make_weight_set().to_json())
    del body["calibration"]
    assert WeightSet.from_json(json.dumps(body)).fingerprint == make_weight_set().fingerprint


def test_probabilities_are_what_it_makes_of_the_log_odds(make_weight_set: Make) -> None:
    raw = np.array([-1.5, 0.5, 2.5, 9.0])  # log-odds -3, -1, 1, 7.5
    plain = make_weight_set()
    assert probabilities(plain, raw) == pytest.approx(1 / (1 + np.exp(1.5 - raw)))
    platt = make_weight_set(calibration=PLATT)
    expected = 1 / (1 + np.exp(-(0.5 * (raw - 1.5) + 0.25)))
    assert probabilities(platt, raw) == pytest.approx(expected)
    isotonic = make_weight_set(calibration=KNOTS)
    assert probabilities(isotonic, raw).tolist() == pytest.approx([0.1, 0.1, 0.7, 0.7])
    assert scores(isotonic, raw).tolist() == scores(plain, raw).tolist()


def test_a_score_that_is_a_probability_is_the_calibrated_one(make_weight_set: Make) -> None:
    changes = {"scale": Scale(method="probability"), "golden_rows": ()}
    weight_set = make_weight_set(calibration=KNOTS, **changes)
    raw = np.array([-1.5, 0.5, 2.5])
    assert scores(weight_set, raw).tolist() == pytest.approx([10.0, 10.0, 70.0])
    assert scores(make_weight_set(**changes), raw) == pytest.approx(100 / (1 + np.exp(1.5 - raw)))


def test_the_scorer_reports_it(make_weight_set: Make) -> None:
    weight_set = make_weight_set(calibration=KNOTS)
    counts = pd.DataFrame([dict.fromkeys(weight_set.names, 0.0)])
    found = Scorer(weight_set).score(counts)
    assert found["probability"].tolist() == pytest.approx(KNOTS.apply(np.array([-1.5])).tolist())


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "isotonic"},
        {"method": "platt", "knots": ((0.0, 0.5),)},
        {"method": "isotonic", "knots": ((0.0, 0.5), (0.0, 0.6))},
        {"method": "isotonic", "knots": ((0.0, 0.5), (1.0, 0.4))},
        {"method": "isotonic", "knots": ((0.0, 0.5), (1.0, 1.4))},
    ],
)
def test_what_is_no_rising_map_is_refused(fields) -> None:
    with pytest.raises(WeightSetError, match="not a rising map to probabilities"):
        Recalibration(**fields)


def test_a_falling_line_is_refused() -> None:
    with pytest.raises(WeightSetError, match="slope has a value that is not allowed"):
        Recalibration(method="platt", slope=-1.0)
