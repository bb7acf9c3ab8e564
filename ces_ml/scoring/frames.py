"""Bringing counts of many shapes to one matrix in the order of the terms."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ces_ml.errors import CesWarning, WeightSetError, did_you_mean, show
from ces_ml.scoring.blocks import ColumnCounts
from ces_ml.spec.count_table import CountTable
from ces_ml.weights.weight_set import WeightSet

__all__ = ["AlignedCounts", "align"]

#: Columns that say who a row is, taken along into the output.
KEY_COLUMNS = ("customer_id", "as_of")


@dataclass(frozen=True)
class AlignedCounts:
    """Counts in the order of a weight set's terms.

    Parameters
    ----------
    X : ndarray, csr_array or ColumnCounts, of shape (n_rows, n_terms)
        Not looked at yet: numbers may be missing, or endless.
    keys : DataFrame of shape (n_rows, any)
        Columns that identify the rows.
    ignored : tuple of str
        Columns that are neither terms nor keys.
    missing : tuple of str
        Terms without a column; they count 0.
    missing_is_0 : bool, default=False
        Whether a missing number in `X` counts 0, as in a frame; else it is refused.
    """

    X: Any
    keys: pd.DataFrame
    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    missing_is_0: bool = False


def align(weight_set: WeightSet, counts: Any) -> AlignedCounts:
    """Bring counts to the order of the terms; columns are matched by name.

    Parameters
    ----------
    weight_set : WeightSet
    counts : CountTable, DataFrame (pandas, polars), pyarrow.Table, mapping, or array
        A mapping is one customer: count by name of term. An array has the terms' order.

    Raises
    ------
    WeightSetError
        If a frame has no column of the weight set, a count is no finite number, or an array has
        another width.

    Warns
    -----
    CesWarning
        If some terms have no column in a frame.
    """
    if isinstance(counts, CountTable):
        return _of_table(weight_set, counts)
    if isinstance(counts, Mapping):
        frame = pd.DataFrame([dict(counts)])
        return _of_frame(weight_set, frame, sparse_by_nature=True)
    if isinstance(counts, np.ndarray) or sp.issparse(counts):
        if counts.ndim != 2 or counts.shape[1] != len(weight_set.terms):
            raise WeightSetError(
                "the counts do not have one column a term",
                got=f"shape {counts.shape}",
                allowed=f"(n_rows, {len(weight_set.terms)}), in the order of the terms",
                hint="pass a frame with named columns",
            )
        if sp.issparse(counts):
            X = sp.csr_array(counts, dtype=np.float64)
        else:
            X = counts if counts.dtype.kind in "fiub" else counts.astype(np.float64)
        return AlignedCounts(X, pd.DataFrame(index=range(counts.shape[0])))
    if hasattr(counts, "to_pandas") and not hasattr(counts, "select"):
        counts = counts.to_pandas()
    if not isinstance(counts, pd.DataFrame) and not hasattr(counts, "to_pandas"):
        raise WeightSetError(
            "these counts can't be scored",
            got=f"a {type(counts).__qualname__}",
            allowed="a CountTable, a pandas or polars DataFrame, a pyarrow Table, a mapping or an "
            "array",
            hint="make a frame with one column a term",
        )
    return _of_frame(weight_set, counts)


def _of_table(weight_set: WeightSet, table: CountTable) -> AlignedCounts:
    if table.spec != weight_set.spec:
        raise WeightSetError(
            "the table was counted by another specification than the weights need",
            got=", ".join(show(n, 30) for n in table.names[:5]),
            allowed="the `spec` of the weight set",
            hint="count with build_counts(events, weight_set.spec)",
        )
    return AlignedCounts(table.X, table.keys)


def _of_frame(
    weight_set: WeightSet, frame: Any, *, sparse_by_nature: bool = False
) -> AlignedCounts:
    names = weight_set.names
    customer = weight_set.scored_events.customer_col
    columns = list(getattr(frame, "column_names", frame.columns))
    there = set(columns)
    if not there & set(names) and not sparse_by_nature:
        first = str(columns[0]) if columns else ""
        raise WeightSetError(
            "the frame has no column of the weight set",
            got=", ".join(show(str(c), 30) for c in columns[:5]) or "no columns",
            allowed=did_you_mean(first, names),
            hint="name the columns like the terms, or score events instead of counts",
        )
    wanted = dict.fromkeys((customer, *KEY_COLUMNS))
    keys = [c for c in wanted if c in there and c not in names]
    known = {*names, *keys}
    ignored = tuple(str(c) for c in columns if c not in known)
    missing = tuple(n for n in names if n not in there)
    if missing and not sparse_by_nature:
        warnings.warn(
            f"{len(missing)} of {len(names)} terms have no column and count 0: "
            + ", ".join(show(m, 30) for m in missing[:5]),
            CesWarning,
            stacklevel=4,
        )
    numbers = tuple(_numbers(frame[n], n) if n in there else None for n in names)
    X = _as_they_lie(frame, names, numbers) if not missing else None
    return AlignedCounts(
        X if X is not None else ColumnCounts(numbers, len(frame)),
        _keys(frame, keys),
        ignored,
        missing,
        missing_is_0=True,
    )


def _keys(frame: Any, keys: list[str]) -> pd.DataFrame:
    if isinstance(frame, pd.DataFrame):
        return frame[keys].reset_index(drop=True)
    if not keys:
        return pd.DataFrame(index=range(len(frame)))
    chosen: pd.DataFrame = frame.select(keys).to_pandas()
    return chosen


def _as_they_lie(frame: Any, names: tuple[str, ...], numbers: tuple[Any, ...]) -> Any:
    """Return the columns of a pandas frame as one matrix, if they are one in memory."""
    if not isinstance(frame, pd.DataFrame) or len(names) < 2:
        return None
    if any(c.dtype != np.float64 for c in numbers) or not frame.columns.is_unique:
        return None
    places = frame.columns.get_indexer(pd.Index(names))
    starts = [c.__array_interface__["data"][0] for c in numbers]
    if len(set(np.diff(places))) > 1 or places[1] != places[0] + 1 or len(set(np.diff(starts))) > 1:
        return None
    X = frame.iloc[:, places[0] : places[0] + len(names)].to_numpy()
    return X if np.shares_memory(X[:1, :1], numbers[0][:1]) else None


def _numbers(column: Any, name: str) -> Any:
    """Return a column as numbers where they lie; NaN where they are missing."""
    try:
        values = column.to_numpy()
        if values.ndim == 1 and values.dtype.kind in "fiub":
            return values
        series = column if isinstance(column, pd.Series) else pd.Series(values)
        return pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise WeightSetError(
            f"column {show(name)} does not hold counts",
            got=str(error).splitlines()[0][:120],
            allowed="numbers; a missing value counts 0",
            hint="convert the column",
        ) from error
