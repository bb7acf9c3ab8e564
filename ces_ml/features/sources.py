"""Opening an event log in DuckDB: files, frames, tables and relations."""

from __future__ import annotations

import glob
import gzip
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ces_ml.errors import EventLogError, show
from ces_ml.events import EventSchema
from ces_ml.features.columns import mixed_zones, unparseable
from ces_ml.sql.quoting import literal

if TYPE_CHECKING:
    import duckdb

__all__ = ["open_source"]

_PARQUET = "read_parquet({paths}, union_by_name=true)"
#: CSV is read as text, so that ids such as 007 stay what they are; its times are parsed later
#: (`ces_ml.features.columns`). Quotes are those of RFC 4180: guessed from the first rows they can
#: be wrong about the rest.
_CSV = (
    "read_csv({paths}, header=true, all_varchar=true, union_by_name=true, "
    "quote='\"', escape='\"'{delimiter})"
)
#: How a file is read, by its ending.
READERS = {".parquet": _PARQUET, ".pq": _PARQUET, ".csv": _CSV, ".csv.gz": _CSV, ".tsv": _CSV}
_TABLES = "a path, a glob, a pandas or polars DataFrame, a pyarrow Table or a DuckDB relation"


def open_source(con: duckdb.DuckDBPyConnection, events: Any, schema: EventSchema) -> None:
    """Make the relation ``source`` from a path, glob, frame, table or relation.

    Raises
    ------
    EventLogError
        If there is no such file, it can't be read, or the object is no table.
    """
    if isinstance(events, str | os.PathLike):
        _open_path(con, os.fspath(events))
        return
    kind = type(events).__module__.partition(".")[0]
    if kind in ("duckdb", "_duckdb"):
        if not hasattr(events, "columns"):
            raise _no_table(events)
        # A relation belongs to its own connection: stream it into ours.
        reader = events.to_arrow_reader()
        con.register("source_reader", reader)
        con.execute("CREATE TEMP TABLE source AS SELECT * FROM source_reader")
        con.unregister("source_reader")
        return
    con.register("source", _arrow_table(events, kind, schema))


def _open_path(con: duckdb.DuckDBPyConnection, path: str) -> None:
    import duckdb

    if "://" in path:
        raise EventLogError(
            "the event log is not on this machine",
            got=show(path),
            allowed="a path, a glob or a folder of this machine",
            hint="download it, or open it with pyarrow.dataset.dataset and pass that",
        )
    pattern = path
    if os.path.isdir(path):
        pattern = os.path.join(glob.escape(path), "**", "*.parquet")
    elif os.path.exists(path):
        # A file whose name holds * or [ is that file, not a pattern for others.
        pattern = glob.escape(path)
    ending = next(
        (e for e in sorted(READERS, key=len, reverse=True) if pattern.lower().endswith(e)), None
    )
    if ending is None:
        raise EventLogError(
            "the kind of event log can't be told from its name",
            got=show(path),
            allowed=", ".join(READERS) + ", or a folder of Parquet files",
            hint="rename or convert the file",
        )
    text = READERS[ending] is _CSV
    delimiter = ("\t" if ending == ".tsv" else _delimiter(pattern)) if text else ""
    reader = READERS[ending].format(
        paths=literal(pattern), delimiter=f", delim={literal(delimiter)}" if delimiter else ""
    )
    how = "TEMP TABLE" if text else "TEMP VIEW"
    try:
        con.execute(f"CREATE {how} source AS SELECT * FROM {reader}")
    except duckdb.Error as error:
        missing = "No files found" in str(error) or not Path(path).parent.exists()
        got, hint = show(path), "check the path"
        if missing and os.path.isdir(path):
            got, hint = f"{got}, a folder without Parquet files", "name the files themselves"
        elif not missing:
            got, hint = f"{got}: {_first_line(error)}", "check the file"
        raise EventLogError(
            "no file matches the event log's path" if missing else "the event log can't be read",
            got=got,
            allowed="a readable " + ", ".join(READERS) + " file, glob or folder",
            hint=hint,
        ) from error


