from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import WeightSetError
from ces_ml.weights import (
    Band,
    Scale,
    WeightedTerm,
    WeightSet,
    band_names,
    contributions,
    probabilities,
    raw_scores,
    scores,
)


def small(*weights: float, **options) -> WeightSet:
    return WeightSet(
        name="small",
        terms=tuple(
            WeightedTerm(name=f"e{k}", event=f"e{k}", window="7d", weight=w, **options)
            for k, w in enumerate(weights)
        ),
        intercept=-1.0,
        scale=Scale(method="min_max", knots=((0, 0), (100, 100))),
        bands=(
            Band(name="low", from_score=0),
            Band(name="mid", from_score=40),
            Band(name="top", from_score=70),
        ),
    )


def test_the_textbook_example_gives_71() -> None:
    # A widely copied article takes weights 0.4, 0.3, 0.3 and inputs 80, 60, 70 and prints 65;
    # 0.4·80 + 0.3·60 + 0.3·70 = 32 + 18 + 21 = 71.
    textbook = small(0.4, 0.3, 0.3)
    raw = raw_scores(textbook, np.array([[80.0, 60.0, 70.0]]))
    assert raw[0] == pytest.approx(71, abs=1e-12)
    assert scores(textbook, raw)[0] == pytest.approx(71, abs=1e-12)
    assert band_names(textbook, scores(textbook, raw)).tolist() == ["top"]


def test_each_contribution_is_weight_times_transformed_capped_count(
    weight_set: WeightSet,
) -> None:
    n = np.array([[25.0, 4.0, 12.0], [1.0, 0.0, -8.0]])
    expected = [
        [0.75 * np.log1p(20), 0.25 * 2, -0.125 * 12],
        [0.75 * np.log1p(1), 0.0, 1.0],
    ]
    np.testing.assert_allclose(contributions(weight_set, n), expected, rtol=1e-14)


@given(st.integers(0, 2**32 - 1))
def test_contributions_sum_to_the_raw_score_and_sparse_equals_dense(
    make_weight_set: Callable[..., WeightSet], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n = rng.integers(-30, 60, size=(20, 3)) * (rng.random((20, 3)) < 0.5).astype(float)
    weight_set = make_weight_set()
    dense = contributions(weight_set, n)
    raw = raw_scores(weight_set, n)
    np.testing.assert_allclose(dense.sum(axis=1), raw, rtol=0, atol=1e-12)
    for kind in (sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix):
        np.testing.assert_array_equal(contributions(weight_set, kind(n)).toarray(), dense)
        np.testing.assert_allclose(raw_scores(weight_set, kind(n)), raw, rtol=0, atol=1e-12)


def test_applying_leaves_the_counts_alone(weight_set: WeightSet) -> None:
    n = np.array([[25.0, 4.0, 12.0]])
    kept = sp.csr_array(n)
    contributions(weight_set, kept)
    contributions(weight_set, n)
    np.testing.assert_array_equal(kept.toarray(), [[25.0, 4.0, 12.0]])
    np.testing.assert_array_equal(n, [[25.0, 4.0, 12.0]])


def test_entries_stored_twice_are_added_before_the_transform(weight_set: WeightSet) -> None:
    twice = sp.csr_array((np.array([2.0, 3.0]), np.array([0, 0]), np.array([0, 2])), shape=(1, 3))
    assert raw_scores(weight_set, twice)[0] == pytest.approx(0.75 * np.log1p(5.0), abs=1e-12)


def test_a_customer_without_events_has_a_raw_score_of_0(weight_set: WeightSet) -> None:
    assert raw_scores(weight_set, np.zeros((1, 3))) == [0.0]
    assert raw_scores(weight_set, sp.csr_array((1, 3))) == [0.0]


def test_no_rows_give_no_scores(weight_set: WeightSet) -> None:
    raw = raw_scores(weight_set, np.zeros((0, 3)))
    assert raw.shape == scores(weight_set, raw).shape == (0,)


def test_the_intercept_enters_the_probability_only() -> None:
    one, other = small(0.5), small(0.5).model_copy(update={"intercept": 3.0})
    raw = raw_scores(one, np.array([[4.0]]))
    assert scores(one, raw) == scores(other, raw)
    assert probabilities(one, raw)[0] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-14)
    assert probabilities(other, raw)[0] == pytest.approx(1 / (1 + np.exp(-5)), rel=1e-14)


def test_a_band_holds_its_lowest_score() -> None:
    score = np.array([0.0, np.nextafter(40, 0), 40.0, 69.9, 70.0, 100.0])
    assert band_names(small(1.0), score).tolist() == ["low", "low", "mid", "mid", "top", "top"]


@pytest.mark.parametrize(
    "counts", [np.ones((2, 4)), np.ones((2, 2)), np.ones(3), np.ones((1, 3, 1))]
)
def test_counts_of_another_shape_are_refused(weight_set: WeightSet, counts: np.ndarray) -> None:
    with pytest.raises(WeightSetError, match=r"do not fit the weight set\n.*\n.*\(n_rows, 3\)"):
        raw_scores(weight_set, counts)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_missing_counts_are_refused(weight_set: WeightSet, kind) -> None:
    with pytest.raises(WeightSetError, match=r"counts are missing\n.*1 NaN"):
        raw_scores(weight_set, kind(np.array([[1.0, np.nan, 0.0]])))
