"""How steady weights are from one fit to the next: spread, flips of sign and of rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.errors import SpecError

__all__ = ["weight_stability"]

#: Weights nearer to each other (or to 0) than this share of the largest are equal.
_TIE = 1e-6


def weight_stability(weights: NDArray[np.float64], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return how much each weight moves over consecutive fits.

    Parameters
    ----------
    weights : ndarray of shape (n_fits, n_terms)
        One fit a row, in order of time.
    names : sequence of str
        The terms.

    Returns
    -------
    list of dict
        One row a term: ``term``, ``mean``, ``sd`` (divisor n_fits − 1), ``low``, ``high``;
        ``sign_flips``, how often a weight and the next one that is not 0 have opposite signs;
        ``rank_flips``, how often its order with another term's weight is the other way round in
        the next fit, over all other terms. Neither a weight of 0 nor a tie is a flip: a rule may
        hold weights there.

    Raises
    ------
    SpecError
        If there is not one column a name.

    Examples
    --------
    >>> rows = weight_stability(np.array([[1.0, 0.5], [0.4, 0.6], [-0.2, 0.6]]), ["a", "b"])
    >>> [(r["term"], r["sign_flips"], r["rank_flips"]) for r in rows]
    [('a', 1, 1), ('b', 0, 1)]
    """
    W = np.asarray(weights, dtype=np.float64)
    if W.ndim != 2 or W.shape[1] != len(names) or not len(W):
        raise SpecError(
            "weights and names do not fit",
            got=f"weights of shape {W.shape}, {len(names)} names",
            allowed="one row a fit, one column a name",
            hint="give the weights of the fits in the order of the names",
        )
    tie = _TIE * float(np.abs(W).max(initial=0.0))
    order = np.where(
        np.abs(W[:, :, None] - W[:, None, :]) <= tie, 0, np.sign(W[:, :, None] - W[:, None, :])
    )
    rank_flips = (order[1:] * order[:-1] < 0).sum(axis=(0, 2))
    rows = []
    for j, name in enumerate(names):
        w = W[:, j]
        signs = np.sign(w[np.abs(w) > tie])
        rows.append(
            {
                "term": name,
                "mean": float(w.mean()),
                "sd": float(w.std(ddof=1)) if len(w) > 1 else 0.0,
                "low": float(w.min()),
                "high": float(w.max()),
                "sign_flips": int((signs[1:] * signs[:-1] < 0).sum()),
                "rank_flips": int(rank_flips[j]),
            }
        )
    return rows