def _delimiter(pattern: str) -> str:
    """Return what separates the columns of a CSV file's first line; nothing if it is not clear."""
    names = sorted(glob.glob(pattern, recursive=True))
    if not names:
        return ""
    opener = gzip.open if names[0].lower().endswith(".gz") else open
    try:
        with opener(names[0], "rt", encoding="utf-8-sig", errors="replace") as file:
            header = str(file.readline(100_000))
    except (OSError, EOFError, zlib.error):
        return ""  # DuckDB says it better
    found = max(",;\t|", key=header.count)
    return found if found in header else ""


def _arrow_table(events: Any, kind: str, schema: EventSchema) -> Any:
    """Bring a frame of pandas, polars or pyarrow to an Arrow table, strictly."""
    import pandas as pd

    if isinstance(events, pd.DataFrame):
        return _from_pandas(events, schema)
    if kind == "pyarrow":
        return _from_arrow(events)
    if kind != "polars" or not hasattr(events, "lazy"):
        raise _no_table(events)
    try:
        return events.lazy().collect().to_arrow()
    except Exception as error:  # polars raises its own kinds and Rust panics' children
        raise EventLogError(
            "the polars frame can't be read",
            got=_first_line(error),
            allowed="columns that Arrow can hold",
            hint="collect the frame, or leave out the column",
        ) from error


def _from_arrow(events: Any) -> Any:
    import pyarrow as pa

    if isinstance(events, pa.RecordBatchReader):
        return events.read_all()  # the log is read more than once, a reader only once
    if isinstance(events, pa.RecordBatch):
        return pa.Table.from_batches([events])
    if isinstance(events, pa.Table) or hasattr(events, "scanner"):
        return events
    raise _no_table(events)


def _from_pandas(events: Any, schema: EventSchema) -> Any:
    import pyarrow as pa

    names = [str(name) for name in events.columns]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise EventLogError(
            "the event log has two columns of the same name",
            got=", ".join(show(n) for n in repeated),
            allowed="column names that differ",
            hint="rename or drop one of them",
        )
    roles = {schema.customer_col, schema.event_col, schema.timestamp_col, schema.arrival_col}
    columns = {}
    for name, (_, column) in zip(names, events.items(), strict=True):
        if name in (schema.timestamp_col, schema.arrival_col) and column.dtype == object:
            column = _times_of_objects(column, name)
        try:
            columns[name] = pa.Array.from_pandas(column)
        except (pa.ArrowException, TypeError, OverflowError) as error:
            if name not in roles:  # no reason to refuse the log for a column that nothing needs
                columns[name] = pa.array([None if _absent(v) else str(v) for v in column])
                continue
            raise EventLogError(
                f"column {show(name)} mixes types",
                got=_first_line(error),
                allowed="one type a column",
                hint="convert the column, for example with .astype(str)",
            ) from error
    return pa.table(columns)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _times_of_objects(column: Any, name: str) -> Any:
    """Turn a column of Python datetimes into one of UTC times; leave text alone."""
    import datetime as dt

    import pandas as pd

    present = column.dropna()
    if present.map(lambda v: isinstance(v, str)).all():
        return column
    strange = present[~present.map(lambda v: isinstance(v, dt.date))]  # a datetime is a date, too
    if len(strange):
        kind = type(strange.iloc[0]).__name__
        raise EventLogError(
            f"column {show(name)} does not hold times",
            got=f"{len(strange):,} rows of another type, for example "
            f"{show(strange.iloc[0])} ({kind})",
            allowed="timestamps, dates, or text in ISO 8601, one kind in a column",
            hint="convert the column to timestamps first",
        )
    zoned = present.map(lambda v: getattr(v, "tzinfo", None) is not None)
    if zoned.any() and not zoned.all():
        raise mixed_zones(name, int(zoned.sum()), int((~zoned).sum()))
    try:
        return pd.to_datetime(column, utc=True) if zoned.any() else pd.to_datetime(column)
    except (ValueError, TypeError) as error:
        raise unparseable(name, len(present), _first_line(error)) from error


def _no_table(events: Any) -> EventLogError:
    return EventLogError(
        "not an event log",
        got=f"a {type(events).__module__}.{type(events).__qualname__}",
        allowed=_TABLES,
        hint="turn it into one of these",
    )


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
