"""Spark as the place where the SQL runs: a session of our own in the user's Spark."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ces_ml.errors import CesWarning, EventLogError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.features.accounts import (
    AccountMapping,
    check_mapping,
    mapping_roles,
    mapping_source,
    unmapped_sql,
)
from ces_ml.features.columns import check_log_columns, customer_sql, prelude_sql, time_sql
from ces_ml.features.dialect import Dialect
from ces_ml.features.log_span import LogSpan
from ces_ml.features.long_counts import too_large
from ces_ml.features.property_columns import filter_columns
from ces_ml.features.shaping import settled
from ces_ml.features.spark_accounts import ACCOUNT, SparkAccounts, make_mapping
from ces_ml.features.spark_rows import TOO_LARGE
from ces_ml.features.spark_shaping import SparkShape
from ces_ml.features.spark_sources import SparkLog, from_arrow, open_log
from ces_ml.features.spark_start import call_it, cause, kept_active, own_session, started
from ces_ml.features.spark_types import called
from ces_ml.sql.plan import Property
from ces_ml.sql.quoting import literal

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["SparkSqlSession"]

#: Relations of Arrow arrays up to this size are sent to all executors.
_SMALL = 4 << 20
_DIALECT = Dialect(
    literal=lambda text: literal(text, backslash=True),
    micros="UNIX_MICROS(CAST({0} AS TIMESTAMP))",
    parsed="TRY_CAST({0} AS TIMESTAMP)",
    seconds="CAST(CAST(CAST({0} AS INTERVAL SECOND) AS DECIMAL(20, 6)) AS DOUBLE)",
    # Java reads '1d' and '1f' as numbers.
    number="TRY_CAST(IF(CAST({0} AS STRING) RLIKE '[dDfF]\\\\s*$', NULL, {0}) AS DOUBLE)",
    finite="{0} - {0} = 0E0",
    matches="({0} RLIKE CONCAT('\\\\A(?:', {1}, ')\\\\z'))",
)
#: Moments as Spark compares them with a column, by the type of the column.
_MOMENTS = {
    "TIMESTAMP": "CAST(TIMESTAMP_MICROS({}) AS TIMESTAMP_NTZ)",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_MICROS({})",
}


class SparkSqlSession:
    """A `ces_ml.features.session.Session` over one event log, in the user's Spark.

    Nothing is seen by the user's own session, and none of its settings change results. A table is
    computed when it is first asked for and kept by the executors, on disk where memory ends.

    Parameters
    ----------
    events : path, frame or table, optional
    schema : EventSchema
    spark : SparkSession, optional
        The active one, or a new one, when not given.
    table, form : str, optional
        See `ces_ml.features.spark_sources.open_log`.
    span : LogSpan, optional
        The part of the log that is read.
    accounts : AccountMapping, optional
        With it accounts are the customers.
    account_table : path, frame or table, optional
        The mapping itself; ``accounts.path`` when not given.

    Raises
    ------
    EventLogError
        If the log or the mapping can't be opened.
    MissingDependencyError
        If Spark or Java is absent.
    """

    bounded = has_uuids = False
    #: Whether `make_numbered` numbers all rows, which a result in this process needs.
    numbered = True

    def __init__(
        self,
        events: Any,
        schema: EventSchema,
        *,
        spark: Any = None,
        table: str | None = None,
        form: str | None = None,
        span: LogSpan | None = None,
        accounts: AccountMapping | None = None,
        account_table: Any = None,
    ) -> None:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        self._errors = (PySparkException, Py4JError)
        known = (spark, _session_of(events), _session_of(account_table))
        self._user = started(next((s for s in known if s is not None), None))
        self.spark = own_session(self._user)
        self._schema, self._span = schema, span or LogSpan()
        self._kept: list[DataFrame] = []
        self._texts: dict[str, str] = {}
        self._answers: dict[str, tuple[Any, ...]] = {}
        self._named: tuple[str, ...] = ()
        self._warned = False
        self._accounts: SparkAccounts | None = None
        self._shared: list[str] = []
        try:
            log = self._open(events, schema, table=table, form=form)
            call_it(log.frame, "raw")
            self._shape: SparkShape = self._guard(lambda: SparkShape(log, schema, self.ask))
            if accounts is not None:
                self._guard(lambda: self._open_accounts(accounts, account_table))
        except BaseException:
            self.close()
            raise

    def _open(self, events: Any, schema: EventSchema, **options: str | None) -> SparkLog:
        with kept_active(self._user):
            log = open_log(self._user, self.spark, events, schema, **options)
        if log.shared is not None:
            self._shared.append(log.shared)
        return log

    def _open_accounts(self, mapping: AccountMapping, table: Any) -> None:
        """Make ``accounts``, kept by the executors."""
        source, name, form = mapping_source(mapping, table, on_spark=True)
        opened = self._open(source, mapping_roles(mapping), table=name, form=form)
        select = make_mapping(
            opened, mapping, _DIALECT, lambda query: tuple(self.spark.sql(query).first() or ())
        )
        self.make("TABLE", "accounts", select)
        check_mapping(lambda query: self.spark.sql(query).collect())
        users = called(self.spark.table("accounts").schema["user_id"].dataType)
        self._accounts = SparkAccounts(self.spark, mapping, users)

    @property
    def by_account(self) -> bool:
        """Whether accounts are the customers."""
        return self._accounts is not None

    def _make_source(self, span: LogSpan) -> dict[str, str]:
        """Make ``source`` and return the names of the log's columns and their types."""
        select, self._columns = self._shape.select(self._named)
        source = self.spark.sql(select)
        call_it(source, "source")
        types = {n: called(source.schema[c].dataType) for n, c in self._columns.items()}
        column = self._schema.timestamp_col
        if self._accounts is not None:
            check_log_columns([self._schema.customer_col, column], types)
        if column not in types or not (span.bounded or self.by_account):
            return types
        us, _ = time_sql(self.ask, column, types, self._dialect)
        if span.bounded:
            kind = types[column]
            name = self._columns[column]
            inside = span.condition(us, name, kind, _MOMENTS)
            if not span.narrowed:  # rows without a time are reported
                inside = f"({inside}) OR {name} IS NULL"
            days = self._days(span)
            call_it(source.where(f"({inside}){days}"), "source")
        if self._accounts is not None:
            user = customer_sql(self.ask, self._schema.customer_col, types, self._dialect)
            query, self._columns = self._accounts.rolled_up(user, us, self._columns)
            source = self.spark.sql(query)
            call_it(source, "source")
            types = {n: called(source.schema[c].dataType) for n, c in self._columns.items()}
        return types

    def _days(self, span: LogSpan) -> str:
        """Return the condition on the folders of days, which Spark then does not open."""
        if span.partition_col is None:
            return ""
        column = self._columns.get(span.partition_col)
        if column is None:
            raise EventLogError(
                "the event log has no such column",
                got=f"{show(span.partition_col)} (partition_col)",
                allowed=did_you_mean(span.partition_col, self._columns),
                hint="correct partition_col, or leave it out",
            )
        day = f"REPLACE(CAST({column} AS STRING), '-', '')"
        parts = []
        if span.since_us is not None:
            parts.append(f"{day} >= {literal(_day(span.since_us))}")
        if span.until_us is not None:
            parts.append(f"{day} <= {literal(_day(span.until_us - 1))}")
        return f" AND ({column} IS NULL OR ({' AND '.join(parts)}))"

    @property
    def _dialect(self) -> Dialect:
        return replace(_DIALECT, column=lambda name: self._columns[name])

    def prelude(
        self, schema: EventSchema, properties: Sequence[Property], filters: Sequence[str] = ()
    ) -> tuple[str, bool]:
        """Return the SELECT that makes ``ev``, nulls still in it, and whether times were naive."""
        named = [p.column for p in properties] + [c for f in filters for c in filter_columns(f)]
        self._named = tuple(dict.fromkeys(named))
        types: dict[str, str] = self._guard(lambda: self._make_source(self._span))
        value = schema.value_col
        if value is not None and value not in types and not self._warned:
            self._warned = True
            warnings.warn(
                f"value_col {show(value)} is not one of the {len(types)} columns of the log: "
                f"{did_you_mean(value, types)}",
                CesWarning,
                stacklevel=4,
            )
        return prelude_sql(types, self.ask, settled(schema), properties, filters, self._dialect)

    @contextmanager
    def narrowed(self, since_us: int, until_us: int) -> Iterator[None]:
        """Read only events of ``[since, until)`` inside the block."""
        before = self._texts.get("ev")
        if before is None:
            yield
            return
        self._guard(lambda: self._make_source(self._span.within(since_us, until_us)))
        self.make("VIEW", "ev", before)
        try:
            yield
        finally:
            self._guard(lambda: self._make_source(self._span))
            self.make("VIEW", "ev", before)

    def unmapped(self) -> tuple[int, int]:
        """Return how many events with a user have no account then, and of how many users."""
        if self._accounts is None:
            return 0, 0
        types = self._guard(lambda: self._make_source(self._span))
        user = customer_sql(self.ask, self._schema.customer_col, types, self._dialect)
        found = self.ask(unmapped_sql(user, ACCOUNT))
        return int(found[0]), int(found[1])

    def ask(self, query: str) -> tuple[Any, ...]:
        """Return the only row of the answer to a query about the log as a whole."""
        if query not in self._answers:
            self._answers[query] = tuple(self._guard(lambda: self.spark.sql(query).first()))
        return self._answers[query]

    def make(self, kind: str, name: str, select: str) -> None:
        """Make a temporary view of a query, or a table that is kept once it is computed."""
        from pyspark import StorageLevel

        frame = self.frame(select)
        if kind == "TABLE":
            frame = frame.persist(StorageLevel.MEMORY_AND_DISK)
            self._kept.append(frame)
        call_it(frame, name)
        self._texts[name] = select

    def make_numbered(self, name: str, select: str, order: Sequence[str]) -> None:
        """Make a table of a query with its rows numbered from 0 in an order, as ``r``.

        The numbers follow from the rows alone, so that a part which is computed again, because an
        executor was lost, gets the same ones. One executor sorts the keys; with `numbered` false
        nothing is sorted, and ``r`` is the first expression of the order: it tells the rows of one
        customer apart.
        """
        place = f"ROW_NUMBER() OVER (ORDER BY {', '.join(order)}) - 1"
        r = f"CAST({place} AS BIGINT)" if self.numbered else order[0]
        self.make("TABLE", name, f"SELECT {r} AS r, * FROM ({select}) AS numbered")

    def register(self, name: str, **columns: Any) -> None:
        """Make a relation of Arrow arrays."""
        table = pa.table(columns)
        with kept_active(self._user):
            frame = self._guard(lambda: from_arrow(self.spark, table).toDF(*table.column_names))
        if table.nbytes <= _SMALL:
            frame = frame.hint("broadcast")
        call_it(frame, name)

    def fetch(self, query: str, *, as_written: bool = False) -> Any:
        """Return the answer to a query as an Arrow table."""
        return self._guard(lambda: self.spark.sql(query).toArrow())

    def frame(self, query: str) -> DataFrame:
        """Return the answer to a query as a frame of our session."""
        made: DataFrame = self._guard(lambda: self.spark.sql(query))
        return made

    def stream(self, query: str, *, as_written: bool = False) -> Iterator[Any]:
        """Yield the answer to a query in Arrow record batches, one partition at a time."""
        frame = self._guard(lambda: self.spark.sql(query).mapInArrow(_packing(), "batch binary"))
        rows = self._guard(frame.toLocalIterator)
        while (row := self._guard(lambda: next(rows, None))) is not None:
            yield from pa.ipc.open_stream(row["batch"])

    def close(self) -> None:
        """Give back what the executors hold, and the views of the user's frames."""
        while self._kept:
            self._guard(self._kept.pop().unpersist)
        while self._shared:
            drop = partial(self.spark.catalog.dropGlobalTempView, self._shared.pop())
            self._guard(drop)

    def _guard(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except self._errors as error:
            text = str(error)
            if TOO_LARGE in text:
                raise too_large() from error
            hint = "check the files and Spark's own log"
            if "maxResultSize" in text:
                hint = (
                    "write the counts with Spark (SparkEngine.counts), or raise "
                    "spark.driver.maxResultSize and the driver's memory"
                )
            raise EventLogError(
                "the event log can't be counted",
                got=cause(error),
                allowed="readable files, and memory or disk enough on every executor",
                hint=hint,
            ) from error


def _session_of(events: Any) -> Any:
    """Return the session of a Spark DataFrame; None for anything else."""
    if type(events).__module__.startswith("pyspark."):
        return getattr(events, "sparkSession", None)
    return None


def _day(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).strftime("%Y%m%d")


def _packing() -> Callable[[Iterator[Any]], Iterator[Any]]:
    """Return the function that packs record batches as they are into one binary value each.

    Spark sends a function that is made in another by its text: executors need PyArrow for it, and
    nothing of ces-ml.
    """

    def packed(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as arrow

        for batch in batches:
            sink = arrow.BufferOutputStream()
            with arrow.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch)
            held = arrow.array([sink.getvalue().to_pybytes()], arrow.binary())
            yield arrow.record_batch([held], ["batch"])

    return packed
