import numpy as np
import pytest

from ces_ml.errors import SpecError
from ces_ml.evaluation import loss_difference


def test_the_interval_is_that_of_a_mean_over_independent_customers() -> None:
    rng = np.random.default_rng(0)
    gap = rng.normal(0.02, 1.0, 4000)
    found = loss_difference(gap, np.zeros(4000), np.arange(4000), n_replicates=4000)
    half = 1.6449 * gap.std() / np.sqrt(4000)
    assert found.difference == pytest.approx(gap.mean())
    assert found.low == pytest.approx(gap.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(gap.mean() + half, abs=0.1 * half)


def test_customers_with_several_equal_rows_count_as_one() -> None:
    rng = np.random.default_rng(0)
    gap = rng.normal(0.0, 1.0, 500)
    once = loss_difference(gap, np.zeros(500), np.arange(500))
    nine = loss_difference(np.repeat(gap, 9), np.zeros(4500), np.repeat(np.arange(500), 9))
    assert tuple(nine) == pytest.approx(tuple(once))


def test_nine_of_ten_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for k in range(300):
        who = rng.integers(0, 150, 400)
        gap = rng.normal(0.0, 0.5, 150)[who] + rng.normal(0.0, 1.0, 400)
        found = loss_difference(gap, np.zeros(400), who, n_replicates=300, seed=k)
        held += found.low <= 0.0 <= found.high
    assert 0.84 <= held / 300 <= 0.95


def test_a_weight_of_two_is_a_row_twice() -> None:
    gap, who = np.array([0.1, -0.2, 0.3]), np.array(["a", "b", "c"])
    one = loss_difference(gap, np.zeros(3), who, np.array([2.0, 1.0, 1.0]))
    two = loss_difference(gap[[0, 0, 1, 2]], np.zeros(4), who[[0, 0, 1, 2]])
    assert tuple(one) == pytest.approx(tuple(two))


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpecError, match="do not stand row by row"):
        loss_difference(np.zeros(3), np.zeros(2), ["a", "b", "c"])
