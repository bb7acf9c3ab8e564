import json
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from ces_ml.errors import CesWarning, EventLogError, OutputError, SpecError
from ces_ml.features import build_counts
from ces_ml.training import TrainingConfig, TrainingResult, score_events, train, write_scores
from ces_ml.weights import WeightSet, raw_scores


def by_hand(body: dict, log: pd.DataFrame, customer: str, as_of: pd.Timestamp) -> float:
    """The raw score of one customer from the JSON and the log, in plain Python."""
    day = pd.Timedelta(days=1)
    total = 0.0
    events = log[log["customer_id"] == customer]
    for term in body["terms"]:
        assert term["measure"] == "count"
        assert term["transform"] == "log1p"
        window = pd.Timedelta(days=int(term["window"].removesuffix("d")))
        half_life = int(term["half_life"].removesuffix("d"))
        n = 0.0
        for moment in events.loc[events["event_type"] == term["event"], "timestamp"]:
            if as_of - window <= moment < as_of:
                n += 2 ** (-((as_of - moment) / day) / half_life)
        total += term["weight"] * math.log1p(n)
    return total


def test_scores_equal_scores_by_hand_from_the_json(
    result: TrainingResult, log: pd.DataFrame
) -> None:
    as_of = pd.Timestamp("2025-04-01")
    found = score_events(result.weight_set, log, as_of="2025-04-01").scores
    body = json.loads(result.weight_set.to_json())
    knots = body["scale"]["knots"]
    for _, row in found.sample(40, random_state=0).iterrows():
        raw = by_hand(body, log, row["customer_id"], as_of)
        assert row["raw_score"] == pytest.approx(raw, abs=1e-9)
        inside = [(a, b) for a, b in pairwise(knots) if a[0] <= raw <= b[0]]
        if inside:
            (x0, y0), (x1, y1) = inside[0]
            assert row["score"] == pytest.approx(y0 + (raw - x0) / (x1 - x0) * (y1 - y0), abs=1e-6)
        band = [b["name"] for b in body["bands"] if row["score"] >= b["from_score"]][-1]
        assert row["band"] == band


def test_without_as_of_every_event_of_the_window_counts(
    result: TrainingResult, log: pd.DataFrame
) -> None:
    found = score_events(result.weight_set, log)
    assert found.scores["as_of"].nunique() == 1
    assert found.scores["as_of"].iloc[0] > log["timestamp"].max().tz_localize("UTC")
    assert len(found.scores) == log["customer_id"].nunique()


def test_event_types_that_the_weights_do_not_know_are_counted_and_reported(
    result: TrainingResult, log: pd.DataFrame
) -> None:
    new = log.head(5).assign(event_type="brand_new_event")
    more = score_events(result.weight_set, pd.concat([log, new]))
    base = score_events(result.weight_set, log)
    assert more.report["event_types_not_counted"] == base.report["event_types_not_counted"] + 1
    assert more.report["events_not_counted"] == base.report["events_not_counted"] + 5
    assert {**base.not_counted, "brand_new_event": 5} == more.not_counted
    assert sum(more.not_counted.values()) == more.report["events_not_counted"]
    numbers = list(more.not_counted.values())
    assert numbers == sorted(numbers, reverse=True)
    pd.testing.assert_frame_equal(more.scores, base.scores)


def test_event_types_that_the_log_lacks_count_zero(
    result: TrainingResult, log: pd.DataFrame
) -> None:
    found = score_events(result.weight_set, log[log["event_type"] == "docs_viewed"])
    assert (found.scores["raw_score"] == 0).all()


def test_a_calendar_gives_a_score_history(result: TrainingResult, log: pd.DataFrame) -> None:
    found = score_events(
        result.weight_set, log, as_of="every 28d from 2025-02-01 to 2025-04-30"
    ).scores
    assert found["as_of"].nunique() == 4
    one = score_events(result.weight_set, log, as_of="2025-03-01").scores
    history = found[found["as_of"] == pd.Timestamp("2025-03-01", tz="UTC")].reset_index(drop=True)
    pd.testing.assert_frame_equal(history, one)


def test_a_moment_long_after_the_log_warns_with_numbers(
    result: TrainingResult, log: pd.DataFrame
) -> None:
    late = log["timestamp"].max() + pd.Timedelta(days=10)
    with pytest.warns(CesWarning, match=r"10\.0 days after the log's last event"):
        score_events(result.weight_set, log, as_of=late.isoformat())


def test_a_moment_outside_the_log_is_refused(result: TrainingResult, log: pd.DataFrame) -> None:
    for moment in ("1999-01-01", "2099-01-01"):
        with pytest.raises(EventLogError, match="as_of lies outside the log"):
            score_events(result.weight_set, log, as_of=moment)


@pytest.mark.parametrize("name", ["s.parquet", "s.csv"])
def test_written_scores_read_back(
    result: TrainingResult, log: pd.DataFrame, tmp_path, name: str
) -> None:
    scores = score_events(result.weight_set, log).scores
    path = write_scores(scores, tmp_path / "new" / name)
    read = pd.read_csv(path) if name.endswith("csv") else pd.read_parquet(path)
    assert read["score"].tolist() == pytest.approx(scores["score"].tolist(), abs=1e-12)
    assert list(read) == list(scores)
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_an_output_of_unknown_kind_or_place_is_refused(
    result: TrainingResult, log: pd.DataFrame, tmp_path
) -> None:
    scores = score_events(result.weight_set, log).scores
    with pytest.raises(SpecError, match="can't be told from its name"):
        write_scores(scores, tmp_path / "scores.xlsx")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="can't be written"):
        write_scores(scores, tmp_path / "file" / "s.csv")


@pytest.mark.slow
def test_every_kind_of_count_is_learned_from_and_scored_alike(log: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    log = log.assign(
        minutes=rng.uniform(0, 60, len(log)).round(),
        channel=rng.choice(["web", "mobile", "it's"], len(log)),
    )
    config = TrainingConfig.parse(
        {
            "name": "everything",
            "events": {"value_col": "minutes"},
            "outcome": {"task": "conversion", "event": "subscription_started", "horizon": "14d"},
            "as_of": "14d after trial_started",
            "counts": [
                {"events": "login", "window": ["3d", "14d"], "transform": "log1p"},
                {"events": "login", "window": "14d", "per": "day", "where": "channel = 'it''s'"},
                {"events": ["page_view", "docs_viewed"], "as": "reading", "window": "14d",
                 "cap_per_day": 3},
                {"events": "page_view", "measure": "mean", "neutral": 30, "window": "14d"},
                {"events": "login", "measure": "distinct", "property": "channel", "window": "14d"},
                {"events": "login", "measure": "duration", "until": "page_view", "window": "14d"},
                {"exclude": ["login", "page_view", "docs_viewed"], "min_support": 300,
                 "window": "14d"},
            ],
        }
    )  # fmt: skip
    result = train(config, log)
    weight_set = WeightSet.from_json(result.weight_set.to_json())
    assert {"reading", "other"} <= set(weight_set.names)
    assert len(weight_set.names) > 9
    counted = build_counts(log, weight_set.spec, as_of="2025-04-01", schema=weight_set.events)
    raw = raw_scores(weight_set, counted.X)
    found = score_events(weight_set, log, as_of="2025-04-01")
    np.testing.assert_allclose(found.scores["raw_score"], raw, rtol=0, atol=1e-9)
    assert (counted.X.toarray() != 0).any(axis=0).all()
    assert found.report["unpaired_starts"] > 0
