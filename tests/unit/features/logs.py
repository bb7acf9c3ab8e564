"""Random logs and questions about them, and how a log becomes an Arrow table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import pyarrow as pa
from hypothesis import strategies as st

from ces_ml.events import EventSchema
from ces_ml.spec import AsOfTable, CountSpec, OutcomeSpec, Term, parse_as_of
from ces_ml.spec.as_of import AsOf, AsOfAnchor, to_us
from ces_ml.spec.duration import Duration
from ces_ml.spec.measures import MEASURES, OPTIONS

from . import filters
from .reference import Event, GivenRow, Span, moment

HOUR, DAY = 3_600_000_000, 86_400_000_000
TEXT_IDS = ("", " ", "7", "007", " 7", "7.0", "NULL", "it's", 'a"b;--', "line\nbreak", "🎉", "x\0y")
TEXT_IDS += ("caf\u00e9", "cafe\u0301", "Z", "a", "\uffff", "\U0001f600")
INT_IDS = (0, 7, 9, 10, -1, 2**53 + 1, 2**63 - 1)
UUID_IDS = tuple(UUID(int=n) for n in (0, 1, 2**64, 2**127, 2**128 - 1))
KINDS = ("login", "Login", "login ", "", "a; DROP TABLE ev; --", "it's", 'say "hi"', "two\nlines")
KINDS += ("🎉 caf\u00e9", "🎉 cafe\u0301", "*", "[a-z]?", "NULL", "code", "nul\0byte")
#: Names of the columns; the second and third sets are what an engine uses for itself.
NAMES = (
    ("customer_id", "event_type", "timestamp", "value", "other", "arrived", "text", "flag", "took"),
    ("event_type", "customer_id", "ts_us", "source", "p0", "as_of_us", "f0", "day", "seconds"),
    ("ev", "r", "code", "age", "a0", "arrival_us", "p1", "f1", "back"),
    ('cu"stomer', "it's; --", "when\nit was", "v a l", "🎉", 'arr"" ', "and", "f\"l'ag", " "),
)
TEXTS = ("", "EUR", "eur", "it's", 'a"b;--', "two\nlines", "🎉", "caf\u00e9", "100", "true")
#: A DST night in New York, a leap day, both sides of 1970, a plain day.
BASES = tuple(
    to_us(datetime(*when, tzinfo=UTC))
    for when in [(2024, 3, 10, 7), (2024, 2, 29), (1970, 1, 1), (1969, 7, 1, 12), (2025, 6, 15, 1)]
)
WINDOWS = ("1s", "1h", "1d", "36h", "7d", "30d", "60d", "500d")
ZONES = (None, "UTC", "+02:00", "America/New_York")


@dataclass(frozen=True)
class Question:
    """All that an engine is asked, and how the log is written down."""

    log: tuple[Event, ...]
    spec: CountSpec
    as_of: AsOf | None
    outcome: OutcomeSpec | None
    names: tuple[str, ...] = NAMES[0]
    arrival: bool = False
    observed_until: int | None = None
    unit: str = "us"
    zone: str | None = None
    intervals: bool = False
    given: tuple[GivenRow, ...] = ()
    spans: tuple[Span, ...] | None = None

    @property
    def schema(self) -> EventSchema:
        customer, event, timestamp, value, _, arrived = self.names[:6]
        return EventSchema(
            customer_col=customer,
            event_col=event,
            timestamp_col=timestamp,
            value_col=value,
            arrival_col=arrived if self.arrival else None,
        )

    @property
    def options(self) -> dict[str, object]:
        if self.observed_until is None:
            return {}
        return {"observed_until": moment(self.observed_until)}


def ids_to_arrow(ids: list[object], like: list[object]) -> pa.Array:
    """Ids of the type of others."""
    like = [*like, *ids]  # a log without any id gives no type
    if any(isinstance(i, UUID) for i in like):
        return pa.array([i if i is None else i.bytes for i in ids], pa.uuid())
    integer = any(isinstance(i, int) for i in like)
    return pa.array(ids, pa.int64() if integer else pa.string())


def rows_to_arrow(rows: tuple[GivenRow, ...], log: tuple[Event, ...], customer: str) -> pa.Table:
    """A table of rows, with its own names."""
    return pa.table(
        {
            customer: ids_to_arrow([g.customer for g in rows], [e.customer for e in log]),
            "when": pa.array([g.at for g in rows], pa.timestamp("us")),
            "renewed": pa.array([g.y for g in rows], pa.int8()),
        }
    )


def spans_to_arrow(question: Question) -> pa.Table | None:
    if question.spans is None:
        return None
    stamp, spans = pa.timestamp("us", "UTC"), question.spans
    ids = ids_to_arrow([s.customer for s in spans], [e.customer for e in question.log])
    start, end = ([getattr(s, side) for s in spans] for side in ("start", "end"))
    return pa.table({"whom": ids, "from": pa.array(start, stamp), "until": pa.array(end, stamp)})


def to_arrow(question: Question) -> pa.Table:
    """Write the log down with the names, unit and zone of the question."""
    customer, event, timestamp, value, other, arrived, text, flag, took = question.names
    log, time = question.log, pa.timestamp(question.unit, question.zone)

    def times(moments: list[int | None]) -> pa.Array:
        if question.unit == "us":
            return pa.array(moments, time)
        # What lies below a microsecond must not matter.
        below = [(337 * k) % 1000 for k in range(len(moments))]
        return pa.array(
            [None if m is None else m * 1000 + b for m, b in zip(moments, below, strict=True)],
            time,
        )

    def lengths(seconds: list[float | None]) -> pa.Array:
        if not question.intervals:
            return pa.array(seconds, pa.float64())
        exact = [None if s is None else round(s * 1_000_000) for s in seconds]
        return pa.array(exact, pa.duration("us"))

    ids = [e.customer for e in log]
    customers = ids_to_arrow(ids, ids)
    return pa.table(
        {
            customer: customers,
            event: pa.array([e.kind for e in log], pa.string()),
            timestamp: times([e.at for e in log]),
            value: pa.array([e.values["value"] for e in log], pa.float64()),
            other: pa.array([e.values[other] for e in log], pa.float64()),
            arrived: times([e.arrived for e in log]),
            text: pa.array([e.values.get(text) for e in log], pa.string()),
            flag: pa.array([e.values.get(flag) for e in log], pa.bool_()),
            took: lengths([e.values.get(took) for e in log]),
        }
    )


def rarely(none_of: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """A value, and once in a while a null."""
    return st.integers(0, 11).flatmap(lambda n: st.none() if n == 11 else none_of)


HUGE = [0.0, -0.0, 2.0**40, -(2.0**40), 1e300, -1e300]
values = st.integers(-800, 800).map(lambda n: n / 8) | st.sampled_from(HUGE)
#: What a term may be asked for beside its measure; an option is used where the measure takes it.
OPTION_VALUES = {
    "half_life": ["1s", "1h", "3d", "30d"],
    "cap_per_day": [1.0, 2.5, 1e6],
    "per": ["day"],
    "neutral": [0.125, -3.0, 100.0],
    "unit": ["1s", "1min", "36h"],
}


@st.composite
def terms(draw: st.DrawFn, kinds: list[str], names: tuple[str, ...]) -> Term:
    value, other, text, flag, took = (names[k] for k in (3, 4, 6, 7, 8))
    measure = draw(st.sampled_from(MEASURES))
    options = {
        o: draw(st.sampled_from([None, *v]))
        for o, v in OPTION_VALUES.items()
        if measure in OPTIONS[o]
    }
    if options.get("half_life"):
        options.update(cap_per_day=None, per=None)
    options = {o: v for o, v in options.items() if v is not None}
    of_measure = {
        "sum": [None, other],
        "mean": [None, other],
        "duration": [took],
        "distinct": [text, flag, other],
    }
    event = draw(st.sampled_from([*kinds, "never seen"]))
    others = draw(st.lists(st.sampled_from([*kinds, "nor this"]), max_size=3))
    members = tuple({event, *others}) if others else ()
    ends = [k for k in kinds if k != event and k not in members]
    if measure == "duration" and ends and draw(st.booleans()):
        options["until"] = draw(st.sampled_from(ends))
    else:
        options["property"] = draw(st.sampled_from(of_measure.get(measure, [None])))
        condition = st.none() | filters.conditions([value, other], [text], [flag], TEXTS)
        where = draw(condition)
        options["where"] = None if where is None else str(where)
    return Term(
        event=event if not members else "a family",
        members=members,
        measure=measure,
        window=draw(st.sampled_from(WINDOWS)),
        cap=draw(st.sampled_from([None, 1.0, 2.5])),
        transform=draw(st.sampled_from(["identity", "log1p", "sqrt"])),
        **options,
    )


@st.composite
def outcomes(draw: st.DrawFn, kinds: list[str], columns: tuple[str, ...]) -> OutcomeSpec:
    what = st.sampled_from([kinds[0], kinds[0], *kinds, "*", "?*", "l*"])
    common = {
        "horizon": draw(st.sampled_from(["1s", "1d", "7d"])),
        "gap": draw(st.sampled_from(["0d", "1s", "1d"])),
    }
    if draw(st.integers(0, 3)) == 0:
        common["treated"] = draw(treatments(kinds))
    form = draw(st.sampled_from(["event", "event", "silence", "growth", "cross_sell", "labels"]))
    if form == "labels":
        unknown = draw(st.sampled_from(["leave_out", "keep"]))
        labels = {"as_of_col": "when", "y_col": "renewed", "unknown": unknown}
        return OutcomeSpec(task="churn", labels=labels, **common)
    if form == "growth":
        growth = {
            "property": draw(st.sampled_from([None, *columns])),
            "factor": draw(st.sampled_from([1, 1.2, 2])),
            "least": draw(st.sampled_from([0, 0, 1, 0.125])),
        }
        return OutcomeSpec(task="upsell", event=draw(what), growth=growth, **common)
    if form == "silence":
        within = draw(st.sampled_from(["1s", "1d", "30d"]))
        return OutcomeSpec(task="churn", silence_of=draw(what), active_within=within, **common)
    if draw(st.integers(0, 2)) == 0:
        del common["horizon"]
        after = draw(st.sampled_from(["1s", "1d", "7d", "8d", "30d"]))
        common["within"] = str(AsOfAnchor(Duration(after), draw(st.sampled_from(kinds))))
    if form == "cross_sell":
        patterns = st.sampled_from([*kinds, *kinds, "l*"])
        families = draw(st.lists(patterns, min_size=1, max_size=3, unique=True))
        return OutcomeSpec(task="cross_sell", families=families, **common)
    task = draw(st.sampled_from(["conversion", "upsell", "churn"]))
    return OutcomeSpec(task=task, event=draw(what), repeatable=draw(st.booleans()), **common)


@st.composite
def treatments(draw: st.DrawFn, kinds: list[str]) -> dict[str, object]:
    how = draw(st.sampled_from(["exclude", "weight", "keep"]))
    weight = {"weight": 0.25} if how == "weight" else {}
    if draw(st.booleans()):
        return {"events": draw(st.sampled_from([*kinds, "*"])), "how": how, **weight}
    return {"customer_col": "whom", "to_col": "until", "how": how, **weight}


@st.composite
def lives(
    draw: st.DrawFn,
    outcome: OutcomeSpec,
    customers: list[object],
    kinds: list[str],
    moments: list[int],
    columns: tuple[str, ...],
) -> list[Event]:
    """Customers known long before, with events on the edges of the outcome's own windows."""
    ends = [0, outcome.gap.us, outcome.reach, -outcome.reach, outcome.gap.us - outcome.reach]
    times = st.builds(
        lambda m, end, beside: m + end + beside,
        st.sampled_from(moments),
        st.sampled_from(ends),
        st.sampled_from([-1, 0, 1]),
    )
    found = []
    for customer in customers:
        at, arrived = draw(st.lists(times, max_size=4)), min(moments) - 30 * DAY
        numbers = dict.fromkeys(("value", *columns), 0.0)
        found.append(Event(customer, kinds[-1], arrived, arrived, numbers))
        for t in at:
            value = draw(st.sampled_from([1.0, 1.125, 2.0]))
            kind = draw(st.sampled_from(kinds))
            found.append(Event(customer, kind, t, t, dict.fromkeys(("value", *columns), value)))
    return found


