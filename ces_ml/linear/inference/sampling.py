"""Which customers' scores are summed: all of them, or enough of them where there are very many.

A standard error from 100,000 rows is good to one or two per cent, and more of them cost passes
over the data. What is scarce is never sampled: the rarer outcome, and rare events.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["ScoredRows", "rare_rows", "scored_rows"]

Floats = NDArray[np.float64]

MOST_ROWS = 200_000
"""Up to so many rows all customers are taken."""

SAMPLE = 100_000
"""Rows of a sample, about."""

ENOUGH = 10_000
"""Rows with an outcome or an event up to which the customers who have it are all taken."""

STEP = 21
"""A column is counted in every so-manieth row first."""


class ScoredRows(NamedTuple):
    """Rows whose scores are summed.

    Parameters
    ----------
    rows : ndarray of int
        The rows, all rows of each customer.
    customer : ndarray of int or None
        From 0, for each of these rows; None if each is a customer of its own.
    times : ndarray of shape (n_taken,)
        How many customers each of the customers who are taken stands for.
    n_customers : int
        Customers in the data; an estimate where customers with several rows were sampled.
    """

    rows: NDArray[np.intp]
    customer: NDArray[np.intp] | None
    times: Floats
    n_customers: int


def scored_rows(X: Any, y: NDArray[np.int8], group: NDArray[Any] | None) -> ScoredRows:
    """Return the rows whose scores are summed, by the customer `group` of each row.

    The sample is decided by the customer's id (or, where each row is a customer, by the place of
    the row), so it is the same at every call.
    """
    n = len(y)
    step = n // SAMPLE if n > MOST_ROWS else 1
    if step == 1:
        customer, count = _numbered(group, n)
        return ScoredRows(np.arange(n), customer, np.ones(count), count)
    certain = rare_rows(X, ENOUGH)
    ones = int(np.count_nonzero(y))
    if min(ones, n - ones) <= ENOUGH:
        certain = np.concatenate([certain, np.flatnonzero((y == 1) == (ones <= n - ones))])
    if group is None:
        sure, chosen = np.zeros((2, n), dtype=bool)
        sure[certain], chosen[:: step | 1] = True, True  # odd: a two-day rhythm is no trap
        rows = np.flatnonzero(chosen | sure)
        times = np.where(sure[rows], 1.0, float(step | 1))
        return ScoredRows(rows, None, times, n)
    key = _key(group)
    chosen = _mixed(key) % np.uint64(step) == 0
    sure = np.zeros(n, dtype=bool)
    if len(certain):
        sure = pd.Index(np.unique(key[certain])).get_indexer(pd.Index(key)) >= 0
    rows = np.flatnonzero(chosen | sure)
    customer, count = _numbered(key[rows], len(rows))
    times = np.ones(count)
    times[np.arange(count) if customer is None else customer] = np.where(sure[rows], 1.0, step)
    return ScoredRows(rows, customer, times, round(times.sum()))


def rare_rows(X: Any, most: int) -> NDArray[np.intp]:
    """Return the rows with an event that `most` rows or fewer have."""
    n, p = X.shape
    first = X[:: STEP if n > MOST_ROWS else 1]
    if sp.issparse(X):
        count = np.bincount(first.indices, minlength=p)
        if not (count * (n / first.shape[0]) <= 2 * most).any():
            return np.empty(0, dtype=np.intp)
        rare = np.bincount(X.indices, minlength=p) <= most
        places = np.flatnonzero(rare[X.indices] & (X.data != 0.0))
        return np.asarray(np.searchsorted(X.indptr, places, side="right") - 1, dtype=np.intp)
    count = np.count_nonzero(first, axis=0)
    found = [np.flatnonzero(X[:, j]) for j in np.flatnonzero(count * n <= 2 * most * len(first))]
    return np.concatenate([np.empty(0, np.intp), *(some for some in found if len(some) <= most)])


def _key(group: NDArray[Any]) -> NDArray[np.int64]:
    if group.dtype.kind in "iu":
        return group.astype(np.int64, copy=False)
    return pd.factorize(group)[0].astype(np.int64)


def _mixed(key: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return numbers without the pattern of the ids (the finaliser of splitmix64)."""
    x = key.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _numbered(group: NDArray[Any] | None, n: int) -> tuple[NDArray[np.intp] | None, int]:
    """Return the number of each row's customer, None if all differ, and how many there are."""
    if group is None:
        return None, n
    codes, kinds = pd.factorize(group)
    return (None if len(kinds) == n else codes.astype(np.intp)), len(kinds)
