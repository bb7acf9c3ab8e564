"""How the weights depend on the strength of the penalty, and which strength to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.linear.alphas import default_alphas, read_alphas
from ces_ml.linear.refits import Refits
from ces_ml.linear.rows import LabelledRows, take_rows
from ces_ml.spec.purging import Fold, purged_folds

__all__ = [
    "RULES",
    "AlphaChoice",
    "Path",
    "choose_alpha",
    "default_alphas",
    "regularization_path",
]

Floats = NDArray[np.float64]

RULES: dict[str, str] = {
    "best": "the alpha of least mean held-out log loss; of equals the largest",
    "one_standard_error": "the largest alpha whose mean held-out log loss is within one standard "
    "error of the best",
}
"""How `choose_alpha` may choose, and what that means."""


@dataclass(frozen=True, eq=False)
class Path:
    """The fits along a grid of penalty strengths.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Descending.
    coefs : ndarray of shape (n_alphas, n_features)
        The weights at each alpha.
    intercepts : ndarray of shape (n_alphas,)
    objectives : ndarray of shape (n_alphas,)
        Mean loss plus penalty, in nats; falls with alpha.
    n_iter : ndarray of int, of shape (n_alphas,)
        Newton steps of each fit.
    status : tuple of str
        How each fit ended, see `SolverResult`.
    feature_names : tuple of str
        The names of the columns of `coefs`.
    """

    alphas: Floats
    coefs: Floats
    intercepts: Floats
    objectives: Floats
    n_iter: NDArray[np.int64]
    status: tuple[str, ...]
    feature_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AlphaChoice:
    """The penalty strength that held-out rows speak for.

    Parameters
    ----------
    alpha : float
        The choice under `rule`.
    best_alpha : float
        The alpha of least mean held-out log loss.
    alphas : ndarray of shape (n_alphas,)
        The candidates, descending.
    mean : ndarray of shape (n_alphas,)
        Mean over the folds of the held-out log loss, in nats.
    standard_error : ndarray of shape (n_alphas,)
        Standard deviation over the folds (divisor ``n_folds − 1``) over ``√n_folds``. Folds share
        training rows, so it is a little too small.
    fold_losses : ndarray of shape (n_folds, n_alphas)
        Held-out log loss of each fold.
    folds : tuple of (ndarray, ndarray)
        The rows trained and tested on, by index.
    rule : str
        One of `RULES`.
    """

    alpha: float
    best_alpha: float
    alphas: Floats
    mean: Floats
    standard_error: Floats
    fold_losses: Floats
    folds: tuple[Fold, ...]
    rule: str


def regularization_path(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    alphas: ArrayLike | None = None,
    n_alphas: int = 20,
    feature_names: Sequence[str] | None = None,
) -> Path:
    """Fit the estimator along a grid of penalty strengths, under its rules.

    Parameters
    ----------
    estimator : ConstrainedLogisticRegression
        Fitted or not; it is not changed.
    X : array-like, sparse matrix or data frame of shape (n_rows, n_features)
        Counts.
    y : array-like of shape (n_rows,)
        Outcomes: two different labels.
    sample_weight : array-like of shape (n_rows,), optional
        Not negative.
    alphas : array-like, optional
        Strengths, not negative, in any order; by default `default_alphas`.
    n_alphas : int, default=20
        How many default strengths.
    feature_names : sequence of str, optional
        As in `fit`.

    Returns
    -------
    Path

    Raises
    ------
    SpecError
        If a strength is negative or not a number, or `n_alphas` is out of its range.

    Warns
    -----
    ConvergenceWarning
        From the fits that do not converge, usually those of a very small alpha.

    Examples
    --------
    >>> from ces_ml.linear import ConstrainedLogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(1.0, size=(500, 2))
    >>> y = rng.random(500) < 1 / (1 + np.exp(1 - X @ [1.0, 0.5]))
    >>> model = ConstrainedLogisticRegression(constraints="x0 <= 0.5")
    >>> regularization_path(model, X, y, alphas=[0.01, 1.0]).coefs.round(2)
    array([[0.14, 0.07],
           [0.5 , 0.4 ]])
    """
    grid = read_alphas(estimator, X, y, sample_weight, alphas, n_alphas)
    fits = _along(Refits(estimator, X, y, sample_weight, feature_names), grid)
    results = [fit.solver_result_ for fit in fits]
    return Path(
        alphas=grid,
        coefs=np.vstack([fit.coef_ for fit in fits]),
        intercepts=np.concatenate([fit.intercept_ for fit in fits]),
        objectives=np.array([result.objective for result in results]),
        n_iter=np.array([result.n_iter for result in results], dtype=np.int64),
        status=tuple(result.status for result in results),
        feature_names=fits[0].constraints_.feature_names,
    )


def choose_alpha(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    groups: ArrayLike,
    times: Any,
    reach: Any,
    cv: Any = 5,
    disjoint: bool = False,
    alphas: ArrayLike | None = None,
    n_alphas: int = 20,
    rule: str = "best",
    n_jobs: int | None = None,
    feature_names: Sequence[str] | None = None,
) -> AlphaChoice:
    """Choose the strength of the penalty on rows that come after those it was fitted on.

    Parameters
    ----------
    estimator : ConstrainedLogisticRegression
        Fitted or not; it is not changed.
    X, y, sample_weight, alphas, n_alphas, feature_names
        As in `regularization_path`. Default strengths are those of all rows.
    groups, times, reach, disjoint
        As in `purged_folds`: the customer and the moment of each row, how long after it the
        outcome is known, and whether folds divide customers too.
    cv : int or sequence of (train, test) indices, default=5
        Number of folds, or the folds themselves; then `groups`, `times` and `reach` are not used.
    rule : {"best", "one_standard_error"}, default="best"
        See `RULES`.
    n_jobs : int, optional
        How many folds are fitted at the same time, as in joblib; it does not change the result.

    Returns
    -------
    AlphaChoice

    Raises
    ------
    SpecError
        If an option is out of its range, or folds can't be made or hold one outcome only.

    Examples
    --------
    >>> from ces_ml.linear import ConstrainedLogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(1.0, size=(600, 2))
    >>> y = rng.random(600) < 1 / (1 + np.exp(1 - X @ [1.0, 0.5]))
    >>> customers, months = np.tile(np.arange(100), 6), np.arange(6).repeat(100)
    >>> choice = choose_alpha(
    ...     ConstrainedLogisticRegression(constraints="* >= 0"), X, y, groups=customers,
    ...     times=months, reach=1, cv=3, alphas=[1.0, 0.01, 1e-4], rule="one_standard_error")
    >>> choice.alpha, choice.mean.round(2)
    (0.01, array([0.65, 0.6 , 0.61]))
    """
    if rule not in RULES:
        raise SpecError(
            "there is no such rule to choose alpha by",
            got=show(rule),
            allowed=did_you_mean(str(rule), RULES),
            hint="; ".join(f"{name}: {meaning}" for name, meaning in RULES.items()),
        )
    labels = np.asarray(y)
    if isinstance(cv, Integral):
        folds = purged_folds(groups, times, reach, int(cv), disjoint)
    else:
        folds = [(np.asarray(train), np.asarray(test)) for train, test in cv]
    _check_folds(folds, labels)
    grid = read_alphas(estimator, X, y, sample_weight, alphas, n_alphas)
    weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    losses = Parallel(n_jobs=n_jobs)(
        delayed(_held_out)(estimator, X, labels, weights, fold, grid, feature_names)
        for fold in folds
    )
    table = np.array(losses)
    mean, error = table.mean(axis=0), table.std(axis=0, ddof=1) / np.sqrt(len(folds))
    best = int(mean.argmin())  # the grid descends: of equals this is the largest
    allowed = mean[best] + (error[best] if rule == "one_standard_error" else 0.0)
    chosen = int(np.flatnonzero(mean <= allowed)[0])
    return AlphaChoice(
        float(grid[chosen]), float(grid[best]), grid, mean, error, table, tuple(folds), rule
    )


def _held_out(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    sample_weight: Floats | None,
    fold: Fold,
    grid: Floats,
    feature_names: Sequence[str] | None,
) -> list[float]:
    """Return the held-out log loss of one fold at each alpha."""
    train, test = fold
    weights = (None, None) if sample_weight is None else (sample_weight[train], sample_weight[test])
    X_train, X_test = take_rows(X, train), take_rows(X, test)
    losses = []
    for fit in _along(Refits(estimator, X_train, y[train], weights[0], feature_names), grid):
        rows = LabelledRows.of(fit, X_test, y[test], weights[1])
        losses.append(rows.log_loss(rows.score))
    return losses


def _along(refits: Refits, grid: Floats) -> list[Any]:
    """Return the fit at each alpha, from the largest on, each begun where the last one ended."""
    fits: list[Any] = []
    for alpha in grid:
        fits.append(refits.fit(near=fits[-1] if fits else None, alpha=float(alpha)))
    return fits


def _check_folds(folds: Sequence[Fold], y: NDArray[Any]) -> None:
    if len(folds) < 2:
        raise SpecError(
            "there are too few folds to compare strengths by",
            got=f"{len(folds)} folds",
            allowed="at least 2",
            hint="write for example cv=5",
        )
    for k, (train, _) in enumerate(folds, start=1):
        if len(np.unique(y[train])) < 2:
            raise SpecError(
                f"the training rows of fold {k} have one outcome only",
                got=f"{len(train)} rows",
                allowed="both outcomes among the training rows of every fold",
                hint="take fewer folds, more customers, or earlier moments",
            )
