"""DuckDB as the place where the SQL runs: one connection with strict settings."""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from ces_ml.errors import CesWarning, EventLogError, SpecError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.features.accounts import AccountMapping
from ces_ml.features.columns import (
    check_log_columns,
    customer_sql,
    event_sql,
    prelude_sql,
    time_sql,
)
from ces_ml.features.duckdb_accounts import DuckDBAccounts
from ces_ml.features.log_span import LogSpan
from ces_ml.features.property_columns import filter_columns
from ces_ml.features.shaping import LogShape, column_types, settled
from ces_ml.features.sources import open_source
from ces_ml.sql.plan import Property
from ces_ml.sql.quoting import identifier, literal

__all__ = ["DuckDBSession"]

#: Rows of a row group that `DuckDBSession.write` makes.
_ROW_GROUP = 245_760
#: Rows of a batch that `DuckDBSession.stream` yields.
_BATCH = 1 << 18


class DuckDBSession:
    """A `ces_ml.features.session.Session` over one event log, in a DuckDB of its own.

    Parameters
    ----------
    events : path, glob, frame, table, DuckDB relation or AdbcSource
        The log; see `DuckDBEngine`.
    schema : EventSchema
        What its columns are called.
    threads : int, optional
        Threads that DuckDB uses; all cores by default.
    memory_limit : str, optional
        For example ``"2GB"``: beyond it DuckDB spills to disk.
    table : str, optional
        Table of a DuckDB database file.
    span : LogSpan, optional
        The part of the log that is read.
    accounts : AccountMapping, optional
        With it accounts are the customers.
    account_table : path, frame or table, optional
        The mapping itself; ``accounts.path`` when not given.
    keep_order : bool, default=False
        Whether `stream` gives rows in the order of the log; it costs memory.

    Raises
    ------
    SpecError
        If an option has a value that is not allowed.
    EventLogError
        If the log can't be opened.
    """

    def __init__(
        self,
        events: Any,
        schema: EventSchema,
        *,
        threads: int | None = None,
        memory_limit: str | None = None,
        table: str | None = None,
        span: LogSpan | None = None,
        accounts: AccountMapping | None = None,
        account_table: Any = None,
        keep_order: bool = False,
    ) -> None:
        import duckdb

        self._duckdb_error = duckdb.Error
        self._con = duckdb.connect()
        self._events, self._schema, self._table = events, schema, table
        self._span = span or LogSpan()
        self._accounts: DuckDBAccounts | None = None
        self._bounded = memory_limit is not None
        self._us: str | None = None
        self._named: tuple[str, ...] = ()
        self._made: dict[str, str] = {}
        self._narrowed = self._stale = self._warned = False
        try:
            self._set(threads, memory_limit, keep_order)
            self._guard(self._open)
            if accounts is not None:
                opened = self._guard(
                    lambda: DuckDBAccounts(self._con, self.ask, accounts, account_table)
                )
                self._accounts = opened
        except BaseException:
            self._con.close()
            raise

    def _set(self, threads: int | None, memory_limit: str | None, keep_order: bool) -> None:
        # What does not fit memory goes to a folder of its own, which DuckDB removes at the end;
        # by default it would be `.tmp` in whatever folder the job was started from.
        spill = os.path.join(tempfile.gettempdir(), f"ces-ml-{uuid.uuid4().hex}")
        for setting in (
            "TimeZone='UTC'",
            "autoinstall_known_extensions=false",
            "autoload_known_extensions=false",
            f"preserve_insertion_order={str(keep_order).lower()}",
            f"temp_directory={literal(spill)}",
        ):
            self._con.execute(f"SET {setting}")
        try:
            if threads is not None:
                self._con.execute(f"SET threads={int(threads)}")
            if memory_limit is not None:
                self._con.execute(f"SET memory_limit={literal(str(memory_limit))}")
        except (self._duckdb_error, ValueError, TypeError) as error:
            raise SpecError(
                "an option of the engine has a value that is not allowed",
                got=f"threads={show(threads)}, memory_limit={show(memory_limit)}",
                allowed="threads: a whole number from 1; memory_limit: a size such as '2GB'",
                hint="correct the option, or leave it out",
            ) from error

    def _open(self) -> None:
        """Make ``raw``."""
        self._text = self._read(self._span)
        self._shape = LogShape(self._con, self._schema)
        if self._text:
            self._parse_times()

    def _read(self, span: LogSpan) -> bool:
        self._con.execute("DROP VIEW IF EXISTS raw")
        return open_source(self._con, self._events, self._schema, table=self._table, keep=span.keep)

    def _parse_times(self) -> None:
        """Parse the times of a text file once, and not again in each query."""
        self._con.execute(f"CREATE OR REPLACE TEMP VIEW source AS {self._shape.sql()}")
        types = column_types(self._con, "source")
        parsed = []
        for column in (self._schema.timestamp_col, self._schema.arrival_col):
            if column in types and types[column] == "VARCHAR":
                us, naive = time_sql(self.ask, column, types)
                made = "make_timestamp" if naive else "make_timestamptz"
                parsed.append(f"{made}({us}) AS {identifier(column)}")
        star = f"* REPLACE ({', '.join(parsed)})" if parsed else "*"
        self._con.execute(f"CREATE TEMP TABLE parsed AS SELECT {star} FROM source")
        self._con.execute("DROP VIEW source")
        self._con.execute("DROP TABLE raw")
        self._con.execute("ALTER TABLE parsed RENAME TO raw")
        self._shape = LogShape(self._con, settled(self._schema))

    def _make_source(self, more: tuple[str, ...], span: LogSpan) -> dict[str, str]:
        """Make ``source`` and return its columns and their types."""
        shaped = self._shape.sql(more)
        self._con.execute(f"CREATE OR REPLACE TEMP VIEW source AS {shaped}")
        types = column_types(self._con, "source")
        column = self._schema.timestamp_col
        if self._accounts is not None:
            check_log_columns([self._schema.customer_col, column], types)
        if column not in types or not (span.bounded or self._accounts):
            return types
        if self._us is None:
            self._us, _ = time_sql(self.ask, column, types)
        if span.bounded:
            inside = span.condition(self._us, identifier(column), types[column])
            if not span.narrowed:  # rows without a time are reported
                inside = f"({inside}) OR {identifier(column)} IS NULL"
            shaped = f"SELECT * FROM ({shaped}) AS source WHERE {inside}"
        if self._accounts is not None:
            self._con.execute(f"CREATE OR REPLACE TEMP VIEW source AS {shaped}")
            user_col = self._schema.customer_col
            shaped = self._accounts.rolled_up(shaped, self._us, user_col, types)
        self._con.execute(f"CREATE OR REPLACE TEMP VIEW source AS {shaped}")
        return column_types(self._con, "source")

    @property
    def by_account(self) -> bool:
        """Whether accounts are the customers."""
        return self._accounts is not None

    @property
    def bounded(self) -> bool:
        """Whether a memory limit was given."""
        return self._bounded

    @property
    def has_uuids(self) -> bool:
        """UUIDs are a type of their own."""
        return True

    def prelude(
        self, schema: EventSchema, properties: Sequence[Property], filters: Sequence[str] = ()
    ) -> tuple[str, bool]:
        """Return the SELECT that makes ``ev``, nulls still in it, and whether times were naive."""
        self._guard(self._widen)
        named = [p.column for p in properties] + [c for f in filters for c in filter_columns(f)]
        self._named = tuple(dict.fromkeys(named))
        types = self.types()
        value = schema.value_col
        if value is not None and value not in types and not self._warned:
            self._warned = True
            warnings.warn(
                f"value_col {show(value)} is not one of the {len(types)} columns of the log: "
                f"{did_you_mean(value, types)}",
                CesWarning,
                stacklevel=4,
            )
        return prelude_sql(types, self.ask, schema, properties, filters)

    @contextmanager
    def narrowed(self, since_us: int, until_us: int) -> Iterator[None]:
        """Read only events of ``[since, until)`` inside the block."""
        self._guard(lambda: self._narrow(self._span.within(since_us, until_us)))
        try:
            yield
        finally:
            self._stale = True  # opened again only when something is asked for

    def _narrow(self, span: LogSpan) -> None:
        if self._span.partition_col is not None and not self._text:
            self._narrowed = True
            try:
                self._read(span)
                alike = column_types(self._con, "raw") == self._shape.types
            except EventLogError:  # no folder lies inside
                alike = False
            if not alike:
                self._read(self._span)
        self._make_source(self._named, span)

    def _widen(self) -> None:
        if self._stale:
            self._stale = False
            if self._narrowed:
                self._read(self._span)
                self._narrowed = False
            self._make_source(self._named, self._span)

    def write(self, path: str) -> tuple[str, ...]:
        """Write ``source`` in its best form: sorted, typed, without rows that never count.

        Parameters
        ----------
        path : str
            A Parquet file.

        Returns
        -------
        tuple of str
            The columns written.
        """
        schema, ask = self._schema, self.ask
        types = self._guard(lambda: self._make_source((), self._span))
        us, naive = time_sql(ask, schema.timestamp_col, types)
        made = {
            schema.customer_col: customer_sql(ask, schema.customer_col, types),
            schema.event_col: event_sql(ask, schema.event_col, types),
            schema.timestamp_col: f"make_timestamp{'' if naive else 'tz'}({us})",
        }
        if schema.arrival_col is not None:
            us, naive = time_sql(ask, schema.arrival_col, types)
            made[schema.arrival_col] = f"make_timestamp{'' if naive else 'tz'}({us})"
        rest = [c for c in types if c not in made]
        columns = [f"{e} AS {identifier(c)}" for c, e in made.items()] + list(map(identifier, rest))
        held = " AND ".join(f"{identifier(c)} IS NOT NULL" for c in list(made)[:3])
        order = ", ".join(identifier(c) for c in list(made)[:3:2])
        query = (
            f"SELECT * FROM (SELECT {', '.join(columns)} FROM source) WHERE {held} ORDER BY {order}"
        )
        self._guard(
            lambda: self._con.execute(
                f"COPY ({query}) TO {literal(path)} "
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
            )
        )
        return (*made, *rest)

    def unmapped(self) -> tuple[int, int]:
        """Return how many events with a user have no account then, and of how many users."""
        if self._accounts is None:
            return 0, 0
        return self._accounts.unmapped(self._schema.customer_col, self.types())

    def types(self) -> dict[str, str]:
        """Return the columns of the log and DuckDB's names of their types."""
        types: dict[str, str] = self._guard(lambda: self._make_source(self._named, self._span))
        return types

    def ask(self, query: str) -> tuple[Any, ...]:
        """Return the only row of the answer to a query."""
        return tuple(self.fetch(query).to_pylist()[0].values())

    def make(self, kind: str, name: str, select: str) -> None:
        """Make a temporary view or table of a query."""
        self._guard(self._widen)
        before = self._made.setdefault(name, kind)
        if before != kind:  # DuckDB replaces a relation by one of its own kind only
            self._con.execute(f"DROP {before} {name}")
            self._made[name] = kind
        self._guard(lambda: self._con.execute(f"CREATE OR REPLACE TEMP {kind} {name} AS {select}"))

    def make_numbered(self, name: str, select: str, order: Sequence[str]) -> None:
        """Make a table of a query with its rows numbered from 0 in an order, as ``r``."""
        place = f"ROW_NUMBER() OVER (ORDER BY {', '.join(order)}) - 1"
        self.make("TABLE", name, f"SELECT {place} AS r, * FROM ({select}) AS numbered")

    def register(self, name: str, **columns: Any) -> None:
        """Make a relation of Arrow arrays."""
        self._con.register(name, pa.table(columns))

    def fetch(self, query: str, *, as_written: bool = False) -> Any:
        """Return the answer to a query as an Arrow table."""
        self._guard(self._widen)
        # con.sql, not con.execute: only the former keeps ORDER BY when Arrow is fetched.
        with self._joins(as_written):
            return self._guard(lambda: self._con.sql(query).to_arrow_table())

    def stream(self, query: str, *, as_written: bool = False) -> Iterator[Any]:
        """Yield the answer to a query in Arrow record batches, never held as a whole."""
        self._guard(self._widen)
        with self._joins(as_written):
            reader = self._guard(lambda: self._con.sql(query).to_arrow_reader(_BATCH))
            try:
                while (batch := self._guard(lambda: next(reader, None))) is not None:
                    yield batch
            finally:
                reader.close()  # DuckDB answers nothing else before

    @contextmanager
    def _joins(self, as_written: bool) -> Iterator[None]:
        # DuckDB takes the join with the vocabulary to leave a twenty-fifth of the events, and
        # would hold them in memory rather than the rows of cu.
        if as_written:
            self._con.execute("SET disabled_optimizers='join_order,build_side_probe_side'")
        try:
            yield
        finally:
            if as_written:
                self._con.execute("RESET disabled_optimizers")

    def close(self) -> None:
        """Give back the memory."""
        self._con.close()

    def _guard(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except self._duckdb_error as error:
            raise EventLogError(
                "the event log can't be counted",
                got=str(error).splitlines()[0][:300],
                allowed="readable files, and memory or disk enough",
                hint="check the files; a memory_limit lets DuckDB spill to disk",
            ) from error
