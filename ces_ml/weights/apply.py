"""The arithmetic of a score, on arrays: counts in, contributions, scores and bands out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.errors import WeightSetError
from ces_ml.spec.terms import saturate
from ces_ml.weights.scale import sigmoid

if TYPE_CHECKING:
    from ces_ml.weights.weight_set import WeightSet

__all__ = ["band_names", "contributions", "probabilities", "raw_scores", "scores"]


def contributions(weight_set: WeightSet, counts: Any) -> Any:
    """Return what every term adds to the raw score: ``C[i, t] = w_t · g_t(n[i, t])``.

    Parameters
    ----------
    weight_set : WeightSet
    counts : ndarray or sparse array, of shape (n_rows, n_terms)
        Counts before cap and transform, columns in the order of the terms.

    Returns
    -------
    ndarray or csc_array of float64, of shape (n_rows, n_terms)
        Rows sum to the raw score.

    Raises
    ------
    WeightSetError
        If there is not one column a term, or a count is missing (NaN).
    """
    if sp.issparse(counts):
        C = sp.csc_array(counts, dtype=np.float64, copy=True)
        C.sum_duplicates()
        _check_counts(weight_set, C.shape, C.data)
        for t, term in enumerate(weight_set.terms):
            place = slice(C.indptr[t], C.indptr[t + 1])
            C.data[place] = term.weight * saturate(C.data[place], term.cap, term.transform)
        return C
    n = np.asarray(counts, dtype=np.float64)
    _check_counts(weight_set, n.shape, n)
    columns = [
        term.weight * saturate(n[:, t], term.cap, term.transform)
        for t, term in enumerate(weight_set.terms)
    ]
    return np.column_stack(columns)


def _check_counts(weight_set: WeightSet, shape: tuple[int, ...], data: NDArray[np.float64]) -> None:
    wanted = len(weight_set.terms)
    if len(shape) != 2 or shape[1] != wanted:
        raise WeightSetError(
            "the counts do not fit the weight set",
            got=f"an array of shape {shape}",
            allowed=f"(n_rows, {wanted}): one column a term, in the order of its names",
            hint="count with the weight set's own `spec`",
        )
    missing = int(np.isnan(data).sum())
    if missing:
        raise WeightSetError(
            "counts are missing",
            got=f"{missing} NaN",
            allowed="numbers; the count of an absent event is 0",
            hint="fill missing counts with 0 where the event did not happen",
        )


def raw_scores(weight_set: WeightSet, counts: Any) -> NDArray[np.float64]:
    """Return ``Σ_t w_t · g_t(n_t)``, of shape (n_rows,)."""
    if sp.issparse(counts):
        X = sp.csr_array(counts, dtype=np.float64)
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        _check_counts(weight_set, X.shape, X.data)
        moved = sp.csr_array((_moved(weight_set, X), X.indices, X.indptr), shape=X.shape)
        weights = np.array([term.weight for term in weight_set.terms])
        return np.asarray(moved @ weights, dtype=np.float64)
    return np.asarray(contributions(weight_set, counts).sum(axis=1), dtype=np.float64)


def _moved(weight_set: WeightSet, X: Any) -> NDArray[np.float64]:
    """Return the stored counts of a CSR matrix after cap and transform."""
    terms = weight_set.terms
    data: NDArray[np.float64] = X.data
    if any(term.cap is not None for term in terms):
        caps = np.array([np.inf if term.cap is None else term.cap for term in terms])[X.indices]
        data = np.clip(data, -caps, caps)
    transforms = [term.transform for term in terms]
    if len(set(transforms)) == 1:
        return saturate(data, None, transforms[0])
    data = data.copy()
    for transform in set(transforms) - {"identity"}:
        mine = np.array([t == transform for t in transforms])[X.indices]
        data[mine] = saturate(data[mine], None, transform)
    return data


def scores(weight_set: WeightSet, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores from 0 to 100, of shape (n_rows,)."""
    if weight_set.scale.method == "probability":
        return 100.0 * probabilities(weight_set, raw)
    return weight_set.scale.apply(raw, weight_set.intercept)


def probabilities(weight_set: WeightSet, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of the good outcome, of shape (n_rows,).

    It is that of the fit, ``1/(1 + exp(−(raw + intercept)))``, or what the weight set's
    calibration makes of it. It misleads when customers are scored that the outcome was not asked
    of.
    """
    z = raw + weight_set.intercept
    return sigmoid(z) if weight_set.calibration is None else weight_set.calibration.apply(z)


def band_names(weight_set: WeightSet, score: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return the name of the band of every score, of shape (n_rows,)."""
    starts = np.array([b.from_score for b in weight_set.bands])
    names = np.array([b.name for b in weight_set.bands], dtype=object)
    place = np.searchsorted(starts, score, side="right") - 1
    return np.asarray(names[np.maximum(place, 0)], dtype=object)
