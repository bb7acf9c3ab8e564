"""Opening an event log in DuckDB: files, databases, frames, tables and relations."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ces_ml.errors import EventLogError, SpecError, show
from ces_ml.events import EventSchema
from ces_ml.features.adbc import AdbcSource, adbc_reader
from ces_ml.features.columns import mixed_zones, unparseable
from ces_ml.features.database_file import is_database, open_database
from ces_ml.features.log_files import Keep, open_files

if TYPE_CHECKING:
    import duckdb

__all__ = ["arrow_table", "open_source"]

_TABLES = (
    "a path, a glob, a pandas or polars DataFrame, a pyarrow Table, a DuckDB relation or an "
    "AdbcSource"
)


def open_source(
    con: duckdb.DuckDBPyConnection,
    events: Any,
    schema: EventSchema,
    name: str = "raw",
    *,
    table: str | None = None,
    keep: Keep | None = None,
) -> bool:
    """Make the relation `name` from a path, glob, frame, table, relation or query.

    Parameters
    ----------
    con : DuckDBPyConnection
    events : path, glob, frame, table, relation or AdbcSource
    schema : EventSchema
        Columns of frames that hold Python objects are read by their role.
    name : str, default="raw"
    table : str, optional
        Table of a DuckDB database file.
    keep : callable, optional
        Files that it refuses are not opened.

    Returns
    -------
    bool
        Whether all columns are text, as those of CSV and JSON files are.

    Raises
    ------
    EventLogError
        If there is no such file, it can't be read, or the object is no table.
    """
    path = os.fspath(events) if isinstance(events, str | os.PathLike) else None
    if table is not None and (path is None or not is_database(path)):
        raise SpecError(
            "a table is named, but the event log is no database file",
            got=f"table={show(table)}",
            allowed="table with the path of a .duckdb file",
            hint="remove the table, or correct the path",
        )
    if keep is not None and (path is None or is_database(path)):
        raise SpecError(
            "a partition is named, but the event log is no folder of files",
            got="partition_col",
            allowed="partition_col with folders such as date=2024-01-31",
            hint="leave out partition_col",
        )
    if path is not None and is_database(path):
        open_database(con, path, table, name)
        return False
    if path is not None:
        return open_files(con, path, name, keep)
    kind = type(events).__module__.partition(".")[0]
    if isinstance(events, AdbcSource):
        with adbc_reader(events) as reader:
            _copy(con, reader, name)
        return False
    if kind in ("duckdb", "_duckdb"):
        if not hasattr(events, "columns"):
            raise _no_table(events)
        # A relation belongs to its own connection: stream it into ours.
        _copy(con, events.to_arrow_reader(), name)
        return False
    con.register(name, arrow_table(events, schema))
    return False


def _copy(con: duckdb.DuckDBPyConnection, reader: Any, name: str) -> None:
    """Keep a stream, which can be read only once."""
    con.register("reader", reader)
    con.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM reader")
    con.unregister("reader")


def arrow_table(events: Any, schema: EventSchema) -> Any:
    """Bring a frame of pandas, polars or pyarrow to an Arrow table, strictly.

    Raises
    ------
    EventLogError
        If it is no such frame, or can't be read as one.
    """
    import pandas as pd

    kind = type(events).__module__.partition(".")[0]
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
    # Numbers with a unit are made times later.
    dated = [schema.timestamp_col] if schema.timestamp_unit is None else []
    if schema.arrival_col is not None and schema.arrival_unit is None:
        dated.append(schema.arrival_col)
    columns = {}
    for name, (_, column) in zip(names, events.items(), strict=True):
        if name in dated and column.dtype == object:
            column = _times_of_objects(column, name)
        try:
            columns[name] = _arrow_column(column)
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


def _arrow_column(column: Any) -> Any:
    """Return a column of pandas as Arrow; times with a zone as the UTC moments that they are."""
    import pandas as pd
    import pyarrow as pa

    if not isinstance(column.dtype, pd.DatetimeTZDtype):
        return pa.Array.from_pandas(column)
    # pyarrow reads `Series.values`, which will mean another thing in pandas 4.
    naive = pa.Array.from_pandas(column.dt.tz_convert(None))
    return naive.cast(pa.timestamp(naive.type.unit, "UTC"))


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
