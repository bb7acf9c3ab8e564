"""Whether a fall of a score is beyond noise: judged by a customer's own history of changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_FALSE", "change_interval", "fall_p_values", "q_values"]

#: Share of stationary customers that an alert may be raised for, by default.
MOST_FALSE = 0.01
#: MAD to standard deviation, for normal changes.
_NORMAL = 1.4826
#: The spread of all customers counts like so many changes of the customer's own.
_BORROWED = 4

Floats = NDArray[np.float64]


def fall_p_values(changes: Floats) -> tuple[Floats, Floats, Floats]:
    """Judge the last change of every customer by all earlier ones.

    Each change is measured against the customer's other changes: less their median, divided by
    their robust spread (1.4826 MAD, pooled with the median spread of all customers as if that were
    four more changes, so that a customer without any noise so far is not judged by nothing). The
    p-value is the share of the earlier changes of all customers that fell as far by this measure.

    Law: for customers whose changes are exchangeable in time (a stationary habit), the share with
    ``p ≤ a`` is at most *a*, on average over customers, whatever the distribution.
    It misleads when everybody falls at once, as in holidays: then all may be alerted.

    Parameters
    ----------
    changes : ndarray of shape (n_customers, n_changes)
        The first column is the change that is judged.

    Returns
    -------
    (p, z, spread), each of shape (n_customers,)
    """
    n, m = changes.shape
    z = np.empty((n, m))
    spread = np.empty(n)
    for k in range(m):
        others = np.delete(changes, k, axis=1)
        middle = np.median(others, axis=1)
        own = _NORMAL * np.median(np.abs(others - middle[:, None]), axis=1)
        shared = _shared(own, others)
        wide = np.sqrt(((m - 1) * own**2 + _BORROWED * shared**2) / (m - 1 + _BORROWED))
        z[:, k] = (changes[:, k] - middle) / wide
        if k == 0:
            spread = wide
    past = np.sort(z[:, 1:], axis=None)
    as_far = np.searchsorted(past, z[:, 0], side="right")
    p = np.asarray((1.0 + as_far) / (1.0 + len(past)), dtype=np.float64)
    return p, z[:, 0], spread


def _shared(own: Floats, changes: Floats) -> float:
    """Return the spread that customers share: the median of those that vary at all."""
    varying = own[own > 0]
    if len(varying):
        return float(np.median(varying))
    size = float(np.sqrt(np.mean(changes**2)))
    return size if size > 0 else 1.0


def q_values(p: Floats) -> Floats:
    """Return the false discovery rates at which each would be found (Benjamini–Hochberg).

    References
    ----------
    .. [1] Y. Benjamini, Y. Hochberg (1995), Controlling the False Discovery Rate,
       10.1111/j.2517-6161.1995.tb02031.x

    Examples
    --------
    >>> q_values(np.array([0.01, 0.5, 0.02])).round(3).tolist()
    [0.03, 0.5, 0.03]
    """
    order = np.argsort(p)
    ranked = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(ranked)
    q[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return q


def change_interval(weight_set: Any, moved: Any, change: Floats) -> tuple[Floats, Floats]:
    """Return where a change of the raw score lies, by the intervals of the weights.

    The errors of the weights are taken as independent: the half widths add up as squares. A term
    without an interval is taken as sure.

    Parameters
    ----------
    weight_set : WeightSet
    moved : sparse array of shape (n_customers, n_terms)
        Change of ``g(n)``.
    change : ndarray of shape (n_customers,)

    Returns
    -------
    (low, high), each of shape (n_customers,)
    """
    terms = weight_set.terms
    down = np.array([0.0 if t.interval is None else t.weight - t.interval.low for t in terms])
    up = np.array([0.0 if t.interval is None else t.interval.high - t.weight for t in terms])
    more, less = moved.maximum(0).power(2), moved.minimum(0).power(2)
    below = np.sqrt(more @ down**2 + less @ up**2)
    above = np.sqrt(more @ up**2 + less @ down**2)
    return change - below, change + above
