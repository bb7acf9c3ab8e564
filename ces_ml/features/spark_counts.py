"""Counts that stay in Spark: a DataFrame with one row a customer and moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp

from ces_ml.errors import SpecError, show
from ces_ml.features.spark_folder import left_between_renames, read_folder, write_folder
from ces_ml.features.spark_start import cause, own_session, started
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountSpec
from ces_ml.spec.model import SpecModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["SparkCounts", "read_spark_counts", "sparse_rows"]

#: Spark, and what reads its folders, takes files that begin with _ for no data.
_ABOUT = "_ces_ml_counts.json"


class _About(SpecModel):
    """What a folder of counts holds, as the file beside the data says it."""

    format: Literal["ces-ml counts in Spark"] = "ces-ml counts in Spark"
    version: Literal[1] = 1
    spec: CountSpec
    customer_col: str
    design: bool
    report: dict[str, int]
    not_counted: dict[str, int]


@dataclass(frozen=True)
class SparkCounts:
    """Counts per (customer, as_of) in a Spark DataFrame, in no order.

    Law: collected and put in the order of (as_of, customer as text), the rows are those of the
    `CountTable` that `SparkEngine.table` returns; of its design matrix where `design` is true.

    Parameters
    ----------
    frame : DataFrame
        ``customer_id`` (text or whole number), ``as_of`` (timestamp), with an outcome ``y``
        (tinyint, 1 is the good one) and, where rows do not count alike, ``sample_weight`` (double);
        ``indices`` (array of int, increasing) and ``values`` (array of double): terms by their
        position in ``spec.terms``, and what they are; a term that is not named is 0, one that is
        named may be. `sparse_rows` makes a matrix of both.
    spec : CountSpec
        What was counted.
    customer_col : str
        What the customer is called in the log.
    design : bool
        Whether the values are taken after cap and transform.
    report : mapping of str to int
        What was read, left out and why.
    not_counted : mapping of str to int
        Event types of the log that no term looks at.
    """

    frame: DataFrame
    spec: CountSpec
    customer_col: str = "customer_id"
    design: bool = False
    report: Mapping[str, int] = field(default_factory=dict)
    not_counted: Mapping[str, int] = field(default_factory=dict)

    @property
    def has_outcome(self) -> bool:
        """Whether the rows have ``y``."""
        return "y" in self.frame.columns

    @property
    def has_weight(self) -> bool:
        """Whether the rows have ``sample_weight``."""
        return "sample_weight" in self.frame.columns

    def to_table(self) -> CountTable:
        """Bring the rows to this process.

        Raises
        ------
        SpecError
            If the values are taken after cap and transform, from which counts can't be told.
        """
        if self.design:
            raise SpecError(
                "the frame holds counts after cap and transform",
                got="design=True",
                allowed="plain counts",
                hint="count again without design=True",
            )
        found = self.frame.toArrow()
        us = found["as_of"].cast(pa.int64()).to_numpy()
        customers = found["customer_id"].to_pandas()
        order = np.lexsort((_ranks(customers), us))
        keys = pd.DataFrame(
            {
                self.customer_col: customers.iloc[order].reset_index(drop=True),
                "as_of": pd.DatetimeIndex(us[order].astype("datetime64[us]"), tz="UTC"),
            }
        )
        X = sparse_rows(found, len(self.spec.terms))[order]
        return CountTable(
            keys,
            X,
            self.spec,
            found["y"].to_numpy()[order] if self.has_outcome else None,
            {**self.report, "rows": len(keys)},
            found["sample_weight"].to_numpy()[order] if self.has_weight else None,
            dict(self.not_counted),
        )

    def write(self, path: str) -> None:
        """Write the rows to a folder of Parquet files, on any file system that Spark reaches.

        They are written beside the folder and renamed when all of them are there: a job that is
        killed leaves the old folder as it was, and ``_ces_ml_writing_…`` beside it, which a later
        write removes when nothing in it changed for 7 days. On object stores, where a folder can't
        be renamed at once, write `frame` to a Delta or Iceberg table instead.

        Parameters
        ----------
        path : str
            An earlier folder of counts there is replaced.

        Raises
        ------
        OutputError
            If the path holds something else, or can't be written.
        """
        about = _About(
            spec=self.spec,
            customer_col=self.customer_col,
            design=self.design,
            report=dict(self.report),
            not_counted=dict(self.not_counted),
        )
        body = json.dumps(about.model_dump(mode="json"), ensure_ascii=False)
        write_folder(self.frame, path, _ABOUT, body)

    def of_customers(self, step: int) -> SparkCounts:
        """Return all rows of about one customer in `step`, chosen by a hash of their ids.

        The same ids give the same customers, whatever else the frame holds.
        """
        from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

        if step == 1:
            return self
        chosen = F.pmod(F.xxhash64(F.col("customer_id").cast("string")), F.lit(step)) == 0
        return replace(self, frame=self.frame.where(chosen))


def read_spark_counts(path: str, spark: Any = None) -> SparkCounts:
    """Read a folder that `SparkCounts.write` has written.

    Parameters
    ----------
    path : str
    spark : SparkSession, optional
        The active one, or a new one, when not given.

    Raises
    ------
    SpecError
        If the folder holds no counts.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    own = own_session(started(spark))
    try:
        about = _About.parse(json.loads(_text(own, path)))
        frame = read_folder(own, path)
    except (PySparkException, Py4JError, ValueError) as error:
        got, hint = f"{show(path)}: {cause(error)}", "check the path, or count the log again"
        with suppress(Py4JError):  # of a path that nothing reads, the first error says enough
            left = left_between_renames(own, path, _ABOUT)
            if left is not None:
                got = f"no folder at {show(path)}; a job that was killed left {show(left, 300)}"
                hint = "rename that folder, or count the log again: the next write puts it back"
        raise SpecError(
            "the folder holds no counts that can be read",
            got=got,
            allowed="a folder that SparkCounts.write has written",
            hint=hint,
        ) from error
    return SparkCounts(
        frame, about.spec, about.customer_col, about.design, about.report, about.not_counted
    )


