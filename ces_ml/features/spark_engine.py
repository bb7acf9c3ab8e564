"""Counting with Spark, on a cluster or on one machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ces_ml.errors import SpecError, show
from ces_ml.events import EventSchema
from ces_ml.features.accounts import AccountMapping, named_accounts
from ces_ml.features.log_span import LogSpan
from ces_ml.features.long_counts import check_seats, register_plan
from ces_ml.features.prepared import PreparedLog
from ces_ml.features.session import number
from ces_ml.features.shaping import settled
from ces_ml.features.spark_counts import SparkCounts
from ces_ml.features.spark_rows import counts_sql
from ces_ml.features.spark_session import SparkSqlSession
from ces_ml.features.sql_engine import SqlEngine
from ces_ml.spec.as_of import AsOf
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountSpec
from ces_ml.spec.outcome import OutcomeSpec
from ces_ml.sql.plan import CountPlan
from ces_ml.sql.seats import seats_sql

__all__ = ["SparkEngine"]

#: What DuckDB is told and Spark is not, with what to do instead.
_ELSEWHERE = {
    "threads": "set the cores of Spark: spark.executor.cores, or the master local[2]",
    "memory_limit": "set the memory of Spark: spark.executor.memory",
}
_OPTIONS = (
    *("table", "format", "since", "until", "partition_col"),
    *("accounts", "account_table", "observed_until", "spark"),
)


class SparkEngine(SqlEngine):
    """An `Engine` over one event log in Spark. Use it in a ``with`` block.

    It runs in the given session, or in the active one, or starts one as Spark is configured
    (``spark-submit``, ``spark-defaults.conf``). Counts are those of `DuckDBEngine`.

    Parameters
    ----------
    events : path, Spark DataFrame, frame or table, optional
        The log: Parquet, CSV (comma, header), TSV or JSON lines as a path, a glob or a folder,
        on any file system that Spark reads (``s3a://…``); a Spark DataFrame; a pandas or polars
        DataFrame or a pyarrow Table, which is sent to Spark. None with `table`.
    schema : EventSchema, optional
        What its columns are called.
    observed_until : datetime or str, optional
        End of the log's observation; the time of its last event when not given.
    table : str, optional
        A table or view that the session knows.
    format : str, optional
        Format of what lies at the path, such as ``"delta"`` or ``"iceberg"``; its package must be
        on Spark's classpath.
    since, until : str, date or datetime, optional
        Read only events of ``[since, until)``: the log is taken to hold nothing else, so customers
        seen only before are not known.
    partition_col : str, optional
        Column with the UTC date of an event's time, by which the log is partitioned: what lies
        outside is not read.
    accounts : AccountMapping, optional
        With it accounts are the customers, and what their users do is counted together.
    account_table : path, Spark DataFrame, frame or table, optional
        The mapping itself, in any form that `events` may have; ``accounts.path`` when not given.
    spark : SparkSession, optional
        A classic one; Spark Connect is refused.
    **elsewhere
        Options of DuckDB, which are refused with what to do instead.

    Examples
    --------
    >>> from ces_ml.spec import CountSpec
    >>> with SparkEngine(table="shop.events") as engine:                  # doctest: +SKIP
    ...     table = engine.table(CountSpec.of(["login"], window="30d"))
    """

    def __init__(
        self,
        events: Any = None,
        schema: EventSchema | None = None,
        *,
        observed_until: Any = None,
        table: str | None = None,
        format: str | None = None,
        since: Any = None,
        until: Any = None,
        partition_col: str | None = None,
        accounts: AccountMapping | None = None,
        account_table: Any = None,
        spark: Any = None,
        **elsewhere: Any,
    ) -> None:
        for name, value in elsewhere.items():
            if name not in _ELSEWHERE:
                raise SpecError.unknown(
                    "unknown option of the engine",
                    name,
                    _OPTIONS,
                    hint="correct the option",
                )
            if value is not None:
                raise SpecError(
                    f"the option {name} is not one of engine: spark",
                    got=f"{name}={show(value, 60)}",
                    allowed=", ".join(_OPTIONS),
                    hint=_ELSEWHERE[name],
                )
        prepared = PreparedLog.read(events) if PreparedLog.is_at(events) else None
        if prepared is not None:
            schema, events = prepared.schema_with(schema), PreparedLog.file(events)
        schema = schema or EventSchema()
        accounts = named_accounts(accounts, account_table, schema)
        self.place = SparkSqlSession(
            events,
            schema,
            spark=spark,
            table=table,
            form=format,
            span=LogSpan.of(since, until, partition_col),
            accounts=accounts,
            account_table=account_table,
        )
        if accounts is not None:
            schema = schema.model_copy(update={"customer_col": accounts.account_col})
        super().__init__(self.place, settled(schema), observed_until=observed_until)

    def counts(
        self,
        spec: CountSpec,
        as_of: AsOf | None = None,
        outcome: OutcomeSpec | None = None,
        *,
        treated: Any = None,
        design: bool = False,
    ) -> SparkCounts:
        """Return what `table` returns as a Spark DataFrame: nothing of its size comes here.

        Parameters
        ----------
        spec, as_of, outcome, treated
            As in `table`.
        design : bool, default=False
            Whether counts are taken after cap and transform, as weights see them.

        Returns
        -------
        SparkCounts
            Computed when it is used; keep it with ``frame.persist()`` to use it twice. Closing the
            engine gives back tables that it is made of, which are then computed again.

        Raises
        ------
        EventLogError, SpecError
            As `table`. A sum past all numbers fails when the frame is used.
        """
        self.place.numbered = False
        try:
            made = self._sampled(spec, as_of, outcome, treated, held=False)
        finally:
            self.place.numbered = True
        plan = CountPlan.of(spec.terms, self.schema.value_col)
        register_plan(self.session, plan, made.report)
        seats = sorted({term.window.us for term in spec.terms if term.per == "seat"})
        if seats:
            check_seats(self.session)
            self.place.make("TABLE", "se", seats_sql(seats))
        weight = outcome.treated.weight if outcome is not None and outcome.treated else None
        query = counts_sql(
            plan,
            spec,
            arrival=self.schema.arrival_col is not None,
            design=design,
            outcome=outcome is not None,
            weight=weight,
        )
        with self._in_reach(plan):
            frame = self.place.frame(query)
        return SparkCounts(frame, spec, self.schema.customer_col, design, made.report, made.unseen)

    def rows(self) -> int:
        """Return how many rows the last `counts` or `table` is for."""
        return number(self.session, "SELECT COUNT(*) FROM cu")

    def look_at(self, table: CountTable) -> None:
        """Let `history`, and what audits a table, look at the rows of `table` in their order.

        `counts` leaves its rows unnumbered; here some of them, which were brought to this process,
        take their place. Frames that were made before are not changed.
        """
        moments = table.as_of.dt.as_unit("us").astype("int64")
        self.place.register(
            "looked_at",
            r=pa.array(np.arange(len(table))),
            customer_id=pa.Array.from_pandas(table.customer),
            as_of_us=pa.array(moments.to_numpy()),
        )
        self.place.make("TABLE", "cu", "SELECT r, customer_id, as_of_us FROM looked_at")
