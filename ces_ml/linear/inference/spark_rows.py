"""The rows behind intervals, from Spark: all of them where they are few, else a sample.

What `ces_ml.linear.inference.sampling` decides for rows in memory is decided here where the rows
are; which customers are in the sample depends on their ids alone.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.errors import SpecError
from ces_ml.linear.inference.rows import CustomerRows
from ces_ml.linear.inference.sampling import ENOUGH, MOST_ROWS, SAMPLE
from ces_ml.linear.kernels.packing import matrix
from ces_ml.linear.kernels.spark_blocks import SparkBlocks, spark_column

__all__ = ["sampled_rows"]

_SURE, _WHO = "sure", "who"


def sampled_rows(frame: Any, blocks: SparkBlocks, customer: str | None) -> CustomerRows:
    """Return the rows whose scores are summed, and the sums over all rows.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
    blocks : SparkBlocks
        The same rows, packed.
    customer : str or None
        The column that says whose row it is; without it each row is a customer.

    Raises
    ------
    SpecError
        If a row has no customer, or all rows are of one.
    """
    from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

    layout = blocks.layout
    who = F.monotonically_increasing_id() if customer is None else spark_column(customer)
    rows = frame.select(
        *(spark_column(name).alias(f"c{k}") for k, name in enumerate(layout.columns)),
        who.alias(_WHO),
    )
    if layout.weight:
        rows = rows.filter(F.col(_last(blocks)) > 0)  # a row without weight is no row
    step = 1
    if blocks.n_rows > MOST_ROWS:
        step = blocks.n_rows // SAMPLE | 1 if customer is None else blocks.n_rows // SAMPLE
    table = _chosen(rows, blocks, step, own=customer is None).toArrow()
    return _read(table, blocks, step, customer)


def _chosen(rows: Any, blocks: SparkBlocks, step: int, *, own: bool) -> Any:
    """Return the rows of the sample; ``sure`` says of each whether it would be in any sample."""
    from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

    if step == 1:
        return rows.withColumn(_SURE, F.lit(True))
    few = np.flatnonzero((blocks.filled > 0) & (blocks.filled <= ENOUGH))
    certain = [
        F.col(f"c{j}") != 0 if blocks.layout.sparse is None else F.array_contains("c0", int(j))
        for j in few
    ]
    rarer, times = min(blocks.outcomes.items(), key=lambda pair: pair[1])
    if times <= ENOUGH:
        outcome = F.col(f"c{_target(blocks)}")
        certain.append(outcome.cast("double") == rarer)
    chosen = F.pmod(F.col(_WHO) if own else F.xxhash64(F.col(_WHO)), F.lit(step)) == 0
    if not certain:
        return rows.filter(chosen).withColumn(_SURE, F.lit(False))
    rare = reduce(or_, certain)
    if own:
        return rows.filter(chosen | rare).withColumn(_SURE, rare)
    known = rows.filter(rare).select(_WHO).distinct().withColumn(_SURE, F.lit(True))
    joined = rows.join(F.broadcast(known), _WHO, "left")
    sure = F.coalesce(F.col(_SURE), F.lit(False))
    return joined.withColumn(_SURE, sure).filter(chosen | F.col(_SURE))


def _read(table: Any, blocks: SparkBlocks, step: int, customer: str | None) -> CustomerRows:
    # A join has moved columns: the matrix is read by their places.
    X = matrix(table.select([f"c{k}" for k in range(len(blocks.layout.columns))]), blocks.layout)
    shift = blocks.shift
    if shift.any():
        X = X.toarray() if sp.issparse(X) else X
    elif not sp.issparse(X):
        X = sp.csr_array(X)
    outcome = table.column(f"c{_target(blocks)}").to_numpy().astype(np.float64)
    y = (outcome == blocks.one).astype(np.int8)
    share = np.ones(table.num_rows)
    if blocks.layout.weight:
        share = table.column(_last(blocks)).to_numpy().astype(np.float64)
    sure = table.column(_SURE).to_numpy(zero_copy_only=False).astype(bool)
    number: NDArray[np.intp] | None = None
    if customer is None:
        times = np.where(sure, 1.0, float(step))
        count = blocks.n_rows
    else:
        if table.column(_WHO).null_count:
            raise SpecError(
                "a row has no customer",
                got=f"{table.column(_WHO).null_count} rows of the sample",
                allowed="an id for each row",
                hint="drop the rows, or give each of them an id of its own",
            )
        codes, kinds = pd.factorize(table.column(_WHO).to_pandas())
        times = np.ones(len(kinds))
        times[codes] = np.where(sure, 1.0, float(step))
        number = None if len(kinds) == len(codes) else codes.astype(np.intp)
        if number is None:
            times = np.where(sure, 1.0, float(step))
        count = round(float(times.sum()))
    if count < 2 or len(times) < 2:
        raise SpecError(
            "all rows are of one customer",
            got=f"{count} customers",
            allowed="rows of at least two customers",
            hint="how sure weights are is judged by how customers differ: give their ids",
        )
    return CustomerRows(blocks, X, y, share / blocks.total, shift, number, times, count)


def _target(blocks: SparkBlocks) -> int:
    """Return the number of the column of outcomes."""
    return len(blocks.layout.columns) - len(blocks.layout.others)


def _last(blocks: SparkBlocks) -> str:
    return f"c{len(blocks.layout.columns) - 1}"
