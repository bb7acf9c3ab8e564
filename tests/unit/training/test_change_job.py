"""A change of a score is split into parts that add up, and each part is what it says."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.errors import CesWarning
from ces_ml.scoring import PARTS
from ces_ml.training import explain_change, score_events
from ces_ml.weights import Scale, WeightSet

from ..scoring.online_cases import DAY_US, START, random_log, random_terms, weight_set


def moment(us: int) -> object:
    return np.datetime64(int(us), "us").item()


def scored(weights: WeightSet, log: pd.DataFrame, at: int, names: pd.Series) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CesWarning)
        found = score_events(weights, log, as_of=moment(at)).scores
    return found.set_index("customer_id").reindex(names)


def other_weights(weights: WeightSet, seed: int) -> WeightSet:
    """Some terms less, some more, some with another weight or window; another map."""
    rng = np.random.default_rng(seed)
    terms = [t for t in weights.spec.terms if rng.random() < 0.7]
    terms += random_terms(rng, 2)
    changed = weight_set([t.model_copy(update={"name": ""}) for t in terms], seed + 1)
    method = str(rng.choice(["probability", "min_max"]))
    scale = Scale(method="probability")
    if method == "min_max":
        scale = Scale(method="min_max", knots=((-2.0, 5.0), (0.5, 50.0), (4.0, 95.0)))
    return changed.model_copy(update={"scale": scale, "intercept": 0.75})


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_parts_add_up_and_without_new_events_the_score_moves_by_age_alone(
    seed: int, two_sets: bool
) -> None:
    rng = np.random.default_rng(seed)
    weights = weight_set(random_terms(rng, 6), seed)
    if rng.random() < 0.3:
        weights = weights.model_copy(update={"scale": Scale(method="probability")})
    log = random_log(rng, 250)
    start = int(START + int(rng.integers(20, 40)) * DAY_US)
    end = start + int(rng.integers(1, 30 * 86_400)) * 1_000_000
    against = other_weights(weights, seed) if two_sets else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CesWarning)
        found = explain_change(weights, log, start=moment(start), end=moment(end), against=against)
    totals, names = found.totals, found.totals["customer_id"]

    after = scored(against or weights, log, end, names)
    np.testing.assert_allclose(totals["raw_after"], after["raw_score"], atol=1e-9)
    np.testing.assert_allclose(totals["score_after"], after["score"], atol=1e-9)
    before = scored(weights, log, start, names)
    known = before["raw_score"].notna().to_numpy()
    np.testing.assert_allclose(totals["raw_before"][known], before["raw_score"][known], atol=1e-9)

    sums = found.parts.groupby("customer_id")[["raw_points", "score_points"]].sum()
    sums = sums.reindex(names, fill_value=0.0)
    np.testing.assert_allclose(sums["raw_points"], totals["raw_change"], atol=1e-9)
    np.testing.assert_allclose(sums["score_points"], totals["score_change"], atol=1e-9)
    held = [p for p in PARTS if p in totals]
    np.testing.assert_allclose(totals[held].sum(axis=1), totals["score_change"], atol=1e-9)

    idle = log[~(log["timestamp"] >= np.datetime64(start, "us"))]
    still = scored(weights, idle, end, names)["raw_score"].fillna(0.0)
    aged = found.parts[found.parts["part"].isin(["aged_out", "faded"])]
    moved = aged.groupby("customer_id")["raw_points"].sum().reindex(names, fill_value=0.0)
    np.testing.assert_allclose(totals["raw_before"] + moved.to_numpy(), still, atol=1e-9)
