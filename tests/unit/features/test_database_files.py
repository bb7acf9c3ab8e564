"""A table of a DuckDB database file as an event log."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from ces_ml.errors import EventLogError, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import build_counts
from ces_ml.spec import CountSpec

from .refusals import LOG, refused

SCHEMA = EventSchema(value_col="amount")
SPEC = CountSpec.of(["login"], window="30d")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / 'it\'s a "log".duckdb'
    log = LOG
    with duckdb.connect(str(path)) as con:
        con.register("log", log)
        con.execute("CREATE TABLE events AS SELECT * FROM log")
        con.execute('CREATE SCHEMA "my; s"')
        con.execute('CREATE TABLE "my; s"."t ""x""" AS SELECT * FROM log LIMIT 1')
        con.execute("CREATE VIEW logins AS SELECT * FROM events WHERE event_type = 'login'")
    return path


def test_a_table_gives_the_counts_of_its_rows(database: Path) -> None:
    found = build_counts(database, SPEC, schema=SCHEMA, table="events")
    expected = build_counts(LOG, SPEC, schema=SCHEMA)
    assert found.digest() == expected.digest()
    assert dict(found.report) == dict(expected.report)


@pytest.mark.parametrize(("table", "rows"), [("logins", 2), ('my; s.t "x"', 1), ("main.events", 3)])
def test_views_and_schemas_are_found(database: Path, table: str, rows: int) -> None:
    found = build_counts(database, SPEC, schema=SCHEMA, table=table)
    assert found.report["rows_read"] == rows


def test_the_only_table_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with duckdb.connect(str(path)) as con:
        con.register("log", LOG)
        con.execute("CREATE TABLE anything AS SELECT * FROM log")
    assert len(build_counts(path, SPEC, schema=SCHEMA)) == 2


def test_the_file_is_opened_read_only(database: Path) -> None:
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    build_counts(database, SPEC, schema=SCHEMA, table="events")
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    assert [p.name for p in database.parent.iterdir()] == [database.name]


def test_a_missing_table_is_answered_with_the_nearest(database: Path) -> None:
    match = r"no such table\n.*'event'\n.*did you mean 'events'"
    refused(EventLogError, match, database, table="event")
    refused(EventLogError, r"no table of the database is named\n.*3 tables and views", database)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    refused(SpecError, "no database file", pd.DataFrame(LOG), table="events")
    refused(SpecError, "no database file", tmp_path / "log.parquet", table="events")


def test_an_sqlite_file_is_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE events (a)")
    con.close()
    match = r"SQLite file, which needs a DuckDB extension(.*\n)*.*adbc-driver-sqlite"
    refused(EventLogError, match, path)


@pytest.mark.parametrize("data", [b"", b"junk" * 20, b"\0" * 8 + b"DUCK" + b"\0" * 5000])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "log.duckdb").write_bytes(data)
    match = "no DuckDB database|database file can't be opened"
    refused(EventLogError, match, tmp_path / "log.duckdb")


def test_a_database_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(EventLogError, "no file matches the event log's path", tmp_path / "none.duckdb")
    assert not (tmp_path / "none.duckdb").exists()
