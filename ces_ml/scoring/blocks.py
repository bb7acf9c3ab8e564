"""Scores of many rows, block by block: what a block needs stays in the processor's cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.errors import WeightSetError
from ces_ml.scoring.lines import Lines
from ces_ml.spec.terms import TRANSFORMS, saturate
from ces_ml.weights.apply import probabilities, raw_scores
from ces_ml.weights.weight_set import WeightSet

__all__ = ["ColumnCounts", "Scores", "largest", "score_blocks"]

_ROWS = 16384


@dataclass(frozen=True)
class ColumnCounts:
    """Counts as columns, taken from where they lie; a missing number counts 0.

    Parameters
    ----------
    columns : tuple of ndarray of shape (n_rows,), or None
        Numbers of any type; None for a term that is not there.
    n_rows : int
    """

    columns: tuple[NDArray[Any] | None, ...]
    n_rows: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and terms."""
        return self.n_rows, len(self.columns)

    def __getitem__(self, rows: slice) -> NDArray[np.float64]:
        """Return a block of rows as a matrix."""
        start, stop, _ = rows.indices(self.n_rows)
        X = np.zeros((stop - start, len(self.columns)), order="F")
        for t, column in enumerate(self.columns):
            if column is not None:
                X[:, t] = column[start:stop]
        return X


@dataclass(frozen=True)
class Scores:
    """Raw scores, scores, probabilities, and places of the bands, each of shape (n_rows,)."""

    raw: NDArray[np.float64]
    score: NDArray[np.float64]
    probability: NDArray[np.float64]
    band: NDArray[np.int16]


def score_blocks(weight_set: WeightSet, X: Any, *, missing_is_0: bool) -> Scores:
    """Score every row of a matrix.

    Parameters
    ----------
    weight_set : WeightSet
    X : ndarray, csr_array or ColumnCounts, of shape (n_rows, n_terms)
    missing_is_0 : bool
        Whether NaN counts 0; else it is refused.

    Raises
    ------
    WeightSetError
        If a count, or a raw score, is not finite.
    """
    n = X.shape[0]
    whole = _one_product(weight_set, X)
    made = Scores(
        np.empty(n) if whole is None else whole, np.empty(n), np.empty(n), np.zeros(n, np.int16)
    )
    lines = Lines(weight_set.scale.knots) if weight_set.scale.knots else None
    starts = [band.from_score for band in weight_set.bands[1:]]
    # A sparse matrix is cut at a price, and its rows are few numbers.
    size = max(n, 1) if sp.issparse(X) else _ROWS
    for start in range(0, n, size):
        rows = slice(start, start + size)
        raw = made.raw[rows]
        # A sum is finite only where all its parts are.
        if whole is None or not np.isfinite(raw).all():
            raw = _raw(weight_set, X if sp.issparse(X) else X[rows], missing_is_0=missing_is_0)
            made.raw[rows] = raw
        chance = probabilities(weight_set, raw)
        score = 100.0 * chance if lines is None else lines(raw)
        made.score[rows], made.probability[rows] = score, chance
        for low in starts:
            made.band[rows] += score >= low
    return made


def _one_product(weight_set: WeightSet, X: Any) -> NDArray[np.float64] | None:
    """Return the raw scores where they are the product of a matrix as it lies and the weights.

    As one product: BLAS that has several threads wakes them for every block, and on a busy machine
    they wait for each other for longer than they compute.
    """
    plain = all(t.cap is None and t.transform == "identity" for t in weight_set.terms)
    if not plain or not isinstance(X, np.ndarray) or X.dtype != np.float64:
        return None
    weights = np.array([term.weight for term in weight_set.terms])
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(X @ weights, dtype=np.float64)


def _raw(weight_set: WeightSet, X: Any, *, missing_is_0: bool) -> NDArray[np.float64]:
    """Return the raw scores of a block, after looking for numbers that are none."""
    if sp.issparse(X):
        return _bounded(raw_scores(weight_set, _finite(X)))
    X = np.asarray(X, dtype=np.float64)  # the logarithm of a narrow type is as narrow
    weights = np.array([term.weight for term in weight_set.terms])
    kinds = {(term.cap, term.transform) for term in weight_set.terms}
    with np.errstate(invalid="ignore", over="ignore"):
        if kinds <= _UNCAPPED and len(kinds) == 1:
            # A sum is finite only where all its parts are.
            [(_, transform)] = kinds
            # Not by BLAS, for the reason of `_one_product`.
            raw = np.einsum("ij,j->i", _transformed(X, transform), weights)
            if np.isfinite(raw).all():
                return np.asarray(raw, dtype=np.float64)
        elif np.isfinite(X.sum()):
            return _bounded(_by_column(weight_set, X))
        return _bounded(_by_column(weight_set, _clean(X, missing_is_0=missing_is_0)))


