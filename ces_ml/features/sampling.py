"""Who is in the sample, and what happened to them: the population SQL, run in a session."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ces_ml.errors import CesWarning, EventLogError, did_you_mean, show
from ces_ml.features.engine import LogProfile, moment_of
from ces_ml.features.session import Session, number
from ces_ml.spec.as_of import AsOf, AsOfAnchor, to_us
from ces_ml.spec.counts import match_events
from ces_ml.spec.duration import DAY_US, SECOND_US
from ces_ml.spec.outcome import OutcomeSpec
from ces_ml.sql.population import (
    anchored_sql,
    dated_sql,
    first_known_sql,
    good_outcome,
    outcome_sql,
    reasons_to_leave_out,
)

__all__ = ["ObservedLog", "make_candidates", "make_sample"]


@dataclass(frozen=True)
class ObservedLog:
    """What is known of a log before anything is counted.

    Parameters
    ----------
    profile : LogProfile
    end_us : int
        End of its observation, in UTC microseconds.
    arrival : bool
        Whether ``ev`` has ``arrival_us``.
    """

    profile: LogProfile
    end_us: int
    arrival: bool


def make_candidates(
    session: Session, log: ObservedLog, as_of: AsOf, outcome: OutcomeSpec | None, longest_us: int
) -> None:
    """Make ``ca(customer_id, as_of_us)``: everyone known before their moment.

    Parameters
    ----------
    session : Session
        With the relation ``ev``.
    log : ObservedLog
    as_of : AsOfDates or AsOfAnchor
    outcome : OutcomeSpec, optional
        With it, moments outside the log are left to the sample to count as censored.
    longest_us : int
        The longest window, in microseconds.

    Raises
    ------
    EventLogError
        If `as_of` lies outside the log, or its anchor never occurs.

    Warns
    -----
    CesWarning
        If `as_of` lies more than a day after the log's end.
    """
    profile, end_us = log.profile, max(log.profile.last_us, log.end_us)
    session.make("TABLE", "fk", first_known_sql(arrival=log.arrival))
    if isinstance(as_of, AsOfAnchor):
        if as_of.event not in profile.event_types:
            raise EventLogError(
                "the anchor event of as_of never occurs",
                got=show(as_of.event),
                allowed=did_you_mean(as_of.event, profile.event_types),
                hint="correct the event in as_of",
            )
        session.register("an", event_type=pa.array([as_of.event], pa.string()))
        session.make("TABLE", "ca", anchored_sql(as_of.after.us, end_us + SECOND_US))
        return
    moments = [to_us(m) for m in as_of.moments]
    reach_us = 0 if outcome else longest_us
    outside = [m for m in moments if not profile.first_us < m <= end_us + reach_us + 1]
    if outside and (outcome is None or len(outside) == len(moments)):
        raise EventLogError(
            "as_of lies outside the log",
            got=f"{moment_of(outside[0]).isoformat()} ({len(outside)} of {len(moments)} dates)",
            allowed=f"from {profile.first.isoformat()} to {moment_of(end_us).isoformat()}"
            + ("" if outcome else ", or later by less than the longest window"),
            hint="choose a date inside the log",
        )
    if outcome is None and moments[-1] - end_us > DAY_US:
        days = (moments[-1] - end_us) / DAY_US
        warnings.warn(
            f"as_of is {days:.1f} days after the log's last event: recent counts are too low",
            CesWarning,
            stacklevel=3,
        )
    session.register("mo", as_of_us=pa.array(moments, pa.int64()))
    session.make("TABLE", "ca", dated_sql())


def make_sample(
    session: Session, log: ObservedLog, outcome: OutcomeSpec | None, report: dict[str, int]
) -> NDArray[np.int8] | None:
    """Make ``cu(r, customer_id, as_of_us)`` from the candidates and return `y` in its order.

    Parameters
    ----------
    session : Session
        With the relations ``ev`` and ``ca``.
    log : ObservedLog
    outcome : OutcomeSpec, optional
        With it: eligibility, censoring and `y`. Without: all candidates.
    report : dict of str to int
        Gets how many were left out, and why.

    Raises
    ------
    EventLogError
        If nobody is left, or no outcome is known yet.
    """
    total = number(session, "SELECT COUNT(*) FROM ca")
    if total == 0:
        raise EventLogError(
            "nobody is in the sample",
            got="0 customers with an event before as_of, and as_of inside the log",
            allowed="at least one",
            hint="check as_of",
        )
    order = "ROW_NUMBER() OVER (ORDER BY as_of_us, CAST(customer_id AS VARCHAR)) - 1 AS r"
    if outcome is None:
        session.make("TABLE", "cu", f"SELECT {order}, customer_id, as_of_us FROM ca")
        return None
    patterns = outcome.event or outcome.silence_of
    own = match_events(patterns, list(log.profile.event_types))
    session.register("oe", event_type=pa.array(own, pa.string()))
    session.make("TABLE", "oc", outcome_sql(outcome, arrival=log.arrival))
    report["candidates"] = total
    passed = "TRUE"
    for reason, condition in reasons_to_leave_out(outcome, log.end_us):
        left = f"SELECT COUNT(*) FROM oc WHERE {passed} AND {condition}"
        report[f"left_out_{reason}"] = number(session, left)
        passed += f" AND NOT ({condition})"
    if report["left_out_censored"] == total:
        latest = moment_of(log.end_us - outcome.reach).isoformat()
        raise EventLogError(
            "no outcome is known yet: every horizon ends after the log does",
            got=f"{total:,} rows; the log ends at {moment_of(log.end_us).isoformat()}",
            allowed=f"as_of up to {latest} (gap {outcome.gap}, horizon {outcome.horizon})",
            hint="choose an earlier as_of or a shorter horizon",
        )
    session.make(
        "TABLE",
        "cu",
        f"SELECT {order}, customer_id, as_of_us, "
        f"CAST({good_outcome(outcome)} AS TINYINT) AS y FROM oc WHERE {passed}",
    )
    if number(session, "SELECT COUNT(*) FROM cu") == 0:
        left_out = {k: v for k, v in report.items() if k.startswith("left_out_")}
        raise EventLogError(
            "nobody is left in the sample",
            got=", ".join(f"{k}: {v:,}" for k, v in left_out.items()),
            allowed="at least one row",
            hint="check active_within, the outcome's event and as_of",
        )
    y: NDArray[np.int8] = session.fetch("SELECT y FROM cu ORDER BY r")["y"].to_numpy()
    return y.astype(np.int8)
