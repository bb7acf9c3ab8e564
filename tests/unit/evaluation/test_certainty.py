"""AUCs and rates with customers as the unit: against scikit-learn, by hand and by simulation."""

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from ces_ml.evaluation.certainty import auc_by_customer, auc_drop, rate_at_least


def test_the_value_is_that_of_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, 2, 400), rng.integers(0, 5, 400).astype(float)
    found = auc_by_customer(y, x, np.arange(400))
    assert found.value == pytest.approx(roc_auc_score(y, x), abs=1e-12)
    assert found.power == pytest.approx(abs(found.value - 0.5))


def test_rows_of_one_customer_count_as_one() -> None:
    rng = np.random.default_rng(1)
    y, x = rng.integers(0, 2, 200), rng.normal(size=200)
    once = auc_by_customer(y, x, np.arange(200))
    customers = np.repeat(np.arange(200), 4)
    four_times = auc_by_customer(np.repeat(y, 4), np.repeat(x, 4), customers)
    assert four_times.value == pytest.approx(once.value)
    assert four_times.error == pytest.approx(once.error)
    naive = auc_by_customer(np.repeat(y, 4), np.repeat(x, 4), np.arange(800))
    assert naive.error == pytest.approx(once.error / 2, rel=0.01)


def test_the_error_is_the_spread_over_repeated_samples() -> None:
    rng = np.random.default_rng(2)
    values, errors = [], []
    for _ in range(300):
        engaged = rng.normal(size=150)
        y = np.repeat(rng.random(150) < 1 / (1 + np.exp(-engaged)), 3).astype(int)
        x = np.repeat(engaged, 3) + rng.normal(size=450)
        found = auc_by_customer(y, x, np.repeat(np.arange(150), 3))
        values.append(found.value)
        errors.append(found.error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


def test_a_drop_between_equal_rankings_is_certainly_zero() -> None:
    rng = np.random.default_rng(3)
    y, x = rng.integers(0, 2, 100), rng.normal(size=100)
    found = auc_drop(y, x, 3 * x + 1, np.arange(100))
    assert (found.value, found.error) == (0.0, 0.0)
    lost = auc_drop(y, y + 0.5 * x, rng.normal(size=100), np.arange(100))
    assert lost.value > 3 * lost.error > 0


@pytest.mark.parametrize(("hits", "trials", "doubt"), [(9, 10, 0.05), (1, 40, 0.01), (40, 40, 0.1)])
def test_the_lower_limit_of_a_rate_is_the_quantile_of_a_beta(hits, trials, doubt) -> None:
    assert rate_at_least(hits, trials, doubt) == pytest.approx(
        beta.ppf(doubt, hits, trials - hits + 1)
    )


def test_no_hit_and_no_trial_say_nothing() -> None:
    assert rate_at_least(0, 100, 0.05) == 0
    assert rate_at_least(0, 0, 0.05) == 0
