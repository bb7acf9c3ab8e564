"""What happens at or after `as_of`, or arrives then, never shows in the counts."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.errors import CesError, CesWarning, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import build_counts, open_engine
from ces_ml.spec import CountRule, CountSpec, CountTable, OutcomeSpec
from ces_ml.spec.as_of import to_us

from .engines import ENGINES
from .logs import DAY, KINDS, Question, questions, to_arrow, with_log
from .reference import Event

SETTINGS = settings(max_examples=15, deadline=None)


def count(question: Question, engine: str) -> CountTable | None:
    """The table of a question, or None where it has no answer."""
    with (
        warnings.catch_warnings(),
        open_engine(to_arrow(question), question.schema, engine=engine) as opened,
    ):
        warnings.simplefilter("ignore", CesWarning)
        try:
            return opened.table(question.spec, question.as_of)
        except CesError:
            return None


#: What later events are worth, by the type of what an earlier one holds.
FUTURE = {float: 4096.0, bool: True, str: "from the future"}


@st.composite
def futures(draw: st.DrawFn, question: Question, *, late: bool) -> list[Event]:
    """Events at or after the last `as_of`; or, if `late`, of any time that arrive only then."""
    end = to_us(question.as_of.moments[-1])
    customers = sorted({e.customer for e in question.log if e.customer is not None}, key=str)
    found = []
    for customer in draw(st.lists(st.sampled_from(customers), min_size=1, max_size=8)):
        then = end + draw(st.sampled_from([0, 1, DAY, 20 * DAY]))
        at = end - draw(st.sampled_from([1, DAY, 8 * DAY])) if late else then
        worth = {name: FUTURE.get(type(v)) for name, v in question.log[0].values.items()}
        found.append(Event(customer, draw(st.sampled_from(KINDS)), at, then, worth))
    return found


@pytest.mark.parametrize("late", [False, True], ids=["later events", "late arrivals"])
@pytest.mark.parametrize("engine", ENGINES)
@SETTINGS
@given(data=st.data())
def test_the_future_never_changes_the_counts(engine: str, late: bool, data: st.DataObject) -> None:
    question = data.draw(questions(with_outcome=False, dated=True))
    question = replace(question, arrival=late or question.arrival, observed_until=None)
    before = count(question, engine)
    if before is None:
        return
    end = to_us(question.as_of.moments[-1])
    kept = [e for e in question.log if late or e.at is None or e.at < end]  # drop the old future
    changed = [*kept, *data.draw(futures(question, late=late))]
    after = count(with_log(question, changed), engine)
    assert after is not None
    assert after.digest() == before.digest()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@SETTINGS
@given(question=questions(with_outcome=True, dated=True))
def test_asking_for_an_outcome_leaves_out_rows_but_changes_no_count(
    engine: str, question: Question
) -> None:
    whole = count(question, engine)
    with open_engine(to_arrow(question), question.schema, engine=engine) as opened:
        try:
            judged = opened.table(question.spec, question.as_of, question.outcome)
        except CesError:
            return
    assert whole is not None
    place = {key: k for k, key in enumerate(whole.keys.itertuples(index=False, name=None))}
    rows = np.array([place[k] for k in judged.keys.itertuples(index=False, name=None)])
    assert np.array_equal(np.sort(rows), rows)
    np.testing.assert_allclose(judged.X.toarray(), whole.X.toarray()[rows], rtol=1e-12, atol=1e-9)


LOG = pd.DataFrame(
    {
        "customer_id": ["a", "a", "a", "b", "b", "b"],
        "event_type": ["login", "trial", "buy_now", "login", "login", "buy_later"],
        "timestamp": pd.to_datetime(
            ["2024-01-02", "2024-01-03", "2024-01-20", "2024-01-05", "2024-01-09", "2024-03-01"]
        ),
    }
)
BOUGHT = OutcomeSpec(task="conversion", event="buy_*", horizon="14d")


@pytest.mark.parametrize("engine", ENGINES)
def test_patterns_never_bring_in_the_events_of_the_outcome(engine: str) -> None:
    table = build_counts(
        LOG, [CountRule(window="30d")], as_of="2024-01-10", outcome=BOUGHT, engine=engine
    )
    assert table.names == ("login", "trial")
    assert table.outcomes.tolist() == [1, 0]
    without = build_counts(LOG, [CountRule(window="30d")], as_of="2024-01-10", engine=engine)
    assert without.names == ("buy_later", "buy_now", "login", "trial")


def test_a_rule_that_names_an_event_of_the_outcome_is_refused() -> None:
    rules = [CountRule(events="buy_now", window="30d")]
    with pytest.raises(SpecError, match=r"names an event of the outcome\n.*'buy_now'"):
        build_counts(LOG, rules, as_of="2024-01-10", outcome=BOUGHT)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_event_without_an_arrival_time_is_never_counted_and_is_reported(engine: str) -> None:
    log = LOG.assign(arrived=LOG["timestamp"] + pd.Timedelta(hours=1))
    log.loc[4, "arrived"] = None
    table = build_counts(
        log,
        CountSpec.of(["login"], window="30d"),
        as_of="2024-01-10",
        schema=EventSchema(arrival_col="arrived"),
        engine=engine,
    )
    assert table.to_pandas()["login"].tolist() == [1, 1]
    assert table.report["null_arrival"] == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_an_event_that_arrives_exactly_at_as_of_is_not_counted(engine: str) -> None:
    as_of = pd.Timestamp("2024-01-10")
    arrived = [as_of - pd.Timedelta("1us"), as_of, as_of + pd.Timedelta("1us")]
    log = pd.DataFrame({"customer_id": 1, "event_type": "x", "arrived": arrived})
    log["timestamp"] = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-12"])
    table = build_counts(
        log,
        CountSpec.of(["x"], window="30d"),
        as_of=as_of,
        schema=EventSchema(arrival_col="arrived"),
        engine=engine,
    )
    assert table.X.toarray().tolist() == [[1]]


@pytest.mark.parametrize("engine", ENGINES)
def test_scoring_counts_every_event_of_the_window_one_second_after_the_last(engine: str) -> None:
    times = pd.to_datetime(
        ["2024-01-01", "2024-01-05 10:00:00", "2024-01-05 10:00:00.999999"], format="ISO8601"
    )
    log = pd.DataFrame({"customer_id": ["a", "b", "b"], "event_type": "x", "timestamp": times})
    table = build_counts(log, CountSpec.of(["x"], window="30d"), engine=engine)
    assert table.to_pandas()["x"].tolist() == [1, 2]
    assert table.as_of.unique().tolist() == [pd.Timestamp("2024-01-05 10:00:01", tz="UTC")]
    assert table.y is None
    exact = log.assign(timestamp=log["timestamp"].dt.floor("s"))
    table = build_counts(exact, CountSpec.of(["x"], window="1s"), engine=engine)
    assert table.to_pandas()["x"].tolist() == [0, 2]
    assert table.as_of[0] == pd.Timestamp("2024-01-05 10:00:01", tz="UTC")


@pytest.mark.parametrize("engine", ENGINES)
def test_scoring_before_1970_rounds_the_moment_down_too(engine: str) -> None:
    log = pd.DataFrame(
        {"customer_id": [1], "event_type": "x", "timestamp": ["1969-12-31T23:59:58.5"]}
    )
    table = build_counts(log, CountSpec.of(["x"], window="1s"), engine=engine)
    assert table.as_of[0] == pd.Timestamp("1969-12-31T23:59:59Z")
    assert table.X.toarray().tolist() == [[1]]
