"""Databases that run exported SQL; each loads a log into a table and returns rows as dicts."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from ces_ml.exporters.sql import DIALECTS

#: Columns of the log, and what they are.
KINDS = {
    "customer_id": "text",
    "event_type": "event",
    "timestamp": "time",
    "value": "float",
    "fee": "float",
    "shop": "text",
    "returned": "truth",
    "took": "float",
    "seen_at": "time",
}
Rows = list[dict[str, Any]]


class Consumer(ABC):
    """One database. Law: `rows` gives exactly what the statement returns, by name of column."""

    dialect: str
    types: ClassVar[dict[str, str]]
    #: How many random cases it is given.
    seeds = 5
    #: Types that the time columns have been made of, besides numbers.
    time_kinds: tuple[str, ...] = ("timestamp", "timestamptz")

    @abstractmethod
    def run(self, statement: str, values: list[tuple[Any, ...]] | None = None) -> None:
        """Run a statement, once for each tuple of values."""

    @abstractmethod
    def rows(self, query: str) -> Rows:
        """Return the rows of a query."""

    @abstractmethod
    def asked(self, query: str, as_of_us: int) -> Rows:
        """Return the rows of a query that has `as_of` as its parameter."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back."""

    def load(self, log: pd.DataFrame, time: str = "", table: str = "events") -> None:
        """Make a table of the log; times as a declared type, by default that of the export."""
        words = DIALECTS[self.dialect]
        time = time or ("timestamp" if "timestamp" in words.times else "text")
        names = list(log.columns)
        kinds = [self.type_of(n, time) for n in names]
        columns = ", ".join(f"{words.quoted(n)} {k}" for n, k in zip(names, kinds, strict=True))
        quoted = ".".join(map(words.quoted, table.split(".")))
        self.run(f"DROP TABLE IF EXISTS {quoted}")
        self.run(f"CREATE TABLE {quoted} ({columns}){self.after_table}")
        values = [
            tuple(
                self.value(v, KINDS.get(n, "text"), time) for n, v in zip(names, row, strict=True)
            )
            for row in log.itertuples(index=False)
        ]
        marks = ", ".join([self.mark] * len(names))
        self.run(f"INSERT INTO {quoted} VALUES ({marks})", values)

    mark = "?"
    after_table = ""
    #: Statements that make the database read text or join otherwise, and those that undo them.
    settings: ClassVar[tuple[tuple[str, str], ...]] = ()

    @contextmanager
    def other_settings(self) -> Iterator[None]:
        """Run the block with the settings."""
        for on, _ in self.settings:
            self.run(on)
        try:
            yield
        finally:
            for _, off in self.settings:
                self.run(off)

    def type_of(self, column: str, time: str) -> str:
        """Return the type of a column of the log."""
        kind = KINDS.get(column, "text")
        return self.types.get(time if kind == "time" else kind, self.types["text"])

    def value(self, value: Any, kind: str, time: str) -> Any:
        """Return a value of the log as the driver takes it."""
        if value is None or value is pd.NA or value is pd.NaT or value != value:
            return None
        if kind == "time":
            us = (pd.Timestamp(value) - pd.Timestamp(0)) // pd.Timedelta(1, "us")
            if time in ("s", "ms", "us", "ns"):
                return {"s": us / 1e6, "ms": us / 1e3, "us": us, "ns": us * 1000 + 337}[time]
            return self.moment(pd.Timestamp(value), time)
        if kind == "truth":
            return bool(value)
        if kind == "us":
            return int(value)
        return float(value) if kind == "float" else str(value)

    def moment(self, value: pd.Timestamp, time: str) -> Any:
        """Return a moment as text in UTC."""
        text = value.isoformat(sep=" ", timespec="microseconds")
        return text + "+00:00" if time == "timestamptz" else text


