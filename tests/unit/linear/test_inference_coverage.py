"""Intervals hold the truth as often as they say, on the boundaries of the rules too."""

import numpy as np
import pytest
from scipy.special import expit

from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.inference import weight_intervals
from ces_ml.linear.inference.profile import profile_intervals

SETS = 300
LEAST = 0.86
"""For a nominal 0.90; two standard errors of a coverage from so many sets are 0.035."""


@pytest.mark.slow
def test_a_tied_chain_is_held_at_the_nominal_rate_where_percentiles_fail():
    truth = np.array([0.7, 0.7, 0.7, -0.4])
    held, percentiles, widths = np.zeros(4), np.zeros(4), []
    for seed in range(SETS):
        rng = np.random.default_rng(seed)
        X = np.log1p(rng.poisson(1.5 * rng.gamma(2.0, 0.5, (500, 1)), size=(500, 4)))
        y = (rng.random(500) < expit(X @ truth - 1.2)).astype(int)
        model = ConstrainedLogisticRegression(constraints="x0 >= x1 >= x2").fit(X, y)
        found = weight_intervals(model, X, y, n_replicates=200, random_state=seed)
        held += (found.low <= truth) & (truth <= found.high)
        low, high = np.percentile(found.draws, [5, 95], axis=0)
        percentiles += (low <= truth) & (truth <= high)
        widths.append((found.high - found.low) / (2 * 1.645 * found.std_error))
    assert (held / SETS >= LEAST).all(), held / SETS
    assert (percentiles / SETS)[[0, 2]].max() < LEAST  # the test has the power to tell
    assert (np.mean(widths, axis=0)[:3] < 0.95).all()  # and the rules make them narrower


@pytest.mark.slow
def test_customers_with_correlated_rows_are_held_at_the_nominal_rate():
    truth = np.array([0.8, 0.0])
    held, rows_alone = np.zeros(2), np.zeros(2)
    for seed in range(SETS):
        rng = np.random.default_rng(10_000 + seed)
        customer = np.repeat(np.arange(80), 6)
        X = rng.poisson(1.0, size=(80, 2)).astype(float)[customer]
        luck = rng.logistic(size=80)[customer]
        luck = np.where(rng.random(480) < 0.7, luck, rng.logistic(size=480))
        y = (X @ truth - 0.5 + luck > 0).astype(int)
        model = ConstrainedLogisticRegression(constraints="x1 >= 0").fit(X, y)
        found = weight_intervals(model, X, y, groups=customer)
        held += (found.low <= truth) & (truth <= found.high)
        alone = weight_intervals(model, X, y)
        rows_alone += (alone.low <= truth) & (truth <= alone.high)
    assert (held / SETS >= LEAST).all(), held / SETS
    assert rows_alone[0] / SETS < 0.75


@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("rho", [-0.9, -0.5, 0.3, 0.7])
def test_under_one_rule_coverage_is_nominal_at_any_distance_from_it(rho, distance):
    rng = np.random.default_rng(0)
    u, e = rng.standard_normal((2, 20_000))
    excess = rho * u + np.sqrt(1 - rho**2) * e - distance
    held = 0
    for k in range(0, 20_000, 2000):
        part = slice(k, k + 2000)
        ends = [
            profile_intervals(
                *map(np.array, ([a], [1.0], [1.6449], [-np.inf], [np.inf], [b], [[rho]])), near=9.0
            )
            for a, b in zip(u[part][:100], excess[part][:100], strict=True)
        ]
        held += sum(f.low[0] <= 0.0 <= f.high[0] for f in ends)
    assert 0.87 <= held / 1000 <= 0.93
