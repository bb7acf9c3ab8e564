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
    X : ndarray or csr_array, of shape (n_rows, n_terms)
    keys : DataFrame of shape (n_rows, any)
        Columns that identify the rows.
    ignored : tuple of str
        Columns that are neither terms nor keys.
    missing : tuple of str
        Terms without a column; they count 0.
    """

    X: Any
    keys: pd.DataFrame
    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


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
        X = sp.csr_array(counts, dtype=np.float64) if sp.issparse(counts) else counts
        return AlignedCounts(_finite(X), pd.DataFrame(index=range(counts.shape[0])))
    if hasattr(counts, "to_pandas"):
        counts = counts.to_pandas()
    if not isinstance(counts, pd.DataFrame):
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
    weight_set: WeightSet, frame: pd.DataFrame, *, sparse_by_nature: bool = False
) -> AlignedCounts:
    names = weight_set.names
    customer = weight_set.events.customer_col
    held = [n for n in names if n in frame.columns]
    if not held and not sparse_by_nature:
        first = str(frame.columns[0]) if len(frame.columns) else ""
        raise WeightSetError(
            "the frame has no column of the weight set",
            got=", ".join(show(str(c), 30) for c in frame.columns[:5]) or "no columns",
            allowed=did_you_mean(first, names),
            hint="name the columns like the terms, or score events instead of counts",
        )
    keys = [c for c in dict.fromkeys((customer, *KEY_COLUMNS)) if c in frame and c not in names]
    known = {*names, *keys}
    ignored = tuple(str(c) for c in frame.columns if c not in known)
    missing = tuple(n for n in names if n not in frame.columns)
    if missing and not sparse_by_nature:
        warnings.warn(
            f"{len(missing)} of {len(names)} terms have no column and count 0: "
            + ", ".join(show(m, 30) for m in missing[:5]),
            CesWarning,
            stacklevel=4,
        )
    X = np.zeros((len(frame), len(names)))
    for t, name in enumerate(names):
        if name in frame.columns:
            X[:, t] = _numbers(frame[name], name)
    return AlignedCounts(X, frame[keys].reset_index(drop=True), ignored, missing)


def _numbers(column: Any, name: str) -> Any:
    """Return a column as finite float64; a missing value is no event, so 0."""
    try:
        values = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise WeightSetError(
            f"column {show(name)} does not hold counts",
            got=str(error).splitlines()[0][:120],
            allowed="numbers; a missing value counts 0",
            hint="convert the column",
        ) from error
    return _finite(np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf))


def _finite(X: Any) -> Any:
    if not np.isfinite(X.data if sp.issparse(X) else X).all():
        raise WeightSetError(
            "a count is not a finite number",
            got="NaN or infinity",
            allowed="finite numbers",
            hint="clean the counts",
        )
    return X
