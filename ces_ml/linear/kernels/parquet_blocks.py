"""The block sum over Parquet files that are larger than memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.linear.kernels.contract import Evaluation, Moments, PointwiseLoss, Slope
from ces_ml.linear.kernels.row_blocks import COMPILED_FROM, RowBlocks

__all__ = ["ParquetBlocks"]

Floats = NDArray[np.float64]

BLOCK = 2**21
"""Numbers in one block: 16 MB in float64."""

SAMPLE = 2**25
"""Numbers that a sample holds at most: 256 MB in float64."""


class ParquetBlocks:
    """A `ces_ml.linear.kernels.BlockObjective` over a Parquet file, or a folder of them.

    Making it reads all rows once, to check them; each sum reads them again. Only one block of rows
    is in memory at a time, so row groups should not be much larger than a block either.

    Parameters
    ----------
    path : path-like
        A file, or a folder whose Parquet files are read in the order of their names. Values that
        stand in the names of folders are not read.
    target : str
        The column of outcomes: two different values.
    features : sequence of str, optional
        The columns of counts, numbers without nulls; by default all others.
    weight : str, optional
        The column of row weights, not negative.
    loss : PointwiseLoss
        The loss of one row.

    Attributes
    ----------
    features : tuple of str
        The columns of counts.
    n_rows : int
        Number of rows.
    classes : ndarray of shape (2,)
        The two outcomes, sorted; the second counts as 1.
    low, high : ndarray of shape (n_features,)
        Least and largest value of each column.

    Raises
    ------
    SpecError
        If a column is missing, not numeric or has nulls or values that are not finite, there are
        no rows, or the outcomes are not two different values.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        target: str,
        features: Sequence[str] | None = None,
        weight: str | None = None,
        loss: PointwiseLoss,
    ) -> None:
        self._path, self._loss = Path(path), loss
        self._files, schema = _open(self._path)
        self._target, self._weight = target, weight
        others = {target, weight}
        self.features = tuple(n for n in schema.names if n not in others)
        if features is not None:
            self.features = tuple(features)
        self._check_columns(schema)
        self._rows = max(256, BLOCK // max(1, len(self.features)))
        self._shift = np.zeros(len(self.features))
        self.low, self.high = np.full((2, len(self.features)), np.inf) * [[1.0], [-1.0]]
        self.n_rows, self._total = 0, 0.0
        self._counts: dict[Any, int] = {}
        for batch in self._batches():
            self._take_note(batch)
        self.classes = self._two_outcomes()

    @property
    def n_features(self) -> int:
        """Number of weights."""
        return len(self.features)

    def subtract(self, shift: Floats) -> None:
        """Take `shift` off every row from now on; see `ces_ml.linear.kernels.RowBlocks`."""
        self._shift = shift

    def value(self, w: Floats, c: float) -> float:
        """Return the mean loss."""
        return float(sum(block.value(w, c) for block in self._blocks()))

    def slope(self, w: Floats, c: float) -> Slope:
        """Return mean loss and gradient in one pass."""
        value, gradient = 0.0, np.zeros(self.n_features + 1)
        for block in self._blocks():
            found = block.slope(w, c)
            value += found.value
            gradient += found.gradient
        return Slope(value, gradient)

    def evaluate(self, w: Floats, c: float) -> Evaluation:
        """Return mean loss, gradient and Hessian in one pass."""
        p = self.n_features
        value, gradient, hessian = 0.0, np.zeros(p + 1), np.zeros((p + 1, p + 1))
        for block in self._blocks():
            found = block.evaluate(w, c)
            value += found.value
            gradient += found.gradient
            hessian += found.hessian
        return Evaluation(value, gradient, hessian)

    def moments(self) -> Moments:
        """Return the weighted mean of each column, less its shift, and of its square."""
        mean, square = np.zeros(self.n_features), np.zeros(self.n_features)
        for block in self._blocks():
            found = block.moments()
            mean += found.mean
            square += found.square
        return Moments(mean, square)

    def every(self, step: int) -> RowBlocks:
        """Return the sum over every `step`-th row in memory, or over fewer if they are many."""
        step *= -(-self.n_rows * max(1, self.n_features) // (step * SAMPLE))
        rows = -(-self.n_rows // step)
        X, y = np.empty((rows, self.n_features)), np.empty(rows, np.int8)
        s = None if self._weight is None else np.empty(rows)
        start = filled = 0
        for batch in self._batches():
            kept = slice(-start % step, None, step)
            block, outcomes, weights = self._arrays(batch)
            to = slice(filled, filled + len(outcomes[kept]))
            X[to], y[to] = block[kept], outcomes[kept]
            if s is not None and weights is not None:
                s[to] = weights[kept]
            start, filled = start + batch.num_rows, to.stop
        return RowBlocks(X, y, s, self._loss, shift=self._shift)

    def rarer_outcome(self) -> int:
        """Return the number of rows of positive weight with the rarer outcome."""
        return int(min(self._counts.values()))

    def _blocks(self) -> Iterator[RowBlocks]:
        compiled = self.n_rows * self.n_features >= COMPILED_FROM
        for batch in self._batches():
            X, y, s = self._arrays(batch)
            yield RowBlocks(
                X, y, s, self._loss, shift=self._shift, total=self._total, compiled=compiled
            )

    def _batches(self) -> Iterator[Any]:
        columns = [*self.features, self._target, *([self._weight] if self._weight else [])]
        for file in self._files:
            with pq.ParquetFile(file, memory_map=True, pre_buffer=False) as parquet:
                for batch in parquet.iter_batches(self._rows, columns=columns):
                    if batch.num_rows:
                        yield batch

    def _arrays(self, batch: Any) -> tuple[Floats, NDArray[np.int8], Floats | None]:
        X = np.empty((batch.num_rows, self.n_features))
        for j, name in enumerate(self.features):
            X[:, j] = _numbers(batch.column(name))
        is_one = pc.equal(batch.column(self._target), pa.scalar(self._one, self._type))
        y = is_one.to_numpy(zero_copy_only=False).astype(np.int8)
        return X, y, None if self._weight is None else _numbers(batch.column(self._weight))

    def _take_note(self, batch: Any) -> None:
        """Check the rows of a batch, and count them."""
        for name in batch.schema.names:
            if batch.column(name).null_count:
                raise SpecError(
                    f"column {show(name)} of {show(str(self._path))} has empty values",
                    got=f"{batch.column(name).null_count} nulls in rows {self.n_rows} to "
                    f"{self.n_rows + batch.num_rows}",
                    allowed="columns without nulls; an event that did not happen is the count 0",
                    hint="fill the nulls when the file is written, or leave the column out",
                )
        for j, name in enumerate(self.features):
            values = _numbers(batch.column(name))
            self._check_finite(values, name)
            self.low[j] = min(self.low[j], values.min())
            self.high[j] = max(self.high[j], values.max())
        s = np.ones(batch.num_rows)
        if self._weight is not None:
            s = _numbers(batch.column(self._weight))
            self._check_finite(s, self._weight)
            if s.min() < 0.0:
                raise SpecError(
                    f"a weight in column {show(self._weight)} is negative",
                    got=show(float(s.min())),
                    allowed="weights that are not negative",
                    hint="correct the weights when the file is written",
                )
        self._total += float(s.sum())
        counts = pc.value_counts(batch.column(self._target).filter(pa.array(s > 0.0)))
        for pair in counts.to_pylist():
            self._counts[pair["values"]] = self._counts.get(pair["values"], 0) + pair["counts"]
        self.n_rows += batch.num_rows

    def _check_finite(self, values: Floats, name: str) -> None:
        if not np.isfinite(values).all():
            raise SpecError(
                f"column {show(name)} of {show(str(self._path))} holds a value that is not finite",
                got=show(float(values[~np.isfinite(values)][0])),
                allowed="finite numbers",
                hint="correct the values when the file is written, or leave the column out",
            )

    def _check_columns(self, schema: Any) -> None:
        wanted = [self._target, *([self._weight] if self._weight else []), *self.features]
        for name in wanted:
            if name not in schema.names:
                raise SpecError(
                    f"{show(str(self._path))} has no such column",
                    got=show(name),
                    allowed=did_you_mean(str(name), schema.names),
                    hint="name columns as the file does",
                )
        if len(set(wanted)) < len(wanted):
            raise SpecError(
                "a column is used twice",
                got=show(next(n for n in wanted if wanted.count(n) > 1)),
                allowed="target, weight and features that are all different",
                hint="leave the target and the weight out of the features",
            )
        if not self.features:
            raise SpecError(
                f"{show(str(self._path))} has no column of counts",
                got=show(tuple(schema.names)),
                allowed="at least one feature beside target and weight",
                hint="name the features, or write the counts to the file",
            )
        for name in wanted[1:]:
            kind = schema.field(name).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or kind == pa.bool_()):
                raise SpecError(
                    f"column {show(name)} of {show(str(self._path))} is not numeric",
                    got=f"type {kind}",
                    allowed="integers, floating-point numbers and booleans",
                    hint="name the features without it, or cast it when the file is written",
                )
        self._type = schema.field(self._target).type

    def _two_outcomes(self) -> NDArray[Any]:
        if not self.n_rows:
            raise SpecError(
                f"{show(str(self._path))} has no rows",
                got=f"{len(self._files)} files without rows",
                allowed="a Parquet file of counts with at least one row of each outcome",
                hint="check the path, and what wrote the file",
            )
        found = sorted(self._counts)
        if len(found) != 2:
            raise SpecError(
                f"the outcomes in column {show(self._target)} are not two different values",
                got=f"{len(found)} in rows of positive weight: {show(found)}",
                allowed="exactly two different outcomes",
                hint="give the column that says who stayed and who left",
            )
        self._one = found[1]
        return np.array(found)


def _open(path: Path) -> tuple[list[str], Any]:
    """Return the files, sorted by name, and their common schema."""
    try:
        dataset = ds.dataset(path, format="parquet")
        files = sorted(dataset.files)
        schema = dataset.schema
    except (OSError, pa.ArrowInvalid) as error:
        raise SpecError(
            "no Parquet file can be read here",
            got=f"{show(str(path))}: {show(str(error))}",
            allowed="a Parquet file, or a folder of Parquet files with the same columns",
            hint="check the path",
        ) from error
    if not files:
        raise SpecError(
            "the folder holds no Parquet file",
            got=show(str(path)),
            allowed="a Parquet file, or a folder of Parquet files with the same columns",
            hint="check the path",
        )
    return files, schema


def _numbers(column: Any) -> Floats:
    numbers: Floats = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return numbers
