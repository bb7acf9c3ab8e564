"""Outcomes to the microsecond: windows that end at an anchor, growth, families, late arrivals."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ces_ml.errors import EventLogError, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import build_counts
from ces_ml.spec import CountRule, CountSpec, CountTable, OutcomeSpec
from ces_ml.spec.as_of import to_us

from .engines import ENGINES
from .logs import DAY
from .reference import moment

T = to_us(moment(1_704_067_200_000_000))
GAP, WEEK = 1 * DAY, 7 * DAY
SPEC = CountSpec.of(["login"], window="30d")
ARRIVING = EventSchema(arrival_col="arrived", value_col="amount")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def count(events: list[tuple[Any, ...]], engine: str, **options: Any) -> CountTable:
    """Count events given as (customer, event type, microseconds after T[, amount[, arrival]])."""
    rows = [(*(*e, 1.0)[:4], e[4] if len(e) > 4 else e[2]) for e in events]
    stamp = pa.timestamp("us", "UTC")
    table = {
        "customer_id": pa.array([r[0] for r in rows], pa.string()),
        "event_type": pa.array([r[1] for r in rows], pa.string()),
        "timestamp": pa.array([T + r[2] for r in rows], stamp),
        "amount": pa.array([r[3] for r in rows], pa.float64()),
        "arrived": pa.array([None if r[4] is None else T + r[4] for r in rows], stamp),
    }
    asked = {"as_of": moment(T), "engine": engine, **options}
    return build_counts(pa.table(table), asked.pop("counts", SPEC), **asked)


def known(customers: str) -> list[tuple[Any, ...]]:
    """Make customers known long before T, and the log go on long after it."""
    return [(c, "seen", -60 * DAY) for c in customers] + [("~", "seen", 60 * DAY)]


PAID = OutcomeSpec(task="conversion", event="paid", within="7d after trial", gap="1d")


def test_a_window_within_an_anchor_ends_with_it_whatever_as_of_is(engine: str) -> None:
    late = WEEK - 3 * DAY  # the window of those whose trial began three days before T
    events = [(c, "trial", -3 * DAY) for c in "abcdef"]
    events += [
        ("a", "paid", late - 1),
        ("b", "paid", late),  # half-open: one microsecond too late
        ("c", "paid", GAP),
        ("d", "paid", GAP - 1),  # in the gap
        ("e", "paid", -1),  # before as_of
        ("f", "trial", -1),  # only the first anchor counts
        ("f", "paid", late + DAY),
    ]
    table = count(known("abcdef") + events, engine, outcome=PAID)
    assert table.customer.tolist() == ["a", "b", "c", "f"]
    assert table.outcomes.tolist() == [1, 0, 1, 0]
    assert table.report["left_out_happened_in_gap"] == 1
    assert table.report["left_out_already_happened"] == 1
    assert table.report["left_out_no_anchor"] == 0  # "~" is not known before as_of


def test_a_window_that_is_over_or_has_no_anchor_leaves_the_sample(engine: str) -> None:
    over = GAP - WEEK  # a trial then ends its window exactly where it would begin
    events = [
        ("a", "trial", over - 1),
        ("b", "trial", over),
        ("c", "trial", over + 1),
        ("d", "trial", -1),
        ("e", "trial", 0),  # not before as_of
        ("~", "paid", 50 * DAY),
    ]
    table = count(known("abcdef") + events, engine, outcome=PAID)
    assert table.customer.tolist() == ["c", "d"]
    assert table.report["left_out_window_over"] == 2
    assert table.report["left_out_no_anchor"] == 2  # e and f


def test_a_window_that_ends_after_the_log_is_censored(engine: str) -> None:
    events = [("a", "trial", -3 * DAY), ("b", "trial", -3 * DAY + 1), *known("ab")[:2]]
    events += [("a", "paid", 4 * DAY)]  # the log ends where the window of a does
    table = count(events, engine, outcome=PAID)
    assert table.customer.tolist() == ["a"]
    assert table.report["left_out_censored"] == 1
    events[-1] = ("b", "paid", 2 * DAY)
    match = r"every outcome window ends after the log does\n.*2 rows.*\n.*within 7d after trial"
    with pytest.raises(EventLogError, match=match):
        count(events, engine, outcome=PAID)


def test_an_anchor_of_a_window_that_never_occurs_is_named(engine: str) -> None:
    outcome = OutcomeSpec(task="conversion", event="login", within="7d after trail")
    events = [*known("a"), ("a", "trial", -1), ("a", "login", -DAY)]
    with pytest.raises(EventLogError, match=r"event of within never occurs\n.*\n.*mean 'trial'"):
        count(events, engine, outcome=outcome)


def grown(**growth: Any) -> OutcomeSpec:
    return OutcomeSpec(
        task="upsell",
        event="buy",
        horizon="7d",
        gap="1d",
        growth={"property": "amount", **growth},
    )


def test_growth_compares_windows_of_equal_length_to_the_microsecond(engine: str) -> None:
    base = [(c, "buy", -WEEK, 10.0) for c in "abcdef"]
    events = [
        ("a", "buy", GAP, 12.0),
        ("b", "buy", GAP + WEEK - 1, 12.0),
        ("c", "buy", GAP + WEEK, 12.0),  # after the window
        ("d", "buy", GAP - 1, 12.0),  # in the gap
        ("e", "buy", GAP, 11.99),
        ("f", "buy", -1, 0.5),
        ("f", "buy", GAP, 12.5),  # the base is 10.5
        ("g", "buy", -WEEK - 1, 10.0),  # before the look-back: not active
    ]
    table = count(known("abcdefg") + base + events, engine, outcome=grown(factor=1.2))
    assert table.customer.tolist() == list("abcdef")
    assert table.outcomes.tolist() == [1, 1, 0, 0, 0, 0]
    assert table.report["left_out_not_active"] == 1


def test_growth_from_nothing_needs_a_positive_total_of_at_least_so_much(engine: str) -> None:
    events = [
        *(("a", "buy", -1, 0.0), ("a", "buy", GAP, 5.0)),
        *(("b", "buy", -1, None), ("b", "buy", GAP, 4.99)),
        *(("c", "buy", -1, -80.0), ("c", "buy", GAP, 5.0)),  # refunds: the base is 0
        *(("d", "buy", -1, 0.0), ("d", "buy", GAP, 0.0)),
        *(("e", "buy", -1, -5.0), ("e", "buy", GAP, -1.0)),  # less negative is not growth
    ]
    table = count(known("abcde") + events, engine, outcome=grown(factor=3, least=5))
    assert table.outcomes.tolist() == [1, 0, 1, 0, 0]
    table = count(known("abcde") + events, engine, outcome=grown())
    assert table.outcomes.tolist() == [1, 1, 1, 0, 0]


def test_equal_totals_are_no_growth_however_floats_add_up(engine: str) -> None:
    events = [("a", "buy", -k, 0.1) for k in (1, 2, 3)] + [("a", "buy", GAP, 0.3)]
    events += [("b", "buy", -1, 0.3)] + [("b", "buy", GAP + k, 0.1) for k in (1, 2, 3)]
    events += [("c", "buy", -1, 0.1)] + [("c", "buy", GAP + k, 0.1) for k in (1, 2, 3)]
    table = count(known("abc") + events, engine, outcome=grown())
    assert table.outcomes.tolist() == [0, 0, 1]
    assert count(known("abc") + events, engine, outcome=grown(factor=3)).outcomes[2] == 1


def test_events_are_counted_where_no_property_grows(engine: str) -> None:
    outcome = OutcomeSpec(task="upsell", event="buy", horizon="7d", growth={"factor": 2})
    events = [("a", "buy", -1, 9.0), ("b", "buy", -1, 9.0), ("b", "buy", 1, 0.0)]
    events += [("a", "buy", k, 0.0) for k in (0, 1)]
    table = count(known("ab") + events, engine, outcome=outcome)
    assert table.outcomes.tolist() == [1, 0]


def test_a_look_back_that_begins_before_the_log_leaves_the_sample(engine: str) -> None:
    events = [("a", "buy", -DAY), ("b", "buy", -WEEK + 1), ("~", "seen", 60 * DAY)]
    match = "nobody is left in the sample\n.*left_out_look_back_before_log: 2"
    with pytest.raises(EventLogError, match=match):
        count(events, engine, outcome=grown())
    events += [("b", "seen", -WEEK)]
    assert len(count(events, engine, outcome=grown())) == 2


SOLD = OutcomeSpec(task="cross_sell", families=["crm:*", "mail"], gap="1d", horizon="7d")


def test_a_family_is_sold_when_it_is_first_used_in_the_window(engine: str) -> None:
    events = [(c, "crm:open", -5) for c in "abcdefg"]
    events += [
        ("a", "mail", GAP),
        ("b", "mail", GAP + WEEK),
        ("c", "mail", GAP - 1),  # in the gap
        ("d", "mail", -1),  # both families in use
        ("d", "mail", GAP),
        ("e", "crm:close", GAP),  # the family is in use, the event type is new
        ("f", "mail", GAP + WEEK - 1),
        ("g", "mail", 0),  # in the gap too
    ]
    events += [("h", "crm:open", GAP)]  # neither family in use
    table = count(known("abcdefgh") + events, engine, outcome=SOLD)
    assert table.customer.tolist() == ["a", "b", "e", "f", "h"]
    assert table.outcomes.tolist() == [1, 0, 0, 1, 1]
    assert table.report["left_out_all_used"] == 1
    assert table.report["left_out_happened_in_gap"] == 2


def test_events_of_families_in_use_are_history_that_may_be_counted(engine: str) -> None:
    events = [("a", "crm:open", -5), ("a", "mail", GAP), ("b", "mail", -5), ("b", "seen", -6)]
    rules = [CountRule(window="30d")]
    table = count(known("ab") + events, engine, outcome=SOLD, counts=rules)
    assert table.names == ("crm:open", "mail", "seen")
    assert table.to_pandas()["mail"].tolist() == [0, 1]  # the sale itself is not counted


def test_an_event_type_in_two_families_is_refused(engine: str) -> None:
    outcome = OutcomeSpec(task="cross_sell", families=["crm:*", "*open"], horizon="7d")
    events = [*known("a"), ("a", "crm:open", -5)]
    with pytest.raises(SpecError, match=r"belongs to two families\n.*'crm:open', by 'crm:\*' and"):
        count(events, engine, outcome=outcome)


@pytest.mark.parametrize("task", ["conversion", "churn"])
def test_who_is_eligible_is_judged_by_what_had_arrived(engine: str, task: str) -> None:
    outcome = OutcomeSpec(task=task, event="end", gap="1d", horizon="7d")
    events = [
        ("a", "end", -5, 1.0, -1),  # known: left out
        ("b", "end", -5, 1.0, 0),  # had happened, but nobody knew
        ("c", "end", -5, 1.0, None),  # never arrived
        ("d", "end", GAP - 1, 1.0, 9 * DAY),  # in the gap, whenever it arrived
        ("e", "end", GAP, 1.0, 50 * DAY),  # outcomes see all that happened
        ("f", "seen", -5),
    ]
    table = count(known("abcdef") + events, engine, outcome=outcome, schema=ARRIVING)
    assert table.customer.tolist() == ["b", "c", "e", "f"]
    happens, not_any_more = int(task == "conversion"), 0
    assert table.outcomes.tolist() == [not_any_more, not_any_more, happens, 1 - happens]
    assert table.report["left_out_already_happened"] == 1
    assert table.report["left_out_happened_in_gap"] == 1
    assert table.report["happened_unseen"] == 2
    blind = count(known("abcdef") + events, engine, outcome=outcome)
    assert blind.report["left_out_already_happened"] == 3
    assert "happened_unseen" not in blind.report


def test_a_family_used_unseen_keeps_the_customer_but_is_no_sale(engine: str) -> None:
    events = [(c, "crm:open", -5) for c in "ab"]
    events += [("a", "mail", -5, 1.0, 3), ("a", "mail", GAP), ("b", "mail", -5, 1.0, -1)]
    table = count(known("ab") + events, engine, outcome=SOLD, schema=ARRIVING)
    assert table.customer.tolist() == ["a"]
    assert table.outcomes.tolist() == [0]


def test_an_anchored_moment_whose_event_had_not_arrived_is_no_row(engine: str) -> None:
    day = 1 * DAY
    events = [
        *(("a", "trial", 0, 1.0, day), ("b", "trial", 0, 1.0, day + 1)),
        *(("c", "trial", 0, 1.0, None), ("d", "trial", 0), ("d", "trial", 5, 1.0, None)),
        # Of two first events at once, one arrived in time.
        *(("e", "trial", 0, 1.0, None), ("e", "trial", 0, 1.0, 3)),
    ]
    table = count(known("abcde") + events, engine, as_of="1d after trial", schema=ARRIVING)
    assert table.customer.tolist() == ["a", "d", "e"]
    assert table.report["left_out_anchor_not_arrived"] == 2
    table = count(known("abcde") + events, engine, as_of="1d after trial")
    assert table.customer.tolist() == list("abcde")


def test_an_anchor_that_ends_a_window_must_have_arrived_before_as_of(engine: str) -> None:
    events = [
        ("a", "trial", -5, 1.0, -1),
        ("b", "trial", -5, 1.0, 0),
        ("c", "trial", 0, 1.0, -5),  # said to have arrived before it happened
        ("c", "paid", 20 * DAY),
    ]
    table = count(known("abc") + events, engine, outcome=PAID, schema=ARRIVING)
    assert table.customer.tolist() == ["a"]
    assert table.report["left_out_no_anchor"] == 2
