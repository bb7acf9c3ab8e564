"""Counting with DuckDB, on one machine."""

from __future__ import annotations

from typing import Any

from ces_ml.events import EventSchema
from ces_ml.features.accounts import AccountMapping, named_accounts
from ces_ml.features.duckdb_session import DuckDBSession
from ces_ml.features.log_span import LogSpan
from ces_ml.features.prepared import PreparedLog
from ces_ml.features.shaping import settled
from ces_ml.features.sql_engine import SqlEngine

__all__ = ["DuckDBEngine"]


class DuckDBEngine(SqlEngine):
    """An `Engine` over one event log. Use it in a ``with`` block.

    Parameters
    ----------
    events : path, glob, frame, table, relation or AdbcSource
        The log: Parquet, CSV, TSV or JSON lines (also ``.gz``) as a path, a glob, or a folder of
        Parquet files, with or without partitions such as ``date=2024-01-31``; a DuckDB database
        file with `table`; a pandas or polars DataFrame; a pyarrow Table; a DuckDB relation; or a
        query of a database, `AdbcSource`.
    schema : EventSchema, optional
        What its columns are called.
    observed_until : datetime or str, optional
        End of the log's observation; the time of its last event when not given.
    threads : int, optional
        Threads that DuckDB uses; all cores by default. Does not change results.
    memory_limit : str, optional
        For example ``"2GB"``: beyond it DuckDB spills to disk.
    table : str, optional
        Table of a DuckDB database file; may be left out where there is only one.
    since, until : str, date or datetime, optional
        Read only events of ``[since, until)``: the log is taken to hold nothing else, so customers
        seen only before are not known.
    partition_col : str, optional
        Hive partition that holds the UTC date of an event's time. Folders outside `since` and
        `until`, or out of reach of the counts, are not opened.
    accounts : AccountMapping, optional
        With it accounts are the customers, and what their users do is counted together.
    account_table : path, frame or table, optional
        The mapping itself; ``accounts.path`` when not given.

    Examples
    --------
    >>> import pandas as pd
    >>> from ces_ml.spec import CountSpec
    >>> log = pd.DataFrame({"customer_id": ["a", "a", "b"], "event_type": "login",
    ...     "timestamp": pd.to_datetime(["2025-01-01", "2025-01-05", "2025-01-05"])})
    >>> with DuckDBEngine(log) as engine:
    ...     table = engine.table(CountSpec.of(["login"], window="3d"), None)
    >>> table.to_pandas()["login"].tolist()
    [1.0, 1.0]
    """

    def __init__(
        self,
        events: Any,
        schema: EventSchema | None = None,
        *,
        observed_until: Any = None,
        threads: int | None = None,
        memory_limit: str | None = None,
        table: str | None = None,
        since: Any = None,
        until: Any = None,
        partition_col: str | None = None,
        accounts: AccountMapping | None = None,
        account_table: Any = None,
    ) -> None:
        prepared = PreparedLog.read(events) if PreparedLog.is_at(events) else None
        if prepared is not None:
            schema, events = prepared.schema_with(schema), PreparedLog.file(events)
        schema = schema or EventSchema()
        accounts = named_accounts(accounts, account_table, schema)
        span = LogSpan.of(since, until, partition_col)
        session = DuckDBSession(
            events,
            schema,
            threads=threads,
            memory_limit=memory_limit,
            table=table,
            span=span,
            accounts=accounts,
            account_table=account_table,
        )
        if accounts is not None:
            schema = schema.model_copy(update={"customer_col": accounts.account_col})
        super().__init__(session, settled(schema), observed_until=observed_until)
        if prepared is not None and accounts is None and not span.bounded:
            self._profile = prepared.profile()
