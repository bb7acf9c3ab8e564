"""A slow and obvious answer to the question that engines answer fast.

Loops over customers, moments and events, with Python integers for time; nothing here is shared
with an engine except the values that a person writes (`CountSpec`, `AsOf`, `OutcomeSpec`).
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from ces_ml.spec import AsOfAnchor, AsOfTable, CountSpec, OutcomeSpec, Term
from ces_ml.spec.as_of import AsOf, to_us

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
DAY = 86_400 * SECOND


@dataclass(frozen=True)
class Event:
    """One row of a log; times are UTC microseconds, None is a null."""

    customer: object
    kind: str | None
    at: int | None
    arrived: int | None = None
    values: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class GivenRow:
    """One row of a table of rows; None is a null."""

    customer: object
    at: int | None
    y: int | None = None


@dataclass(frozen=True)
class Span:
    """One treatment; without an end it goes on."""

    customer: object
    start: int
    end: int | None


@dataclass(frozen=True)
class Log:
    """All that judging outcomes looks at."""

    events: Sequence[Event]
    arrival: bool
    first: int
    end: int
    told: dict[tuple[object, int | None], int | None]
    spans: Sequence[Span] | None


@dataclass
class Answer:
    keys: list[tuple[str, int]]  # (customer as text, as_of), in the order of (as_of, customer)
    X: list[list[float]]
    size: list[list[float]]  # sums of absolute values: what a rounding error is relative to
    y: list[int] | None
    report: dict[str, int]
    weight: list[float] | None = None


class Refused(Exception):  # noqa: N818
    """The question has no answer; the text is part of the engine's message."""


def moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def utc_day(us: int) -> date:
    return moment(us).date()


def answer(
    log: Sequence[Event],
    spec: CountSpec,
    as_of: AsOf | None,
    outcome: OutcomeSpec | None = None,
    *,
    arrival: bool = False,
    observed_until: int | None = None,
    given: Sequence[GivenRow] = (),
    spans: Sequence[Span] | None = None,
) -> Answer:
    """Count, and judge outcomes, by looking at every event of every row.

    `given` are the rows of an `AsOfTable`, `spans` the table of treatments.
    """
    report = {
        "rows_read": len(log),
        "null_customer": sum(e.customer is None for e in log),
        "null_event_type": sum(e.kind is None for e in log),
        "null_timestamp": sum(e.at is None for e in log),
    }
    events = [e for e in log if None not in (e.customer, e.kind, e.at)]
    if not events:
        raise Refused("holds no events that can be counted")
    if arrival:
        report["null_arrival"] = sum(e.arrived is None for e in events)
    counted = {t.event for t in spec.terms}
    uncounted = [e for e in events if e.kind not in counted]
    report["event_types_not_counted"] = len({e.kind for e in uncounted})
    report["events_not_counted"] = len(uncounted)

    end = max(e.at for e in events) if observed_until is None else observed_until
    candidates = find_candidates(events, spec, as_of, outcome, arrival, end, given, report)
    if not candidates:
        raise Refused("nobody is in the sample")
    y: list[int] | None = None
    weight: list[float] | None = None
    if outcome is not None:
        told = {(g.customer, g.at): g.y for g in given}
        log_seen = Log(events, arrival, min(e.at for e in events), end, told, spans)
        candidates, y, weight = judge(log_seen, candidates, outcome, report)
    report["rows"] = len(candidates)

    X, size = [], []
    for customer, T in candidates:
        cells = [measure(seen(events, customer, T, arrival), term, T) for term in spec.terms]
        X.append([c[0] for c in cells])
        size.append([c[1] for c in cells])
    return Answer([(str(c), T) for c, T in candidates], X, size, y, report, weight)


def seen(events: Sequence[Event], customer: object, T: int, arrival: bool) -> list[Event]:
    """What is known about a customer at T: what happened, and had arrived, before it."""
    return [
        e
        for e in events
        if e.customer == customer
        and e.at < T
        and (not arrival or (e.arrived is not None and e.arrived < T))
    ]


