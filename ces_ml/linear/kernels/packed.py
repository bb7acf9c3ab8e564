"""Rows packed into blocks of bytes, as Spark keeps them between passes.

What runs in Spark's Python workers is here: packing, sums over packed blocks, samples of them.
Nothing here imports Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import PointwiseLoss
from ces_ml.linear.kernels.row_blocks import RowBlocks

__all__ = [
    "PACKED",
    "SUMS",
    "Layout",
    "Point",
    "adding",
    "matrix",
    "packing",
    "sampling",
    "summing",
    "unpacked",
]

Floats = NDArray[np.float64]
Batches = Iterator[pa.RecordBatch]
OnBatches = Callable[[Batches], Batches]

BLOCK = 2**21
"""Numbers in a block, counting zeros."""
DENSE_FROM = 0.4
"""Part of the counts that is not zero, from which a block is kept dense."""

PACKED = pa.schema(
    [
        ("place", pa.int64()),
        ("n_rows", pa.int32()),
        ("data", pa.binary()),
        ("data_type", pa.string()),
        ("indices", pa.binary()),
        ("indptr", pa.binary()),
        ("y", pa.binary()),
        ("s", pa.binary()),
        ("note", pa.binary()),
        ("trouble", pa.string()),
    ]
)
"""A block of rows; without `indptr` it is dense. `note` holds what `Note` reads."""

SUMS = pa.schema([("place", pa.int64()), ("batch", pa.int64()), ("sums", pa.binary())])
"""Sums over blocks, the first of them at `place`; those of one `batch` are added up together."""


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


@dataclass(frozen=True)
class Point:
    """Where a sum is taken, and of which rows.

    Parameters
    ----------
    w, c : ndarray of shape (n_features,), float
        Weights and intercept.
    one : float
        The outcome that counts as 1.
    total : float
        Weight of all rows.
    shift : ndarray of shape (n_features,)
        Taken off each row.
    loss : PointwiseLoss
        The loss of one row.
    """

    w: Floats
    c: float
    one: float
    total: float
    shift: Floats
    loss: PointwiseLoss


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
    trouble = _trouble(table, layout)
    row: dict[str, Any] = dict.fromkeys(PACKED.names)
    row |= {"place": place, "n_rows": table.num_rows, "trouble": trouble}
    if trouble is None:
        X = matrix(table, layout)
        first = table.num_columns - len(layout.others)
        y = _numbers(table.column(first))
        s = None if layout.weight is None else _numbers(table.column(first + 1))
        row |= _as_bytes(X) | {"y": y.tobytes(), "note": _note(X, y, s).tobytes()}
        row["s"] = None if s is None else s.tobytes()
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
    dense = np.empty((table.num_rows, len(layout.features)), dtype=kind)
    for j in range(dense.shape[1]):
        dense[:, j] = _numbers(table.column(j))
    return dense


def _trouble(table: pa.Table, layout: Layout) -> str | None:
    """Return what is wrong with the rows: kind, column and value, parted by NUL."""
    for name, column in zip(layout.columns, table.columns, strict=True):
        if column.null_count:
            return f"null\0{name}\0{column.null_count}"
        values = _numbers(column if pa.types.is_primitive(column.type) else _flat_values(column))
        if not np.isfinite(values).all():
            return f"not finite\0{name}\0{values[~np.isfinite(values)][0]}"
        if name == layout.weight and values.min() < 0.0:
            return f"negative\0{name}\0{values.min()}"
    return None


def _flat_values(column: Any) -> Any:
    return pa.chunked_array([column.combine_chunks().flatten()])


def _as_bytes(X: Any) -> dict[str, Any]:
    """Return counts in the smallest form that loses nothing."""
    filled = X.nnz if sp.issparse(X) else np.count_nonzero(X)
    if filled > DENSE_FROM * X.shape[0] * X.shape[1]:
        data, kind = _narrowed((X.toarray() if sp.issparse(X) else X).ravel())
        return {"data": data.tobytes(), "data_type": kind}
    csr = sp.csr_array(X)
    data, kind = _narrowed(csr.data)
    index = np.uint8 if X.shape[1] <= 256 else np.uint16 if X.shape[1] <= 65536 else np.int32
    return {
        "data": data.tobytes(),
        "data_type": kind,
        "indices": csr.indices.astype(index).tobytes(),
        "indptr": csr.indptr.astype(np.int32).tobytes(),
    }


def _narrowed(values: NDArray[Any]) -> tuple[NDArray[Any], str]:
    half = values.astype(np.float32)
    return (half, "f4") if np.array_equal(half, values) else (values, "f8")


def _note(X: Any, y: Floats, s: Floats | None) -> Floats:
    """Return what the driver must know of a block, as one row of numbers: see `read_note`."""
    weight = np.ones(len(y)) if s is None else s
    found, counts = np.unique(y[weight > 0.0], return_counts=True)
    kinds = np.full((2, 3), np.nan)
    kinds[0, : min(3, len(found))], kinds[1, : min(3, len(found))] = found[:3], counts[:3]
    return np.concatenate(
        [
            [len(y), weight.sum()],
            kinds.ravel(),
            *_ranges(X),
        ]
    )


def _ranges(X: Any) -> tuple[Floats, Floats, Floats]:
    """Return least and largest value of each column, and how often it is not 0."""
    if not sp.issparse(X):
        return X.min(axis=0), X.max(axis=0), np.count_nonzero(X, axis=0).astype(np.float64)
    filled = np.bincount(X.indices, minlength=X.shape[1]).astype(np.float64)
    return X.min(axis=0).toarray().ravel(), X.max(axis=0).toarray().ravel(), filled


def unpacked(row: Mapping[str, Any], p: int) -> tuple[Any, Floats, Floats | None]:
    """Return counts (dense or CSR), outcomes and weights of a packed block."""
    n = row["n_rows"]
    # Copies: the compiled pass is compiled for arrays that may be written.
    data = np.frombuffer(row["data"], dtype=row["data_type"]).copy()
    X: Any
    if row["indptr"] is None:
        X = data.reshape(n, p)
    else:
        width = 1 if p <= 256 else 2 if p <= 65536 else 4
        kind = {1: np.uint8, 2: np.uint16, 4: np.int32}[width]
        indices = np.frombuffer(row["indices"], dtype=kind).astype(np.int32)
        indptr = np.frombuffer(row["indptr"], dtype=np.int32).copy()
        X = sp.csr_array((data, indices, indptr), shape=(n, p), copy=False)
    s = None if row["s"] is None else np.frombuffer(row["s"]).copy()
    return X, np.frombuffer(row["y"]), s


def summing(what: str, point: Point) -> OnBatches:
    """Return the function that adds up the blocks of a partition.

    Parameters
    ----------
    what : {"value", "slope", "evaluate", "moments"}
        The method of `RowBlocks`.
    point : Point
    """

    def add_up(batches: Batches) -> Batches:
        place, total = -1, None
        for row in _rows(batches):
            X, y, s = unpacked(row, len(point.w))
            if point.shift.any() and sp.issparse(X):
                X = X.toarray()
            blocks = RowBlocks(
                X,
                (y == point.one).astype(np.int8),
                s,
                point.loss,
                shift=point.shift,
                total=point.total,
                compiled=True,
                n_threads=1,
            )
            found = _flat(blocks, what, point)
            total = found if total is None else total + found
            place = row["place"] if place < 0 else place
        if total is not None:
            yield _sums(place, total)

    return add_up


def _flat(blocks: RowBlocks, what: str, point: Point) -> Floats:
    if what == "moments":
        return np.concatenate(blocks.moments())
    found = getattr(blocks, what)(point.w, point.c)
    return np.concatenate([np.ravel(part) for part in (found if what != "value" else [found])])


def adding(batches: Batches) -> Batches:
    """Add up sums of one batch, which come one after another in the order of their places.

    So the order of addition is always the same, however Spark cuts the work.
    """
    held: dict[str, Any] | None = None
    for row in _rows(batches):
        found = np.frombuffer(row["sums"])
        if held is not None and row["batch"] == held["batch"]:
            held["sums"] = held["sums"] + found
            continue
        if held is not None:
            yield _sums(held["place"], held["sums"])
        held = {**row, "sums": found}
    if held is not None:
        yield _sums(held["place"], held["sums"])


def _sums(place: int, total: Floats) -> pa.RecordBatch:
    row = {"place": place, "batch": 0, "sums": total.tobytes()}
    return pa.RecordBatch.from_pylist([row], schema=SUMS)


def sampling(step: int, starts: Mapping[int, int], p: int) -> OnBatches:
    """Return the function that keeps every `step`-th row of all blocks, in packed form.

    Parameters
    ----------
    step : int
    starts : mapping of int to int
        Rows before each block, by its place.
    p : int
        Number of columns.
    """

    def sample(batches: Batches) -> Batches:
        for row in _rows(batches):
            X, y, s = unpacked(row, p)
            kept = slice(-starts[row["place"]] % step, None, step)
            block, outcomes = X[kept], y[kept]
            taken = dict.fromkeys(PACKED.names) | {"place": row["place"], "n_rows": len(outcomes)}
            if sp.issparse(block):
                block = block.toarray()
            taken |= _as_bytes(np.asarray(block, dtype=np.float64)) | {"y": outcomes.tobytes()}
            taken["s"] = None if s is None else s[kept].tobytes()
            yield pa.RecordBatch.from_pylist([taken], schema=PACKED)

    return sample


def _rows(batches: Batches) -> Iterator[Mapping[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _numbers(column: Any) -> Floats:
    numbers: Floats = column.to_numpy().astype(np.float64, copy=False)
    return numbers


def stacked(parts: Sequence[Any]) -> Any:
    """Return blocks one below another: dense if all are, else CSR."""
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.vstack(parts)
    return sp.csr_array(sp.vstack([sp.csr_array(part) for part in parts]))
