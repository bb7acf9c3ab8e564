"""What a leak audit looks at beside the counts: taken from the log while it is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ces_ml.features.sql_engine import SqlEngine
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import match_events
from ces_ml.spec.duration import DAY_US, Duration
from ces_ml.spec.outcome import OutcomeSpec
from ces_ml.sql import evidence as sql

__all__ = ["LEADS", "Evidence", "Onset", "gather_evidence", "onset_events"]

#: How much earlier the audited rows are counted again.
LEADS: tuple[Duration, ...] = (Duration("1d"), Duration("3d"), Duration("7d"))
#: Events closer to the outcome than this happen together with it.
NEAR_US = 10 * 60 * 1_000_000
#: A sample of rows is enough to measure power and lead time, and keeps the audit cheap.
MOST_ROWS, MOST_EVENTS = 10_000, 300_000
_DELAYS_AT = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class Onset:
    """When the events of one type begin, beside the onset of the outcome.

    Parameters
    ----------
    customers, with_onset : int
        Audited customers who have the event, and who have the outcome's onset too.
    within : mapping of int to int
        Of the latter: whose first event stands at most this many days before the onset, or after
        it (0: at it or after it).
    rows, rows_near : int
        Rows of the event, and those within ten minutes of one of the outcome's own events.
    outcomes_near, customers_near : int
        The outcome's moments that have this event near, and their customers.
    """

    customers: int
    with_onset: int
    within: Mapping[int, int]
    rows: int = 0
    rows_near: int = 0
    outcomes_near: int = 0
    customers_near: int = 0


@dataclass(frozen=True)
class Evidence:
    """What was measured on the audited rows, a sample of the table's by customer.

    Parameters
    ----------
    rows : ndarray of int, of shape (n_audited,)
        Positions of the audited rows in the table, increasing.
    earlier : mapping of Duration to csr_array of shape (n_audited, n_terms)
        Counts of these rows as of moments that lie this much earlier.
    tenure_us : ndarray of shape (n_audited,)
        How long the customer had been known at `as_of`, in microseconds.
    onsets : mapping of str to Onset
        By event type.
    outcome_moments : int
        Moments at which the outcome's own events happened; 0 where silence is the outcome.
    lateness : mapping of str to float, optional
        With an arrival column: shares and quantiles of the delay, see `gather_evidence`.
    """

    rows: NDArray[np.int64]
    earlier: Mapping[Duration, Any]
    tenure_us: NDArray[np.int64]
    onsets: Mapping[str, Onset]
    outcome_moments: int = 0
    lateness: Mapping[str, float] | None = field(default=None)


def gather_evidence(
    engine: SqlEngine, table: CountTable, outcome: OutcomeSpec, *, seed: int = 0
) -> Evidence:
    """Measure what an audit of `table` needs; call it right after the table was counted.

    The log is read once more, for the customers of at most 10,000 rows (fewer where they have many
    events). Afterwards the engine's session holds those customers only.

    Parameters
    ----------
    engine : SqlEngine
        The engine that counted `table`, still open.
    table : CountTable
    outcome : OutcomeSpec
    seed : int, default=0
        Decides which customers are looked at, where there are more.

    Returns
    -------
    Evidence
        Its ``lateness`` holds ``late`` and ``never_arrived`` (shares of the rows), ``before``
        (share that arrived before it happened), ``delay_days_p50``, ``p90``, ``p99``, ``p100`` of
        the rows that were late, ``changed`` (share of counts that would have been larger by event
        time) and ``early`` (share of counted events).
    """
    session, profile = engine.session, engine.profile()
    # The table may be a sample of the rows that the log gives.
    a_row = sum(profile.event_types.values()) / max(1, table.report.get("rows", len(table)))
    rows = _some_rows(table, min(MOST_ROWS, int(MOST_EVENTS / max(a_row, 1e-9))), seed)
    own = onset_events(outcome, list(profile.event_types))
    session.register("oe", event_type=pa.array(own, pa.string()))
    session.register("pi", old=pa.array(rows), new=pa.array(np.arange(len(rows))))
    session.make("TABLE", "au", sql.audited_rows_sql())
    tenure = session.fetch(sql.tenure_sql())["tenure_us"].to_numpy()
    session.make("TABLE", "es", sql.audited_log_sql())
    session.make("VIEW", "ev", "SELECT * FROM es")
    lateness = None
    if engine.schema.arrival_col is not None:
        lateness = _lateness(engine)
    onsets, n_moments = _onsets(engine, outcome)
    earlier = _earlier(engine, table, len(rows))
    return Evidence(rows, earlier, tenure, onsets, n_moments, lateness)


def onset_events(outcome: OutcomeSpec, known: list[str]) -> list[str]:
    """Return the event types of a log that are the outcome, or whose absence is.

    An outcome by labels, growth or cross-selling has no events of its own: what it is made of is
    ordinary history before `as_of`.
    """
    if outcome.labels or outcome.growth or outcome.families:
        return []
    return match_events(outcome.event or outcome.silence_of, known)


def _some_rows(table: CountTable, most: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of customers drawn at random until `most` rows are reached; all if few."""
    if len(table) <= most:
        return np.arange(len(table))
    codes, held = table.customer.factorize()
    order = np.random.default_rng(seed).permutation(len(held))
    sizes = np.bincount(codes, minlength=len(held))[order]
    chosen = order[: max(1, int(np.searchsorted(np.cumsum(sizes), most, side="right")))]
    return np.flatnonzero(np.isin(codes, chosen))