def measure(known: Sequence[Event], term: Term, T: int) -> tuple[float, float]:
    """The term of one row before cap and transform, and the sum of absolute values."""
    inside = [e for e in known if e.kind == term.event and e.at >= T - term.window.us]
    if term.measure == "active_days":
        days = len({utc_day(e.at) for e in inside})
        return float(days), 0.0
    parts = []
    for e in inside:
        weight = 1.0
        if term.half_life is not None:
            weight = 2.0 ** (-(T - e.at) / term.half_life.us)
        value = 1.0
        if term.measure == "sum":
            value = e.values[term.property or "value"] or 0.0  # null counts as 0
        parts.append(value * weight)
    return math.fsum(parts), math.fsum(map(abs, parts))


def find_candidates(
    events: Sequence[Event],
    spec: CountSpec,
    as_of: AsOf | None,
    outcome: OutcomeSpec | None,
    arrival: bool,
    end: int,
    given: Sequence[GivenRow],
    report: dict[str, int],
) -> list[tuple[object, int]]:
    """Everyone who is known before their moment, ordered by moment and customer as text."""
    first, last = min(e.at for e in events), max(e.at for e in events)
    end = max(last, end)
    customers = {e.customer for e in events}
    pairs: list[tuple[object, int]] = []
    unheard: set[tuple[object, int]] = set()
    if isinstance(as_of, AsOfTable):
        return find_given(events, as_of, outcome, arrival, end, given, report)
    if isinstance(as_of, AsOfAnchor):
        if as_of.event not in {e.kind for e in events}:
            raise Refused("the anchor event of as_of never occurs")
        for customer in customers:
            times = [e.at for e in events if e.customer == customer and e.kind == as_of.event]
            if times and min(times) + as_of.after.us <= end + SECOND:
                T = min(times) + as_of.after.us
                pairs.append((customer, T))
                if arrival and not heard(events, customer, as_of.event, lambda a, T=T: a <= T):
                    unheard.add((customer, T))
    else:
        moments = [(last // SECOND + 1) * SECOND]
        if as_of is not None:
            moments = [to_us(m) for m in as_of.moments]
        longest = 0 if outcome else max(t.window.us for t in spec.terms)
        outside = [T for T in moments if not first < T <= end + longest + 1]
        if len(outside) == len(moments) or (outside and outcome is None):
            raise Refused("as_of lies outside the log")
        pairs = [(customer, T) for customer in customers for T in moments]
    pairs = [(c, T) for c, T in pairs if seen(events, c, T, arrival)]
    if isinstance(as_of, AsOfAnchor) and arrival:
        report["left_out_anchor_not_arrived"] = sum(p in unheard for p in pairs)
    return in_order([p for p in pairs if p not in unheard])


def in_order(pairs: Sequence[tuple[object, int]]) -> list[tuple[object, int]]:
    return sorted(pairs, key=lambda pair: (pair[1], str(pair[0])))


def heard(
    events: Sequence[Event], customer: object, kind: str, soon: Callable[[int], bool]
) -> bool:
    """Whether the customer's first event of a kind (any of several at once) had arrived."""
    mine = [e for e in events if e.customer == customer and e.kind == kind]
    first = [e for e in mine if e.at == min(f.at for f in mine)]
    return any(e.arrived is not None and soon(e.arrived) for e in first)


def find_given(
    events: Sequence[Event],
    as_of: AsOfTable,
    outcome: OutcomeSpec | None,
    arrival: bool,
    end: int,
    given: Sequence[GivenRow],
    report: dict[str, int],
) -> list[tuple[object, int]]:
    """The rows of a table that can be counted."""
    labelled = outcome is not None and outcome.labels is not None
    rows = [g for g in given if g.customer is not None]
    report["given_rows"] = len(given)
    report["given_null_customer"] = len(given) - len(rows)
    report["given_null_as_of"] = sum(g.at is None for g in rows)
    rows = [g for g in rows if g.at is not None]
    if labelled:
        report["given_null_y"] = sum(g.y is None for g in rows)
    if len({(g.customer, g.at) for g in rows}) < len(rows):
        raise Refused("a customer stands twice at the same as_of")
    if labelled:
        rows = [g for g in rows if g.y is not None]
    late = [g for g in rows if g.at > max(end, max(e.at for e in events)) + DAY]
    report["left_out_after_log"] = len(late)
    rows = [g for g in rows if g not in late]
    if as_of.unknown == "leave_out":
        known = [g for g in rows if seen(events, g.customer, g.at, arrival)]
        report["left_out_unknown"] = len(rows) - len(known)
        rows = known
    return in_order([(g.customer, g.at) for g in rows])


def judge(
    log: Log,
    candidates: Sequence[tuple[object, int]],
    outcome: OutcomeSpec,
    report: dict[str, int],
) -> tuple[list[tuple[object, int]], list[int], list[float] | None]:
    """Leave out who can't be judged, with the reason, and say how it went for the others."""
    kinds = {e.kind for e in log.events}
    families = separate(outcome.families, kinds)
    if not outcome.labels and not families:
        families = [resolve(outcome.silence_of or outcome.event, kinds)]
    if outcome.anchor is not None and outcome.anchor.event not in kinds:
        raise Refused("the anchor event of within never occurs")
    treating = outcome.treated
    if treating is not None and treating.events:
        resolve(treating.events, kinds)

    verdicts = [verdict(log, customer, T, outcome, families) for customer, T in candidates]
    treated = [is_treated(log, c, T, outcome) for c, T in candidates] if treating else []
    report["candidates"] = len(candidates)
    report.update({f"left_out_{r}": 0 for r in reasons(outcome)})
    for v in verdicts:
        if isinstance(v, str):
            report[f"left_out_{v}"] += 1
    if report.get("left_out_censored") == len(candidates):
        raise Refused("no outcome is known yet")
    stay = [k for k, v in enumerate(verdicts) if not isinstance(v, str)]
    if treating is not None:
        stay = compare_treated(stay, treated, verdicts, treating.how, report)
    if log.arrival and "already_happened" in reasons(outcome):
        report["happened_unseen"] = sum(verdicts[k][1] for k in stay)
    if not stay:
        raise Refused("nobody is left in the sample")
    weight = None
    if treating is not None and treating.how == "weight":
        weight = [treating.weight if treated[k] else 1.0 for k in stay]
    return [candidates[k] for k in stay], [verdicts[k][0] for k in stay], weight


def compare_treated(
    stay: list[int], treated: list[bool], verdicts: list[Any], how: str, report: dict[str, int]
) -> list[int]:
    for name, side in (("treated", True), ("untreated", False)):
        rows = [k for k in stay if treated[k] == side]
        report[name] = len(rows)
        report[f"{name}_good"] = sum(verdicts[k][0] for k in rows)
    if how != "exclude":
        return stay
    report["left_out_treated"] = report["treated"]
    return [k for k in stay if not treated[k]]


def separate(patterns: Sequence[str], kinds: set[str]) -> list[set[str]]:
    families: list[set[str]] = []
    for pattern in patterns:
        family = resolve([pattern], kinds)
        if any(family & other for other in families):
            raise Refused("an event type belongs to two families")
        families.append(family)
    return families


def reasons(outcome: OutcomeSpec) -> list[str]:
    """Why a row may be left out."""
    found = [] if outcome.labels else ["censored"]
    if outcome.within:
        found += ["no_anchor", "window_over"]
    if outcome.labels:
        pass
    elif outcome.silence_of:
        found += ["not_active"]
    elif outcome.growth:
        found += ["look_back_before_log", "not_active"]
    elif outcome.families:
        found += ["all_used", "happened_in_gap"]
    elif not outcome.repeatable:
        found += ["already_happened", "happened_in_gap"]
    return found + ["treated"] * bool(outcome.treated and outcome.treated.how == "exclude")


def window_end(log: Log, customer: object, T: int, outcome: OutcomeSpec) -> int | None:
    if outcome.anchor is None:
        return T + outcome.gap.us + outcome.horizon.us
    kind = outcome.anchor.event
    times = [e.at for e in log.events if e.customer == customer and e.kind == kind]
    if not times or min(times) >= T:
        return None
    if log.arrival and not heard(log.events, customer, kind, lambda a: a < T):
        return None
    return min(times) + outcome.anchor.after.us


def verdict(
    log: Log, customer: object, T: int, outcome: OutcomeSpec, families: list[set[str]]
) -> str | tuple[int, bool]:
    """Why a row is left out; or its y, and whether its event had happened unseen."""
    if outcome.labels:
        return log.told[customer, T], False
    start, stop = T + outcome.gap.us, window_end(log, customer, T, outcome)
    if stop is None:
        return "no_anchor"
    if outcome.within and stop <= start:
        return "window_over"
    if stop > log.end:
        return "censored"
    own = set().union(*families)
    mine = [e for e in log.events if e.customer == customer and e.kind in own]
    known = [e for e in seen(log.events, customer, T, log.arrival) if e.kind in own]
    later = [e for e in mine if start <= e.at < stop]
    if outcome.silence_of:
        if not any(e.at >= T - outcome.active_within.us for e in known):
            return "not_active"
        return int(bool(later)), False
    if outcome.growth:
        since = T - outcome.horizon.us
        if since < log.first:
            return "look_back_before_log"
        if not any(e.at >= since for e in known):
            return "not_active"
        return int(grew(outcome, [e for e in mine if since <= e.at < T], later)), False
    if outcome.families:
        return sold_across(families, mine, known, T, start, stop)
    return once_or_again(outcome, mine, known, T, start, stop)


def sold_across(
    families: list[set[str]], mine: list[Event], known: list[Event], T: int, start: int, stop: int
) -> str | tuple[int, bool]:
    if all(any(e.kind in f for e in known) for f in families):
        return "all_used"
    new = [f for f in families if not any(e.kind in f and e.at < T for e in mine)]
    first = [min([e.at for e in mine if e.kind in f], default=stop) for f in new]
    if any(at < start for at in first):
        return "happened_in_gap"
    return int(any(at < stop for at in first)), False


def once_or_again(
    outcome: OutcomeSpec, mine: list[Event], known: list[Event], T: int, start: int, stop: int
) -> str | tuple[int, bool]:
    happens, cancelled = any(start <= e.at < stop for e in mine), outcome.task == "churn"
    if outcome.repeatable:
        return int(happens != cancelled), False
    if known:
        return "already_happened"
    if any(e.at < T for e in mine):
        return 0, True
    if any(e.at < start for e in mine):
        return "happened_in_gap"
    return int(happens != cancelled), False


def grew(outcome: OutcomeSpec, before: Sequence[Event], later: Sequence[Event]) -> bool:
    """Exact sums, compared to a billionth of the sum of absolute values."""
    growth = outcome.growth

    def values(events: Sequence[Event]) -> list[Fraction]:
        if growth.property is None:
            return [Fraction(1)] * len(events)
        # The log's value column has a name of its own.
        held = [e.values.get(growth.property, e.values["value"]) for e in events]
        return [Fraction(v or 0.0) for v in held]

    size = sum(map(abs, values(before) + values(later)), Fraction(0)) / 10**9
    base, new = max(sum(values(before)), Fraction(0)), sum(values(later))
    enough = new >= base * Fraction(growth.factor) - size
    return new > base + size and enough and new >= base + Fraction(growth.least) - size


def is_treated(log: Log, customer: object, T: int, outcome: OutcomeSpec) -> bool:
    """Whether a treatment lies in [as_of, end of the outcome window)."""
    stop = window_end(log, customer, T, outcome)
    if stop is None:
        return False
    treated = outcome.treated
    if treated.events:
        named = resolve(treated.events, {e.kind for e in log.events})
        mine = [e for e in log.events if e.customer == customer and e.kind in named]
        return any(T <= e.at < stop for e in mine)
    return any(
        s.customer == customer
        and (T <= s.start < stop or (s.start < T and (s.end is None or s.end > T)))
        for s in log.spans
    )


def resolve(patterns: Sequence[str], kinds: set[str]) -> set[str]:
    """Event types meant by names and globs; a name that the log holds is only itself."""
    found: set[str] = set()
    for pattern in patterns:
        named = {pattern} & kinds if pattern != "*" else set()  # a bare star means every type
        matching = named or {k for k in kinds if fnmatch.fnmatchcase(k, pattern)}
        if not matching:
            raise Refused("no event type in the log matches")
        found |= matching
    return found
