"""Packing rows into blocks: what Spark's Python workers do before the first sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import SAMPLE_STEP
from ces_ml.linear.kernels.packed import PACKED, Batches, OnBatches, block_of, part_of

__all__ = ["Layout", "matrix", "packing"]

Floats = NDArray[np.float64]

BLOCK = 2**21
"""Numbers in a block, counting zeros."""
_HALF = {pa.float32(), pa.int8(), pa.int16(), pa.bool_()}
"""Types whose values float32 holds as they are."""


@dataclass(frozen=True)
class Layout:
    """Which columns the rows are made of.

    Parameters
    ----------
    features : tuple of str
        Columns of counts.
    target : str
        The column of outcomes.
    weight : str or None
        The column of row weights.
    sparse : (str, str) or None
        With them the counts are no columns of their own: two columns of arrays say of each row
        which features are not 0, by their position, rising, and what they are.
    float32 : bool
        Whether counts are rounded to float32, as a training job does.
    prepare : callable or None
        Makes what is fitted of a CSR array of counts, before they are rounded; sent to the
        executors.
    """

    features: tuple[str, ...]
    target: str
    weight: str | None = None
    sparse: tuple[str, str] | None = None
    float32: bool = False
    prepare: Callable[[Any], Any] | None = None

    @property
    def columns(self) -> list[str]:
        """All columns, in the order in which they are read."""
        counts = self.features if self.sparse is None else self.sparse
        return [*counts, *self.others]

    @property
    def others(self) -> list[str]:
        """The columns that are no counts."""
        return [self.target, *([self.weight] if self.weight else [])]


def packing(layout: Layout) -> OnBatches:
    """Return the function that packs the rows of a partition."""

    def pack(batches: Batches) -> Batches:
        from pyspark import TaskContext

        context = TaskContext.get()
        place = (context.partitionId() if context is not None else 0) << 32
        most = max(256, BLOCK // max(1, len(layout.features)))
        held: list[pa.RecordBatch] = []
        rows = 0
        for batch in batches:
            held.append(batch)
            rows += batch.num_rows
            if rows >= most:
                yield _packed(held, layout, place)
                held, rows, place = [], 0, place + 1
        if rows:
            yield _packed(held, layout, place)

    return pack


def _packed(batches: list[pa.RecordBatch], layout: Layout, place: int) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches)
    row: dict[str, Any] = dict.fromkeys(PACKED.names)
    row |= {"place": place, "n_rows": table.num_rows, "trouble": _nulls(table, layout)}
    if row["trouble"] is None:
        X = matrix(table, layout)
        first = table.num_columns - len(layout.others)
        y = _numbers(table.column(first))
        s = None if layout.weight is None else _numbers(table.column(first + 1))
        facts = _facts(X, s)
        row["trouble"] = _trouble(table, layout, finite=facts is not None)
        if row["trouble"] is None and facts is not None:
            row |= block_of(X, y, s, int(facts[2].sum()))
            row["note"] = _note(y, s, facts).tobytes()
            taken = slice(None, None, SAMPLE_STEP)
            sample = part_of(X[taken], y[taken], None if s is None else s[taken], place)
            row["sample"] = sample.serialize().to_pybytes()
    return pa.RecordBatch.from_pylist([row], schema=PACKED)


def matrix(table: pa.Table, layout: Layout) -> Any:
    """Return the counts of some rows: dense, or CSR where they come so."""
    kind = np.float32 if layout.float32 else np.float64
    if layout.sparse is not None:
        indices, values = (table.column(k).combine_chunks() for k in (0, 1))
        data = values.flatten().to_numpy().astype(np.float64, copy=False)
        places = indices.flatten().to_numpy().astype(np.int32, copy=False)
        ends = np.concatenate([[0], np.cumsum(pc.list_value_length(indices).to_numpy())])
        shape = (table.num_rows, len(layout.features))
        X = sp.csr_array((data, places, ends.astype(np.int32)), shape=shape)
        prepared = X if layout.prepare is None else layout.prepare(X)
        return prepared.astype(kind, copy=False)
    columns = table.columns[: len(layout.features)]
    if all(column.type in _HALF for column in columns):
        kind = np.float32
    dense = np.empty((table.num_rows, len(columns)), dtype=kind)
    for j, column in enumerate(columns):
        dense[:, j] = column.to_numpy()
    return dense


def _nulls(table: pa.Table, layout: Layout) -> str | None:
    """Return which column has empty values: kind, column and number, parted by NUL."""
    for name, column in zip(layout.columns, table.columns, strict=True):
        if column.null_count:
            return f"null\0{name}\0{column.null_count}"
    return None


def _trouble(table: pa.Table, layout: Layout, *, finite: bool) -> str | None:
    """Return what else is wrong with the rows, in the same form; `finite` says that counts are."""
    for name, column in zip(layout.columns, table.columns, strict=True):
        if finite and name not in layout.others:
            continue
        values = _numbers(column if pa.types.is_primitive(column.type) else _flat_values(column))
        if not np.isfinite(values).all():
            return f"not finite\0{name}\0{values[~np.isfinite(values)][0]}"
        if name == layout.weight and values.min() < 0.0:
            return f"negative\0{name}\0{values.min()}"
    return None


def _flat_values(column: Any) -> Any:
    return pa.chunked_array([column.combine_chunks().flatten()])


def _facts(X: Any, s: Floats | None) -> Floats | None:
    """Return what the driver must know of the columns; None if a value is not finite.

    Returns
    -------
    ndarray of shape (5, n_features)
        Least and largest values, how many are not 0, ``Σ s x`` and ``Σ s x²``.
    """
    p = X.shape[1]
    found = np.zeros((5, p))
    if not sp.issparse(X):
        from ces_ml.linear.kernels.packing_passes import look_at_columns

        weight = np.empty(0) if s is None else s
        return found if look_at_columns(np.ascontiguousarray(X), weight, *found) else None
    if not np.isfinite(X.data).all():
        return None
    found[0], found[1] = X.min(axis=0).toarray().ravel(), X.max(axis=0).toarray().ravel()
    data = X.data.astype(np.float64)
    weighted = data if s is None else data * np.repeat(s, np.diff(X.indptr))
    found[2] = np.bincount(X.indices, X.data != 0.0, minlength=p)
    found[3] = np.bincount(X.indices, weighted, minlength=p)
    found[4] = np.bincount(X.indices, weighted * data, minlength=p)
    return found


def _note(y: Floats, s: Floats | None, facts: Floats) -> Floats:
    """Return what the driver must know of a block, as one row of numbers.

    They are: rows, their weight, three outcomes, how many rows have each, and `_facts`.
    """
    weight = np.ones(len(y)) if s is None else s
    found, counts = np.unique(y[weight > 0.0], return_counts=True)
    kinds = np.full((2, 3), np.nan)
    kinds[0, : min(3, len(found))], kinds[1, : min(3, len(found))] = found[:3], counts[:3]
    return np.concatenate([[len(y), weight.sum()], kinds.ravel(), facts.ravel()])


def _numbers(column: Any) -> Floats:
    numbers: Floats = column.to_numpy().astype(np.float64, copy=False)
    return numbers
