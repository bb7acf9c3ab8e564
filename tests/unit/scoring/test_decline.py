"""Falls beyond noise: p-values that hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from ces_ml.scoring.decline import change_interval, fall_p_values, q_values
from ces_ml.spec import Term
from ces_ml.weights import Interval

from .online_cases import weight_set


@pytest.mark.parametrize("kind", ["normal", "heavy", "mostly nothing", "skewed"])
def test_stationary_customers_are_alerted_as_often_as_stated(kind: str) -> None:
    rng = np.random.default_rng(1)
    shape = (8_000, 11)
    changes = {
        "normal": rng.normal(size=shape),
        "heavy": rng.standard_t(2, shape),
        "mostly nothing": rng.poisson(0.1, shape) - rng.poisson(0.1, shape).astype(float),
        "skewed": 1.0 - rng.exponential(size=shape),
    }[kind] * rng.gamma(1.0, 2.0, (shape[0], 1))
    p, _, _ = fall_p_values(changes)
    for level in (0.01, 0.05, 0.2):
        false = (p <= level).mean()
        assert false <= level + 4 * np.sqrt(level / shape[0])
        if kind != "mostly nothing":  # whose p-values come in steps
            assert false >= level - 4 * np.sqrt(level / shape[0])


def test_a_real_fall_stands_out_by_the_noise_of_the_customer() -> None:
    rng = np.random.default_rng(2)
    changes = rng.normal(size=(1_000, 13))
    changes[:500] *= 10.0
    changes[0, 0], changes[999, 0] = -8.0, -8.0
    p, z, noise = fall_p_values(changes)
    assert p[999] < 0.005
    assert p[0] > 0.05
    assert z[999] < -4 < z[0]
    assert noise[0] > 3 * noise[999]


def test_customers_without_any_change_are_not_judged_by_nothing() -> None:
    changes = np.zeros((50, 8))
    p, z, noise = fall_p_values(changes)
    assert (p == 1.0).all()
    assert (z == 0.0).all()
    changes[0, 0] = -1.0
    p, _, noise = fall_p_values(changes)
    assert np.argmin(p) == 0
    assert np.isfinite(noise).all()


def test_judgement_does_not_depend_on_the_unit_of_the_score() -> None:
    changes = np.random.default_rng(3).normal(size=(200, 9))
    one, thousand = fall_p_values(changes), fall_p_values(1000 * changes)
    np.testing.assert_array_equal(one[0], thousand[0])
    np.testing.assert_allclose(1000 * one[2], thousand[2])


def test_q_values_hold_the_share_of_false_discoveries() -> None:
    rng = np.random.default_rng(4)
    shares = []
    for _ in range(200):
        p = rng.uniform(size=500)
        p[:50] = rng.uniform(size=50) ** 8  # fifty that are real
        found = q_values(p) <= 0.1
        shares.append(found[50:].sum() / max(found.sum(), 1))
    assert 0.05 < np.mean(shares) < 0.1
    assert q_values(np.array([0.9, 1.0])).tolist() == [1.0, 1.0]


def test_the_interval_of_a_change_comes_from_those_of_the_weights() -> None:
    weights = weight_set([Term(event=e, window="1d") for e in "ab"])
    a, b = weights.terms
    a = a.model_copy(update={"weight": 1.0, "interval": Interval(low=0.5, high=1.2, level=0.9)})
    weights = weights.model_copy(update={"terms": (a, b)})
    moved = sp.csr_array(np.array([[-2.0, 1.0], [3.0, 0.0], [0.0, 5.0]]))
    low, high = change_interval(weights, moved, np.array([-2.0, 3.0, 1.0]))
    np.testing.assert_allclose(low, [-2.4, 1.5, 1.0])
    np.testing.assert_allclose(high, [-1.0, 3.6, 1.0])
