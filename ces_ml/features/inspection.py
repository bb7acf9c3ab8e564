"""Looking at a log before counting it: one value with everything that is odd about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ces_ml.events import EventSchema
from ces_ml.features import log_checks
from ces_ml.features.duckdb_session import DuckDBSession
from ces_ml.features.engine import LogProfile, moment_of
from ces_ml.features.profile import read_profile
from ces_ml.spec.duration import DAY_US
from ces_ml.spec.log_inspection import BusyHour, DayBurst, EventTypeSummary, LogInspection

__all__ = ["inspect_events"]

HOUR_US = DAY_US // 24
#: A customer's hour is far above normal from this many times the 99th percentile on.
_BUSY_TIMES, _BUSY_LEAST, _BUSY_SHOWN = 10, 30, 20
_MOST_BURSTS = 200
_EVENTS = "(SELECT * FROM iv JOIN ty USING (event_type))"
Progress = Callable[[str], None]


def inspect_events(
    events: Any,
    schema: EventSchema | None = None,
    *,
    table: str | None = None,
    threads: int | None = None,
    memory_limit: str | None = "2GB",
    progress: Progress = lambda stage: None,
) -> LogInspection:
    """Look at an event log: what it holds, and what is odd about it.

    The log is read several times and never held: grouping runs in DuckDB, which spills to disk at
    `memory_limit`, and the order of the rows is checked on a stream.

    Parameters
    ----------
    events : path, glob, pandas.DataFrame, polars.DataFrame, pyarrow.Table or DuckDB relation
    schema : EventSchema, optional
        What its columns are called.
    table : str, optional
        Which table of a DuckDB database.
    threads : int, optional
    memory_limit : str or None, default="2GB"
        Of DuckDB; the rest of the process is a few hundred MB.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    LogInspection

    Raises
    ------
    EventLogError
        If the log can't be read or holds no events.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({"customer_id": ["a", "a", "a", "b"], "event_type": "login",
    ...     "timestamp": ["2025-01-01", "2025-01-01", "2025-01-04", "2025-01-02"]})
    >>> found = inspect_events(log)
    >>> found.rows, found.customers, found.duplicates, [str(a) for a, b in found.gaps]
    (4, 2, 1, ['2025-01-03'])
    """
    schema = schema or EventSchema()
    session = DuckDBSession(
        events,
        schema,
        threads=threads,
        memory_limit=memory_limit,
        table=table,
        keep_order=True,
    )
    try:
        progress("reading the log")
        select, naive = session.prelude(schema, ())
        profile = read_profile(
            session.fetch, select, naive=naive, arrival=schema.arrival_col is not None
        )
        session.make(
            "VIEW",
            "iv",
            f"SELECT * FROM ({select}) WHERE customer_id IS NOT NULL AND event_type IS NOT NULL "
            "AND ts_us IS NOT NULL",
        )
        names = list(profile.event_types)
        session.register(
            "ty", event_type=pa.array(names, pa.string()), code=pa.array(range(len(names)))
        )
        source = os.fspath(events) if isinstance(events, str | os.PathLike) else "a table"
        return _inspected(session, profile, names, str(source), schema, progress)
    finally:
        session.close()


def _inspected(
    session: DuckDBSession,
    profile: LogProfile,
    names: list[str],
    source: str,
    schema: EventSchema,
    progress: Progress,
) -> LogInspection:
    progress("events by type and day")
    first = profile.first.date()
    per_day, spans, by_hour = _by_day(session, profile, len(names))
    progress("customers by type")
    customers, n_customers = _customers(session, len(names))
    types, bursts = _types(profile, names, per_day, spans, customers, n_customers)
    gaps = log_checks.gaps_of(per_day.sum(axis=0), first)
    progress("customers by hour")
    busy_from, n_busy, busiest = _busy_hours(session)
    progress("duplicates")
    duplicates = _repeats(session, "SELECT hash(s) AS h FROM source s")
    repeated = _repeats(session, "SELECT hash(customer_id, event_type, ts_us) AS h FROM iv")
    progress("order of the rows")
    order, out_of_order, furthest_back_us = _order(session)
    lateness = _lateness(session) if schema.arrival_col is not None else None
    found = LogInspection(
        source=source,
        rows=profile.rows,
        dropped=profile.dropped,
        customers=n_customers,
        first=profile.first,
        last=profile.last,
        naive=profile.naive,
        duplicates=duplicates,
        repeated=repeated,
        order=order,
        out_of_order=out_of_order,
        furthest_back_days=furthest_back_us / DAY_US,
        types=types,
        gaps=gaps,
        bursts=bursts,
        busy_hours=busiest,
        busy_hour_from=busy_from,
        n_busy_hours=n_busy,
        by_hour=by_hour,
        lateness=lateness,
    )
    return replace(found, notes=log_checks.notes_on(found))


def _by_day(
    session: DuckDBSession, profile: LogProfile, n_types: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return events by type and day, first and last time by type, and events by hour of week."""
    found = session.fetch(
        f"SELECT code, ts_us // {HOUR_US} - CASE WHEN ts_us % {HOUR_US} < 0 THEN 1 ELSE 0 END "
        "AS hour, COUNT(*) AS n, MIN(ts_us) AS t0, MAX(ts_us) AS t1 "
        f"FROM {_EVENTS} GROUP BY 1, 2"
    )
    code, hour = found["code"].to_numpy(), found["hour"].to_numpy()
    n = found["n"].to_numpy()
    day = hour // 24 - profile.first_us // DAY_US
    n_days = profile.last_us // DAY_US - profile.first_us // DAY_US + 1
    per_day = np.zeros((n_types, n_days), dtype=np.int64)
    np.add.at(per_day, (code, day), n)
    spans = np.zeros((n_types, 2), dtype=np.int64)
    spans[:, 0] = np.iinfo(np.int64).max
    spans[:, 1] = np.iinfo(np.int64).min
    np.minimum.at(spans[:, 0], code, found["t0"].to_numpy())
    np.maximum.at(spans[:, 1], code, found["t1"].to_numpy())
    # 1970 began on a Thursday; the week of the table on Monday.
    by_hour = np.bincount((hour + 72) % 168, weights=n, minlength=168).astype(np.int64)
    return per_day, spans, by_hour.reshape(7, 24)


