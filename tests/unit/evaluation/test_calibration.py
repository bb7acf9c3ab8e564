"""Calibration against scikit-learn, against sums by hand, and against chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from ces_ml.errors import EventLogError, SpecError
from ces_ml.evaluation import calibration, cox_line


def sample(n: int, seed: int = 0, slope: float = 1.0, intercept: float = 0.0):
    """Outcomes that follow a known line of stated log-odds."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1.0, 1.5, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-(intercept + slope * z)))).astype(int)
    return y, z, 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("weighted", [False, True])
def test_slope_and_intercept_are_those_of_an_unpenalised_logistic_regression(weighted) -> None:
    y, z, p = sample(3000, slope=0.6, intercept=0.3)
    weight = np.random.default_rng(1).uniform(0.2, 3.0, len(y)) if weighted else None
    model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(z[:, None], y, weight)
    found = calibration(y, p, weight)
    assert found.slope == pytest.approx(model.coef_[0, 0], abs=1e-6)
    assert found.intercept == pytest.approx(model.intercept_[0], abs=1e-6)


def test_a_known_line_is_recovered() -> None:
    y, _, p = sample(200_000, slope=0.6, intercept=0.3)
    found = calibration(y, p)
    assert found.slope == pytest.approx(0.6, abs=0.02)
    assert found.intercept == pytest.approx(0.3, abs=0.03)
    assert found.ece > 5 * found.ece_by_chance


def test_the_ece_of_true_probabilities_is_what_chance_makes_it() -> None:
    found = [calibration(y, p) for y, _, p in (sample(500, seed) for seed in range(200))]
    mean, expected = np.mean([f.ece for f in found]), np.mean([f.ece_by_chance for f in found])
    # Bins are cut by probabilities alone, so only the normal approximation stands between them.
    assert mean == pytest.approx(expected, rel=0.05)
    assert expected > 0.015


def test_the_ece_is_the_sum_by_hand() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.8])
    y = np.array([0, 0, 1, 0, 1, 1])
    found = calibration(y, p, n_bins=3)
    assert [b.rows for b in found.bins] == [2, 2, 2]
    assert [b.rate for b in found.bins] == [0.0, 0.5, 1.0]
    assert found.ece == pytest.approx((0.15 + 0.15 + 0.3) / 3)
    assert found.in_the_large == pytest.approx(0.5 - 0.4)
    heavy = calibration(y, p, np.array([1.0, 1.0, 1.0, 1.0, 2.0, 2.0]), n_bins=2)
    assert [b.rows for b in heavy.bins] == [4, 2]
    assert heavy.ece == pytest.approx(0.5 * abs(0.25 - 0.25) + 0.5 * 0.3)


def test_bins_of_distinct_probabilities_are_those_of_scikit_learn() -> None:
    y, _, p = sample(1000)
    rate, mean = calibration_curve(y, p, n_bins=10, strategy="quantile")
    found = calibration(y, p)
    np.testing.assert_allclose([b.rate for b in found.bins], rate)
    np.testing.assert_allclose([b.probability for b in found.bins], mean)
    for b in found.bins:
        assert 0 <= b.low <= b.rate <= b.high <= 1


@pytest.mark.parametrize("rows", range(2, 60))
def test_the_interval_of_a_rate_at_an_end_holds_the_rate(rows) -> None:
    y = np.repeat([0, 1], rows)
    for b in calibration(y, np.repeat([0.2, 0.7], rows), n_bins=2).bins:
        assert 0 <= b.low <= b.rate <= b.high <= 1


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=2, max_size=60),
    n_bins=st.integers(1, 12),
)
def test_every_row_is_in_one_bin_and_equal_probabilities_share_one(rows, n_bins) -> None:
    y, p = np.array([a for a, _ in rows]), np.array([b / 20 for _, b in rows])
    y[:2] = 0, 1
    found = calibration(y, p, n_bins=n_bins)
    assert sum(b.rows for b in found.bins) == len(y)
    assert len(found.bins) <= min(n_bins, len(np.unique(p)))
    assert [b.probability for b in found.bins] == sorted({b.probability for b in found.bins})
    assert 0 <= found.ece <= 1
    total = sum(b.rows * (b.rate - b.probability) for b in found.bins)
    assert total / len(y) == pytest.approx(found.in_the_large, abs=1e-12)


def test_a_weight_of_two_is_a_row_twice() -> None:
    y, _, p = sample(400)
    twice = np.repeat(np.arange(400), np.where(np.arange(400) % 3 == 0, 2, 1))
    one = calibration(y, p, np.where(np.arange(400) % 3 == 0, 2.0, 1.0))
    two = calibration(y[twice], p[twice])
    assert one.slope == pytest.approx(two.slope)
    assert one.ece == pytest.approx(two.ece)


@pytest.mark.parametrize("p", [np.full(4, 0.3), np.array([0.1, 0.2, 0.8, 0.9])])
def test_there_is_no_line_for_constant_or_separating_probabilities(p) -> None:
    y = np.array([0, 0, 1, 1])
    found = calibration(y, p)
    assert np.isnan(found.slope)
    assert np.isnan(found.intercept)
    assert set(found.metrics) == {"in_the_large", "ece", "ece_by_chance"}


def test_probabilities_of_0_and_1_have_a_line() -> None:
    line = calibration(np.array([0, 1, 0, 1]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert line.slope == pytest.approx(0, abs=1e-9)
    assert np.isfinite(cox_line(np.array([0, 1, 1]), np.array([-800.0, 800.0, -800.0])).slope)


@pytest.mark.parametrize(
    ("y", "p", "options", "error", "message"),
    [
        ([0, 1], [0.5], {}, SpecError, "do not stand row by row"),
        ([0, 1], [0.5, 1.5], {}, SpecError, "outside 0 to 1"),
        ([0, 1], [0.5, np.nan], {}, SpecError, "outside 0 to 1"),
        ([0, 1], [0.5, 0.5], {"n_bins": 0}, SpecError, "there are no bins"),
        ([1, 1], [0.5, 0.5], {}, EventLogError, "only one outcome occurs"),
    ],
)
def test_what_has_no_calibration_is_refused(y, p, options, error, message) -> None:
    with pytest.raises(error, match=message):
        calibration(np.array(y), np.array(p), **options)
