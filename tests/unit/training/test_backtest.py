"""The backtest against a loop of train() by hand, and what it shows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ces_ml
from ces_ml.datasets import make_event_history
from ces_ml.errors import CesWarning, ConfigError
from ces_ml.evaluation import calibration, evaluate_scores, weight_stability
from ces_ml.tracking import Tracker
from ces_ml.training import BacktestResult, TrainingConfig, backtest, backtest_stages, record, train
from ces_ml.training.counting import count_for_training
from ces_ml.training.job import stages
from ces_ml.weights import probabilities, raw_scores


def changed(config: TrainingConfig, **sections: object) -> TrainingConfig:
    return TrainingConfig.parse(config.model_dump(mode="json") | sections)


@pytest.fixture(scope="module")
def asked(config: TrainingConfig) -> TrainingConfig:
    return changed(config, backtest={"folds": 4})


@pytest.fixture(scope="module")
def past(asked: TrainingConfig, log: pd.DataFrame) -> BacktestResult:
    return backtest(asked, log)


@pytest.mark.slow
def test_it_is_a_loop_of_train_with_dates(
    config: TrainingConfig, log: pd.DataFrame, past: BacktestResult
) -> None:
    table, _ = count_for_training(config, log)
    assert len(past.folds) == 4
    for fold in past.folds:
        dated = changed(
            config,
            split={"test_from": fold.test_from.isoformat()},
            model=config.model.model_dump(mode="json") | {"price_of_rules": False},
        )
        by_hand = train(dated, log)
        assert fold.weights == pytest.approx(by_hand.weight_set.weights, abs=1e-9)
        assert fold.intercept == pytest.approx(by_hand.weight_set.intercept, abs=1e-9)
        assert fold.train_rows == by_hand.split.train.sum()
        block = ((table.as_of >= fold.test_from) & (table.as_of <= fold.test_to)).to_numpy()
        rows = table.take(block)
        raw = raw_scores(by_hand.weight_set, rows.X)
        p = probabilities(by_hand.weight_set, raw)
        expected = evaluate_scores(rows.outcomes, raw, p) | calibration(rows.outcomes, p).metrics
        found = {k: v for k, v in fold.metrics.items() if k in expected}
        assert found == pytest.approx(expected, abs=1e-6)
        assert (fold.test_rows, fold.test_positives) == (len(rows), rows.outcomes.sum())


def test_folds_follow_each_other_and_learn_from_what_was_known(
    config: TrainingConfig, past: BacktestResult
) -> None:
    for fold in past.folds:
        assert fold.train_to + pd.Timedelta(days=14) <= fold.test_from  # the horizon
    for one, two in zip(past.folds, past.folds[1:], strict=False):
        assert one.test_to < two.test_from
        assert one.train_rows < two.train_rows


def test_a_rolling_window_forgets(asked: TrainingConfig, log: pd.DataFrame, past) -> None:
    rolling = backtest(changed(asked, backtest={"folds": 4, "window": "30d"}), log)
    assert [f.test_from for f in rolling.folds] == [f.test_from for f in past.folds]
    assert rolling.folds[-1].train_rows < past.folds[-1].train_rows
    assert rolling.folds[-1].weights != past.folds[-1].weights


def test_disjoint_customers_stay_apart() -> None:
    log = make_event_history(400, seed=4).events
    config = TrainingConfig.parse(
        {
            "name": "return",
            "outcome": {
                "task": "churn", "silence_of": "login", "active_within": "30d", "horizon": "7d",
            },
            "as_of": "every 7d from 2025-02-01 to 2025-05-01",
            "counts": [{"events": ["login", "page_view"], "window": "28d"}],
            "backtest": {"folds": 3},
        }
    )  # fmt: skip
    shared = backtest(config, log)
    apart = backtest(changed(config, split={"customers": "disjoint"}), log)
    for one, two in zip(apart.folds, shared.folds, strict=True):
        assert one.test_rows < two.test_rows
        assert one.train_rows < two.train_rows


def test_stability_is_that_of_the_weights_in_order_of_time(past: BacktestResult) -> None:
    names = list(past.folds[0].weights)
    W = np.array([[f.weights[n] for n in names] for f in past.folds])
    assert past.stability == weight_stability(W, names)
    assert past.summary["backtest/rank_flips"] == sum(r["rank_flips"] for r in past.stability)
    aucs = [f.metrics["roc_auc"] for f in past.folds]
    assert past.summary["backtest/roc_auc"] == pytest.approx(np.mean(aucs))
    assert past.summary["backtest/roc_auc_worst"] == min(aucs)


def test_alpha_is_chosen_from_the_past_of_each_fold(
    asked: TrainingConfig, log: pd.DataFrame
) -> None:
    model = asked.model.model_dump(mode="json") | {"alpha": {"folds": 3}}
    found = backtest(changed(asked, model=model, backtest={"folds": 2}), log)
    assert {f.alpha_by for f in found.folds} == {"folds by time"}
    weekly = changed(
        asked, as_of="every 30d from 2025-02-01 to 2025-05-01", model=model, backtest={"folds": 2},
    )  # fmt: skip
    first = backtest(weekly, log).folds[0]
    assert first.alpha_by == "folds by customer"


def test_everything_can_be_written_as_json(past: BacktestResult) -> None:
    body = json.loads(json.dumps(past.as_dict(), allow_nan=False))
    assert [row["roc_auc"] for row in body["folds"]] == [f.metrics["roc_auc"] for f in past.folds]
    assert body["weights"][0]["weights"] == past.folds[0].weights
    assert {"term", "sign_flips", "rank_flips", "sd"} <= set(body["stability"][0])


@pytest.mark.slow
def test_training_tests_the_past_too_and_keeps_it_with_the_run(
    asked: TrainingConfig, log: pd.DataFrame, past: BacktestResult, result, tmp_path: Path
) -> None:
    import mlflow

    seen: list[str] = []
    found = train(asked, log, progress=seen.append)
    assert tuple(seen) == stages(asked)
    assert seen[-1] == "backtest: fold 4 of 4"
    assert found.backtest.table == past.table
    assert found.weight_set.fingerprint == result.weight_set.fingerprint
    tracker = Tracker(tmp_path / "mlflow.db", "past")
    info = record(found, tracker)
    client = mlflow.MlflowClient(tracker.store)
    kept = {item.path for item in client.list_artifacts(info.run_id)}
    names = {"backtest.json", "backtest_weights.json", "backtest_stability.json", "backtest.png"}
    assert names <= kept
    metrics = client.get_run(info.run_id).data.metrics
    assert metrics["backtest/roc_auc"] == pytest.approx(past.summary["backtest/roc_auc"])
    path = client.download_artifacts(info.run_id, "backtest.json", str(tmp_path))
    table = pd.DataFrame(**json.loads(Path(path).read_text(encoding="utf-8")))
    assert table["test_from"].tolist() == [f.test_from.isoformat() for f in past.folds]


def test_stages_are_reported_in_order(asked: TrainingConfig, log: pd.DataFrame) -> None:
    seen: list[str] = []
    ces_ml.backtest(asked, log, progress=seen.append)
    assert tuple(seen) == backtest_stages(asked)


def test_a_block_with_one_outcome_has_no_metrics_and_is_told(
    asked: TrainingConfig, log: pd.DataFrame, past: BacktestResult
) -> None:
    table, _ = count_for_training(asked, log)
    late = table.customer[table.as_of >= past.folds[-1].test_from]
    bought = (log["event_type"] == "subscription_started") & log["customer_id"].isin(late)
    with pytest.warns(CesWarning, match="1 of 4 blocks have one outcome only"):
        found = backtest(asked, log[~bought])
    assert found.folds[-1].metrics == {}
    json.dumps(found.as_dict(), allow_nan=False)


def test_too_few_moments_are_refused(asked: TrainingConfig, log: pd.DataFrame) -> None:
    one_day = changed(asked, as_of="2025-03-01")
    with pytest.raises(ConfigError, match="the past can't be tested: too few moments"):
        backtest(one_day, log)


def test_a_past_with_one_outcome_is_refused(
    asked: TrainingConfig, log: pd.DataFrame, past: BacktestResult
) -> None:
    table, _ = count_for_training(asked, log)
    early = table.customer[table.as_of <= past.folds[0].train_to]
    bought = (log["event_type"] == "subscription_started") & log["customer_id"].isin(early)
    with pytest.raises(ConfigError, match="fold 1 of the backtest would learn from one outcome"):
        backtest(asked, log[~bought])


def test_fewer_than_two_folds_are_refused(config: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match="folds has a value that is not allowed"):
        changed(config, backtest={"folds": 1})
