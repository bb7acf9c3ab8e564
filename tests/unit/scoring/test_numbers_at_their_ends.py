"""Counts in narrow types, and sums past all numbers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from ces_ml.errors import WeightSetError
from ces_ml.scoring import Scorer
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet, contributions


def weight_set(transform: str = "identity", *weights: float) -> WeightSet:
    return WeightSet(
        name="ends",
        terms=tuple(
            WeightedTerm(name=f"t{k}", event=f"t{k}", window="7d", weight=w, transform=transform)
            for k, w in enumerate(weights)
        ),
        intercept=0.0,
        scale=Scale(method="min_max", knots=((-1.0, 0.0), (1.0, 100.0))),
        bands=(Band(name="low", from_score=0), Band(name="high", from_score=50)),
    )


@pytest.mark.parametrize("transform", ["identity", "log1p", "sqrt"])
@pytest.mark.parametrize("kind", ["bool", "int8", "uint8", "float16", "float32", "int64"])
def test_counts_of_a_narrow_type_score_as_if_they_were_doubles(kind: str, transform: str) -> None:
    weights = weight_set(transform, 0.3, 0.7)
    X = np.array([[0, 1], [3, 100], [7, 2]]).astype(kind)
    raw = contributions(weights, X.astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(Scorer(weights).score(X)["raw_score"], raw, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("counts", "weights"),
    [
        ([1e308, 1e308], (1.5, 1.0)),  # each is a number, the sum is none
        ([1.7e308, 0.0], (1.5, 1.0)),
        ([1.7e308, 1.7e308], (1.5, -1.5)),  # endless less endless
    ],
)
def test_a_raw_score_past_all_numbers_is_refused(
    counts: list[float], weights: tuple[float, ...]
) -> None:
    scorer = Scorer(weight_set("identity", *weights))
    X = np.array([[1.0, 1.0], counts])
    for shape in (X, sp.csr_array(X), np.clip(X, 0, None)[1:]):
        with pytest.raises(WeightSetError, match="a raw score is larger than any number"):
            scorer.score(shape)
    with pytest.raises(WeightSetError, match="a raw score is larger than any number"):
        scorer.score_one({"t0": counts[0], "t1": counts[1]})
