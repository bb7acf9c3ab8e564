"""DuckDB as the place where the SQL runs: one connection with strict settings."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from ces_ml.errors import EventLogError, SpecError, show
from ces_ml.events import EventSchema
from ces_ml.features.columns import prelude_sql
from ces_ml.features.sources import open_source
from ces_ml.sql.plan import Property
from ces_ml.sql.quoting import literal

__all__ = ["DuckDBSession"]


class DuckDBSession:
    """A `ces_ml.features.session.Session` over one event log, in a DuckDB of its own.

    Parameters
    ----------
    events : path, glob, pandas.DataFrame, polars.DataFrame, pyarrow.Table or DuckDB relation
        The log.
    schema : EventSchema
        What its columns are called.
    threads : int, optional
        Threads that DuckDB uses; all cores by default.
    memory_limit : str, optional
        For example ``"2GB"``: beyond it DuckDB spills to disk.

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
    ) -> None:
        import duckdb

        self._duckdb_error = duckdb.Error
        self._con = duckdb.connect()
        try:
            self._set(threads, memory_limit)
            self._guard(lambda: open_source(self._con, events, schema))
        except BaseException:
            self._con.close()
            raise

    def _set(self, threads: int | None, memory_limit: str | None) -> None:
        # What does not fit memory goes to a folder of its own, which DuckDB removes at the end;
        # by default it would be `.tmp` in whatever folder the job was started from.
        spill = os.path.join(tempfile.gettempdir(), f"ces-ml-{uuid.uuid4().hex}")
        for setting in (
            "TimeZone='UTC'",
            "autoinstall_known_extensions=false",
            "autoload_known_extensions=false",
            "preserve_insertion_order=false",
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

    def prelude(
        self, schema: EventSchema, properties: Sequence[Property], filters: Sequence[str] = ()
    ) -> tuple[str, bool]:
        """Return the SELECT that makes ``ev``, nulls still in it, and whether times were naive."""
        return prelude_sql(self.types(), self.ask, schema, properties, filters)

    def types(self) -> dict[str, str]:
        """Return the columns of the log and DuckDB's names of their types."""
        described = self._guard(lambda: self._con.sql("SELECT * FROM source LIMIT 0"))
        return dict(zip(described.columns, map(str, described.types), strict=True))

    def ask(self, query: str) -> tuple[Any, ...]:
        """Return the only row of the answer to a query."""
        return tuple(self.fetch(query).to_pylist()[0].values())

    def make(self, kind: str, name: str, select: str) -> None:
        """Make a temporary view or table of a query."""
        self._guard(lambda: self._con.execute(f"CREATE OR REPLACE TEMP {kind} {name} AS {select}"))

    def register(self, name: str, **columns: Any) -> None:
        """Make a relation of Arrow arrays."""
        self._con.register(name, pa.table(columns))

    def fetch(self, query: str) -> Any:
        """Return the answer to a query as an Arrow table."""
        # con.sql, not con.execute: only the former keeps ORDER BY when Arrow is fetched.
        return self._guard(lambda: self._con.sql(query).to_arrow_table())

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
