"""What a training job says about itself: verdict, rivals, enough data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ces_ml.errors import CesWarning, ConfigError
from ces_ml.evaluation import CEILINGS, COUNTING, univariate_weights
from ces_ml.tracking import Tracker
from ces_ml.training import TrainingConfig, TrainingResult, record, train
from ces_ml.training.counting import count_for_training


def changed(config: TrainingConfig, **sections: object) -> TrainingConfig:
    return TrainingConfig.parse(config.model_dump(mode="json") | sections)


def with_signal(log: pd.DataFrame, strength: float, seed: int = 0) -> pd.DataFrame:
    """The log with outcomes of the trial's customers drawn anew, from one event out of many."""
    rng = np.random.default_rng(seed)
    starts = log[log["event_type"] == "trial_started"]
    demo = set(log.loc[log["event_type"] == "demo_booked", "customer_id"])
    did = starts["customer_id"].isin(demo).to_numpy()
    good = rng.random(len(starts)) < 1 / (1 + np.exp(1.2 - strength * did))
    ends = starts[good].assign(
        event_type="subscription_started",
        timestamp=starts.loc[good, "timestamp"] + pd.Timedelta(days=20),
    )
    return pd.concat([log[~log["event_type"].str.startswith("subscription_")], ends])


@pytest.fixture(scope="module")
def plain(config: TrainingConfig) -> TrainingConfig:
    return changed(config, model={"rules": ["login >= 0"]})


def test_a_planted_signal_beats_counting(plain: TrainingConfig, log: pd.DataFrame) -> None:
    verdict = train(plain, with_signal(log, 4.0)).verdict
    assert verdict is not None
    assert verdict.kind == "better"
    assert verdict.words.startswith("beats counting by 0.")
    assert 0 < verdict.low < verdict.difference < verdict.high
    assert verdict.against in COUNTING


def test_without_a_signal_weights_do_not_beat_counting(
    plain: TrainingConfig, log: pd.DataFrame
) -> None:
    result = train(plain, with_signal(log, 0.0))
    assert result.verdict.kind in ("no_better", "worse")
    assert result.verdict == result.weight_set.verdict


def test_few_outcomes_are_warned_of_and_give_no_verdict(
    plain: TrainingConfig, log: pd.DataFrame
) -> None:
    rare = with_signal(log, 4.0)
    ends = rare[rare["event_type"] == "subscription_started"]
    few = pd.concat([rare[rare["event_type"] != "subscription_started"], ends.iloc[::40]])
    with pytest.warns(CesWarning, match=r"only \d+ customers of the training rows have the rarer"):
        result = train(plain, few)
    assert result.verdict.kind == "too_few"
    assert result.verdict.words == f"too few positives to tell ({result.verdict.rarer})"
    assert not result.data.outcome.enough


def test_every_rival_is_compared_and_no_rule_is_left(result: TrainingResult) -> None:
    names = [row["name"] for row in result.comparison[1:]]
    for metric in ("roc_auc", "log_loss"):
        assert [d.against for d in result.differences if d.metric == metric] == names
    rows = {row["name"]: row for row in result.comparison}
    for d in result.differences:
        value = result.metrics[d.metric] - rows[d.against][d.metric]
        assert d.value == pytest.approx(value, abs=1e-12)


def test_rivals_are_what_they_are_called(
    config: TrainingConfig, log: pd.DataFrame, result: TrainingResult
) -> None:
    table, _ = count_for_training(config, log)
    train_rows, test_rows = (table.take(m) for m in (result.split.train, result.split.test))
    auc = {row["name"]: row["roc_auc"] for row in result.comparison}
    lift = univariate_weights(train_rows.X, train_rows.outcomes)
    score = test_rows.design() @ lift
    assert auc["univariate_lift"] == pytest.approx(roc_auc_score(test_rows.outcomes, score))
    decayed = test_rows.X.sum(axis=1)
    assert auc["decayed_count"] == pytest.approx(roc_auc_score(test_rows.outcomes, decayed))
    # Every count of this configuration decays: the total without decay comes from the engine.
    terms = [term.model_copy(update={"half_life": None}) for term in table.spec.terms]
    whole = changed(
        config, counts=[c.model_dump(mode="json") | {"half_life": None} for c in config.counts]
    )
    undecayed, _ = count_for_training(whole, log)
    assert len(terms) == undecayed.X.shape[1]
    total = undecayed.X.sum(axis=1)[result.split.test]
    np.testing.assert_array_equal(test_rows.history[:, 2], total)
    assert auc["total_count"] == pytest.approx(roc_auc_score(test_rows.outcomes, total))


