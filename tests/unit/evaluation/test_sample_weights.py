"""A weight means what repeating the row means, in every number."""

from __future__ import annotations

import numpy as np
import pytest

from ces_ml.errors import SpecError
from ces_ml.evaluation import METRICS, calibrated, choose_bands, comparison, evaluate_scores
from ces_ml.evaluation.metrics import lift_at_10

RNG = np.random.default_rng(0)
#: The sum of the weights is a multiple of ten, so that a tenth of the rows needs no rounding.
TIMES = np.concatenate([RNG.integers(1, 4, 199), [0]])
TIMES[-1] = 10 - TIMES.sum() % 10
SCORE = np.round(RNG.normal(size=200), 1)
Y = (RNG.random(200) < 1 / (1 + np.exp(-SCORE))).astype(int)
PROBABILITY = 1 / (1 + np.exp(-SCORE / 2))
WEIGHT = TIMES.astype(float)


@pytest.mark.parametrize("metric", METRICS)
def test_a_weight_of_two_is_a_row_that_is_there_twice(metric: str) -> None:
    weighted = evaluate_scores(Y, SCORE, PROBABILITY, WEIGHT)
    repeated = evaluate_scores(*(np.repeat(a, TIMES) for a in (Y, SCORE, PROBABILITY)))
    assert weighted[metric] == pytest.approx(repeated[metric], rel=1e-12)
    plain = evaluate_scores(Y, SCORE, PROBABILITY)
    assert weighted[metric] != pytest.approx(plain[metric], rel=1e-6)


def test_equal_weights_change_nothing() -> None:
    half = np.full(200, 0.5)
    assert evaluate_scores(Y, SCORE, PROBABILITY, half) == pytest.approx(
        evaluate_scores(Y, SCORE, PROBABILITY), rel=1e-12
    )
    scores = 100 * PROBABILITY
    plain, weighted = choose_bands(scores, Y), choose_bands(scores, Y, sample_weight=half)
    assert weighted == plain
    (row,) = comparison(Y, {"score": (SCORE, None)}, half)
    assert row["lift_at_10"] == pytest.approx(lift_at_10(Y, SCORE), rel=1e-12)


def test_calibration_and_rates_of_bands_follow_the_weights() -> None:
    repeated = calibrated(np.repeat(SCORE, TIMES), np.repeat(Y, TIMES), SCORE)
    # The score is standardised by rows, under a ridge too weak to matter.
    np.testing.assert_allclose(calibrated(SCORE, Y, SCORE, WEIGHT), repeated, atol=1e-3)
    assert np.abs(calibrated(SCORE, Y, SCORE) - repeated).max() > 2e-3
    constant = calibrated(np.ones(200), Y, np.ones(1), WEIGHT)
    assert constant[0] == pytest.approx((WEIGHT * Y).sum() / WEIGHT.sum(), rel=1e-12)
    bands = choose_bands(100 * PROBABILITY, Y, sample_weight=WEIGHT)
    starts = [b.from_score for b in bands] + [101]
    for band, end in zip(bands, starts[1:], strict=True):
        inside = (band.from_score <= 100 * PROBABILITY) & (end > 100 * PROBABILITY)
        assert band.rows == inside.sum()
        assert band.rate == pytest.approx(np.average(Y[inside], weights=WEIGHT[inside]), rel=1e-9)


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (np.zeros(200), r"a sample weight is not above 0\n.*200 of 200"),
        (np.ones(199), "outcomes and sample weight do not stand row by row"),
        (np.full(200, np.nan), "the sample weight is not finite everywhere"),
    ],
)
def test_weights_that_are_no_weights_are_refused(weight: np.ndarray, match: str) -> None:
    with pytest.raises(SpecError, match=match):
        evaluate_scores(Y, SCORE, PROBABILITY, weight)
