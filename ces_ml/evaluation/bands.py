"""Bands of the score whose thresholds come from outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from ces_ml.errors import SpecError, show
from ces_ml.weights import BAND_NAMES, Band
from ces_ml.weights.scale import tidy

__all__ = ["choose_bands"]

#: More bands than this have no room between the 5-percent quantiles.
_MOST_BANDS = 5


def choose_bands(
    score: NDArray[np.float64],
    y: NDArray[Any],
    names: Sequence[str] = BAND_NAMES,
    *,
    least_share: float = 0.1,
    sample_weight: NDArray[np.float64] | None = None,
) -> tuple[Band, ...]:
    """Choose thresholds of the score so that the outcome rate differs most between bands.

    Cuts are looked for half-way between neighbouring 5-percent quantiles of the score. Of all
    choices whose outcome rates rise from band to band and whose bands each hold `least_share` of
    the rows, the one with the largest Bernoulli log-likelihood is taken; of equal ones the one
    nearest to equal shares. Where there is none (few rows, a constant score, rates that do not
    rise) the cuts are the quantiles that give equal shares, or, where these coincide, equal parts
    of 0–100.

    Parameters
    ----------
    score : ndarray of shape (n_rows,)
        Scores of held-out rows, from 0 to 100.
    y : ndarray of shape (n_rows,)
        Their outcomes, 0 or 1.
    names : sequence of str, default=("at_risk", "potential", "advocate")
        From the lowest band up; two to five.
    least_share : float, default=0.1
        Smallest share of the rows in a band; at most one over the number of bands.
    sample_weight : ndarray of shape (n_rows,), optional
        How much every row counts in outcome rates. Shares and `rows` are of rows, however heavy.

    Returns
    -------
    tuple of Band
        With the outcome rate (None for an empty band) and the rows of each. The rates are from
        the rows that chose the cuts, so on new rows they lie a little closer together.

    Raises
    ------
    SpecError
        If scores are not from 0 to 100, shapes differ, or an option is out of range.

    Examples
    --------
    >>> rows = np.arange(200)
    >>> y = rows % 10 < np.repeat([1, 4, 8], [55, 90, 55])  # rates of 0.1, 0.4 and 0.8
    >>> for band in choose_bands(rows / 2, y):
    ...     print(band.name, band.from_score, band.rows, round(band.rate, 2))
    at_risk 0.0 55 0.11
    potential 27.4 90 0.4
    advocate 72.1 55 0.78
    """
    score, y = np.asarray(score, dtype=np.float64), np.asarray(y, dtype=np.float64)
    _check(score, y, names, least_share)
    weight = np.ones(score.size) if sample_weight is None else np.asarray(sample_weight, float)
    cuts = _best_cuts(score, y, weight, len(names), least_share)
    if cuts is None:
        cuts = _equal_cuts(score, len(names))
    starts = np.array([0.0, *cuts])
    place = np.searchsorted(starts, score, side="right") - 1
    rows = np.bincount(place, minlength=len(names))
    good = np.bincount(place, weights=weight * y, minlength=len(names))
    held = np.bincount(place, weights=weight, minlength=len(names))
    return tuple(
        Band(
            name=name,
            from_score=float(starts[k]),
            rate=float(good[k] / held[k]) if rows[k] else None,
            rows=int(rows[k]),
        )
        for k, name in enumerate(names)
    )


def _best_cuts(
    score: NDArray[np.float64],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    n_bands: int,
    least_share: float,
) -> tuple[float, ...] | None:
    """Return the cuts with the largest likelihood among the allowed ones, if there are any."""
    if score.size == 0:
        return None
    grid = _candidates(score)
    order = np.sort(score)
    below = np.searchsorted(order, grid, side="left")
    place = np.argsort(score, kind="stable")
    held = np.concatenate([[0.0], np.cumsum(weight[place])])
    good = np.concatenate([[0.0], np.cumsum((weight * y)[place])])
    # Places among the sorted rows: the first row, every candidate, one past the last row.
    edges = np.concatenate([[0], below, [score.size]])
    choices = np.array(list(combinations(range(1, len(grid) + 1), n_bands - 1)), dtype=np.int64)
    if choices.size == 0:
        return None
    first, last = np.zeros((len(choices), 1), int), np.full((len(choices), 1), len(grid) + 1)
    at = edges[np.hstack([first, choices, last])]
    rows = np.diff(at, axis=1)
    n, k = np.diff(held[at], axis=1), np.diff(good[at], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = k / n
    allowed = (rows >= least_share * score.size - 1e-9).all(axis=1) & (rows > 0).all(axis=1)
    allowed &= (np.diff(rate, axis=1) > 0).all(axis=1)
    if not allowed.any():
        return None
    choices, at, rate, n, k = (a[allowed] for a in (choices, at, rate, n, k))
    likelihood = (xlogy(k, rate) + xlogy(n - k, 1 - rate)).sum(axis=1)
    equal = np.arange(1, n_bands) * score.size / n_bands
    distance = np.abs(at[:, 1:-1] - equal).sum(axis=1)
    distance[likelihood < likelihood.max() - 1e-9 * score.size] = np.inf
    return tuple(grid[choices[int(np.argmin(distance))] - 1].tolist())


def _candidates(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rising cuts half-way between the distinct 5-percent quantiles, short if possible."""
    at = np.unique(np.percentile(score, np.arange(0, 101, 5)))
    middle = (at[:-1] + at[1:]) / 2
    grid = _rounded(middle)
    # A rounded cut that stays between its quantiles is distinct from its neighbours.
    short = np.round(middle, 1)
    grid = np.where((at[:-1] < short) & (short <= at[1:]), short, grid)
    return grid[(at[:-1] < grid) & (grid <= at[1:])]


