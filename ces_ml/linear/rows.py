"""Rows with outcomes, as numbers: what a fitted model is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from ces_ml.errors import SpecError, show

__all__ = ["LabelledRows", "column_spread", "log_loss", "take_rows", "with_parameters"]

Floats = NDArray[np.float64]

TIE = 1e-9
"""Scores are equal where they differ by this share of the largest."""


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows with outcomes 0.0 and 1.0, and shares that sum to 1.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n_rows, n_features)
        Counts, as float64 or float32.
    y : ndarray of shape (n_rows,)
        1.0 for the second of the model's labels.
    share : ndarray of shape (n_rows,)
        Sample weights over their sum.
    score : ndarray of shape (n_rows,)
        Raw score of the fitted weights.
    """

    X: Any
    y: Floats
    share: Floats
    score: Floats

    @classmethod
    def of(
        cls, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> LabelledRows:
        """Read rows with the labels and the column names of a fitted estimator.

        Raises
        ------
        SpecError
            If an outcome is none of the estimator's labels, lengths differ, or weights are not
            finite, negative or all zero.
        ValueError
            If `X` is not what the estimator was fitted with.
        """
        score: Floats = estimator.decision_function(X)
        labels = np.asarray(y)
        if labels.shape != score.shape:
            raise SpecError(
                "outcomes and rows differ in number",
                got=f"outcomes of shape {labels.shape}, {len(score)} rows",
                allowed="one outcome for each row",
                hint="give X and y of the same rows",
            )
        known = np.isin(labels, estimator.classes_)
        if not known.all():
            raise SpecError(
                "an outcome is none of the labels that the model was fitted with",
                got=show(labels[~known][0]),
                allowed=show(estimator.classes_.tolist()),
                hint="give the outcomes as they were given to fit",
            )
        target = (labels == estimator.classes_[1]).astype(np.float64)
        return cls(_matrix(X), target, _shares(sample_weight, len(score)), score)

    @classmethod
    def unfitted(cls, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> LabelledRows:
        """Read rows for which there are no weights yet; their scores are zero.

        Raises
        ------
        SpecError
            If there are not two labels, lengths differ, or weights do not weigh the rows.
        """
        matrix, labels = _matrix(X), np.asarray(y)
        kinds = np.unique(labels)
        if len(kinds) != 2 or labels.shape != matrix.shape[:1]:
            raise SpecError(
                "the outcomes are not two labels, one for each row",
                got=f"{len(kinds)} different labels of shape {labels.shape}, "
                f"{matrix.shape[0]} rows",
                allowed="exactly two different labels",
                hint="give X and y of the same rows, as to fit",
            )
        n = len(labels)
        target = (labels == kinds[1]).astype(np.float64)
        return cls(matrix, target, _shares(sample_weight, n), np.zeros(n))

    def log_loss(self, score: Floats) -> float:
        """Return the mean log loss of raw scores on these rows, in nats."""
        return log_loss(self.y, score, self.share)

    def auc(self, score: Floats) -> float:
        """Return the share of (1, 0) pairs that scores order rightly, ties half; nan if none.

        Scores that differ by less than `TIE` of the largest are ties: what is left between rows of
        equal worth is round-off, which would order them at random.
        """
        steps = np.rint(score / max(TIE * float(np.abs(score).max(initial=0.0)), 1e-300))
        place = (rankdata(steps, method="dense") - 1).astype(np.intp)
        good = np.bincount(place, self.share * self.y)
        bad = np.bincount(place, self.share * (1.0 - self.y))
        pairs = good.sum() * bad.sum()
        below = np.cumsum(bad) - 0.5 * bad
        return float(good @ below / pairs) if pairs > 0.0 else float("nan")


def log_loss(y: Floats, score: Floats, share: Floats) -> float:
    """Return ``Σ share·log(1 + exp(−(2y − 1)·score))``, in nats."""
    return float(share @ np.logaddexp(0.0, (1.0 - 2.0 * y) * score))


def column_spread(X: Any, share: Floats) -> Floats:
    """Return the weighted standard deviation of each column, of shape (n_features,)."""
    mean = X.T @ share
    if sp.issparse(X):
        variance: Floats = np.maximum(X.multiply(X).T @ share - mean**2, 0.0)
    else:
        variance = ((X - mean) ** 2).T @ share
    return np.asarray(np.sqrt(variance), dtype=np.float64)


def take_rows(X: Any, rows: NDArray[np.intp]) -> Any:
    """Return the rows of a data frame, sparse matrix or array-like, in its own type."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if sp.issparse(X):
        return X.tocsr()[rows]
    return (X if hasattr(X, "shape") else np.asarray(X))[rows]


def with_parameters(estimator: Any, **changes: Any) -> Any:
    """Return an unfitted estimator with the same parameters except for `changes`."""
    return type(estimator)(**{**estimator.get_params(deep=False), **changes})


def _matrix(X: Any) -> Any:
    if sp.issparse(X):
        return sp.csr_array(X)
    array = np.asarray(X)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _shares(sample_weight: ArrayLike | None, n: int) -> Floats:
    if sample_weight is None:
        return np.full(n, 1.0 / n)
    weights = np.asarray(sample_weight, dtype=np.float64)
    weights = np.full(n, float(weights)) if weights.ndim == 0 else weights
    right = weights.shape == (n,) and np.isfinite(weights).all() and (weights >= 0.0).all()
    if not right or not weights.any():
        raise SpecError(
            "sample_weight does not weigh the rows",
            got=show(sample_weight),
            allowed=f"{n} finite numbers, not negative and not all zero",
            hint="leave sample_weight out to count every row once",
        )
    return np.asarray(weights / weights.sum(), dtype=np.float64)
