"""The online scorer gives the score of the batch."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.errors import CesWarning
from ces_ml.features import build_counts
from ces_ml.scoring import OnlineScorer
from ces_ml.spec import CountSpec, Duration, Term
from ces_ml.training import score_events
from ces_ml.weights import WeightSet

from .online_cases import DAY_US, START, random_log, random_terms, weight_set

HOUR_US = DAY_US // 24


def moment(us: int) -> object:
    return np.datetime64(int(us), "us").item()


def batch(weights: WeightSet, log: pd.DataFrame, at: int) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CesWarning)
        return score_events(weights, log, as_of=moment(at), threads=1).scores


def feed_one_by_one(online: OnlineScorer, frame: pd.DataFrame) -> None:
    for row in frame[frame["customer_id"].notna()].astype(object).to_dict("records"):
        plain = {c: None if pd.isna(v) else v for c, v in row.items()}
        who, what, when = (plain.pop(c) for c in ("customer_id", "event_type", "timestamp"))
        online.update(who, what, when, plain)


def fed(online: OnlineScorer, log: pd.DataFrame, rng: np.random.Generator) -> OnlineScorer:
    """Feed a log in micro-batches of random sizes and random order; some one by one."""
    shuffled = log.sample(frac=1.0, random_state=int(rng.integers(2**31)))
    cuts = np.sort(rng.integers(0, len(log), 4))
    for k, part in enumerate(np.split(np.arange(len(log)), cuts)):
        if k % 2:
            online.update_many(shuffled.iloc[part])
        else:
            feed_one_by_one(online, shuffled.iloc[part])
    return online


def assert_equal_scores(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    assert found["customer_id"].tolist() == wanted["customer_id"].tolist()
    for column in ("raw_score", "score", "probability"):
        np.testing.assert_allclose(found[column], wanted[column], rtol=1e-9, atol=1e-9)
    assert found["band"].tolist() == wanted["band"].tolist()


def check_on_the_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = weight_set(random_terms(rng, 6), seed)
    log = random_log(rng, int(rng.integers(20, 300)))
    grain = str(rng.choice(["1h", "6h", "12h"]))
    online = fed(OnlineScorer(weights, grain, lookback="20d"), log, rng)
    after = START + int(rng.integers(45, 70)) * DAY_US + 12 * HOUR_US
    for at in (after, START + 60 * DAY_US):
        assert_equal_scores(online.score(as_of=int(at)), batch(weights, log, at))


def check_off_the_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    terms = random_terms(rng, 5, rates=False)
    log = random_log(rng, 200)
    online = fed(OnlineScorer(weight_set(terms), "6h"), log, rng)
    at = int(START + 60 * DAY_US + int(rng.integers(0, 20 * 86_400)) * 1_000_000)
    longer = []
    for term in terms:
        late = 0 if term.until else (at - term.window.us) % Duration("6h").us
        window = f"{(term.window.us + late) // 1_000_000}s"
        longer.append(term.model_copy(update={"window": Duration(window), "name": ""}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CesWarning)
        schema = online.weight_set.events
        wanted = build_counts(log, CountSpec(terms=tuple(longer)), as_of=moment(at), schema=schema)
    found = online.counts(wanted.customer, as_of=at)
    np.testing.assert_allclose(found, wanted.X.toarray(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_on_the_grid_every_score_is_that_of_the_batch_whatever_the_order(seed: int) -> None:
    check_on_the_grid(seed)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_random_weight_sets_and_logs_score_on_the_grid_as_the_batch(seed: int) -> None:
    check_on_the_grid(seed)


@pytest.mark.parametrize("seed", range(3))
def test_off_the_grid_a_window_reaches_back_to_the_start_of_its_first_bucket(seed: int) -> None:
    check_off_the_grid(seed)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_random_weight_sets_and_logs_err_off_the_grid_by_one_bucket_only(seed: int) -> None:
    check_off_the_grid(seed)


def test_a_pool_that_grows_and_is_swept_loses_nothing() -> None:
    rng = np.random.default_rng(3)
    terms = [Term(event="a", window="2d"), Term(event="b", window="30d", half_life="1d")]
    terms += [Term(event="a", until="b", measure="duration", window="3d")]
    weights = weight_set(terms)
    n = 30_000
    us = np.sort(rng.integers(0, 300 * DAY_US, n)) + rng.integers(-DAY_US, DAY_US, n)
    log = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 4, n),
            "event_type": rng.choice(["a", "b"], n),
            "timestamp": (START + us).astype("datetime64[us]"),
        }
    )
    online = OnlineScorer(weights, "1h")
    for start in range(0, n, 1_000):
        online.update_many(log[start : start + 1_000])
    at = START + 302 * DAY_US
    assert_equal_scores(online.score(as_of=int(at)), batch(weights, log, at))
    assert len(online._store.pool[0]) < n  # old buckets were dropped, not kept for ever


def test_every_kind_of_frame_is_read_alike() -> None:
    rng = np.random.default_rng(5)
    weights = weight_set(random_terms(rng, 8), 5)
    log = random_log(rng, 150)
    table = pa.Table.from_pandas(log, preserve_index=False)
    texts = log.assign(timestamp=log["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    records = [
        {k: None if pd.isna(v) else v for k, v in row.items()}
        for row in log.astype(object).to_dict("records")
    ]
    zoned = log.assign(timestamp=log["timestamp"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    at = int(START + 61 * DAY_US)
    scores = []
    for events in (log, table, pl.from_arrow(table), records, texts, zoned):
        online = OnlineScorer(weights, "1h")
        online.update_many(events)
        scores.append(online.score(as_of=at))
    for other in scores[1:]:
        pd.testing.assert_frame_equal(scores[0], other)


def test_times_that_are_numbers_are_read_by_their_unit() -> None:
    at = 1_700_000_000
    for unit, times in {
        "s": [at],
        "ms": [at * 1000],
        "ns": [at * 10**9 + 999],
        "us": [float(at * 10**6)],
    }.items():
        weights = weight_set([Term(event="a", window="1d")], timestamp_unit=unit)
        online = OnlineScorer(weights, "1h")
        online.update_many(
            pd.DataFrame({"customer_id": [1], "event_type": "a", "timestamp": times})
        )
        assert online.counts([1], as_of=at * 10**6 + 1).tolist() == [[1.0]]
        assert online._store.latest[0] == at * 10**6


@pytest.mark.slow
def test_with_an_arrival_column_what_was_fed_until_a_moment_scores_as_the_whole_log_then() -> None:
    rng = np.random.default_rng(8)
    terms = random_terms(rng, 8)
    weights = weight_set(terms, 8, arrival_col="arrived")
    log = random_log(rng, 400)
    delay = (rng.exponential(3 * DAY_US, len(log)) * (rng.random(len(log)) < 0.5)).astype(int)
    log["arrived"] = log["timestamp"] + delay.astype("timedelta64[us]")
    log.loc[::37, "arrived"] = pd.NaT
    log = log.sort_values("arrived").reset_index(drop=True)
    online = OnlineScorer(weights, "12h", lookback="90d")
    done = 0
    for day in (20, 35, 36, 58):
        at = START + day * DAY_US
        known = int((log["arrived"] < np.datetime64(int(at), "us")).sum())
        online.update_many(log[done:known])
        done = known
        assert_equal_scores(online.score(as_of=int(at)), batch(weights, log, at))


@pytest.mark.slow
def test_moments_within_the_lookback_can_be_asked_again() -> None:
    rng = np.random.default_rng(9)
    weights = weight_set(random_terms(rng, 8), 9)
    log = random_log(rng, 300)
    online = fed(OnlineScorer(weights, "12h", lookback="30d"), log, rng)
    for day in (31, 40, 52):
        at = START + day * DAY_US
        assert_equal_scores(online.score(as_of=int(at)), batch(weights, log, at))


def test_an_event_delivered_twice_counts_once_with_dedupe_and_twice_without() -> None:
    weights = weight_set([Term(event="a", window="30d")])
    for dedupe, counted in ((None, 4.0), ("7d", 2.0)):
        online = OnlineScorer(weights, "1h", dedupe=dedupe)
        for day in (1, 3, 1, 3):
            online.update("x", "a", f"2025-01-0{day}T10:00:00", event_id=f"event {day}")
        assert online.counts(["x"], as_of="2025-01-04").tolist() == [[counted]]
        assert online.report["duplicates"] == (0 if dedupe is None else 2)
    frame = pd.DataFrame(
        {
            "customer_id": "x",
            "event_type": "a",
            "timestamp": "2025-01-03T10:00:00",
            "id": "event 3",
        },
        index=range(3),
    )
    online.update_many(frame, event_id_col="id")
    assert online.counts(["x"], as_of="2025-01-04").tolist() == [[2.0]]


def test_rates_a_day_count_from_the_first_event_of_any_type() -> None:
    weights = weight_set([Term(event="a", window="10d", per="day")])
    online = OnlineScorer(weights, "1d")
    online.update("x", "something else", "2025-01-01")
    online.update("x", "a", "2025-01-04")
    assert online.counts(["x"], as_of="2025-01-05").tolist() == [[0.25]]
    assert online.report["not_counted"] == 1


def test_customers_who_are_not_known_count_nothing_and_whole_numbers_are_not_text() -> None:
    online = OnlineScorer(weight_set([Term(event="a", window="10d")]), "1d")
    online.update(7, "a", "2025-01-04")
    found = online.score([7, "7", "nobody"], as_of="2025-01-05")
    assert found["customer_id"].tolist() == [7, "7", "nobody"]
    assert online.counts([7, "7"], as_of="2025-01-05").tolist() == [[1.0], [0.0]]
    assert online.score(as_of="2025-01-04").empty
    assert 7 in online
    assert "7" not in online


def test_lengths_of_time_are_read_as_such() -> None:
    term = Term(event="call", measure="duration", property="took", unit="1min", window="10d")
    online = OnlineScorer(weight_set([term]), "1d")
    online.update("x", "call", "2025-01-04", {"took": pd.Timedelta(minutes=3)})
    online.update("x", "call", "2025-01-04", {"took": 60})
    frame = {"customer_id": ["x"], "event_type": ["call"], "timestamp": ["2025-01-04"]}
    online.update_many(pd.DataFrame({**frame, "took": pd.to_timedelta([2], unit="min")}))
    assert online.counts(["x"], as_of="2025-01-05").tolist() == [[6.0]]


def test_a_number_is_one_value_whether_its_column_was_whole_or_not() -> None:
    term = Term(event="a", measure="distinct", property="size", window="9d")
    online = OnlineScorer(weight_set([term]), "1d")
    frame = {"customer_id": "x", "event_type": "a", "timestamp": ["2025-01-04", "2025-01-05"]}
    for sizes in ([5, 6], [5, None], [5.0, 0.5], ["5", "5.0"]):
        online.update_many(pd.DataFrame({**frame, "size": sizes}))
    for size in (5, 5.0, np.float64(6), -0.0, 0):
        online.update("x", "a", "2025-01-05", {"size": size})
    assert online.counts(["x"], as_of="2025-01-06").tolist() == [[5.0]]  # 5, 6, 0.5, "5.0", 0
