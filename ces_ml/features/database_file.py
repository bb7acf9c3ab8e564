"""Tables of a DuckDB database file: opened read-only as a log, or written with scores."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ces_ml.errors import EventLogError, OutputError, did_you_mean, show
from ces_ml.sql.quoting import identifier, literal

if TYPE_CHECKING:
    import duckdb

__all__ = ["is_database", "open_database", "write_table"]

_ENDINGS = (".duckdb", ".ddb", ".db", ".sqlite", ".sqlite3")


def is_database(path: str) -> bool:
    """Return whether a path is that of a database file, by its ending."""
    return path.lower().endswith(_ENDINGS) and not os.path.isdir(path)


def write_table(source: Path, database: Path, table: str) -> Path:
    """Make a Parquet file a table of a database file, in place of one of this name; all or nothing.

    Other tables stay; the file is made if it is not there.

    Raises
    ------
    OutputError
        If the database can't be written.
    """
    import duckdb

    was_there = database.exists()
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(database)) as con:
            # One statement is one transaction.
            con.execute(
                f"CREATE OR REPLACE TABLE {identifier(table)} AS "
                f"SELECT * FROM read_parquet({literal(str(source))})"
            )
    except (duckdb.Error, OSError) as error:
        if not was_there:
            database.unlink(missing_ok=True)
        raise OutputError(
            "the output can't be written",
            got=f"{show(str(database))}: {str(error).splitlines()[0][:300]}",
            allowed="a DuckDB database that no other program has open, and a name that no view has",
            hint="close the other program, or choose another output path or table",
        ) from error
    return database


def open_database(con: duckdb.DuckDBPyConnection, path: str, table: str | None, name: str) -> None:
    """Make the view `name` of a table or view in a DuckDB database file.

    Parameters
    ----------
    con : DuckDBPyConnection
    path : str
    table : str, optional
        Name of the table, or ``schema.table``; may be left out where there is only one.
    name : str

    Raises
    ------
    EventLogError
        If the file is not there, is no DuckDB database, or does not hold the table.
    """
    import duckdb

    _check_kind(path)
    attached = f"{name}_file"
    try:
        con.execute(f"ATTACH {literal(path)} AS {attached} (READ_ONLY, TYPE duckdb)")
    except duckdb.Error as error:
        raise EventLogError(
            "the database file can't be opened",
            got=f"{show(path)}: {str(error).splitlines()[0][:300]}",
            allowed="a DuckDB database file that no other program is writing to",
            hint="close the other program, or export the table to Parquet",
        ) from error
    held = con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = $1 "
        "UNION ALL SELECT schema_name, view_name FROM duckdb_views() "
        "WHERE database_name = $1 AND NOT internal ORDER BY ALL",
        [attached],
    ).fetchall()
    schema, relation = _chosen(path, table, held)
    source = ".".join(identifier(part) for part in (attached, schema, relation))
    con.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM {source}")


def _chosen(path: str, table: str | None, held: list[tuple[str, str]]) -> tuple[str, str]:
    names = {t if s == "main" else f"{s}.{t}": (s, t) for s, t in held}
    if table is None and len(held) == 1:
        return held[0]
    if table is not None:
        if table in names:
            return names[table]
        if table.removeprefix("main.") in names:
            return names[table.removeprefix("main.")]
    raise EventLogError(
        "the database file has no such table" if table else "no table of the database is named",
        got=show(table) if table else f"{show(path)} with {len(held):,} tables and views",
        allowed=did_you_mean(table or "events", names),
        hint="name the table: `table: …` beside the path in a configuration, table='…' in Python",
    )


def _check_kind(path: str) -> None:
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as error:
        raise EventLogError(
            "no file matches the event log's path",
            got=f"{show(path)}: {error.strerror or error}",
            allowed="a DuckDB database file",
            hint="check the path",
        ) from error
    if head.startswith(b"SQLite format 3"):
        raise EventLogError(
            "the event log is an SQLite file, which needs a DuckDB extension that is not built in",
            got=show(path),
            allowed="a DuckDB database file, or SQLite read through ADBC",
            hint="pip install adbc-driver-sqlite and read it with "
            "AdbcSource(driver='sqlite', uri=path, query='SELECT …')",
        )
    if head[8:12] != b"DUCK":
        raise EventLogError(
            "the event log is no DuckDB database",
            got=show(path),
            allowed="a file written by DuckDB",
            hint="check the file, or its ending",
        )