@pytest.mark.slow
def test_the_ceiling_is_there_unless_it_is_switched_off_and_changes_no_weight(
    config: TrainingConfig, log: pd.DataFrame, result: TrainingResult
) -> None:
    lit = train(changed(config, evaluation={"ceiling": True, "ceiling_rows": 1500}), log)
    auc = {row["name"]: row["roc_auc"] for row in lit.comparison}
    assert set(auc) - {row["name"] for row in result.comparison} == set(CEILINGS)
    assert all(0.55 < auc[name] < 1 for name in CEILINGS)
    assert lit.weight_set.fingerprint == result.weight_set.fingerprint


def test_resamples_and_level_can_be_chosen(
    config: TrainingConfig, log: pd.DataFrame, result: TrainingResult
) -> None:
    asked = {"ceiling": False, "replicates": 100, "level": 0.5}
    narrow = train(changed(config, evaluation=asked), log)
    assert narrow.verdict.level == 0.5
    assert narrow.verdict.difference == result.verdict.difference
    assert narrow.verdict.high - narrow.verdict.low < result.verdict.high - result.verdict.low
    assert narrow.config.digest != result.config.digest
    assert narrow.weight_set.weights == result.weight_set.weights


@pytest.mark.parametrize("asked", [{"replicates": 5}, {"level": 1}, {"ceiling_rows": 1}])
def test_impossible_evaluations_are_refused(config: TrainingConfig, asked) -> None:
    with pytest.raises(ConfigError, match=next(iter(asked))):
        changed(config, evaluation=asked)


def test_a_count_of_which_fewer_is_better_is_read_in_reverse(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    """Tickets alone: their count ranks customers as well as any weight, upside down."""
    counts = [{"events": "support_ticket", "window": "28d"}]
    found = train(changed(config, counts=counts, model={}), with_tickets(log))
    auc = {row["name"]: row["roc_auc"] for row in found.comparison}
    assert auc["total_count"] < 0.45
    assert found.verdict.reversed
    assert found.verdict.difference == pytest.approx(0, abs=1e-12)
    assert found.verdict.kind == "no_better"


def with_tickets(log: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    starts = log[log["event_type"] == "trial_started"]
    n = rng.poisson(1.5, len(starts))
    good = rng.random(len(starts)) < 0.6 * 0.5**n
    told = starts.loc[starts.index.repeat(n)].assign(event_type="support_ticket")
    told["timestamp"] += pd.Timedelta(days=1)
    ends = starts[good].assign(event_type="subscription_started")
    ends["timestamp"] += pd.Timedelta(days=20)
    kept = log["event_type"].str.startswith("subscription_") | (
        log["event_type"] == "support_ticket"
    )
    return pd.concat([log[~kept], told, ends])


@pytest.mark.slow
def test_the_run_keeps_verdict_differences_bar_and_data(result: TrainingResult, tmp_path) -> None:
    tracker = Tracker(tmp_path / "mlflow.db", "test")
    info = record(result, tracker)
    import mlflow

    client = mlflow.MlflowClient(tracker.store)
    run = client.get_run(info.run_id)
    assert run.data.tags["verdict"] == result.verdict.words
    d = result.differences[0]
    key = f"difference/{d.against}/{d.metric}"
    assert run.data.metrics[key] == pytest.approx(d.value)
    assert run.data.metrics[f"{key}_low"] == pytest.approx(d.low)
    assert run.data.metrics[f"{key}_high"] == pytest.approx(d.high)
    assert run.data.metrics["bar/held_in_35_percent"] == pytest.approx(result.bar.held[-1])
    names = {item.path for item in client.list_artifacts(info.run_id)}
    assert {"differences.json", "enough_data.json"} <= names
    card = client.download_artifacts(info.run_id, "weight_card.md", str(tmp_path))
    text = Path(card).read_text(encoding="utf-8")
    assert result.verdict.words.split(" (")[0] in text
    assert "## Enough data?" in text
