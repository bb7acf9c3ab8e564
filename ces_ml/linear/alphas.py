"""Which strengths of the penalty to try."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ces_ml.errors import SpecError, show
from ces_ml.linear.parameters import check_whole
from ces_ml.linear.rows import LabelledRows, column_spread

__all__ = ["default_alphas", "read_alphas"]

Floats = NDArray[np.float64]

RIDGE_SPAN, LASSO_SPAN = 1e-6, 1e-4
"""The smallest default alpha as a share of the largest."""


def default_alphas(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    n_alphas: Any = 20,
) -> Floats:
    """Return penalty strengths from where the weights all but vanish to where it hardly matters.

    Geometric and descending. For ridge the first is ten times the largest curvature of the mean
    loss in any one weight, at weights zero, ``10·ȳ(1 − ȳ)·max_j var_j``: it leaves each weight at
    most about a tenth of its unpenalised value. The last is a millionth of it. With a share
    ``l1_ratio`` of lasso the first is ``max_j |cov(x_j, y)| / l1_ratio``, from where on all weights
    are zero unless rules forbid that, and the last is 1e-4 of it.

    Parameters
    ----------
    estimator : ConstrainedLogisticRegression
        Its `l1_ratio` is used, if it has one.
    X : array-like, sparse matrix or data frame of shape (n_rows, n_features)
    y : array-like of shape (n_rows,)
    sample_weight : array-like of shape (n_rows,), optional
    n_alphas : int, default=20
        At least 1.

    Returns
    -------
    ndarray of shape (n_alphas,)

    Raises
    ------
    SpecError
        If `n_alphas` is out of its range, or `y` has not two labels.

    Examples
    --------
    >>> from ces_ml.linear import ConstrainedLogisticRegression
    >>> X, y = np.array([[0.0], [2.0], [2.0], [4.0]]), [0, 1, 0, 1]
    >>> default_alphas(ConstrainedLogisticRegression(), X, y, n_alphas=3)
    array([5.e+00, 5.e-03, 5.e-06])
    """
    check_whole("n_alphas", n_alphas, least=1, example="n_alphas=20")
    rows = LabelledRows.unfitted(X, y, sample_weight)
    mean = float(rows.share @ rows.y)
    l1_ratio = float(getattr(estimator, "l1_ratio", 0.0) or 0.0)
    if l1_ratio > 0.0:
        slope = rows.X.T @ (rows.share * (rows.y - mean))
        top, span = float(np.abs(slope).max(initial=0.0)) / l1_ratio, LASSO_SPAN
    else:
        spread = column_spread(rows.X, rows.share)
        top, span = 10.0 * mean * (1.0 - mean) * float((spread**2).max(initial=0.0)), RIDGE_SPAN
    top = top if top > 0.0 else 1.0  # columns that do not vary: any strength is the same
    return np.geomspace(top, top * span, int(n_alphas)) if n_alphas > 1 else np.array([top])


def read_alphas(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    alphas: ArrayLike | None,
    n_alphas: int,
) -> Floats:
    """Return the given strengths, descending and each once, or the default ones.

    Raises
    ------
    SpecError
        If a strength is negative or not a number, or `n_alphas` is out of its range.
    """
    if alphas is None:
        return default_alphas(estimator, X, y, sample_weight, n_alphas=n_alphas)
    try:
        grid = np.unique(np.asarray(alphas, dtype=np.float64))[::-1]
    except (TypeError, ValueError):
        grid = np.array([np.nan])
    if not len(grid) or not np.isfinite(grid).all() or grid[-1] < 0.0:
        raise SpecError(
            "alphas are not strengths of a penalty",
            got=show(alphas),
            allowed="finite numbers, not negative, at least one",
            hint="write for example alphas=[1e-1, 1e-2, 1e-3], or leave alphas out",
        )
    return grid