def _text(spark: Any, folder: str) -> str:
    """Return what stands in the file about a folder; readers of data pass it by."""
    jvm = spark.sparkContext._jvm
    file = jvm.org.apache.hadoop.fs.Path(folder, _ABOUT)
    stream = file.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).open(file)
    try:
        return str(jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
    finally:
        stream.close()


def sparse_rows(batch: Any, n_terms: int) -> Any:
    """Return the counts of an Arrow table or record batch of such a frame as csr_array.

    Parameters
    ----------
    batch : pyarrow.Table or pyarrow.RecordBatch
        With ``indices`` and ``values``.
    n_terms : int

    Returns
    -------
    csr_array of float64, of shape (n_rows, n_terms)

    Examples
    --------
    >>> rows = pa.table({"indices": [[0, 2], []], "values": [[1.0, 5.0], []]})
    >>> rows = rows.cast(pa.schema({"indices": pa.list_(pa.int32()),
    ...                             "values": pa.list_(pa.float64())}))
    >>> sparse_rows(rows, 3).toarray().tolist()
    [[1.0, 0.0, 5.0], [0.0, 0.0, 0.0]]
    """
    held, places = batch["values"], batch["indices"]
    if isinstance(held, pa.ChunkedArray):
        held, places = held.combine_chunks(), places.combine_chunks()
    lengths = np.diff(held.offsets.to_numpy())
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    parts = (held.flatten().to_numpy(), places.flatten().to_numpy(), indptr)
    X = sp.csr_array(parts, shape=(len(lengths), n_terms), copy=True)
    X.eliminate_zeros()
    return X


def _ranks(customers: pd.Series) -> Any:
    """Return places of ids in the order of their text, as engines sort text: by its bytes."""
    text = [str(c).encode("utf-8", "surrogatepass") for c in customers]
    return np.argsort(np.argsort(np.array(text, dtype=object), kind="stable"), kind="stable")
