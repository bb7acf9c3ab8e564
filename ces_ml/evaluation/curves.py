"""How a score spreads customers: gains from the top of the list, and scores by outcome."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["gains_table", "score_distribution"]

_Floats = NDArray[np.float64]
_SHARES = np.linspace(0.05, 1.0, 20)
_BINS = 25


def gains_table(
    y: NDArray[Any],
    score: _Floats,
    sample_weight: _Floats | None = None,
    *,
    flags: Literal["high", "low"] = "high",
) -> list[dict[str, float]]:
    """Return which share of the outcomes is found by going through customers in order of score.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Outcomes, 0 or 1; both must occur.
    score : ndarray of shape (n_rows,)
        Rows of equal scores are found together, as far as there is room.
    sample_weight : ndarray of shape (n_rows,), optional
    flags : {"high", "low"}, default="high"
        Whether good outcomes are looked for from the highest score down, or bad ones from the
        lowest up (churn).

    Returns
    -------
    list of dict
        One row a share of the customers, from 5 % in steps of 5 %: ``share``; ``found``, the share
        of the outcomes that they hold; ``lift``, how many times more than by chance; ``best``,
        what ``found`` can be at most.

    Examples
    --------
    >>> table = gains_table(np.arange(100) >= 80, np.arange(100.0))
    >>> [round(table[k]["found"], 2) for k in (0, 1, 3, 19)], round(table[1]["lift"], 2)
    ([0.25, 0.5, 1.0, 1.0], 5.0)
    """
    y, score = np.asarray(y, np.float64), np.asarray(score, np.float64)
    weight = np.ones(y.size) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if flags == "low":
        y, score = 1.0 - y, -score
    _, place = np.unique(-score, return_inverse=True)
    rows = np.concatenate([[0.0], np.cumsum(np.bincount(place, weight))])
    held = np.concatenate([[0.0], np.cumsum(np.bincount(place, weight * y))])
    found = np.interp(_SHARES, rows / rows[-1], held / held[-1])
    best = np.minimum(1.0, _SHARES * rows[-1] / held[-1])
    return [
        {"share": round(float(s), 2), "found": float(f), "lift": float(f / s), "best": float(b)}
        for s, f, b in zip(_SHARES, found, best, strict=True)
    ]


def score_distribution(
    y: NDArray[Any], score: _Floats, sample_weight: _Floats | None = None
) -> list[dict[str, float]]:
    """Return how the scores of either outcome are distributed.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Outcomes, 0 or 1; both must occur.
    score : ndarray of shape (n_rows,)
        From 0 to 100.
    sample_weight : ndarray of shape (n_rows,), optional

    Returns
    -------
    list of dict
        25 bins of equal width: ``from_score``, ``to_score`` (exclusive, but in the last),
        ``good``, the share of the good outcomes that lies in the bin, and ``bad``, of the others.

    Examples
    --------
    >>> table = score_distribution(np.array([0, 0, 1, 1]), np.array([0.0, 3.9, 4.0, 100.0]))
    >>> [(row["from_score"], row["bad"], row["good"]) for row in table if row["bad"] + row["good"]]
    [(0.0, 1.0, 0.0), (4.0, 0.0, 0.5), (96.0, 0.0, 0.5)]
    """
    y = np.asarray(y) == 1
    weight = np.ones(y.size) if sample_weight is None else np.asarray(sample_weight, np.float64)
    edges = np.linspace(0.0, 100.0, _BINS + 1)
    shares = {}
    for name, rows in (("good", y), ("bad", ~y)):
        counted = np.histogram(score[rows], edges, weights=weight[rows])[0]
        shares[name] = counted / weight[rows].sum()
    return [
        {
            "from_score": float(edges[k]),
            "to_score": float(edges[k + 1]),
            "good": float(shares["good"][k]),
            "bad": float(shares["bad"][k]),
        }
        for k in range(_BINS)
    ]