def _bounded(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return raw scores if all of them are numbers.

    Raises
    ------
    WeightSetError
        If one is not.
    """
    endless = int((~np.isfinite(raw)).sum())
    if endless:
        raise WeightSetError(
            "a raw score is larger than any number",
            got=f"{endless:,} of {len(raw):,} rows",
            allowed="counts whose points add up to less than 1.8e308",
            hint="clean the counts",
        )
    return raw


def _transformed(X: NDArray[np.float64], transform: str) -> NDArray[np.float64]:
    """Return ``g`` of a block whose terms are all transformed alike, without a cap."""
    if transform in _OF_MAGNITUDE and X.size and X.min() >= 0:
        return np.asarray(_OF_MAGNITUDE[transform](X), dtype=np.float64)
    return saturate(X, None, transform)


#: Transforms of numbers that are not negative: half the work of the signed ones.
_OF_MAGNITUDE: dict[str, np.ufunc] = {"log1p": np.log1p, "sqrt": np.sqrt}
_UNCAPPED = {(None, transform) for transform in TRANSFORMS}


def _by_column(weight_set: WeightSet, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the raw scores of a block, added up term by term."""
    raw = np.zeros(len(X))
    for term, column in zip(weight_set.terms, _columns(X), strict=True):
        raw += term.weight * saturate(column, term.cap, term.transform)
    return raw


def largest(
    weight_set: WeightSet, X: Any, k: int, *, missing_is_0: bool
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the terms that add or take most in every row, and how much.

    Returns
    -------
    ndarray of intp, ndarray of float64, both of shape (n_rows, k)
        Of equal contributions the first in the order of the terms comes first; −1 and NaN where
        nothing is left that adds or takes.
    """
    n = X.shape[0]
    terms, points = np.full((n, k), -1, dtype=np.intp), np.full((n, k), np.nan)
    for start in range(0, n if k else 0, _ROWS):
        rows = slice(start, start + _ROWS)
        block = X[rows].toarray() if sp.issparse(X) else _clean(X[rows], missing_is_0=missing_is_0)
        C = np.empty(block.shape, order="F")
        for t, column in enumerate(_columns(block)):
            term = weight_set.terms[t]
            C[:, t] = term.weight * saturate(column, term.cap, term.transform)
        terms[rows], points[rows] = _first_largest(C, k)
    return terms, points


def _first_largest(C: NDArray[np.float64], k: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return places and values of the k numbers of every row that lie farthest from 0.

    Column by column, from the last to the first, so that of equal ones the first is kept; four
    times as fast as a sort of every row.
    """
    size, each = np.abs(C), np.arange(len(C))
    terms, points = np.full((len(C), k), -1, dtype=np.intp), np.full((len(C), k), np.nan)
    for reason in range(k):
        most, place = size.max(axis=1), np.zeros(len(C), dtype=np.int32)
        for t in range(C.shape[1] - 1, -1, -1):
            np.copyto(place, t, where=size[:, t] == most)
        held = most > 0
        terms[held, reason] = place[held]
        points[held, reason] = C[each[held], place[held]]
        size[each, place] = 0.0
    return terms, points


def _columns(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the columns of a block, each in one piece of memory."""
    return np.asfortranarray(X, np.float64).T


def _clean(X: NDArray[np.float64], *, missing_is_0: bool) -> Any:
    """Return a block without NaN, if it has no infinity."""
    if missing_is_0:
        X = np.where(np.isnan(X), 0.0, X)
    return _finite(X)


def _finite(X: Any) -> Any:
    """Return counts if all of them are finite.

    Raises
    ------
    WeightSetError
        If one is not.
    """
    if not np.isfinite(X.data if sp.issparse(X) else X).all():
        raise WeightSetError(
            "a count is not a finite number",
            got="NaN or infinity",
            allowed="finite numbers",
            hint="clean the counts",
        )
    return X