@st.composite
def questions(draw: st.DrawFn, *, with_outcome: bool, dated: bool = False) -> Question:
    """A log and a question about it; `dated` ones have dates as their as_of."""
    names = draw(st.sampled_from(NAMES))
    value, other, text, flag, took = (names[k] for k in (3, 4, 6, 7, 8))
    ids = draw(st.sampled_from([TEXT_IDS, INT_IDS, UUID_IDS]))
    customers = draw(st.lists(st.sampled_from(ids), min_size=1, max_size=4, unique=True))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4, unique=True))
    base = draw(st.sampled_from(BASES))
    steps = draw(st.lists(st.sampled_from([0, 1, HOUR, DAY, 7 * DAY]), min_size=1, max_size=3))
    moments = [base + step for step in steps]
    # Times lie on the edges of windows, horizons and days, one microsecond beside, or anywhere.
    edges = [sign * Duration(w).us for w in (*WINDOWS, "0s", "8d") for sign in (-1, 1)]
    times = st.builds(
        lambda m, edge, beside: m + edge + beside,
        st.sampled_from(moments),
        st.sampled_from(edges) | st.integers(-40 * DAY, 40 * DAY),
        st.sampled_from([-1, 0, 1]),
    )
    # An event arrives some time after it happened, or close to an as_of.
    lags = rarely(st.sampled_from([0, 0, 1, HOUR, 7 * DAY, -DAY]))
    beside_as_of = st.builds(int.__add__, st.sampled_from(moments), st.sampled_from([-1, 0, 0, 1]))
    event = st.builds(
        lambda customer, kind, at, arrived, lag, found: Event(
            customer,
            kind,
            at,
            arrived if arrived is not None or None in (at, lag) else at + lag,
            {"value": found[value], **found},
        ),
        rarely(st.sampled_from(customers)),
        rarely(st.sampled_from(kinds)),
        rarely(times),
        st.none() | st.none() | beside_as_of,
        lags,
        st.fixed_dictionaries(
            {
                value: rarely(values),
                other: rarely(values),
                text: rarely(st.sampled_from([*TEXTS, "x\0y"])),
                flag: rarely(st.booleans()),
                took: rarely(st.integers(0, 10**6).map(lambda n: n / 8)),
            }
        ),
    )
    log = draw(st.lists(event, min_size=draw(st.sampled_from([0, 15])), max_size=30))
    log += [e for e in log if draw(st.integers(0, 9)) == 0]  # exact duplicates
    # Somebody appears just around an as_of, and is known then or not.
    newcomer = next(i for i in ids if i not in customers)
    for at in draw(st.lists(beside_as_of, max_size=2)):
        blank = {**dict.fromkeys(("value", *names[3:])), other: 1.0}
        log.append(Event(newcomer, kinds[-1], at, at + draw(st.integers(-1, 1)), blank))
    # Mostly, the log begins before as_of and goes on until outcomes are known.
    early, late = base - 40 * DAY, base + 40 * DAY + draw(st.integers(-1, 1))
    blank = {"value": None, other: None}
    for at, kind in ((early, kinds[-1]), (late, kinds[0])):
        if draw(st.integers(0, 9)):
            log.append(Event(customers[0], kind, at, at, blank))
    outcome = draw(outcomes(kinds, names[3:5])) if with_outcome else None
    if outcome is not None:
        log += draw(lives(outcome, customers, kinds, moments, names[3:5]))
    anchor = AsOfAnchor(
        Duration(draw(st.sampled_from(["0d", "1s", "1h", "7d"]))),
        draw(st.sampled_from([kinds[0], *kinds])),
    )
    dates = parse_as_of([moment(m) for m in moments])
    as_of = st.sampled_from([dates, dates, dates, anchor] + [None] * (not with_outcome))
    # Rows and treatments that are given lie near the moments too; few rows are there twice.
    near = st.builds(int.__add__, st.sampled_from(moments), st.sampled_from([-DAY, -1, 0, 1, DAY]))
    anybody = st.sampled_from([*customers, newcomer])
    row = st.builds(GivenRow, rarely(anybody), rarely(near), rarely(st.integers(0, 1)))
    given = {(g.customer, g.at): g for g in draw(st.lists(row, min_size=1, max_size=8))}.values()
    given = [*given, *list(given)[: draw(st.integers(0, 12)) // 12]]
    lengths = st.none() | st.sampled_from([0, 1, DAY, 2 * DAY])
    span = st.builds(
        lambda who, at, n: Span(who, at, None if n is None else at + n), anybody, near, lengths
    )
    spans = None
    if outcome is not None and outcome.treated is not None and not outcome.treated.events:
        spans = tuple(draw(st.lists(span, max_size=5)))
    asked = dates if dated else draw(as_of)
    by_row = outcome is not None and outcome.labels is not None
    if by_row or (not dated and draw(st.integers(0, 5)) == 0):
        held = rows_to_arrow(tuple(given), tuple(log), "who")
        unknown = outcome.labels.unknown if by_row else draw(st.sampled_from(["leave_out", "keep"]))
        asked = AsOfTable(held, "who", "when", "renewed" if by_row else None, unknown)
    return Question(
        log=tuple(log),
        spec=CountSpec(terms=tuple(draw(st.lists(terms(kinds, names), min_size=1, max_size=6)))),
        as_of=asked,
        outcome=outcome,
        names=names,
        arrival=draw(st.booleans()),
        observed_until=draw(st.sampled_from([None, None, base + 8 * DAY, base + 50 * DAY])),
        unit=draw(st.sampled_from(["us", "ns"])),
        zone=draw(st.sampled_from(ZONES)),
        given=tuple(given),
        spans=spans,
        intervals=draw(st.booleans()),
    )


def with_log(question: Question, log: list[Event]) -> Question:
    return replace(question, log=tuple(log))
