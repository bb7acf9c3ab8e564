"""Whether one set of probabilities is worse than another by more than noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ces_ml.errors import SpecError

__all__ = ["LossDifference", "loss_difference"]

Floats = NDArray[np.float64]

#: Replicates that are drawn at a time: what fits the cache.
_BLOCK = 100


class LossDifference(NamedTuple):
    """By how much the mean log loss of one score exceeds that of another on the same rows.

    Parameters
    ----------
    difference : float
        In nats; positive where the first is worse.
    low, high : float
        Percentile interval of the bootstrap by customer.
    """

    difference: float
    low: float
    high: float


def loss_difference(
    loss: Floats,
    reference: Floats,
    customer: Any,
    sample_weight: Floats | None = None,
    *,
    level: float = 0.9,
    n_replicates: int = 1000,
    seed: int = 0,
) -> LossDifference:
    """Compare two scores row by row; customers are drawn, with all their rows.

    Parameters
    ----------
    loss, reference : ndarray of shape (n_rows,)
        Log loss of each row under either score.
    customer : array-like of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,), optional
        Above 0.
    level : float, default=0.9
        Nominal coverage.
    n_replicates : int, default=1000
    seed : int, default=0

    Returns
    -------
    LossDifference

    Raises
    ------
    SpecError
        If shapes differ.

    Examples
    --------
    >>> found = loss_difference(np.array([0.3, 0.5]), np.array([0.2, 0.4]), ["a", "b"])
    >>> [round(v, 6) for v in found]
    [0.1, 0.1, 0.1]
    """
    codes, distinct = pd.factorize(np.asarray(customer), use_na_sentinel=False)
    s = np.ones(len(loss)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if not loss.shape == reference.shape == codes.shape == s.shape:
        raise SpecError(
            "losses, customers and sample weights do not stand row by row",
            got=f"shapes {loss.shape}, {reference.shape}, {codes.shape} and {s.shape}",
            allowed="arrays of the same shape (n_rows,)",
            hint="give losses of the same rows",
        )
    total = np.bincount(codes, s * (loss - reference))
    mass = np.bincount(codes, s)
    rng, n, means = np.random.default_rng(seed), len(distinct), []
    for start in range(0, n_replicates, _BLOCK):
        size = min(_BLOCK, n_replicates - start)
        drawn = rng.multinomial(n, np.full(n, 1.0 / n), size=size)
        means.append((drawn @ total) / (drawn @ mass))
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(np.concatenate(means), [tail, 100.0 - tail])
    return LossDifference(float(total.sum() / mass.sum()), float(low), float(high))