def _earlier(engine: SqlEngine, table: CountTable, n_rows: int) -> dict[Duration, Any]:
    session = engine.session
    session.register(
        "le",
        k=pa.array(range(len(LEADS)), pa.int64()),
        lead_us=pa.array([lead.us for lead in LEADS], pa.int64()),
    )
    session.make("TABLE", "cu", sql.earlier_rows_sql(n_rows))
    stacked = engine.count(table.spec, n_rows * len(LEADS), {})
    return {lead: stacked[k * n_rows : (k + 1) * n_rows] for k, lead in enumerate(LEADS)}


def _onsets(engine: SqlEngine, outcome: OutcomeSpec) -> tuple[dict[str, Onset], int]:
    session, silence = engine.session, bool(outcome.silence_of)
    begun = session.fetch(sql.onset_sql(silence=silence)).to_pylist()
    rows: dict[str, int] = {}
    rows_near: dict[str, int] = {}
    outcomes_near: dict[str, Any] = {}
    n_moments = 0
    if not silence:
        session.make("TABLE", "em", sql.moments_sql(NEAR_US))
        session.make("TABLE", "om", sql.outcome_moments_sql())
        session.make("TABLE", "nr", sql.near_sql(NEAR_US))
        found = session.fetch("SELECT event_type, COUNT(*) AS n FROM ev GROUP BY event_type")
        rows = {row["event_type"]: row["n"] for row in found.to_pylist()}
        n_moments = session.fetch("SELECT COUNT(*) AS n FROM om").to_pylist()[0]["n"]
        found = session.fetch(sql.near_rows_sql())
        rows_near = {row["event_type"]: int(row["n"]) for row in found.to_pylist()}
        found = session.fetch(sql.near_outcomes_sql())
        outcomes_near = {row["event_type"]: row for row in found.to_pylist()}
    nothing = {"n": 0, "customers": 0}
    onsets = {}
    for row in begun:
        event = row["event_type"]
        outcomes = outcomes_near.get(event, nothing)
        onsets[event] = Onset(
            customers=row["customers"],
            with_onset=row["with_onset"],
            within={days: row[f"within_{days}d"] for days in (0, 1, 3, 7)},
            rows=rows.get(event, 0),
            rows_near=rows_near.get(event, 0),
            outcomes_near=outcomes["n"],
            customers_near=outcomes["customers"],
        )
    return onsets, n_moments


def _lateness(engine: SqlEngine) -> dict[str, float]:
    delays = engine.session.fetch(sql.delays_sql())["delay_us"]
    never = delays.null_count / max(1, len(delays))
    known = delays.drop_null().to_numpy()
    late = known[known > 0]
    found = {
        "late": len(late) / max(1, len(delays)),
        "never_arrived": never,
        "before": float((known < 0).sum()) / max(1, len(delays)),
    }
    if len(late):
        days = np.quantile(late / DAY_US, _DELAYS_AT)
        names = (f"delay_days_p{round(100 * q)}" for q in _DELAYS_AT)
        found |= dict(zip(names, days.tolist(), strict=True))
    lost = engine.session.fetch(sql.lost_counts_sql()).to_pylist()[0]
    found["changed"] = (lost["changed"] or 0) / max(1, lost["pairs"] or 0)
    found["early"] = float(lost["early"] or 0) / max(1.0, float(lost["events"] or 0))
    return found
