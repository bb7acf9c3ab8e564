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


def batch(weights: WeightSet, log: pd.DataFrame, at: int) -> pd.DataFrame:
    moment = np.datetime64(int(at), "us").item()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CesWarning)
        return score_events(weights, log, as_of=moment, threads=1).scores


def fed(online: OnlineScorer, log: pd.DataFrame, rng: np.random.Generator) -> OnlineScorer:
    """Feed a log in micro-batches of random sizes and random order; some one by one."""
    shuffled = log.sample(frac=1.0, random_state=int(rng.integers(2**31)))
    cuts = np.sort(rng.integers(0, len(log), 4))
    for k, part in enumerate(np.split(np.arange(len(log)), cuts)):
        frame = shuffled.iloc[part]
        if k % 2:
            online.update_many(frame)
            continue
        for row in frame[frame["customer_id"].notna()].astype(object).to_dict("records"):
            plain = {c: None if pd.isna(v) else v for c, v in row.items()}
            who, what, when = (plain.pop(c) for c in ("customer_id", "event_type", "timestamp"))
            online.update(who, what, when, plain)
    return online


def assert_equal_scores(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    assert found["customer_id"].tolist() == wanted["customer_id"].tolist()
    for column in ("raw_score", "score", "probability"):
        np.testing.assert_allclose(found[column], wanted[column], rtol=1e-9, atol=1e-9)
    assert found["band"].tolist() == wanted["band"].tolist()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_at_a_moment_on_the_grid_every_score_is_that_of_the_batch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = weight_set(random_terms(rng, 6), seed)
    log = random_log(rng, int(rng.integers(20, 300)))
    grain = str(rng.choice(["1h", "6h", "12h"]))
    online = fed(OnlineScorer(weights, grain, lookback="20d"), log, rng)
    after = START + int(rng.integers(45, 70)) * DAY_US + 12 * 3_600_000_000
    for at in (after, START + 60 * DAY_US):
        assert_equal_scores(online.score(as_of=int(at)), batch(weights, log, at))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_at_any_later_moment_a_window_reaches_back_to_the_start_of_its_first_bucket(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    terms = random_terms(rng, 5, rates=False)
    log = random_log(rng, 200)
    online = fed(OnlineScorer(weight_set(terms), "6h"), log, rng)
    at = int(START + 60 * DAY_US + int(rng.integers(0, 20 * 86_400)) * 1_000_000)
    grain = Duration("6h").us
    longer = []
    for term in terms:
        late = 0 if term.until else (at - term.window.us) % grain
        window = f"{(term.window.us + late) // 1_000_000}s"
        longer.append(term.model_copy(update={"window": Duration(window), "name": ""}))
    spec = CountSpec(terms=tuple(longer))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CesWarning)
        moment = np.datetime64(at, "us").item()
        wanted = build_counts(log, spec, as_of=moment, schema=online.weight_set.events)
    found = online.counts(wanted.customer, as_of=at)
    np.testing.assert_allclose(found, wanted.X.toarray(), rtol=1e-9, atol=1e-9)
