"""From the long result of an engine to a sparse matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.sql.plan import CountPlan

__all__ = ["LongCounts", "long_to_csr", "stacked"]

#: Pairs of row and group that are spread at a time.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class LongCounts:
    """The result of one query of a plan: ``(r, code, a…)``.

    Parameters
    ----------
    r, code : ndarray of shape (n_pairs,)
        Row and code of the group; each pair at most once, in any order.
    aggregates : mapping of int to ndarray of shape (n_pairs,)
        Values by number of aggregate; NaN means no event takes part.
    """

    r: NDArray[np.int64]
    code: NDArray[np.int64]
    aggregates: Mapping[int, NDArray[np.float64]]


def long_to_csr(
    parts: Sequence[LongCounts],
    plan: CountPlan,
    n_rows: int,
    denominators: Mapping[int, NDArray[np.float64]] | None = None,
) -> Any:
    """Spread the results of the queries of a plan over its columns.

    Parameters
    ----------
    parts : sequence of LongCounts
        Together they hold every aggregate of the plan once.
    plan : CountPlan
        Which (code, aggregate) is which column.
    n_rows : int
    denominators : mapping of int to ndarray of shape (n_rows,), optional
        By number of column: what the counts of each row are divided by.

    Returns
    -------
    csr_array of float64, of shape (n_rows, len(plan.columns))
        In canonical form, without stored zeros.
    """
    X = sp.csr_array((n_rows, len(plan.columns)), dtype=np.float64)
    for k, part in enumerate(parts):
        spread = _spread(part, plan, n_rows)
        X = spread if k == 0 else X + spread  # no two parts share a column
    for column, divisor in (denominators or {}).items():
        mine = X.indices == column
        rows = np.repeat(np.arange(n_rows), np.diff(X.indptr))[mine]
        X.data[mine] /= divisor[rows]
    return X


def stacked(blocks: Iterable[Any], n_columns: int) -> Any:
    """Return csr_arrays below each other; no two copies of the values are held at any time."""
    values, places, held = np.empty(0), np.empty(0, np.int32), [np.zeros(1, np.int64)]
    for X in blocks:
        start = len(values)
        # Large arrays grow in place: the operating system moves their pages, not their content.
        values.resize(start + len(X.data), refcheck=False)
        places.resize(start + len(X.data), refcheck=False)
        values[start:], places[start:] = X.data, X.indices
        held.append(np.diff(X.indptr).astype(np.int64))
    indptr = np.cumsum(np.concatenate(held))
    return sp.csr_array((values, places, indptr), shape=(len(indptr) - 1, n_columns))


def _spread(part: LongCounts, plan: CountPlan, n_rows: int) -> Any:
    """Return the columns of one part; block by block, so that zeros are never held as a whole."""
    columns, sources = _slots(part, plan)
    # Scipy sorts the pairs by row and group; only their places move, the values are read once.
    places = np.arange(len(part.r), dtype=np.int64)
    pairs = sp.coo_array((places, (part.r, part.code)), shape=(n_rows, len(plan.groups))).tocsr()
    held = np.zeros(len(places) + 1, dtype=np.int64)
    values, indices = [np.empty(0)], [np.empty(0, dtype=np.int32)]
    for start in range(0, len(places), _BLOCK):
        block = slice(start, start + _BLOCK)
        place, group = pairs.data[block], pairs.indices[block]
        value = np.zeros((len(place), columns.shape[1]))
        for slot, aggregates in enumerate(sources.T):
            for aggregate in np.unique(aggregates[aggregates >= 0]):
                whose = aggregates == aggregate
                mine = slice(None) if whose.all() else whose[group]
                value[mine, slot] = part.aggregates[aggregate][place[mine]]
        value[np.isnan(value)] = 0.0
        kept = value != 0.0
        held[1:][block] = kept.sum(axis=1)
        values.append(value[kept])
        indices.append(columns[group][kept])
    indptr = np.cumsum(held)[pairs.indptr]
    X = sp.csr_array(
        (np.concatenate(values), np.concatenate(indices), indptr),
        shape=(n_rows, len(plan.columns)),
    )
    X.sort_indices()
    return X


def _slots(part: LongCounts, plan: CountPlan) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return, for every group, the columns it fills and from which aggregate (−1: no more)."""
    filled: list[list[tuple[int, int]]] = [[] for _ in plan.groups]
    for column, (group, aggregate) in enumerate(plan.columns):
        if aggregate in part.aggregates:
            filled[group].append((column, aggregate))
    width = max(map(len, filled))
    columns = np.zeros((len(filled), width), dtype=np.int32)
    sources = np.full((len(filled), width), -1, dtype=np.int64)
    for group, pairs in enumerate(filled):
        for slot, (column, aggregate) in enumerate(pairs):
            columns[group, slot], sources[group, slot] = column, aggregate
    return columns, sources
