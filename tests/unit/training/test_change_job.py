"""A change of a score is split into parts that add up, and each part is what it says."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.errors import CesWarning, EventLogError, SpecError
from ces_ml.scoring import PARTS
from ces_ml.spec import Term
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


@pytest.mark.parametrize("seed", [0, 1, 138258])
@pytest.mark.parametrize("two_sets", [False, True])
def test_parts_add_up_and_without_new_events_the_score_moves_by_age_alone(
    seed: int, two_sets: bool
) -> None:
    check_parts(seed, two_sets)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_parts_of_random_changes_add_up(seed: int, two_sets: bool) -> None:
    check_parts(seed, two_sets)


def check_parts(seed: int, two_sets: bool) -> None:
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


def events(*rows: tuple[object, str, str]) -> pd.DataFrame:
    last = ("last", "end of the log", "2025-01-31")
    frame = pd.DataFrame([*rows, last], columns=["customer_id", "event_type", "timestamp"])
    return frame.assign(timestamp=pd.to_datetime(frame["timestamp"]))


def one_weight(term: Term, weight: float = 1.0) -> WeightSet:
    weights = weight_set([term])
    changed = tuple(t.model_copy(update={"weight": weight}) for t in weights.terms)
    schema = weights.events.model_copy(update={"value_col": None})
    return weights.model_copy(update={"terms": changed, "events": schema})


def raw_parts(found: object) -> dict[str, float]:
    return dict(zip(found.parts["part"], found.parts["raw_points"], strict=True))  # type: ignore[attr-defined]


def test_a_change_worked_by_hand() -> None:
    weights = one_weight(Term(event="buy", window="10d", half_life="5d"), 2.0)
    log = events(("x", "buy", "2025-01-01"), ("x", "buy", "2025-01-06"), ("x", "buy", "2025-01-13"))
    found = explain_change(weights, log, start="2025-01-11", end="2025-01-16")
    # At the start: ages 10 and 5 days, 1/4 + 1/2. At the end: ages 10 and 3 days, 1/4 + 2^(−3/5).
    parts = raw_parts(found)
    assert parts == pytest.approx({"aged_out": -0.5, "faded": -0.5, "new": 2 * 2 ** (-3 / 5)})
    assert found.totals["raw_before"].tolist() == pytest.approx([1.5])
    assert found.report["rows_read"] == 4


def test_the_cap_is_taken_on_the_way() -> None:
    weights = one_weight(Term(event="buy", window="10d", cap=2))
    days = ("2025-01-01", "2025-01-02", "2025-01-06", "2025-01-08", "2025-01-12", "2025-01-13")
    log = events(*(("x", "buy", day) for day in days))
    # Four events, capped to 2; two are left, still 2; four again, still 2: nothing changed.
    found = explain_change(weights, log, start="2025-01-10", end="2025-01-15")
    assert found.parts.empty
    assert found.totals["raw_change"].tolist() == [0.0]


def test_an_event_that_arrives_late_is_new_when_it_becomes_known() -> None:
    weights = one_weight(Term(event="buy", window="10d"))
    schema = weights.events.model_copy(update={"arrival_col": "arrived"})
    log = events(("x", "buy", "2025-01-05"), ("x", "buy", "2025-01-06"))
    log["arrived"] = pd.to_datetime(["2025-01-05", "2025-01-09", "2025-01-31"])
    found = explain_change(weights, log, start="2025-01-08", end="2025-01-10", schema=schema)
    assert raw_parts(found) == {"new": 1.0}


def test_a_mean_fades_to_neutral_only_when_no_weight_is_left() -> None:
    term = Term(event="rate", measure="mean", property="stars", window="60d", half_life="30min")
    log = events(("x", "rate", "2025-01-01"), ("x", "rate", "2025-01-01")).assign(
        stars=[4, None, 1]
    )
    for end, wanted in (("2025-01-10", {}), ("2025-01-30", {"faded": -4.0})):
        found = explain_change(one_weight(term), log, start="2025-01-02", end=end, customers=["x"])
        assert found.totals["raw_before"].tolist() == [4.0]
        assert raw_parts(found) == wanted


def test_a_customer_who_was_not_known_comes_from_nothing() -> None:
    weights = one_weight(Term(event="buy", window="10d"))
    log = events(("old", "buy", "2025-01-01"), ("young", "buy", "2025-01-09"))
    found = explain_change(weights, log, start="2025-01-08", end="2025-01-10", customers=["young"])
    assert found.totals["customer_id"].tolist() == ["young"]
    assert found.totals["raw_before"].tolist() == [0.0]
    assert raw_parts(found) == {"new": 1.0}


def test_parts_between_two_weight_sets_say_which_weights_intercept_and_scale_changed() -> None:
    term = Term(event="buy", window="10d")
    old = one_weight(term, 1.0).model_copy(update={"scale": Scale(method="probability")})
    new = one_weight(term, 1.5).model_copy(
        update={"scale": Scale(method="min_max", knots=((0, 0), (2, 100))), "intercept": 0.3}
    )
    log = events(("x", "buy", "2025-01-05"))
    found = explain_change(old, log, start="2025-01-08", end="2025-01-09", against=new)
    rows = found.parts.set_index("part")
    assert set(rows.index) == {"new_weight", "intercept", "scale"}

    def percent(z: float) -> float:
        return 100 / (1 + np.exp(-z))

    assert rows.loc["new_weight", "raw_points"] == pytest.approx(0.5)
    assert rows.loc["new_weight", "score_points"] == pytest.approx(percent(1.0) - percent(0.5))
    assert rows.loc["intercept", "score_points"] == pytest.approx(percent(1.8) - percent(1.0))
    assert rows.loc["scale", "score_points"] == pytest.approx(75 - percent(1.8))
    assert rows["term"].isna().tolist() == [part != "new_weight" for part in rows.index]


def test_a_term_with_another_window_is_removed_and_added() -> None:
    old = one_weight(Term(event="buy", window="10d"))
    new = one_weight(Term(event="buy", window="20d"), 3.0)
    log = events(("x", "buy", "2025-01-05"))
    found = explain_change(old, log, start="2025-01-08", end="2025-01-09", against=new)
    assert raw_parts(found) == {"removed": -1.0, "added": 3.0}


def test_columns_that_are_given_hold_for_both_weight_sets() -> None:
    term = Term(event="buy", window="10d")
    old = one_weight(term, 1.0)
    elsewhere = old.events.model_copy(update={"customer_col": "who"})
    new = one_weight(term, 1.5).model_copy(update={"events": elsewhere})
    log = events(("x", "buy", "2025-01-05"))
    moments = {"start": "2025-01-08", "end": "2025-01-09"}
    with pytest.raises(EventLogError, match="who"):
        explain_change(old, log, against=new, **moments)
    found = explain_change(old, log, against=new, schema=old.events, **moments)
    assert raw_parts(found) == {"new_weight": 0.5}


def test_moments_and_customers_that_make_no_change_are_refused() -> None:
    weights = one_weight(Term(event="buy", window="10d"))
    log = events(("x", "buy", "2025-01-05"))
    for start, end in (("2025-01-08", "2025-01-08"), ("2025-01-06", "2025-01-06T00:00:00.5")):
        with pytest.raises(SpecError, match="a moment and a later one, whole seconds apart"):
            explain_change(weights, log, start=start, end=end)
    with pytest.raises(EventLogError, match="a customer is not known before the end"):
        explain_change(weights, log, start="2025-01-06", end="2025-01-06T01", customers=["y"])


def test_a_customer_who_is_asked_for_twice_is_explained_once() -> None:
    log = random_log(np.random.default_rng(3), 60)
    weights = weight_set([Term(event="login", window="30d")])
    name = log["customer_id"].iloc[0]
    moments = {"start": moment(START + 20 * DAY_US), "end": moment(START + 40 * DAY_US)}
    found = explain_change(weights, log, customers=[name, str(name), name], **moments)
    assert len(found.totals) == 1
    assert found.parts["raw_points"].sum() == pytest.approx(found.totals["raw_change"].sum())


def test_a_schema_that_is_given_is_that_of_both_weight_sets() -> None:
    log = random_log(np.random.default_rng(3), 60)
    weights = weight_set([Term(event="login", window="30d")])
    renamed = weights.events.model_copy(update={"customer_col": "user"})
    other = weights.model_copy(update={"events": renamed})
    moments = {"start": moment(START + 20 * DAY_US), "end": moment(START + 40 * DAY_US)}
    mine = explain_change(weights, log, against=other, schema=weights.events, **moments)
    same = explain_change(weights, log, against=weights, **moments)
    pd.testing.assert_frame_equal(mine.totals, same.totals)
