"""A slow and obvious answer to the question that engines answer fast.

Loops over customers, moments and events, with Python integers for time; nothing here is shared
with an engine except the values that a person writes (`CountSpec`, `AsOf`, `OutcomeSpec`).
"""

from __future__ import annotations

import fnmatch
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from ces_ml.spec import AsOfAnchor, AsOfTable, CountSpec, OutcomeSpec, Term
from ces_ml.spec.as_of import AsOf, to_us
from ces_ml.spec.where import (
    All,
    Comparison,
    Condition,
    IsNull,
    IsTrue,
    Membership,
    Not,
    parse_where,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
DAY = 86_400 * SECOND
Value = float | str | bool | None


@dataclass(frozen=True)
class Event:
    """One row of a log; times are UTC microseconds, lengths seconds, None is a null."""

    customer: object
    kind: str | None
    at: int | None
    arrived: int | None = None
    values: dict[str, Value] = field(default_factory=dict)


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
    from .reference_outcomes import Log, judge  # which looks at logs with what is here

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
    counted = {e for t in spec.terms for e in (*(t.members or [t.event]), t.until)}
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

    paired = {(t.members or (t.event,), t.until): t for t in spec.terms if t.until is not None}
    if paired:
        report["unpaired_starts"] = sum(unpaired(events, term) for term in paired.values())

    X, size = [], []
    for customer, T in candidates:
        known = seen(events, customer, T, arrival)
        since = min((max(e.at, e.arrived) if arrival else e.at for e in known), default=T)
        cells = [measure(known, term, T, since) for term in spec.terms]
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


def measure(known: Sequence[Event], term: Term, T: int, since: int) -> tuple[float, float]:
    """The term of one row before cap and transform, and the sum of absolute values."""
    happened = [e for e in known if e.kind in (term.members or (term.event,))]
    if term.until is not None:
        happened = pairs(known, term)
    if term.where is not None:
        condition = parse_where(term.where)
        happened = [e for e in happened if holds(condition, e) is True]
    inside = [e for e in happened if e.at >= T - term.window.us]
    if term.measure == "mean":
        return mean(inside, term, T)
    if term.measure == "distinct":
        found = [e.values.get(term.property) for e in inside]
        return float(len({v + 0.0 if isinstance(v, float) else v for v in found} - {None})), 0.0
    parts = [amount(e, term) * weight(e, term, T) for e in inside]
    if term.measure == "active_days":
        parts = [1.0 for _ in {utc_day(e.at) for e in inside}]
    elif term.cap_per_day is not None:
        cap, days = term.cap_per_day, {utc_day(e.at) for e in inside}
        sums = [math.fsum(amount(e, term) for e in inside if utc_day(e.at) == d) for d in days]
        parts = [max(-cap, min(cap, of_a_day)) for of_a_day in sums]
    exposed = 1.0
    if term.per == "day":
        exposed = max(1.0, min(term.window.us, T - since) / DAY)
    return math.fsum(parts) / exposed, math.fsum(amount(e, term, abs) for e in inside) / exposed


def amount(e: Event, term: Term, sign: Callable[[float], float] = float) -> float:
    """What an event adds before it fades; null counts as 0."""
    if term.measure == "sum":
        return sign(e.values.get(term.property or "value") or 0.0)
    if term.measure == "duration":
        seconds = e.values.get(term.property or "value") or 0.0
        return sign(seconds) / (term.unit.us / SECOND if term.unit else 3600)
    return 1.0


def weight(e: Event, term: Term, T: int) -> float:
    return 1.0 if term.half_life is None else 2.0 ** (-(T - e.at) / term.half_life.us)


def mean(inside: Sequence[Event], term: Term, T: int) -> tuple[float, float]:
    """How far the mean lies from neutral; where nothing has weight, it does not."""
    values = [(e.values.get(term.property or "value"), weight(e, term, T)) for e in inside]
    values = [(v, w) for v, w in values if v is not None]
    weights = math.fsum(w for _, w in values)
    if weights <= 1e-280:
        return 0.0, 0.0
    size = math.fsum(abs(v) * w for v, w in values) / weights + abs(term.neutral)
    found = math.fsum(v * w for v, w in values) / weights - term.neutral
    return (0.0 if abs(found) <= 1e-12 * abs(term.neutral) else found), size


def pairs(known: Sequence[Event], term: Term) -> list[Event]:
    """Every start with its end, as one event at the end; all of one customer."""
    starts = sorted(e.at for e in known if e.kind in (term.members or (term.event,)))
    ends = sorted(e.at for e in known if e.kind == term.until)
    found = []
    for k, start in enumerate(starts):
        later = [end for end in ends if end > start]
        following = starts[k + 1] if k + 1 < len(starts) else math.inf
        # A start at the moment of the end lies behind it: one session follows the other.
        if later and following >= later[0]:
            length = {term.property or "value": (later[0] - start) / SECOND}
            found.append(Event(None, term.event, later[0], None, length))
    return found


def unpaired(events: Sequence[Event], term: Term) -> int:
    by_customer = [[e for e in events if e.customer == c] for c in {e.customer for e in events}]
    starts = sum(e.kind in (term.members or (term.event,)) for e in events)
    return starts - sum(len(pairs(mine, term)) for mine in by_customer)


def holds(condition: Condition, e: Event) -> bool | None:
    """True, false, or None where a null leaves it open."""
    if isinstance(condition, Not):
        inner = holds(condition.inner, e)
        return None if inner is None else not inner
    if isinstance(condition, IsNull):
        return e.values.get(condition.column) is None
    if isinstance(condition, Comparison | Membership | IsTrue):
        value = e.values.get(condition.column)
        if value is None:
            return None
        if isinstance(condition, IsTrue):
            return bool(value)
        if isinstance(condition, Membership):
            return any(value == v for v in condition.values)
        return COMPARE[condition.op](value, condition.value)
    answers = [holds(part, e) for part in condition.parts]
    decisive = not isinstance(condition, All)  # one false decides an `and`, one true an `or`
    if decisive in answers:
        return decisive
    return None if None in answers else not decisive


COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


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
