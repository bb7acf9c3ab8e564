"""One microsecond decides: every edge of every window, by name."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ces_ml.errors import EventLogError
from ces_ml.events import EventSchema
from ces_ml.features import build_counts
from ces_ml.spec import CountSpec, CountTable, OutcomeSpec
from ces_ml.spec.as_of import AsOfAnchor
from ces_ml.spec.duration import Duration

from .engines import ENGINES
from .logs import BASES, DAY
from .reference import moment

T = BASES[0]
GAP, HORIZON, WINDOW = 1 * DAY, 7 * DAY, 30 * DAY
SPEC = CountSpec.of(["login"], window="30d")
SOLD = {"event": "sale", "gap": "1d", "horizon": "7d"}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def count(events: list[tuple[Any, ...]], engine: str, **options: Any) -> CountTable:
    """Count events given as (customer, event type, microseconds after T[, arrival])."""
    stamp = pa.timestamp("us", "UTC")
    table = {
        "customer_id": pa.array([e[0] for e in events], pa.string()),
        "event_type": pa.array([e[1] for e in events], pa.string()),
        "timestamp": pa.array([T + e[2] for e in events], stamp),
        "arrived": pa.array([T + e[-1] for e in events], stamp),
    }
    return build_counts(pa.table(table), SPEC, engine=engine, **{"as_of": moment(T), **options})


def known(customers: str) -> list[tuple[Any, ...]]:
    """Make customers known long before T, and the log go on long after it."""
    return [(c, "seen", -60 * DAY) for c in customers] + [("~", "seen", 60 * DAY)]


def test_a_count_takes_the_start_of_its_window_and_not_its_end(engine: str) -> None:
    events = [
        ("a", "login", -WINDOW - 1),
        ("b", "login", -WINDOW),
        ("c", "login", -1),
        ("d", "login", 0),
        ("e", "login", 1),
    ]
    table = count(known("abcde") + events, engine)
    assert table.to_pandas()["login"].tolist() == [0, 1, 1, 0, 0]


def test_a_customer_is_known_from_one_microsecond_after_the_first_event(engine: str) -> None:
    table = count([*known("a"), ("b", "login", -1), ("c", "login", 0), ("d", "login", 1)], engine)
    assert table.customer.tolist() == ["a", "b"]


def test_a_customer_is_known_only_when_the_event_has_happened_and_arrived(engine: str) -> None:
    events = [
        ("a", "login", -5, -1),
        ("b", "login", -5, 0),
        ("c", "login", 0, -5),  # said to have arrived before it happened
        ("d", "login", -1, -5),
    ]
    table = count(
        [("~", "seen", -DAY, DAY), ("~", "seen", 60 * DAY, 60 * DAY), *events],
        engine,
        schema=EventSchema(arrival_col="arrived"),
    )
    assert table.to_pandas()["login"].to_dict() == {0: 1, 1: 1}
    assert table.customer.tolist() == ["a", "d"]


@pytest.mark.parametrize(
    ("task", "happened"), [("conversion", [0, 1, 1, 0]), ("churn", [1, 0, 0, 1])]
)
def test_an_outcome_takes_the_start_of_its_window_and_not_its_end(
    engine: str, task: str, happened: list[int]
) -> None:
    events = [
        ("a", "sale", -1),
        ("b", "sale", 0),
        ("c", "sale", GAP - 1),
        ("d", "sale", GAP),
        ("e", "sale", GAP + HORIZON - 1),
        ("f", "sale", GAP + HORIZON),
    ]
    table = count(known("abcdefg") + events, engine, outcome=OutcomeSpec(task=task, **SOLD))
    assert table.customer.tolist() == ["d", "e", "f", "g"]
    assert table.outcomes.tolist() == [happened[1], happened[2], happened[0], happened[3]]
    assert table.report["left_out_already_happened"] == 1
    assert table.report["left_out_happened_in_gap"] == 2
    again = OutcomeSpec(task=task, repeatable=True, **SOLD)
    table = count(known("abcdefg") + events, engine, outcome=again)
    quiet, loud = happened[0], happened[1]
    assert table.outcomes.tolist() == [quiet, quiet, quiet, loud, loud, quiet, quiet]


def test_who_is_active_is_judged_from_the_start_of_the_look_back(engine: str) -> None:
    silence = OutcomeSpec(
        task="churn", silence_of="login", gap="1d", horizon="7d", active_within="30d"
    )
    events = [
        ("a", "login", -WINDOW - 1),
        ("b", "login", -WINDOW),
        ("c", "login", -1),
        ("c", "login", GAP),
        ("d", "login", 0),
        ("e", "login", -1),
        ("e", "login", GAP - 1),
        ("e", "login", GAP + HORIZON),
    ]
    table = count(known("abcde") + events, engine, outcome=silence)
    assert table.customer.tolist() == ["b", "c", "e"]
    assert table.outcomes.tolist() == [0, 1, 0]  # 1 is the good one: still here
    assert table.report["left_out_not_active"] == 2


def test_activity_that_had_not_arrived_does_not_make_a_customer_active(engine: str) -> None:
    silence = OutcomeSpec(task="churn", silence_of="login", horizon="7d", active_within="30d")
    events = [
        ("a", "login", -5, -1),
        ("b", "login", -5, 0),
        *((c, "seen", -60 * DAY, -59 * DAY) for c in "ab"),
        ("~", "seen", 60 * DAY, 60 * DAY),
    ]
    schema = EventSchema(arrival_col="arrived")
    table = count(events, engine, outcome=silence, schema=schema)
    assert table.customer.tolist() == ["a"]
    assert table.report["left_out_not_active"] == 1


@pytest.mark.parametrize("observed", [None, "until then"])
def test_a_horizon_may_end_with_the_log_but_not_one_microsecond_later(
    engine: str, observed: str | None
) -> None:
    sold = OutcomeSpec(task="conversion", **SOLD)
    end = GAP + HORIZON
    for last, complete in ((end, True), (end - 1, False)):
        events = [("a", "seen", -DAY), ("b", "sale", last if observed is None else 90 * DAY)]
        options = {} if observed is None else {"observed_until": moment(T + last)}
        if complete:
            table = count(events, engine, outcome=sold, **options)
            assert table.report["left_out_censored"] == 0
        else:
            with pytest.raises(EventLogError, match="no outcome is known yet"):
                count(events, engine, outcome=sold, **options)


def test_an_anchor_is_the_first_event_and_its_own_moment_does_not_count(engine: str) -> None:
    events = [
        *known("ab"),
        *(("a", "login", -5), ("a", "trial", 0), ("a", "login", 5), ("a", "trial", 9)),
        *(("b", "trial", 7), ("b", "login", 7), ("b", "login", 6)),
        ("c", "trial", 3),  # known by nothing but the anchor itself
    ]
    for after, customers, counts in (
        ("0s", ["a", "b"], [1, 1]),
        ("1s", ["a", "c", "b"], [2, 0, 2]),
    ):
        table = count(events, engine, as_of=AsOfAnchor(Duration(after), "trial"))
        assert table.customer.tolist() == customers
        assert table.to_pandas()["login"].tolist() == counts
        first = {"a": 0, "b": 7, "c": 3}
        moments = [moment(T + first[c] + Duration(after).us) for c in customers]
        assert table.as_of.tolist() == moments


def test_an_anchored_moment_that_has_not_come_yet_is_left_out(engine: str) -> None:
    rule = AsOfAnchor(Duration("1d"), "trial")
    second = 1_000_000
    events = [("a", "trial", 0), ("b", "trial", 1), ("~", "seen", DAY - second)]
    assert count(events, engine, as_of=rule).customer.tolist() == ["a"]


def test_rows_stand_in_the_order_of_as_of_and_customer_as_text(engine: str) -> None:
    events = [(c, "login", -5) for c in ("b", "B", "é", "10", "9", "")]
    table = count(events + known("a"), engine, as_of=[moment(T + 1), moment(T)])
    assert table.customer.tolist() == ["", "10", "9", "B", "a", "b", "é"] * 2
    assert table.as_of.is_monotonic_increasing


def test_a_customer_has_a_row_a_date_with_the_counts_of_that_date(engine: str) -> None:
    events = [("a", "login", -5), ("a", "login", 5 * DAY), ("~", "seen", 60 * DAY)]
    table = count(events, engine, as_of=[moment(T + k * DAY) for k in (0, 10, 29, 40)])
    assert table.to_pandas()["login"].tolist() == [1, 2, 2, 0]
