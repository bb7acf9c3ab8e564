"""How far two scores agree on the same customers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ces_ml.errors import SpecError

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True)
class Agreement:
    """Correlations of two scores, from −1 to 1; None where a score is the same for everybody.

    Parameters
    ----------
    pearson : float or None
        Of the scores: 1 where one is a straight line of the other.
    spearman : float or None
        Of their ranks: 1 where they put everybody in the same order. It misleads where many
        customers share a score: a score that is flat at its ends agrees less than the order does.
    """

    pearson: float | None
    spearman: float | None


def agreement(one: NDArray[np.float64], other: NDArray[np.float64]) -> Agreement:
    """Return how far two scores agree.

    Parameters
    ----------
    one, other : ndarray of shape (n_rows,)
        Scores of the same rows, finite.

    Returns
    -------
    Agreement

    Raises
    ------
    SpecError
        If the shapes differ.

    Examples
    --------
    >>> found = agreement(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
    >>> round(found.pearson, 3), found.spearman
    (0.99, 1.0)
    """
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 1:
        raise SpecError(
            "two scores do not stand row by row",
            got=f"shapes {one.shape} and {other.shape}",
            allowed="two arrays of the same shape (n_rows,)",
            hint="score the same rows with both weight sets",
        )
    if one.size < 2:
        return Agreement(None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)  # said by None
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        pearson, spearman = stats.pearsonr(one, other), stats.spearmanr(one, other)
    return Agreement(_number(pearson.statistic), _number(spearman.statistic))


def _number(value: Any) -> float | None:
    # Rounding may carry a correlation past 1.
    return None if not np.isfinite(value) else float(np.clip(np.round(value, 12), -1.0, 1.0))
