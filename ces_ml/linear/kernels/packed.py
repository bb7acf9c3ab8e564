"""Blocks of rows as bytes, as Spark keeps them between passes. Nothing here imports Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = [
    "PACKED",
    "Batches",
    "OnBatches",
    "block_of",
    "part_of",
    "read_sample",
    "rows_of",
    "stacked",
    "unpacked",
]

Floats = NDArray[np.float64]
Batches = Iterator[pa.RecordBatch]
OnBatches = Callable[[Batches], Batches]

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
        ("sample", pa.binary()),
        ("trouble", pa.string()),
    ]
)
"""A block of rows; without `indptr` it is dense. `note` holds what the driver must know, `sample`
every `SAMPLE_STEP`-th row in a block of its own, which the warm start reads without the others."""


def block_of(X: Any, y: Floats, s: Floats | None, n_filled: int) -> dict[str, Any]:
    """Return the fields of a block: counts in the smallest form that loses nothing, and the rest.

    Parameters
    ----------
    X : ndarray or csr_array of shape (n_rows, n_features)
    y, s : ndarray of shape (n_rows,)
        Outcomes and weights.
    n_filled : int
        How many counts are not 0.
    """
    n, p = X.shape
    fields = {"y": y.tobytes(), "s": None if s is None else s.tobytes()}
    if n_filled > DENSE_FROM * n * p:
        data, kind = _narrowed((X.toarray() if sp.issparse(X) else X).ravel())
        return fields | {"data": data.tobytes(), "data_type": kind}
    index = np.uint8 if p <= 256 else np.uint16 if p <= 65536 else np.int32
    if sp.issparse(X):
        parts = X.data, X.indices.astype(index), X.indptr.astype(np.int32)
    else:
        from ces_ml.linear.kernels.packing_passes import fill_sparse

        parts = np.empty(n_filled, X.dtype), np.empty(n_filled, index), np.zeros(n + 1, np.int32)
        fill_sparse(X, *parts)
    data, kind = _narrowed(parts[0])
    return fields | {
        "data": data.tobytes(),
        "data_type": kind,
        "indices": parts[1].tobytes(),
        "indptr": parts[2].tobytes(),
    }


def _narrowed(values: NDArray[Any]) -> tuple[NDArray[Any], str]:
    if values.dtype == np.float32:
        return values, "f4"
    half = values.astype(np.float32)
    return (half, "f4") if np.array_equal(half, values) else (values, "f8")


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


def read_sample(sample: bytes) -> Mapping[str, Any]:
    """Return the block in the field ``sample`` of a block."""
    batch = pa.ipc.read_record_batch(pa.py_buffer(sample), PACKED)
    row: Mapping[str, Any] = batch.to_pylist()[0]
    return row


def part_of(X: Any, y: Floats, s: Floats | None, place: int) -> pa.RecordBatch:
    """Return some rows of the block at a place, as a block."""
    filled = int(np.count_nonzero(X.data if sp.issparse(X) else X))
    row: dict[str, Any] = dict.fromkeys(PACKED.names)
    row |= {"place": place, "n_rows": len(y)} | block_of(X, y, s, filled)
    return pa.RecordBatch.from_pylist([row], schema=PACKED)


def rows_of(batches: Batches) -> Iterator[Mapping[str, Any]]:
    """Return the blocks in record batches, one by one."""
    for batch in batches:
        yield from batch.to_pylist()


def stacked(parts: Sequence[Any]) -> Any:
    """Return blocks one below another: dense if all are, else CSR."""
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.vstack(parts)
    return sp.csr_array(sp.vstack([sp.csr_array(part) for part in parts]))