class DuckDB(Consumer):
    dialect = "duckdb"
    settings = (
        ("SET integer_division = true", "RESET integer_division"),
        ("SET old_implicit_casting = true", "RESET old_implicit_casting"),
    )
    types: ClassVar[dict[str, str]] = {
        "text": "VARCHAR",
        "event": "VARCHAR COLLATE NOCASE",
        "float": "DOUBLE",
        "truth": "BOOLEAN",
        "timestamp": "TIMESTAMP",
        "timestamptz": "TIMESTAMPTZ",
        "s": "DOUBLE",
        "ms": "DOUBLE",
        "us": "BIGINT",
        "ns": "BIGINT",
    }

    def __init__(self) -> None:
        import duckdb

        self.con = duckdb.connect()
        self.con.execute("SET TimeZone='America/New_York'")
        self.con.execute('CREATE SCHEMA "odd. \'schema"')

    def run(self, statement: str, values: list[tuple[Any, ...]] | None = None) -> None:
        if values is None:
            self.con.execute(statement)
            return
        head, row = statement.split(" VALUES ")
        everything = [value for each in values for value in each]
        self.con.execute(f"{head} VALUES {', '.join([row] * len(values))}", everything)

    def rows(self, query: str) -> Rows:
        return self._rows(self.con.execute(query))

    def asked(self, query: str, as_of_us: int) -> Rows:
        return self._rows(self.con.execute(query, {"as_of_us": as_of_us}))

    def _rows(self, found: Any) -> Rows:
        names = [d[0] for d in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def close(self) -> None:
        self.con.close()


class SQLite(Consumer):
    dialect = "sqlite"
    settings = (("PRAGMA case_sensitive_like = 1", "PRAGMA case_sensitive_like = 0"),)
    # Collations that would make events of different case or spaces one.
    types: ClassVar[dict[str, str]] = {
        "text": "TEXT COLLATE NOCASE",
        "float": "REAL",
        "truth": "BOOLEAN",
        "s": "REAL",
        "ms": "REAL",
        "us": "INTEGER",
        "ns": "INTEGER",
    }
    time_kinds = ("text",)

    def __init__(self) -> None:
        self.con = sqlite3.connect(":memory:")

    def run(self, statement: str, values: list[tuple[Any, ...]] | None = None) -> None:
        if values is None:
            self.con.execute(statement)
        else:
            self.con.executemany(statement, values)

    def rows(self, query: str) -> Rows:
        return self._rows(self.con.execute(query))

    def asked(self, query: str, as_of_us: int) -> Rows:
        return self._rows(self.con.execute(query, {"as_of_us": as_of_us}))

    def _rows(self, found: Any) -> Rows:
        names = [d[0] for d in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def moment(self, value: pd.Timestamp, time: str) -> Any:
        """Return a moment in one of the ways of ISO 8601: with T, Z or an offset, or without."""
        way = (value.minute + value.microsecond) % 4
        if way == 0:
            return value.isoformat() + "Z"
        if way == 1:
            return (value - pd.Timedelta("3h30m")).isoformat(sep=" ") + "-03:30"
        if way == 2:
            return (value + pd.Timedelta("2h")).isoformat() + "+02:00"
        return value.isoformat(sep=" ", timespec="microseconds")

    def close(self) -> None:
        self.con.close()


def server_folder(user: str) -> tuple[Path, str | None]:
    """A short-named folder for a server, and the user to run it as: servers refuse root."""
    folder = Path(tempfile.mkdtemp(prefix=f"{user[:2]}-"))
    if os.getuid() != 0:
        return folder, None
    os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    return folder, user


class PostgreSQL(Consumer):
    dialect = "postgresql"
    settings = (
        ("SET standard_conforming_strings = off", "RESET standard_conforming_strings"),
        ("SET backslash_quote = off", "RESET backslash_quote"),
    )
    types: ClassVar[dict[str, str]] = {
        "text": "text",
        "event": "text COLLATE no_case",
        "float": "double precision",
        "truth": "boolean",
        "timestamp": "timestamp",
        "timestamptz": "timestamptz",
        "s": "double precision",
        "ms": "double precision",
        "us": "bigint",
        "ns": "bigint",
    }
    mark = "%s"

    def __init__(self) -> None:
        dbapi = pytest.importorskip("pg8000.dbapi", reason="needs pg8000")
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        on_path = shutil.which("initdb")
        if not found and on_path is None:
            pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
        self.programs = Path(os.path.realpath(found[-1] if found else str(on_path))).parent
        self.folder, self.user = server_folder("postgres")
        self._program("initdb", "-A", "trust", "-U", "ces", "-E", "UTF8", "--locale=C.UTF-8")
        options = f"-c listen_addresses='' -k {self.folder} -c fsync=off -c timezone=Asia/Tokyo"
        self._program("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")
        self.con = dbapi.connect(
            user="ces", database="postgres", unix_sock=f"{self.folder}/.s.PGSQL.5432"
        )
        self.con.autocommit = True
        self.run(
            "CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', "
            "deterministic = false)"
        )

    def _program(self, name: str, *arguments: str) -> None:
        command = [f"{self.programs}/{name}", "-D", str(self.folder / "data"), *arguments]
        subprocess.run(command, check=True, capture_output=True, user=self.user, cwd=self.folder)

    def run(self, statement: str, values: list[tuple[Any, ...]] | None = None) -> None:
        cursor = self.con.cursor()
        if values is None:
            cursor.execute(statement)
        else:
            cursor.executemany(statement, values)

    def rows(self, query: str) -> Rows:
        cursor = self.con.cursor()
        cursor.execute(query)
        names = [d[0] for d in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def asked(self, query: str, as_of_us: int) -> Rows:
        self.run("DEALLOCATE ALL")
        self.run(f"PREPARE scored (bigint) AS {query}")
        return self.rows(f"EXECUTE scored ({as_of_us})")

    def close(self) -> None:
        self.con.close()
        self._program("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


class MariaDB(Consumer):
    dialect = "mysql"
    settings = (
        ("SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'", "SET sql_mode = ''"),
        ("SET collation_connection = 'utf8mb4_unicode_ci'", "SET NAMES utf8mb4"),
        ("SET div_precision_increment = 0", "SET div_precision_increment = 4"),
    )
    types: ClassVar[dict[str, str]] = {
        "text": "varchar(200) CHARACTER SET utf8mb4",
        "float": "double",
        "truth": "boolean",
        "timestamp": "datetime(6)",
        "timestamptz": "timestamp(6) NULL",
        "s": "double",
        "ms": "double",
        "us": "bigint",
        "ns": "bigint",
    }
    mark = "%s"

    def __init__(self) -> None:
        pymysql = pytest.importorskip("pymysql", reason="needs pymysql")
        server = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
        install = shutil.which("mariadb-install-db")
        if server is None or install is None:
            pytest.skip("needs a MariaDB server: apt-get install mariadb-server")
        self.folder, user = server_folder("mysql")
        data, socket = f"--datadir={self.folder}/data", f"{self.folder}/s"
        owner = [f"--user={user}"] if user else []
        subprocess.run(
            [install, "--no-defaults", data, *owner, "--auth-root-authentication-method=normal"],
            check=True,
            capture_output=True,
        )
        options = ["--no-defaults", data, f"--socket={socket}", "--skip-networking", *owner]
        options += [
            f"--pid-file={self.folder}/pid",
            "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        self.server = subprocess.Popen(
            [server, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.con = self._connected(pymysql, socket)
        self.run("CREATE DATABASE ces")
        self.run("USE ces")
        self.run("SET time_zone = '+00:00'")

    def _connected(self, pymysql: Any, socket: str) -> Any:
        from threading import Event

        wait = Event()
        for _ in range(600):
            try:
                return pymysql.connect(
                    unix_socket=socket, user="root", charset="utf8mb4", autocommit=True
                )
            except pymysql.err.OperationalError:
                assert self.server.poll() is None, "the server ended"
                wait.wait(0.1)
        raise AssertionError("the server did not start")

    def run(self, statement: str, values: list[tuple[Any, ...]] | None = None) -> None:
        with self.con.cursor() as cursor:
            if values is None:
                cursor.execute(statement)
            else:
                cursor.executemany(statement, values)

    def rows(self, query: str) -> Rows:
        with self.con.cursor() as cursor:
            cursor.execute(query)
            names = [d[0] for d in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def asked(self, query: str, as_of_us: int) -> Rows:
        text = query.rstrip().rstrip(";").replace("'", "''").replace("\\", "\\\\")
        self.run(f"PREPARE scored FROM '{text}'")
        self.run(f"SET @as_of = {as_of_us}")
        return self.rows("EXECUTE scored USING @as_of")

    def moment(self, value: pd.Timestamp, time: str) -> Any:
        return value.isoformat(sep=" ", timespec="microseconds")

    def close(self) -> None:
        self.con.close()
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class ClickHouse(Consumer):
    """Each statement is a call of ClickHouse in the process, in a session of its own folder."""

    dialect = "clickhouse"
    settings = (
        ("SET join_use_nulls = 1", "SET join_use_nulls = 0"),
        ("SET prefer_column_name_to_alias = 1", "SET prefer_column_name_to_alias = 0"),
        (
            "SET aggregate_functions_null_for_empty = 1",
            "SET aggregate_functions_null_for_empty = 0",
        ),
        ("SET cast_keep_nullable = 1", "SET cast_keep_nullable = 0"),
    )
    types: ClassVar[dict[str, str]] = {
        "text": "Nullable(String)",
        "float": "Nullable(Float64)",
        "truth": "Nullable(Bool)",
        "timestamp": "Nullable(DateTime64(6, 'UTC'))",
        "timestamptz": "Nullable(DateTime64(6, 'Asia/Tokyo'))",
        "s": "Nullable(Float64)",
        "ms": "Nullable(Float64)",
        "us": "Nullable(Int64)",
        "ns": "Nullable(Int64)",
    }
    after_table = " ENGINE = Memory"

    def __init__(self) -> None:
        session = pytest.importorskip("chdb.session", reason="needs chdb")
        self.folder = tempfile.mkdtemp(prefix="ch-")
        self.session = session.Session(self.folder)
        self.session.query("CREATE DATABASE IF NOT EXISTS ces ENGINE = Atomic")
        self.session.query("USE ces")

    def run(self, statement: str, values: list[tuple[Any, ...]] | None = None) -> None:
        if values is None:
            self.session.query(statement)
            return
        head = statement[: statement.index(" VALUES")]
        import json

        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in values)
        settings = "SETTINGS date_time_input_format='best_effort'"
        self.session.query(f"{head} {settings} FORMAT JSONCompactEachRow\n{lines}")

    def moment(self, value: pd.Timestamp, time: str) -> Any:
        return value.isoformat(timespec="microseconds") + "Z"

    def asked(self, query: str, as_of_us: int) -> Rows:
        self.session.query(f"SET param_as_of_us = {as_of_us}")
        return self.rows(query)

    def rows(self, query: str) -> Rows:
        import json

        settings = "output_format_json_quote_64bit_integers=0, output_format_json_quote_denormals=1"
        text = f"{query.rstrip().rstrip(';')}\nSETTINGS {settings}"
        found = str(self.session.query(text, "JSONEachRow"))
        return [json.loads(line) for line in found.splitlines()]

    def close(self) -> None:
        self.session.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Spark(Consumer):
    dialect = "spark"
    settings = (
        (
            "SET spark.sql.parser.escapedStringLiterals = true",
            "RESET spark.sql.parser.escapedStringLiterals",
        ),
        ("SET spark.sql.ansi.enabled = false", "RESET spark.sql.ansi.enabled"),
        ("SET spark.sql.caseSensitive = true", "RESET spark.sql.caseSensitive"),
    )
    seeds = 2
    #: What is set for the time of the tests; the session is that of the whole run.
    options: ClassVar[dict[str, str]] = {"spark.sql.adaptive.enabled": "false"}
    types: ClassVar[dict[str, str]] = {
        "text": "string",
        "event": "string COLLATE UTF8_LCASE",
        "float": "double",
        "truth": "boolean",
        "timestamp": "timestamp_ntz",
        "timestamptz": "timestamp",
        "s": "double",
        "ms": "double",
        "us": "bigint",
        "ns": "bigint",
    }

    def __init__(self, spark: Any) -> None:
        self.spark = spark
        self.before = {name: spark.conf.get(name) for name in self.options}
        for name, value in self.options.items():
            spark.conf.set(name, value)

    def run(self, statement: str, values: list[tuple[Any, ...]] | None = None) -> None:
        self.spark.sql(statement)

    def load(self, log: pd.DataFrame, time: str = "", table: str = "events") -> None:
        time = time or "timestamp"
        kinds = {n: KINDS.get(n, "text") for n in log.columns}
        words = DIALECTS["spark"]
        made = [
            tuple(self.value(v, k, time) for v, k in zip(row, kinds.values(), strict=True))
            for row in log.itertuples(index=False)
        ]
        texts = {n for n, k in kinds.items() if k == "event"}
        texts |= {n for n, k in kinds.items() if k == "time" and time in self.time_kinds}
        schema = ", ".join(
            f"{words.quoted(n)} {'string' if n in texts else self.type_of(n, time)}" for n in kinds
        )
        frame = self.spark.createDataFrame(made, schema)
        frame.createOrReplaceTempView("raw_events")
        columns = ", ".join(
            f"CAST({words.quoted(n)} AS {self.type_of(n, time)}) AS {words.quoted(n)}"
            for n in kinds
        )
        self.spark.sql(f"SELECT {columns} FROM raw_events").cache().createOrReplaceTempView(
            words.quoted(table)
        )

    def rows(self, query: str) -> Rows:
        return [row.asDict() for row in self.spark.sql(query.rstrip().rstrip(";")).collect()]

    def asked(self, query: str, as_of_us: int) -> Rows:
        found = self.spark.sql(query.rstrip().rstrip(";"), args={"as_of_us": as_of_us})
        return [row.asDict() for row in found.collect()]

    def close(self) -> None:
        for view in self.spark.catalog.listTables():
            if view.isTemporary:
                self.spark.catalog.dropTempView(view.name)
        self.spark.catalog.clearCache()
        for name, value in self.before.items():
            self.spark.conf.set(name, value)


#: Databases by name; those that start nothing first.
CONSUMERS = {
    "duckdb": DuckDB,
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mariadb": MariaDB,
    "clickhouse": ClickHouse,
    "spark": Spark,
}
