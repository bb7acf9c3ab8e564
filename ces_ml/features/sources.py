"""Opening an event log in DuckDB, and bringing it to integer UTC microseconds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ces_ml.errors import EventLogError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.sql.quoting import identifier, literal

if TYPE_CHECKING:
    import duckdb

__all__ = ["open_source", "prelude_sql"]

#: How a file is read, by its ending. CSV is read as text, so that ids such as 007 stay what they
#: are; its times are parsed here.
READERS = {
    ".parquet": "read_parquet({paths}, union_by_name=true)",
    ".pq": "read_parquet({paths}, union_by_name=true)",
    ".csv": "read_csv({paths}, header=true, all_varchar=true, union_by_name=true)",
    ".csv.gz": "read_csv({paths}, header=true, all_varchar=true, union_by_name=true)",
    ".tsv": "read_csv({paths}, header=true, all_varchar=true, union_by_name=true, delim='\\t')",
}
_NEEDS_COPY = (".csv", ".csv.gz", ".tsv")
_ZONE = r"(?i)(Z|UTC|[+-]\d{2}(:?\d{2}){0,2}|[A-Za-z_]+/[A-Za-z_/]+)\s*$"
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
_NUMBERS = (*_WHOLE, *_UNSIGNED, "FLOAT", "DOUBLE")


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
        # A relation belongs to its own connection: stream it into ours.
        reader = events.to_arrow_reader()
        con.register("source_reader", reader)
        con.execute("CREATE TEMP TABLE source AS SELECT * FROM source_reader")
        con.unregister("source_reader")
        return
    con.register("source", _arrow_table(events, kind, schema))


def _open_path(con: duckdb.DuckDBPyConnection, path: str) -> None:
    import duckdb

    if os.path.isdir(path):
        path = os.path.join(path, "**", "*.parquet")
    ending = next((e for e in sorted(READERS, key=len, reverse=True) if path.endswith(e)), None)
    if ending is None:
        raise EventLogError(
            "the kind of event log can't be told from its name",
            got=show(path),
            allowed=", ".join(READERS) + ", or a folder of Parquet files",
            hint="rename or convert the file",
        )
    reader = READERS[ending].format(paths=literal(path))
    how = "TEMP TABLE" if ending in _NEEDS_COPY else "TEMP VIEW"
    try:
        con.execute(f"CREATE {how} source AS SELECT * FROM {reader}")
    except duckdb.Error as error:
        missing = "No files found" in str(error) or not Path(path).parent.exists()
        raise EventLogError(
            "no file matches the event log's path" if missing else "the event log can't be read",
            got=show(path) if missing else f"{show(path)}: {_first_line(error)}",
            allowed="a readable " + ", ".join(READERS) + " file, glob or folder",
            hint="check the path" if missing else "check the file",
        ) from error


def _arrow_table(events: Any, kind: str, schema: EventSchema) -> Any:
    """Bring a frame of pandas, polars or pyarrow to an Arrow table, strictly."""
    import pyarrow as pa

    if kind == "pyarrow":
        return events
    if kind == "polars":
        frame = events.collect() if hasattr(events, "collect") else events
        return frame.to_arrow()
    if kind != "pandas":
        raise EventLogError(
            "not an event log",
            got=f"a {type(events).__module__}.{type(events).__qualname__}",
            allowed="a path, a glob, a pandas or polars DataFrame, a pyarrow Table or a DuckDB "
            "relation",
            hint="turn it into one of these",
        )
    columns = {}
    for name in events.columns:
        column = events[name]
        if name in (schema.timestamp_col, schema.arrival_col) and column.dtype == object:
            column = _times_of_objects(column, str(name))
        try:
            columns[str(name)] = pa.Array.from_pandas(column)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise EventLogError(
                f"column {show(str(name))} mixes types",
                got=_first_line(error),
                allowed="one type a column",
                hint="convert the column, for example with .astype(str)",
            ) from error
    return pa.table(columns)


def _times_of_objects(column: Any, name: str) -> Any:
    """Turn a column of Python datetimes into one of UTC times; leave text alone."""
    import pandas as pd

    present = column.dropna()
    if present.map(lambda v: isinstance(v, str)).all():
        return column
    zoned = present.map(lambda v: getattr(v, "tzinfo", None) is not None)
    if zoned.any() and not zoned.all():
        raise _mixed_zones(name, int(zoned.sum()), int((~zoned).sum()))
    try:
        return pd.to_datetime(column, utc=True) if zoned.any() else pd.to_datetime(column)
    except (ValueError, TypeError) as error:
        raise _unparseable(name, len(present), _first_line(error)) from error


def prelude_sql(
    con: duckdb.DuckDBPyConnection, schema: EventSchema, properties: tuple[str, ...]
) -> tuple[str, bool]:
    """Return the SELECT that makes ``ev`` (nulls still in it) and whether times were naive.

    Raises
    ------
    EventLogError
        If a column is missing or its type or content can't be used.
    """
    described = con.sql("SELECT * FROM source LIMIT 0")
    types = dict(zip(described.columns, map(str, described.types), strict=True))
    wanted = [schema.customer_col, schema.event_col, schema.timestamp_col, *properties]
    for column in [*wanted, *([schema.arrival_col] if schema.arrival_col else [])]:
        if column not in types:
            raise EventLogError(
                "the event log has no such column",
                got=show(column),
                allowed=did_you_mean(column, types),
                hint="name the column in the event schema (customer_col, event_col, …)",
            )
    times, naive = _time(con, schema.timestamp_col, types)
    parts = [
        f"{_customer(con, schema.customer_col, types)} AS customer_id",
        f"CAST({identifier(schema.event_col)} AS VARCHAR) AS event_type",
        f"{times} AS ts_us",
        *(f"{_number(con, p, types)} AS p{k}" for k, p in enumerate(properties)),
    ]
    if schema.arrival_col:
        parts.append(f"{_time(con, schema.arrival_col, types)[0]} AS arrival_us")
    return f"SELECT {', '.join(parts)} FROM source", naive


def _customer(con: duckdb.DuckDBPyConnection, column: str, types: dict[str, str]) -> str:
    name, kind = identifier(column), types[column]
    if kind in ("FLOAT", "DOUBLE"):
        # pandas turns integers with a missing value into floats.
        row = con.sql(
            f"SELECT COUNT(*) FROM source WHERE NOT isnan({name}) "
            f"AND (abs({name}) >= 9007199254740992 OR {name} <> floor({name}))"
        ).fetchall()[0]
        if row[0]:
            raise EventLogError(
                f"customer ids in {show(column)} are fractions or too large for a float",
                got=f"{row[0]:,} rows of type {kind}",
                allowed="text, integers or UUIDs",
                hint="convert the column to Int64 or text before it loses digits",
            )
        return f"CASE WHEN NOT isnan({name}) THEN CAST({name} AS BIGINT) END"
    if kind in (*_WHOLE, *_UNSIGNED, "VARCHAR", "UUID"):
        return name
    if kind.startswith("ENUM"):
        return f"CAST({name} AS VARCHAR)"
    raise EventLogError(
        f"customer ids in {show(column)} have a type that can't identify a customer",
        got=kind,
        allowed="text, integers or UUIDs",
        hint="convert the column, or name another one as customer_col",
    )


def _number(con: duckdb.DuckDBPyConnection, column: str, types: dict[str, str]) -> str:
    name, kind = identifier(column), types[column]
    number = f"TRY_CAST({name} AS DOUBLE)"
    if not (kind in _NUMBERS or kind.startswith("DECIMAL") or kind in ("VARCHAR", "BOOLEAN")):
        raise EventLogError(
            f"column {show(column)} can't be summed",
            got=f"type {kind}",
            allowed="numbers",
            hint="name a number column as property or value_col",
        )
    bad = con.sql(
        f"SELECT COUNT(*) FROM source WHERE {name} IS NOT NULL "
        f"AND ({number} IS NULL OR NOT isfinite({number}))"
    ).fetchall()[0][0]
    if bad:
        raise EventLogError(
            f"column {show(column)} holds values that can't be summed",
            got=f"{bad:,} rows with NaN, infinity or text",
            allowed="finite numbers; null counts as 0",
            hint="clean the column, or turn NaN into null",
        )
    return number


def _time(con: duckdb.DuckDBPyConnection, column: str, types: dict[str, str]) -> tuple[str, bool]:
    """Return the expression for UTC microseconds and whether the times carry no zone."""
    name, kind = identifier(column), types[column]
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"epoch_us({name})", False
    if kind in ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "DATE"):
        return f"epoch_us({name})", True
    if kind == "TIMESTAMP_NS":
        # epoch_us rounds; an event must never move to a later microsecond.
        ns = f"epoch_ns({name})"
        return f"(({ns}) - ((({ns}) % 1000) + 1000) % 1000) // 1000", True
    if kind != "VARCHAR":
        raise EventLogError(
            f"column {show(column)} does not hold times",
            got=f"type {kind}",
            allowed="timestamps, dates, or text in ISO 8601",
            hint="convert numbers to timestamps first: their unit can't be guessed",
        )
    parsed = f"TRY_CAST({name} AS TIMESTAMPTZ)"
    zone = literal(_ZONE)
    zoned = f"(regexp_matches({name}, {zone}) AND length({name}) > 10)"
    total, bad, with_zone, example = con.sql(
        f"SELECT COUNT({name}), COUNT(*) FILTER ({name} IS NOT NULL AND {parsed} IS NULL), "
        f"COUNT(*) FILTER {zoned}, MIN({name}) FILTER ({parsed} IS NULL) FROM source"
    ).fetchall()[0]
    if bad:
        raise _unparseable(column, bad, show(example))
    if 0 < with_zone < total:
        raise _mixed_zones(column, with_zone, total - with_zone)
    return f"epoch_us({parsed})", with_zone == 0


def _unparseable(column: str, rows: int, example: str) -> EventLogError:
    return EventLogError(
        f"column {show(column)} holds text that is not a time",
        got=f"{rows:,} rows, for example {example}",
        allowed="ISO 8601, for example 2017-10-01T12:00:00Z",
        hint="correct or remove these rows",
    )


def _mixed_zones(column: str, zoned: int, naive: int) -> EventLogError:
    return EventLogError(
        f"column {show(column)} mixes times with and without a zone",
        got=f"{zoned:,} rows with a zone, {naive:,} without",
        allowed="all with a zone, or all without (taken as UTC)",
        hint="write all of them in UTC",
    )


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