def _rounded(cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round as a weight set does, so that the rows are counted with the cuts that it keeps."""
    return np.array([tidy(c) for c in cuts.tolist()], dtype=np.float64)


def _equal_cuts(score: NDArray[np.float64], n_bands: int) -> tuple[float, ...]:
    parts = np.arange(1, n_bands) * 100.0 / n_bands
    found = np.percentile(score, parts) if score.size else np.zeros(n_bands - 1)
    for cuts in (np.round(found, 1), _rounded(found)):
        if cuts[0] > 0 and (np.diff(cuts) > 0).all() and cuts[0] > score.min():
            return tuple(cuts.tolist())
    return tuple(np.round(parts, 1).tolist())


def _check(
    score: NDArray[np.float64], y: NDArray[np.float64], names: Sequence[str], least_share: float
) -> None:
    if score.ndim != 1 or score.shape != y.shape:
        raise SpecError(
            "outcomes and scores do not stand row by row",
            got=f"shapes {y.shape} and {score.shape}",
            allowed="two arrays of the same shape (n_rows,)",
            hint="score the rows that the outcomes belong to",
        )
    outside = ~((score >= 0) & (score <= 100))
    if outside.any():
        raise SpecError(
            "scores for bands lie outside 0 to 100",
            got=f"{int(outside.sum())} of {score.size}, such as {score[outside][0]:g}",
            allowed="0 to 100",
            hint="map raw scores to scores first, with the scale of the weight set",
        )
    if not np.isin(y, (0.0, 1.0)).all():
        raise SpecError(
            "outcomes are not 0 or 1",
            got=f"{int((~np.isin(y, (0.0, 1.0))).sum())} other values among {y.size}",
            allowed="0 and 1; 1 is the good one",
            hint="drop rows whose outcome is not known",
        )
    if not 2 <= len(names) <= _MOST_BANDS or len(set(names)) < len(names):
        raise SpecError(
            "the bands can't be named so",
            got=show(tuple(names)),
            allowed=f"two to {_MOST_BANDS} different names",
            hint="correct the names of the bands",
        )
    if not 0 < least_share <= 1 / len(names):
        raise SpecError(
            "no band can hold such a share of the rows",
            got=f"least_share {least_share:g}",
            allowed=f"above 0, at most 1/{len(names)}",
            hint="lower least_share",
        )
