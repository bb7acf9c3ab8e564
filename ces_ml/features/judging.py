"""What happened to the candidates, and who stays in the sample: outcomes, run in a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ces_ml.errors import EventLogError, SpecError, show
from ces_ml.features.beside import read_spans, same_kind_of_ids
from ces_ml.features.engine import moment_of
from ces_ml.features.sampling import ObservedLog, make_anchors
from ces_ml.features.session import Session
from ces_ml.spec.counts import match_events
from ces_ml.spec.outcome import OutcomeSpec
from ces_ml.spec.outside import TreatedSpec
from ces_ml.sql.happening import (
    first_uses_sql,
    happens_once,
    judged_sql,
    outcome_sql,
    reasons_to_leave_out,
    treated_sql,
    treatments_sql,
    window_sql,
)

__all__ = ["Sample", "choose_rows", "make_sample"]

_ORDER = ("as_of_us", "CAST(customer_id AS STRING)")


@dataclass(frozen=True)
class Sample:
    """Outcomes and weights of the rows in ``cu``, in its order.

    Parameters
    ----------
    y : ndarray of int8, of shape (n_rows,), or None
        None without an outcome.
    sample_weight : ndarray of float64, of shape (n_rows,), or None
        None where all rows count alike.
    """

    y: NDArray[np.int8] | None = None
    sample_weight: NDArray[np.float64] | None = None


def make_sample(
    session: Session,
    log: ObservedLog,
    outcome: OutcomeSpec | None,
    report: dict[str, int],
    *,
    value: str | None = None,
    treated: Any = None,
) -> Sample:
    """Make ``cu(r, customer_id, as_of_us)`` from the candidates.

    Parameters
    ----------
    session : Session
        With the relations ``ev`` and ``ca``.
    log : ObservedLog
    outcome : OutcomeSpec, optional
        With it: eligibility, censoring and `y`. Without: all candidates.
    report : dict of str to int
        Gets how many were left out, and why, and how treated rows compare with the others.
    value : str, optional
        The column of ``ev`` whose growth is asked for.
    treated : path, frame or table, optional
        Treatments, where the outcome's own `treated` does not name them.

    Returns
    -------
    Sample

    Raises
    ------
    EventLogError
        If nobody is left, or no outcome is known yet.
    """
    choose_rows(session, log, outcome, report, value=value, treated=treated)
    if outcome is None:
        return Sample()
    found = session.fetch("SELECT y, treated FROM cu ORDER BY r")
    weight = outcome.treated.weight if outcome.treated is not None else None
    touched = found["treated"].to_numpy() == 1
    return Sample(
        y=found["y"].to_numpy().astype(np.int8),
        sample_weight=None if weight is None else np.where(touched, weight, 1.0),
    )


def choose_rows(
    session: Session,
    log: ObservedLog,
    outcome: OutcomeSpec | None,
    report: dict[str, int],
    *,
    value: str | None = None,
    treated: Any = None,
) -> None:
    """Make ``cu(r, customer_id, as_of_us[, y, treated])``; see `make_sample`.

    Nothing of the size of the sample is brought to this process.
    """
    if outcome is None:
        session.make_numbered("cu", "SELECT customer_id, as_of_us FROM ca", _ORDER)
        return
    families = _families(session, log, outcome)
    if outcome.anchor is not None:
        make_anchors(session, log, outcome.anchor.event, "wa", "within")
    session.make("TABLE", "cw", window_sql(outcome))
    if happens_once(outcome):
        session.make("TABLE", "hf", first_uses_sql(arrival=log.arrival))
    session.make("TABLE", "oc", outcome_sql(outcome, arrival=log.arrival, value=value))
    if outcome.treated is not None:
        _treatments(session, log, outcome.treated, treated)
        session.make("TABLE", "tw", treated_sql())
    reasons = reasons_to_leave_out(
        outcome, first_us=log.profile.first_us, end_us=log.end_us, families=families
    )
    session.make("TABLE", "oj", judged_sql(outcome, reasons))
    _report(session, log, outcome, [reason for reason, _ in reasons], report)
    stay = f"SELECT customer_id, as_of_us, y, treated FROM oj WHERE why = {len(reasons)}"
    session.make_numbered("cu", stay, _ORDER)


def _families(session: Session, log: ObservedLog, outcome: OutcomeSpec) -> int:
    """Register ``oe(event_type, family)`` and return how many families there are."""
    known = list(log.profile.event_types)
    one = outcome.silence_of or (() if outcome.labels else outcome.event)
    patterns = [(p,) for p in outcome.families] if outcome.families else [one]
    held: dict[str, int] = {}
    for family, named in enumerate(patterns):
        for event in match_events(named, known):
            if event in held:
                raise SpecError(
                    "an event type belongs to two families",
                    got=f"{show(event)}, by {show(patterns[held[event]][0])} and {show(named[0])}",
                    allowed="families without common event types",
                    hint="narrow the patterns in `families`",
                )
            held[event] = family
    session.register(
        "oe",
        event_type=pa.array(list(held), pa.string()),
        family=pa.array(list(held.values()), pa.int32()),
    )
    return len(patterns)


def _treatments(session: Session, log: ObservedLog, spec: TreatedSpec, given: Any) -> None:
    """Make ``tr(customer_id, from_us, to_us)``."""
    if spec.events:
        named = match_events(spec.events, list(log.profile.event_types))
        session.register("te", event_type=pa.array(named, pa.string()))
        session.make("TABLE", "tr", treatments_sql())
        return
    source = spec.path if given is None else given
    if source is None:
        raise SpecError(
            "no treatments are named",
            got="`treated` without events or path, and no table passed from Python",
            allowed="event types, the path of a Parquet or CSV file, or a frame",
            hint="add `events` or `path` to `treated`, or pass treated=",
        )
    customer_col = spec.customer_col or log.customer_col
    spans = read_spans(source, customer_col, spec.from_col, spec.to_col)
    same_kind_of_ids(session, spans, "the table of treatments")
    session.register("tg", **{name: spans[name] for name in spans.column_names})
    session.make("TABLE", "tr", "SELECT customer_id, from_us, to_us FROM tg")


def _report(
    session: Session,
    log: ObservedLog,
    outcome: OutcomeSpec,
    reasons: list[str],
    report: dict[str, int],
) -> None:
    """Count the rows by what became of them; refuse a sample of nobody."""
    found = session.fetch(
        "SELECT why, y, treated, unseen, COUNT(*) AS n FROM oj GROUP BY why, y, treated, unseen"
    ).to_pylist()

    def rows(**facts: int) -> int:
        return sum(f["n"] for f in found if all(f[k] == v for k, v in facts.items()))

    total, stay = rows(), len(reasons)
    report["candidates"] = total
    left_out = {f"left_out_{reason}": rows(why=k) for k, reason in enumerate(reasons)}
    report |= left_out
    if left_out.get("left_out_censored") == total:
        latest = moment_of(log.end_us - outcome.reach).isoformat()
        what = "horizon" if outcome.within is None else "outcome window"
        raise EventLogError(
            f"no outcome is known yet: every {what} ends after the log does",
            got=f"{total:,} rows; the log ends at {moment_of(log.end_us).isoformat()}",
            allowed=f"as_of up to {latest} ({outcome.window_text})",
            hint=f"choose an earlier as_of or a shorter {what}",
        )
    if log.arrival and "already_happened" in reasons:
        report["happened_unseen"] = rows(why=stay, unseen=1)
    if outcome.treated is not None:
        # Those excluded for it are the treated ones that would have stayed.
        place = reasons.index("treated") if "treated" in reasons else stay
        report["treated"] = rows(why=place, treated=1)
        report["treated_good"] = rows(why=place, treated=1, y=1)
        report["untreated"] = rows(why=stay, treated=0)
        report["untreated_good"] = rows(why=stay, treated=0, y=1)
    if rows(why=stay) == 0:
        raise EventLogError(
            "nobody is left in the sample",
            got=", ".join(f"{k}: {v:,}" for k, v in left_out.items()),
            allowed="at least one row",
            hint="check active_within, the outcome's event and as_of",
        )
