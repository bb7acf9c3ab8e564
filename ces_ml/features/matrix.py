"""From the long result of an engine to a sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.sql.counting import CountPlan

__all__ = ["long_to_csr"]


def long_to_csr(
    r: NDArray[np.int64],
    code: NDArray[np.int64],
    aggregates: Sequence[NDArray[np.float64]],
    plan: CountPlan,
    n_rows: int,
) -> Any:
    """Spread ``(r, code, a0, a1, …)`` over the columns of a plan.

    Parameters
    ----------
    r, code : ndarray of shape (n_pairs,)
        Row and code of the event type; each pair at most once, in any order.
    aggregates : sequence of ndarray of shape (n_pairs,)
        Values; NaN means no event inside that aggregate's window.
    plan : CountPlan
        Which (code, aggregate) is which column.
    n_rows : int

    Returns
    -------
    csr_array of float64, of shape (n_rows, len(plan.columns))
        In canonical form, without stored zeros.
    """
    rows: list[NDArray[Any]] = []
    columns: list[NDArray[Any]] = []
    values: list[NDArray[Any]] = []
    # One sort, not one search an event type: there may be thousands.
    by_code = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[by_code], np.arange(len(plan.events) + 1))
    for column, (event, aggregate) in enumerate(plan.columns):
        pairs = by_code[starts[event] : starts[event + 1]]
        value = np.nan_to_num(aggregates[aggregate][pairs], nan=0.0, posinf=np.inf, neginf=-np.inf)
        held = pairs[value != 0]
        rows.append(r[held])
        columns.append(np.full(len(held), column, dtype=np.int32))
        values.append(value[value != 0])
    X = sp.coo_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(n_rows, len(plan.columns)),
        dtype=np.float64,
    ).tocsr()
    X.sort_indices()
    return X
