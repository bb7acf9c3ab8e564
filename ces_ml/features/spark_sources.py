"""Opening an event log in Spark: tables, files, Spark DataFrames, and frames of this process."""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ces_ml.errors import EventLogError, SpecError, show
from ces_ml.events import EventSchema
from ces_ml.features.adbc import AdbcSource
from ces_ml.features.log_files import ENDINGS
from ces_ml.features.sources import arrow_table
from ces_ml.features.spark_types import for_spark

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["SparkLog", "from_arrow", "open_log"]

_NANOS = re.compile(r"TIMESTAMP\(NANOS,\s*(true|false)\)")
_AS_LONG = "spark.sql.legacy.parquet.nanosAsLong"
_ALLOWED = (
    "a path, a table of Spark's catalog, a Spark, pandas or polars DataFrame, or a pyarrow Table"
)


@dataclass(frozen=True)
class SparkLog:
    """A log as it is stored.

    Parameters
    ----------
    frame : DataFrame
        With columns ``c0, c1, …``.
    names : tuple of str
        What the columns are called in the log.
    shared : str, optional
        The global view through which another session's frame is read.
    nanoseconds : {"naive", "zoned"}, optional
        Parquet files hold times in nanoseconds, which Spark reads as BIGINT.
    """

    frame: DataFrame
    names: tuple[str, ...]
    shared: str | None = None
    nanoseconds: str | None = None


def open_log(
    user: SparkSession,
    own: SparkSession,
    events: Any,
    schema: EventSchema,
    *,
    table: str | None = None,
    form: str | None = None,
) -> SparkLog:
    """Open a log in our own session.

    Parameters
    ----------
    user, own : SparkSession
        The user's session, which knows tables and views by name, and ours.
    events : path, frame or table, optional
        None where `table` names one.
    schema : EventSchema
    table : str, optional
        A table or view of Spark's catalog.
    form : str, optional
        A format of Spark, such as ``delta`` or ``iceberg``, of what lies at a path.

    Raises
    ------
    EventLogError
        If there is no such log, or it can't be read.
    SpecError
        If two logs are named, or the format is not there.
    """
    is_path = isinstance(events, str | os.PathLike)
    if (events is None) == (table is None) or (form is not None and not is_path):
        raise SpecError(
            "the event log is not named once",
            got=f"table={show(table)}, format={show(form)}, events of type {type(events).__name__}",
            allowed="a path, perhaps with its format; or a table; or a frame",
            hint="leave out what is not meant",
        )
    if table is not None:
        return _shared(user, own, _table(user, table))
    if is_path:
        return _of_path(own, os.fspath(events), form)
    kind = type(events).__module__
    if kind.startswith("pyspark."):
        return _shared(user, own, events)
    if isinstance(events, AdbcSource) or kind.partition(".")[0] in ("duckdb", "_duckdb"):
        raise EventLogError(
            "the event log can't be brought to Spark",
            got=f"a {kind}.{type(events).__qualname__}",
            allowed=_ALLOWED,
            hint="read it with spark.read.jdbc and pass the DataFrame, or use engine: duckdb",
        )
    arrow = arrow_table(events, schema)
    if hasattr(arrow, "scanner") and hasattr(arrow, "files"):  # a dataset, not a table
        arrow = arrow.to_table()
    return SparkLog(from_arrow(own, arrow), tuple(map(str, arrow.schema.names)))