def _customers(session: DuckDBSession, n_types: int) -> tuple[NDArray[np.int64], int]:
    found = session.fetch(
        "SELECT code, COUNT(*) AS n FROM "
        f"(SELECT DISTINCT code, hash(customer_id) AS h FROM {_EVENTS}) GROUP BY code"
    )
    customers = np.zeros(n_types, dtype=np.int64)
    customers[found["code"].to_numpy()] = found["n"].to_numpy()
    total = session.fetch("SELECT COUNT(*) AS n FROM (SELECT DISTINCT customer_id FROM iv)")
    return customers, int(total["n"][0].as_py())


def _types(
    profile: LogProfile,
    names: list[str],
    per_day: NDArray[np.int64],
    spans: NDArray[np.int64],
    customers: NDArray[np.int64],
    n_customers: int,
) -> tuple[tuple[EventTypeSummary, ...], tuple[DayBurst, ...]]:
    first, span = profile.first.date(), (profile.first_us, profile.last_us)
    total = per_day.sum(axis=0)
    bursts = log_checks.bursts_of(total, log_checks.usual_per_day(total), None, first)
    summaries = []
    for k, name in enumerate(names):
        usual = log_checks.usual_per_day(per_day[k])
        if len(names) > 1:
            bursts += log_checks.bursts_of(per_day[k], usual, name, first)
        t0, t1 = (int(t) for t in spans[k])
        begins, stops = log_checks.absent_ends(profile.event_types[name], t0, t1, span)
        summaries.append(
            EventTypeSummary(
                event=name,
                rows=profile.event_types[name],
                customers=int(customers[k]),
                share=customers[k] / n_customers,
                first=moment_of(t0),
                last=moment_of(t1),
                per_day=per_day[k],
                begins_late=begins,
                stops_early=stops,
                silent_days=log_checks.silent_days(per_day[k], usual),
            )
        )
    summaries.sort(key=lambda t: (-t.rows, t.event))
    bursts.sort(key=lambda b: (-(b.rows / (b.usual + 1)), b.day, b.event or ""))
    return tuple(summaries), tuple(bursts[:_MOST_BURSTS])


