"""The block sum over a Spark DataFrame: partial sums where the rows are, p × p numbers here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ces_ml.errors import MissingDependencyError, SpecError, did_you_mean, show
from ces_ml.linear.kernels.contract import (
    SAMPLE_STEP,
    Evaluation,
    Moments,
    PointwiseLoss,
    Slope,
)
from ces_ml.linear.kernels.packed import (
    PACKED,
    OnBatches,
    read_sample,
    stacked,
    unpacked,
)
from ces_ml.linear.kernels.packed_sums import SUMS, Point, adding, sampling, summing, thinning
from ces_ml.linear.kernels.packing import Layout, packing
from ces_ml.linear.kernels.row_blocks import RowBlocks
from ces_ml.sql.quoting import identifier

__all__ = ["SparkBlocks", "collected", "spark_column"]

Floats = NDArray[np.float64]

SAMPLE = 2**25
"""Numbers that a sample holds at most, on the driver: 256 MB in float64."""
FAN = 64
"""Partial sums that are added up in one place; more are added up on the executors first."""
_NUMERIC = {"boolean", "tinyint", "smallint", "int", "bigint", "float", "double"}
_ARRAYS = {"array<int>", "array<bigint>", "array<float>", "array<double>"}
_SQL_TYPES = {"int64": "BIGINT", "int32": "INT", "binary": "BINARY", "string": "STRING"}


class SparkBlocks:
    """A `ces_ml.linear.solver.SampledObjective` over the rows of a Spark DataFrame.

    Making it packs the rows into blocks of bytes, which Spark keeps in memory or on disk, and
    checks them: one pass over the DataFrame. Each sum is a pass over the blocks with the compiled
    pass in the executors' Python, which returns one record a partition. The records are added in
    the order of the partitions, so a result does not depend on which executor was first, or was
    lost and did its part again.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        One row a customer and moment. Its rows must be the same each time it is computed.
    target : str
        The column of outcomes: boolean or numeric, two different values.
    features : sequence of str, optional
        The columns of counts, numbers without nulls; by default all others.
    weight : str, optional
        The column of row weights, not negative.
    sparse : (str, str), optional
        Two columns of arrays, in place of a column a feature: the positions of the features that
        are not 0, rising, and what they are.
    float32 : bool, default=False
        Whether counts are rounded to float32; sums are in float64 in any case.
    prepare : callable, optional
        With `sparse`: makes what is fitted (cap, transform) of a CSR array of counts. It is sent
        to the executors.
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
    filled : ndarray of shape (n_features,)
        Rows in which each column is not zero.
    layout : Layout
        The columns.
    total : float
        Sum of the weights.
    one : float
        The outcome that counts as 1.
    outcomes : dict of float to int
        Rows of positive weight with each outcome.

    Raises
    ------
    SpecError
        If a column is missing, not numeric or has nulls or values that are not finite, there are
        no rows, or the outcomes are not two different values.
    MissingDependencyError
        If the executors do not have ces-ml.
    """

    def __init__(
        self,
        frame: Any,
        *,
        target: str,
        features: Sequence[str] | None = None,
        weight: str | None = None,
        sparse: tuple[str, str] | None = None,
        float32: bool = False,
        prepare: Callable[[Any], Any] | None = None,
        loss: PointwiseLoss,
    ) -> None:
        self._loss = loss
        types = dict(frame.dtypes)
        others = [name for name in frame.columns if name not in (target, weight)]
        self.features = tuple(others if features is None else features)
        self.layout = Layout(self.features, target, weight, sparse, float32, prepare)
        _check_columns(self.layout, types)
        self.one, self._shift = 1.0, np.zeros(len(self.features))
        self._packed = _packed_rows(frame, self.layout)
        try:
            self._take_notes(types[target])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let Spark forget the blocks."""
        self._packed.unpersist()

    @property
    def n_features(self) -> int:
        """Number of weights."""
        return len(self.features)

    @property
    def shift(self) -> Floats:
        """What is taken off every row, of shape (n_features,)."""
        return self._shift

    def subtract(self, shift: Floats) -> None:
        """Take `shift` off every row from now on; see `ces_ml.linear.kernels.RowBlocks`."""
        self._shift = shift

    def value(self, w: Floats, c: float) -> float:
        """Return the mean loss."""
        return float(self._sum("value", w, c)[0])

    def slope(self, w: Floats, c: float) -> Slope:
        """Return mean loss and gradient in one pass."""
        found = self._sum("slope", w, c)
        return Slope(float(found[0]), found[1:])

    def evaluate(self, w: Floats, c: float) -> Evaluation:
        """Return mean loss, gradient and Hessian in one pass."""
        found, q = self._sum("evaluate", w, c), self.n_features + 1
        return Evaluation(float(found[0]), found[1 : q + 1], found[q + 1 :].reshape(q, q))

    def moments(self) -> Moments:
        """Return the weighted mean of each column, less its shift, and of its square."""
        if not self._shift.any():
            return Moments(*self._moments)
        found = self._sum("moments", np.zeros(self.n_features), 0.0)
        return Moments(*np.split(found, 2))

    def every(self, step: int) -> RowBlocks:
        """Return the sum over every `step`-th row in memory, or over fewer if they are many."""
        p = self.n_features
        step *= -(-self.n_rows * max(1, p) // (step * SAMPLE))
        parts = [unpacked(row, p) for row in self._every(step)]
        X = stacked([part[0] for part in parts])
        if self._shift.any() and not isinstance(X, np.ndarray):
            X = X.toarray()
        y = (np.concatenate([part[1] for part in parts]) == self.one).astype(np.int8)
        s = None
        if self.layout.weight is not None:
            s = np.concatenate([part[2] for part in parts])
        return RowBlocks(X, y, s, self._loss, shift=self._shift)

    def _every(self, step: int) -> list[Any]:
        """Return about every `step`-th row in packed form; of each block, where it keeps some."""
        if step == SAMPLE_STEP:  # in the blocks already: no Python is needed to read it
            rows = collected(self._packed.select("place", "sample"))
            rows.sort(key=lambda row: int(row["place"]))
            return [read_sample(row["sample"]) for row in rows]
        if step % SAMPLE_STEP == 0:
            taken = _map(
                self._packed.select("place", "sample"),
                thinning(step // SAMPLE_STEP, self.n_features),
                PACKED,
            )
        else:
            taken = _map(self._packed, sampling(step, self._starts, self.n_features), PACKED)
        return sorted(collected(taken), key=lambda row: int(row["place"]))

    def rarer_outcome(self) -> int:
        """Return the number of rows of positive weight with the rarer outcome."""
        return int(min(self.outcomes.values()))

    def _sum(self, what: str, w: Floats, c: float) -> Floats:
        point = Point(
            np.asarray(w, dtype=np.float64), float(c), self.one, self.total, self._shift, self._loss
        )
        sums = _map(self._packed, summing(what, point), SUMS)
        if self._partitions > FAN:
            from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

            batch = F.floor(F.col("place") / F.lit(float(FAN << 32))).cast("bigint")
            batches = -(-self._partitions // FAN)
            sums = sums.withColumn("batch", batch).repartition(batches, "batch")
            sums = _map(sums.sortWithinPartitions("batch", "place"), adding, SUMS)
        rows = sorted(collected(sums), key=lambda row: int(row["place"]))
        total: Floats = sum(np.frombuffer(row["sums"]) for row in rows)  # type: ignore[assignment]
        return total

    def _take_notes(self, kind: str) -> None:
        """Read what the blocks say of themselves: this makes Spark pack and keep them."""
        rows = collected(self._packed.select("place", "n_rows", "note", "trouble"))
        rows.sort(key=lambda row: int(row["place"]))
        for row in rows:
            if row["trouble"] is not None:
                raise _bad_rows(row["trouble"])
        if not rows:
            raise SpecError(
                "the counts have no rows",
                got="an empty DataFrame",
                allowed="at least one row of each outcome",
                hint="check what was counted",
            )
        notes = np.array([np.frombuffer(row["note"]) for row in rows])
        ends = np.cumsum(notes[:, 0]).astype(int)
        before = [0, *ends[:-1].tolist()]
        self._starts = {int(row["place"]): n for row, n in zip(rows, before, strict=True)}
        self._partitions = len({place >> 32 for place in self._starts})
        self.n_rows, self.total = int(ends[-1]), float(notes[:, 1].sum())
        facts = notes[:, 8:].reshape(len(notes), 5, self.n_features)
        self.low, self.high = facts[:, 0].min(axis=0), facts[:, 1].max(axis=0)
        self.filled = facts[:, 2].sum(axis=0).astype(int)
        self._moments = facts[:, 3:].sum(axis=0) / self.total
        counts: dict[float, int] = {}
        for found, times in zip(notes[:, 2:5].ravel(), notes[:, 5:8].ravel(), strict=True):
            if not np.isnan(found):
                counts[float(found)] = counts.get(float(found), 0) + int(times)
        self.outcomes = counts
        self.classes = self._two_outcomes(kind)

    def _two_outcomes(self, kind: str) -> NDArray[Any]:
        found = sorted(self.outcomes)
        if len(found) != 2:
            raise SpecError(
                f"the outcomes in column {show(self.layout.target)} are not two different values",
                got=f"in rows of positive weight: {show(found[:5])}",
                allowed="exactly two different outcomes",
                hint="give the column that says who stayed and who left",
            )
        self.one = found[1]
        if kind == "boolean":
            return np.array([False, True])
        return np.array(found, dtype=np.float64 if kind in ("float", "double") else np.int64)


def spark_column(name: str) -> Any:
    """Return the column of a DataFrame that is called so, whatever characters it has."""
    from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

    return F.col(identifier(name, "`"))


def _packed_rows(frame: Any, layout: Layout) -> Any:
    from pyspark import StorageLevel

    # By number: `mapInArrow` does not quote the names of columns.
    columns = [spark_column(name).alias(f"c{k}") for k, name in enumerate(layout.columns)]
    packed = _map(frame.select(*columns), packing(layout), PACKED)
    return packed.persist(StorageLevel.MEMORY_AND_DISK)


def _map(frame: Any, work: OnBatches | Callable[..., Any], schema: Any) -> Any:
    fields = ", ".join(f"{field.name} {_SQL_TYPES[str(field.type)]}" for field in schema)
    return frame.mapInArrow(work, fields)


def collected(frame: Any) -> list[Any]:
    """Return the rows of a small DataFrame; what Spark could not do is said in words."""
    from pyspark.errors import PySparkException

    try:
        rows: list[Any] = frame.collect()
    except PySparkException as error:
        text = str(error)
        if "ModuleNotFoundError" in text or "No module named" in text:
            raise MissingDependencyError(
                "the executors can't run the fit",
                got=next(line for line in text.splitlines() if "No module named" in line).strip(),
                allowed="executors whose Python has ces-ml and what it needs",
                hint="set PYSPARK_PYTHON to a Python that has ces-ml, install it there, or send "
                "an environment with --archives",
            ) from error
        raise SpecError(
            "Spark could not go through the rows",
            got=next((line for line in text.splitlines() if line.strip()), "no message")[:300],
            allowed="a DataFrame that can be computed, memory or disk enough on the executors",
            hint="look at the failed stage in Spark's own pages",
        ) from error
    return rows


def _check_columns(layout: Layout, types: dict[str, str]) -> None:
    for name in layout.columns:
        if name not in types:
            raise SpecError(
                "the DataFrame has no such column",
                got=show(name),
                allowed=did_you_mean(name, types),
                hint="name columns as the DataFrame does",
            )
        arrays = layout.sparse is not None and name in layout.sparse
        if types[name] not in (_ARRAYS if arrays else _NUMERIC):
            raise SpecError(
                f"column {show(name)} of the DataFrame is not numeric",
                got=f"type {types[name]}",
                allowed=", ".join(sorted(_ARRAYS if arrays else _NUMERIC)),
                hint="cast it, or name the features without it",
            )
    if len(set(layout.columns)) < len(layout.columns) or not layout.features:
        raise SpecError(
            "the columns of the fit are not right",
            got=show(layout.columns),
            allowed="at least one feature; target, weight and features all different",
            hint="leave the target and the weight out of the features",
        )


def _bad_rows(trouble: str) -> SpecError:
    """Return the error for what a block says is wrong with it."""
    kind, name, value = trouble.split("\0")
    problem, got, allowed = {
        "null": ("has empty values", f"{value} nulls in one block", "columns without nulls"),
        "not finite": ("holds a value that is not finite", value, "finite numbers"),
        "negative": ("holds a negative weight", value, "weights that are not negative"),
    }[kind]
    return SpecError(
        f"column {show(name)} {problem}",
        got=got,
        allowed=allowed,
        hint="correct the values before the fit, or leave the column out; "
        "an event that did not happen is the count 0",
    )
