"""Sums over packed blocks, and samples of them: what Spark's Python workers do in a pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import PointwiseLoss
from ces_ml.linear.kernels.packed import (
    Batches,
    OnBatches,
    part_of,
    read_sample,
    rows_of,
    unpacked,
)
from ces_ml.linear.kernels.row_blocks import RowBlocks

__all__ = ["SUMS", "Point", "adding", "sampling", "summing", "thinning"]

Floats = NDArray[np.float64]

SUMS = pa.schema([("place", pa.int64()), ("batch", pa.int64()), ("sums", pa.binary())])
"""Sums over blocks, the first of them at `place`; those of one `batch` are added up together."""


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
        for row in rows_of(batches):
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
    for row in rows_of(batches):
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
        for row in rows_of(batches):
            X, y, s = unpacked(row, p)
            kept = slice(-starts[row["place"]] % step, None, step)
            yield part_of(X[kept], y[kept], None if s is None else s[kept], row["place"])

    return sample


def thinning(step: int, p: int) -> OnBatches:
    """Return the function that keeps every `step`-th row of the samples of all blocks.

    Parameters
    ----------
    step, p : int
        As in `sampling`.
    """

    def thin(batches: Batches) -> Batches:
        for row in rows_of(batches):
            X, y, s = unpacked(read_sample(row["sample"]), p)
            taken = slice(None, None, step)
            yield part_of(X[taken], y[taken], None if s is None else s[taken], row["place"])

    return thin
