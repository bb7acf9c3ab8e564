"""From the long result of an engine to a sparse matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.sql.plan import CountPlan

__all__ = ["LongCounts", "long_to_csr"]


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
    rows: list[NDArray[Any]] = []
    columns: list[NDArray[Any]] = []
    values: list[NDArray[Any]] = []
    for part in parts:
        # One sort, not one search a group: there may be thousands.
        by_code = np.argsort(part.code, kind="stable")
        starts = np.searchsorted(part.code[by_code], np.arange(len(plan.groups) + 1))
        for column, (group, aggregate) in enumerate(plan.columns):
            if aggregate not in part.aggregates:
                continue
            pairs = by_code[starts[group] : starts[group + 1]]
            value = np.nan_to_num(
                part.aggregates[aggregate][pairs], nan=0.0, posinf=np.inf, neginf=-np.inf
            )
            held = value != 0
            r, value = part.r[pairs[held]], value[held]
            if denominators and column in denominators:
                value = value / denominators[column][r]
            rows.append(r)
            columns.append(np.full(len(r), column, dtype=np.int32))
            values.append(value)
    X = sp.coo_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(n_rows, len(plan.columns)),
        dtype=np.float64,
    ).tocsr()
    X.sort_indices()
    return X
