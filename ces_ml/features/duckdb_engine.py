"""Counting with DuckDB, on one machine."""

from __future__ import annotations

from typing import Any

from ces_ml.events import EventSchema
from ces_ml.features.duckdb_session import DuckDBSession
from ces_ml.features.sql_engine import SqlEngine

__all__ = ["DuckDBEngine"]


class DuckDBEngine(SqlEngine):
    """An `Engine` over one event log. Use it in a ``with`` block.

    Parameters
    ----------
    events : path, glob, pandas.DataFrame, polars.DataFrame, pyarrow.Table or DuckDB relation
        The log. A folder means all Parquet files below it.
    schema : EventSchema, optional
        What its columns are called.
    observed_until : datetime or str, optional
        End of the log's observation; the time of its last event when not given.
    threads : int, optional
        Threads that DuckDB uses; all cores by default. Does not change results.
    memory_limit : str, optional
        For example ``"2GB"``: beyond it DuckDB spills to disk.

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
    ) -> None:
        schema = schema or EventSchema()
        session = DuckDBSession(events, schema, threads=threads, memory_limit=memory_limit)
        super().__init__(session, schema, observed_until=observed_until)
