"""Who may be in the sample, and when: the population SQL, run in a session."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pyarrow as pa

from ces_ml.errors import CesWarning, EventLogError, did_you_mean, show
from ces_ml.features.beside import read_rows, same_kind_of_ids
from ces_ml.features.engine import LogProfile, moment_of
from ces_ml.features.session import Session, number
from ces_ml.spec.as_of import AsOf, AsOfAnchor, AsOfDates, AsOfTable, to_us
from ces_ml.spec.duration import DAY_US, SECOND_US
from ces_ml.spec.outcome import OutcomeSpec
from ces_ml.sql.population import (
    anchored_sql,
    anchors_sql,
    dated_sql,
    first_known_sql,
    given_sql,
)

__all__ = ["ObservedLog", "check_moments", "make_anchors", "make_candidates"]


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
    customer_col : str
        What the customer column is called.
    """

    profile: LogProfile
    end_us: int
    arrival: bool
    customer_col: str = "customer_id"

    @property
    def last_us(self) -> int:
        """The last event or the end of observation, whichever is later."""
        return max(self.profile.last_us, self.end_us)


def make_candidates(
    session: Session,
    log: ObservedLog,
    as_of: AsOf,
    outcome: OutcomeSpec | None,
    longest_us: int,
    report: dict[str, int],
) -> None:
    """Make ``ca(customer_id, as_of_us[, y])``: everyone known before their moment.

    Parameters
    ----------
    session : Session
        With the relation ``ev``.
    log : ObservedLog
    as_of : AsOfDates, AsOfAnchor or AsOfTable
    outcome : OutcomeSpec, optional
        With it, moments outside the log are left to the sample to count as censored.
    longest_us : int
        The longest window, in microseconds.
    report : dict of str to int
        Gets how many rows were left out, and why.

    Raises
    ------
    EventLogError
        If `as_of` lies outside the log, its anchor never occurs, its table can't be used, or nobody
        is known.

    Warns
    -----
    CesWarning
        If `as_of` lies more than a day after the log's end.
    """
    # Where every given row is kept, nobody need be known: the query is there, and runs if asked.
    all_kept = isinstance(as_of, AsOfTable) and as_of.unknown == "keep"
    session.make("VIEW" if all_kept else "TABLE", "fk", first_known_sql(arrival=log.arrival))
    if isinstance(as_of, AsOfTable):
        _given(session, log, as_of, report, labelled=outcome is not None and bool(outcome.labels))
    elif isinstance(as_of, AsOfAnchor):
        _anchored(session, log, as_of, report)
    else:
        _dated(session, log, as_of, outcome, longest_us)
    if number(session, "SELECT COUNT(*) FROM ca") == 0:
        left_out = {k: v for k, v in report.items() if k.startswith("left_out_") and v}
        raise EventLogError(
            "nobody is in the sample",
            got="0 customers with an event before as_of, and as_of inside the log"
            + "".join(f"; {k}: {v:,}" for k, v in left_out.items()),
            allowed="at least one",
            hint="check as_of",
        )


def make_anchors(session: Session, log: ObservedLog, event: str, name: str, where: str) -> None:
    """Make ``name(customer_id, anchor_us, arrived_us)``: when every customer first did an event.

    Raises
    ------
    EventLogError
        If the event never occurs; `where` says which key named it.
    """
    if event not in log.profile.event_types:
        raise EventLogError(
            f"the anchor event of {where} never occurs",
            got=show(event),
            allowed=did_you_mean(event, log.profile.event_types),
            hint=f"correct the event in {where}",
        )
    session.register("an", event_type=pa.array([event], pa.string()))
    session.make("TABLE", name, anchors_sql("an", arrival=log.arrival))


def _anchored(
    session: Session, log: ObservedLog, as_of: AsOfAnchor, report: dict[str, int]
) -> None:
    make_anchors(session, log, as_of.event, "ar", "as_of")
    session.make("TABLE", "aw", anchored_sql(as_of.after.us, log.last_us + SECOND_US))
    if log.arrival:
        unknown = number(session, "SELECT COUNT(*) FROM aw WHERE arrived = 0")
        report["left_out_anchor_not_arrived"] = unknown
    session.make("TABLE", "ca", "SELECT customer_id, as_of_us FROM aw WHERE arrived = 1")


def _dated(
    session: Session,
    log: ObservedLog,
    as_of: AsOfDates,
    outcome: OutcomeSpec | None,
    longest_us: int,
) -> None:
    moments = check_moments(log, as_of, outcome, longest_us)
    session.register("mo", as_of_us=pa.array(moments, pa.int64()))
    session.make("TABLE", "ca", dated_sql())


def check_moments(
    log: ObservedLog, as_of: AsOfDates, outcome: OutcomeSpec | None, longest_us: int
) -> list[int]:
    """Return the moments in UTC microseconds, if the log can answer for them.

    Raises
    ------
    EventLogError
        If one lies outside the log; with an outcome, if all do.

    Warns
    -----
    CesWarning
        If the last lies more than a day after the log's end.
    """
    profile, end_us = log.profile, log.last_us
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
            stacklevel=5,
        )
    return moments


def _given(
    session: Session,
    log: ObservedLog,
    as_of: AsOfTable,
    report: dict[str, int],
    *,
    labelled: bool,
) -> None:
    y_col = as_of.y_col if labelled else None
    found = read_rows(as_of.source, as_of.customer_col or log.customer_col, as_of.as_of_col, y_col)
    same_kind_of_ids(session, found.table, "the table of rows")
    report.update(found.report)
    columns = {name: found.table[name] for name in found.table.column_names}
    session.register("gt", **columns)
    session.make(
        "TABLE",
        "gk",
        given_sql(log.last_us + DAY_US, labelled=labelled, all_kept=as_of.unknown == "keep"),
    )
    # The rows stand in gk now; those given are not kept beside them.
    session.register("gt", **{name: pa.array([], c.type) for name, c in columns.items()})
    usable, y = "late = 0", ", y" if labelled else ""
    report["left_out_after_log"] = number(session, "SELECT COUNT(*) FROM gk WHERE late = 1")
    if as_of.unknown == "leave_out":
        unknown = "SELECT COUNT(*) FROM gk WHERE late = 0 AND known = 0"
        report["left_out_unknown"] = number(session, unknown)
        usable += " AND known = 1"
    session.make("TABLE", "ca", f"SELECT customer_id, as_of_us{y} FROM gk WHERE {usable}")
