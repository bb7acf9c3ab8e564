"""Bands whose rates come from customers who did not choose the cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ces_ml.evaluation.bands import choose_bands
from ces_ml.evaluation.ceiling import sample_customers
from ces_ml.weights import BAND_NAMES, Band

__all__ = ["honest_bands", "rate_interval"]

#: Nominal coverage of the interval of a band's rate.
LEVEL = 0.9


def honest_bands(
    score: NDArray[np.float64],
    y: NDArray[Any],
    customers: NDArray[Any],
    names: Sequence[str] = BAND_NAMES,
    *,
    least_share: float = 0.1,
    sample_weight: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> tuple[Band, ...]:
    """Choose cuts on half of the held-out customers and take the rates from the other half.

    Cuts are those of `choose_bands`, on the first half. The rates of the rows that chose them lie
    too far apart; these do not.

    Parameters
    ----------
    score : ndarray of shape (n_rows,)
        Scores of held-out rows, from 0 to 100.
    y, customers : ndarray of shape (n_rows,)
        Their outcomes, 0 or 1, and who they are about.
    names, least_share, sample_weight
        As `choose_bands`.
    seed : int, default=0
        Another seed halves the customers another way.

    Returns
    -------
    tuple of Band
        With rate, its 90 % interval by customer, and rows of the second half. Rates rise where
        the two halves agree; nothing forces them to.

    Raises
    ------
    SpecError
        As `choose_bands`.

    Examples
    --------
    >>> rows = np.arange(2000)
    >>> y = rows % 10 < np.repeat([1, 4, 8], [550, 900, 550])
    >>> for band in honest_bands(rows / 20, y, rows):
    ...     print(band.name, round(band.rate, 2), band.low < band.rate < band.high)
    at_risk 0.1 True
    potential 0.4 True
    advocate 0.78 True
    """
    score, y = np.asarray(score, np.float64), np.asarray(y)
    weight = np.ones(score.size) if sample_weight is None else np.asarray(sample_weight, float)
    chooses = np.zeros(score.size, dtype=bool)
    chooses[sample_customers(np.asarray(customers), -(-score.size // 2), seed)] = True
    if chooses.all():  # one customer, or one row
        return choose_bands(score, y, names, least_share=least_share, sample_weight=sample_weight)
    chosen = choose_bands(
        score[chooses], y[chooses], names, least_share=least_share, sample_weight=weight[chooses]
    )
    starts = np.array([b.from_score for b in chosen])
    place = np.searchsorted(starts, score, side="right") - 1
    bands = []
    for k, band in enumerate(chosen):
        held = ~chooses & (place == k)
        rate, low, high = rate_interval(y[held], customers[held], weight[held])
        bands.append(
            Band(
                name=band.name,
                from_score=band.from_score,
                rate=rate,
                rows=int(held.sum()),
                low=low,
                high=high,
            )
        )
    return tuple(bands)


def rate_interval(
    y: NDArray[Any],
    customers: NDArray[Any],
    sample_weight: NDArray[np.float64] | None = None,
    level: float = LEVEL,
) -> tuple[float | None, float | None, float | None]:
    """Return a share of good outcomes with its interval by customer; None without rows.

    The interval is Wilson's (1927), with the number of rows that would be as informative if each
    were another customer's: ``p(1 − p)`` over the variance by customer (Korn, Graubard 1998).

    Parameters
    ----------
    y, customers : ndarray of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,), optional
    level : float, default=0.9

    Returns
    -------
    (rate, low, high)

    Examples
    --------
    Every row counts for less when two rows are about one customer:

    >>> y = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    >>> [round(v, 3) for v in rate_interval(y, np.arange(8))]
    [0.25, 0.081, 0.559]
    >>> [round(v, 3) for v in rate_interval(y, np.arange(8) // 2)]
    [0.25, 0.048, 0.689]
    """
    if y.size == 0:
        return None, None, None
    weight = np.ones(y.size) if sample_weight is None else np.asarray(sample_weight, np.float64)
    rate = float(np.average(y, weights=weight))
    code = np.unique(np.asarray(customers).astype(str), return_inverse=True)[1]
    n = int(code.max()) + 1
    parts = np.bincount(code, weight * (y - rate)) / weight.sum()
    variance = n / max(n - 1, 1) * float((parts**2).sum())
    informative = rate * (1 - rate) / variance if variance > 1e-12 else float(n)
    informative = min(informative, float(y.size))
    z2 = float(norm.ppf(0.5 + level / 2)) ** 2 / informative
    middle = (rate + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * (rate * (1 - rate) + z2 / 4)) / (1 + z2)
    return rate, max(float(middle - half), 0.0), min(float(middle + half), 1.0)