def _busy_hours(session: DuckDBSession) -> tuple[int, int, tuple[BusyHour, ...]]:
    hours = (
        f"SELECT hash(customer_id) AS h, ts_us // {HOUR_US} AS hour, COUNT(*) AS n, "
        "MIN(ts_us) AS t0 FROM iv GROUP BY 1, 2"
    )
    sizes = session.fetch(f"SELECT n, COUNT(*) AS hours FROM ({hours}) GROUP BY n ORDER BY n")
    n, many = sizes["n"].to_numpy(), sizes["hours"].to_numpy()
    at = int(np.searchsorted(np.cumsum(many), 0.99 * many.sum()))
    least = max(_BUSY_LEAST, _BUSY_TIMES * int(n[at]))
    n_busy = int(many[n >= least].sum())
    if not n_busy:
        return least, 0, ()
    named = session.fetch(
        "SELECT CAST(ANY_VALUE(customer_id) AS VARCHAR) AS customer, MIN(ts_us) AS t0, "
        f"COUNT(*) AS n FROM iv WHERE hash(customer_id) IN "
        f"(SELECT h FROM ({hours}) WHERE n >= {least} ORDER BY n DESC, t0 LIMIT {_BUSY_SHOWN}) "
        f"GROUP BY hash(customer_id), ts_us // {HOUR_US} HAVING COUNT(*) >= {least} "
        f"ORDER BY n DESC, t0, customer LIMIT {_BUSY_SHOWN}"
    ).to_pylist()
    busiest = tuple(
        BusyHour(row["customer"], moment_of(row["t0"] // HOUR_US * HOUR_US), row["n"])
        for row in named
    )
    return least, n_busy, busiest


def _repeats(session: DuckDBSession, hashes: str) -> int:
    """Return how many rows repeat another, by a hash of 64 bits: the first of them is none."""
    found = session.fetch(
        f"SELECT SUM(n - 1) AS n FROM (SELECT COUNT(*) AS n FROM ({hashes}) GROUP BY h "
        "HAVING COUNT(*) > 1)"
    )
    return int(found["n"][0].as_py() or 0)


def _order(session: DuckDBSession) -> tuple[str, int, int]:
    """Return how the rows stand, how many are earlier than the row before, by how much at most."""
    earlier = earlier_within = changes = back_us = back_within_us = 0
    latest = np.iinfo(np.int64).min
    last: tuple[int, int] | None = None
    for batch in session.stream("SELECT hash(customer_id) AS h, ts_us FROM iv"):
        h, ts = batch["h"].to_numpy(), batch["ts_us"].to_numpy()
        if last is not None:
            h, ts = np.r_[np.uint64(last[0]), h], np.r_[last[1], ts]
        last = (int(h[-1]), int(ts[-1]))
        same, back = h[1:] == h[:-1], ts[1:] < ts[:-1]
        so_far = np.maximum.accumulate(np.r_[latest, ts])
        latest = int(so_far[-1])
        back_us = max(back_us, int((so_far[1:] - ts).max()))
        back_within_us = max(
            back_within_us, int(((ts[:-1] - ts[1:]) * (back & same)).max(initial=0))
        )
        earlier += int(back.sum())
        earlier_within += int((back & same).sum())
        changes += int((~same).sum())
    if earlier == 0:
        return "by time", 0, 0
    customers = session.fetch("SELECT COUNT(DISTINCT hash(customer_id)) AS n FROM iv")
    if changes == customers["n"][0].as_py() - 1:
        order = "none" if earlier_within else "by customer, then time"
        return order, earlier_within, back_within_us
    return "none", earlier, back_us


def _lateness(session: DuckDBSession) -> dict[str, float]:
    quantiles = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p100": 1.0}
    at = ", ".join(
        f"quantile_cont(CASE WHEN delay > 0 THEN delay END, {q:.2E}) AS {name}"
        for name, q in quantiles.items()
    )
    row = session.fetch(
        "SELECT COUNT(*) AS n, COUNT(delay) AS known, "
        "COUNT(CASE WHEN delay > 0 THEN 1 END) AS late, "
        f"COUNT(CASE WHEN delay < 0 THEN 1 END) AS early, {at} "
        "FROM (SELECT arrival_us - ts_us AS delay FROM iv)"
    ).to_pylist()[0]
    found = {
        "late": row["late"] / row["n"],
        "never_arrived": 1 - row["known"] / row["n"],
        "before": row["early"] / row["n"],
    }
    if row["late"]:
        found |= {f"delay_days_{name}": float(row[name]) / DAY_US for name in quantiles}
    return found