def from_arrow(own: SparkSession, arrow: Any) -> DataFrame:
    """Return an Arrow table as a frame with columns ``c0, c1, …``; naive times stay naive."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_type
    from pyspark.sql.types import StructField, StructType, TimestampNTZType

    table = for_spark(arrow)
    fields = [
        StructField(
            f.name,
            TimestampNTZType()
            if pa.types.is_timestamp(f.type) and f.type.tz is None
            else from_arrow_type(f.type),
        )
        for f in table.schema
    ]
    return own.createDataFrame(table, StructType(fields))


def _shared(user: SparkSession, own: SparkSession, frame: Any) -> SparkLog:
    """Read a frame of another session in ours, through a view that all sessions see."""
    if not hasattr(frame, "createGlobalTempView") or ".connect." in type(frame).__module__:
        raise EventLogError(
            "not an event log",
            got=f"a {type(frame).__module__}.{type(frame).__qualname__}",
            allowed=_ALLOWED,
            hint="pass a DataFrame of a classic session: Spark Connect is not supported",
        )
    name = f"ces_ml_{uuid.uuid4().hex}"
    names = tuple(frame.columns)
    frame.toDF(*(f"c{k}" for k in range(len(names)))).createGlobalTempView(name)
    place = user.conf.get("spark.sql.globalTempDatabase", "global_temp")
    return SparkLog(own.table(f"{place}.{name}"), names, shared=name)


def _table(user: SparkSession, name: str) -> DataFrame:
    from pyspark.errors import AnalysisException, ParseException

    try:
        return user.table(name)
    except (AnalysisException, ParseException) as error:
        raise EventLogError(
            "Spark has no such table",
            got=f"{show(name)}: {str(error).splitlines()[0][:200]}",
            allowed="a table or view, for example `shop.events`, that spark.table(…) opens",
            hint="correct the table, or name a path",
        ) from error


def _of_path(own: SparkSession, path: str, form: str | None) -> SparkLog:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    kind = form or _kind(path)
    place = re.sub(r"([\[\]{}*?\\])", r"\\\1", path) if os.path.exists(path) else path
    try:
        frame, nanos = _read(own, kind, place)
    except (PySparkException, Py4JError) as error:
        raise _unreadable(path, kind, str(error)) from error
    names = tuple(frame.columns)
    return SparkLog(frame.toDF(*(f"c{k}" for k in range(len(names)))), names, nanoseconds=nanos)


def _kind(path: str) -> str:
    ending = next(
        (e for e in sorted(ENDINGS, key=len, reverse=True) if path.lower().endswith(e)), None
    )
    if ending is not None:
        return ENDINGS[ending]
    if os.path.splitext(path.rstrip("/"))[1] in (".duckdb", ".db", ".ddb"):
        raise EventLogError(
            "Spark can't read a DuckDB database",
            got=show(path),
            allowed=", ".join(ENDINGS) + ", or a folder of Parquet files",
            hint="use engine: duckdb, or write the table to Parquet",
        )
    return "parquet"  # a folder


def _read(own: SparkSession, kind: str, place: str) -> tuple[DataFrame, str | None]:
    from pyspark.errors import PySparkException

    reader = own.read
    if kind in ("csv", "tsv"):
        options = {"header": True, "multiLine": True, "escape": '"', "mode": "FAILFAST"}
        return reader.options(**options, sep="\t" if kind == "tsv" else ",").csv(place), None
    if kind in ("json", "jsonl"):
        return reader.options(primitivesAsString=True, mode="FAILFAST").json(place), None
    if kind != "parquet":
        return reader.format(kind).load(place), None
    before = own.conf.get(_AS_LONG)
    own.conf.set(_AS_LONG, "false")
    try:
        frame = reader.option("mergeSchema", True).parquet(place)
    except PySparkException as error:
        found = _NANOS.search(str(error))
        if found is None:
            raise
        # Spark refuses such times, but reads the numbers that they are.
        own.conf.set(_AS_LONG, "true")
        frame = own.read.option("mergeSchema", True).parquet(place)
        return frame, "zoned" if found[1] == "true" else "naive"
    own.conf.set(_AS_LONG, before)  # a table that was opened before may be read later
    return frame, None


def _unreadable(path: str, kind: str, text: str) -> EventLogError | SpecError:
    line = next((t for t in text.splitlines() if "[" in t), text.splitlines()[0])
    if "DATA_SOURCE_NOT_FOUND" in text:
        return SpecError(
            f"this Spark can't read the format {show(kind)}",
            got=line[line.find("[") :][:200],
            allowed="a format whose package is on Spark's classpath: parquet, orc, csv, json …",
            hint="add the package, for example with spark-submit --packages, or correct `format`",
        )
    if "PATH_NOT_FOUND" in text or "Path does not exist" in text:
        return EventLogError(
            "no file matches the event log's path",
            got=show(path),
            allowed="a path that Spark reads: of this machine, or s3a://, hdfs://, abfss:// …",
            hint="check the path",
        )
    hint = "check the file, or name its `format`"
    if "UNABLE_TO_INFER_SCHEMA" in text:
        hint = "rename files that begin with _ or a dot, which Spark never reads; or check the path"
    return EventLogError(
        "the event log can't be read",
        got=f"{show(path)}: {line[line.find('[') :] if '[' in line else line}"[:400],
        allowed="files that Spark reads as " + kind,
        hint=hint,
    )
