"""States travel as bytes, and what does not fit is refused."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ces_ml.errors import EventLogError, OutputError, SpecError, WeightSetError
from ces_ml.scoring import OnlineScorer
from ces_ml.spec import Term
from ces_ml.weights import WeightSet

from .online_cases import DAY_US, START, random_log, random_terms, weight_set

END = int(START + 61 * DAY_US)


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return random_log(np.random.default_rng(1), 300)


@pytest.fixture(scope="module")
def weights() -> WeightSet:
    rng = np.random.default_rng(11)
    pairs = Term(event="login", until="🎉", measure="duration", window="7d")
    return weight_set([*random_terms(rng, 10), pairs], 11)


def scorer(weights: WeightSet, log: pd.DataFrame, **options: str) -> OnlineScorer:
    online = OnlineScorer(weights, "1h", **options)
    if "dedupe" in options:
        log = log.assign(id=range(len(log)))
    online.update_many(log, event_id_col="id" if "dedupe" in options else None)
    return online


@pytest.mark.parametrize("options", [{}, {"dedupe": "60d"}, {"lookback": "7d"}])
def test_a_state_that_moved_to_another_scorer_scores_on_as_if_it_had_stayed(
    weights: WeightSet, log: pd.DataFrame, options: dict[str, str]
) -> None:
    first, later = log.iloc[:200], log.iloc[200:]
    stayed = scorer(weights, first, **options)
    moved = OnlineScorer(weights, "1h", **options)
    moved.update_many(first.head(0).assign(id=None), event_id_col="id" if options else None)
    for customer in reversed(stayed.customers):
        moved.load_state(customer, stayed.state_bytes(customer))
        assert moved.state_bytes(customer) == stayed.state_bytes(customer)
    for online in (stayed, moved):
        online.update_many(later.assign(id=range(200, len(log))), event_id_col="id")
    pd.testing.assert_frame_equal(moved.score(as_of=END), stayed.score(as_of=END), rtol=1e-12)


def test_a_state_replaces_the_one_that_a_customer_has(
    weights: WeightSet, log: pd.DataFrame
) -> None:
    online = scorer(weights, log)
    state, before = online.state_bytes("c1"), online.score("c1", as_of=END)
    online.update("c1", "login", END - DAY_US)
    assert not online.score("c1", as_of=END).equals(before)
    online.load_state("c1", state)
    pd.testing.assert_frame_equal(online.score("c1", as_of=END), before)


def test_all_states_go_to_a_file_and_come_back(
    weights: WeightSet, log: pd.DataFrame, tmp_path: Path
) -> None:
    online = scorer(weights, log, dedupe="7d", lookback="2d")
    online.update(7, "login", END - DAY_US, event_id="a")
    online.update("7", "login", END - 2 * DAY_US, event_id="b")
    online.update("two\nlines 🎉", "login", END - 2 * DAY_US, event_id="b")
    again = OnlineScorer.load(online.dump(tmp_path / "states"), weights)
    assert again.customers == online.customers
    pd.testing.assert_frame_equal(again.score(as_of=END), online.score(as_of=END))


def test_a_state_of_twenty_events_takes_less_than_three_hundred_bytes() -> None:
    rng = np.random.default_rng(0)
    terms = [
        Term(event=f"type {k}", window="90d", half_life="14d" if k % 3 == 0 else None)
        for k in range(40)
    ]
    online = OnlineScorer(weight_set(terms), "1d")
    for day in np.sort(rng.integers(0, 90, 20)):
        online.update("x", f"type {rng.integers(40)}", int(START + day * DAY_US + 5))
    assert len(online.state_bytes("x")) < 300


def test_the_state_of_a_busy_customer_is_bounded_by_its_buckets() -> None:
    online = OnlineScorer(weight_set([Term(event="a", window="90d")]), "1d")
    times = (START + np.sort(np.arange(20_000) * 13_000_000_000 % (400 * DAY_US))).astype("M8[us]")
    online.update_many(pd.DataFrame({"customer_id": 1, "event_type": "a", "timestamp": times}))
    assert len(online.state_bytes(1)) < 91 * 3 + 40


def test_a_customer_who_is_forgotten_leaves_nothing(weights: WeightSet, log: pd.DataFrame) -> None:
    online = scorer(weights, log)
    online.forget("c1")
    assert "c1" not in online
    assert online.counts(["c1"], as_of=END).sum() == 0
    online.update("new", "not counted", END - DAY_US)  # takes the place that is free
    assert online.counts(["new"], as_of=END).sum() == 0
    with pytest.raises(SpecError, match="the customer has no state"):
        online.forget("c1")


def test_other_weights_for_the_same_counts_keep_the_states(
    weights: WeightSet, log: pd.DataFrame
) -> None:
    online = scorer(weights, log)
    other = weights.model_copy(
        update={"terms": tuple(t.model_copy(update={"weight": 1.0}) for t in weights.terms)}
    )
    online.reweight(other)
    pd.testing.assert_frame_equal(online.score(as_of=END), scorer(other, log).score(as_of=END))
    assert online.state_bytes("c1") == scorer(other, log).state_bytes("c1")
    with pytest.raises(WeightSetError, match="need other counts than the states hold"):
        online.reweight(weight_set([Term(event="a", window="1d")]))


def test_states_that_do_not_fit_are_refused(weights: WeightSet, log: pd.DataFrame) -> None:
    online = scorer(weights, log)
    state = online.state_bytes("c1")
    with pytest.raises(WeightSetError, match="no state of an online scorer"):
        online.load_state("c1", b"pickle or anything else")
    with pytest.raises(WeightSetError, match="the state is damaged"):
        online.load_state("c1", state[:-1])
    for k in range(16, len(state), 7):
        with pytest.raises(WeightSetError, match="the state is damaged"):
            online.load_state("c1", state[:k] + bytes([state[k] ^ 4]) + state[k + 1 :])
    body = state[:12] + bytes([0, 0, 0, 1, 1]) + b"\xff" * 9 + b"\x01\x02"  # far in the past
    sealed = body + zlib.crc32(body).to_bytes(4, "little")
    with pytest.raises(WeightSetError, match="the state is damaged"):
        online.load_state("c1", sealed)
    assert online.state_bytes("c1") == state
    others = [
        OnlineScorer(weight_set([Term(event="a", window="1d")]), "1h"),
        OnlineScorer(weights, "30min"),
        OnlineScorer(weights, "1h", lookback="1d"),
    ]
    for other in others:
        with pytest.raises(WeightSetError, match="another weight set, or to other settings"):
            other.load_state("c1", state)


def test_files_of_states_that_do_not_fit_are_refused(
    weights: WeightSet, log: pd.DataFrame, tmp_path: Path
) -> None:
    path = scorer(weights, log).dump(tmp_path / "states")
    whole = path.read_bytes()
    other = weight_set([Term(event="a", window="1d")])
    with pytest.raises(WeightSetError, match="the states belong to another weight set"):
        OnlineScorer.load(path, other)
    path.write_bytes(whole[:-9])
    with pytest.raises(WeightSetError, match="truncated or damaged"):
        OnlineScorer.load(path, weights)
    path.write_bytes(whole.replace(b'"version": 1', b'"version": 9'))
    with pytest.raises(WeightSetError, match="unknown version"):
        OnlineScorer.load(path, weights)
    bare = b'{"format": "ces-ml/online-states"}\n'
    for text in (b"", bare, b"[1]\n", b"{}\n", b"\xff\n"):
        path.write_bytes(text)
        with pytest.raises(WeightSetError, match="the states can't be read"):
            OnlineScorer.load(path, weights)
    with pytest.raises(WeightSetError, match="the states can't be read"):
        OnlineScorer.load(tmp_path / "nothing", weights)
    with pytest.raises(OutputError, match="the output path is a folder"):
        scorer(weights, log).dump(tmp_path)


def test_moments_that_are_not_known_any_more_are_refused() -> None:
    online = OnlineScorer(weight_set([Term(event="a", window="10d")]), "1d", lookback="2d")
    online.update("x", "a", "2025-01-10T12:00:00")
    for asked in ("2025-01-10T12:00:00", "2025-01-09T01:00:00", "2025-01-08"):
        with pytest.raises(SpecError, match="is not known any more"):
            online.score("x", as_of=asked)
    for asked in ("2025-01-10T12:00:01", "2025-01-10", "2025-01-09"):
        online.score("x", as_of=asked)
    arrived = weight_set([Term(event="a", window="10d")], arrival_col="arrived")
    online = OnlineScorer(arrived, "1d", lookback="9d")
    online.update("x", "a", "2025-01-10T12:00:00", arrival="2025-01-12T12:00:00")
    with pytest.raises(SpecError, match=r"is of 2025-01-12T12:00:00 \(1 customers"):
        online.score("x", as_of="2025-01-12")


@pytest.mark.parametrize(
    ("term", "granularity", "error", "words"),
    [
        ({"per": "seat"}, "1h", WeightSetError, "term 'a' can't be scored online"),
        ({"measure": "sum"}, "1h", WeightSetError, "term 'a' reads a value but no column"),
        ({"window": "36h"}, "1d", SpecError, "window of term 'a' is no whole number of buckets"),
        ({"window": "90s"}, "1min", SpecError, "for example 90s"),
        ({"half_life": "1min"}, "12h", SpecError, "half-life of term 'a' is too short"),
        ({}, "7h", SpecError, "the granularity does not divide a day"),
        ({}, "0s", SpecError, "the granularity does not divide a day"),
        ({}, "2d", SpecError, "the granularity does not divide a day"),
    ],
)
def test_what_can_not_be_kept_online_is_refused_by_name(
    term: dict[str, str], granularity: str, error: type[Exception], words: str
) -> None:
    weights = weight_set([Term(event="a", **{"window": "30d", **term})])
    weights = weights.model_copy(
        update={"events": weights.events.model_copy(update={"value_col": None})}
    )
    with pytest.raises(error, match=words):
        OnlineScorer(weights, granularity)


def test_events_that_can_not_be_counted_are_refused_and_leave_no_trace() -> None:
    terms = [
        Term(event="a", measure="sum", window="10d", where="channel = 'web' and not returned"),
        Term(event="a", measure="distinct", property="channel", window="10d"),
    ]
    online = OnlineScorer(weight_set(terms), "1d", dedupe="1d")
    good = {"amount": 2, "channel": "web", "returned": False}
    at = "2025-01-05T10:00:00"

    def send(**changes: object) -> None:
        online.update("x", "a", at, {**good, **changes}, event_id=1)

    for changes, words in (
        ({"amount": float("nan")}, "'amount' holds a value that can't be counted"),
        ({"amount": float("inf")}, "'amount' holds a value that can't be counted"),
        ({"amount": "many"}, "'amount' holds a value that can't be counted"),
        ({"amount": [1]}, "'amount' holds a value that can't be counted"),
        ({"channel": 5}, "'channel' can't be compared"),
        ({"returned": "maybe"}, "'returned' can't be compared"),
    ):
        with pytest.raises(EventLogError, match=words):
            send(**changes)
    with pytest.raises(EventLogError, match="neither whose nor what"):
        online.update(None, "a", at, event_id=1)
    with pytest.raises(EventLogError, match="an event has no id"):
        online.update("x", "a", at)
    with pytest.raises(SpecError, match="not a moment in time"):
        online.update("x", "a", "yesterday", event_id=1)
    send(amount="3", returned="false")
    online.update("x", "a", at, {**good, "channel": None}, value=9, event_id=2)
    assert online.counts(["x"], as_of="2025-01-06").tolist() == [[3.0, 1.0]]
    assert online.report["events"] == 2


def test_frames_that_can_not_be_counted_are_refused_as_a_whole() -> None:
    terms = [Term(event="a", measure="sum", window="10d", where="returned")]
    online = OnlineScorer(weight_set(terms), "1d")
    frame = pd.DataFrame(
        {
            "customer_id": ["x", "x"],
            "event_type": "a",
            "timestamp": ["2025-01-05", "2025-01-06"],
            "amount": [1.0, 2.0],
            "returned": [True, True],
        }
    )
    for changes, words in (
        ({"amount": ["1", "two"]}, "'amount' holds values that can't be added up"),
        ({"amount": [1.0, np.inf]}, "1 of 2 values, for example"),
        ({"returned": [1.5, 2.0]}, "'returned' can't be compared"),
        ({"timestamp": [1, 2]}, "'timestamp' does not hold times"),
        ({"timestamp": ["2025-01-05", "soon"]}, "'timestamp' does not hold times"),
    ):
        with pytest.raises(EventLogError, match=words):
            online.update_many(frame.assign(**changes))
    with pytest.raises(EventLogError, match="the events have no such column"):
        online.update_many(frame.rename(columns={"amount": "amont"}))
    with pytest.raises(EventLogError, match="these events can't be read"):
        online.update_many({"customer_id": "x"})
    assert len(online) == 0
    online.update_many(frame)
    assert online.counts(["x"], as_of="2025-01-07").tolist() == [[3.0]]
    unit = weight_set([Term(event="a", window="1d")], timestamp_unit="s")
    with pytest.raises(EventLogError, match="lie outside the calendar"):
        OnlineScorer(unit, "1d").update_many(frame.assign(timestamp=[1, 10**15]))
    ids = OnlineScorer(weight_set([Term(event="a", window="1d")]), "1d", dedupe="1d")
    with pytest.raises(EventLogError, match="1 events without a value in 'id'"):
        ids.update_many(frame.assign(id=["a", None]), event_id_col="id")
    with pytest.raises(EventLogError, match="an event has no id"):
        ids.update_many(frame)


def test_events_too_old_to_matter_are_counted_in_the_report() -> None:
    online = OnlineScorer(weight_set([Term(event="a", window="10d")]), "1d")
    for when in ("2025-03-01", "2025-01-01", "2025-02-25"):
        online.update("x", "a", when)
    assert online.counts(["x"], as_of="2025-03-02").tolist() == [[2.0]]
    assert online.report == {
        "events": 3,
        "not_counted": 0,
        "duplicates": 0,
        "too_old": 1,
    }
