"""Calibration in a job: fitted on folds of the training rows, reported on the held-out ones."""

import numpy as np
import pandas as pd
import pytest
import yaml

from ces_ml.errors import ConfigError
from ces_ml.evaluation import TimeSplit, calibration, recalibrate
from ces_ml.linear import ConstrainedLogisticRegression, purged_folds
from ces_ml.scoring import Scorer
from ces_ml.tracking import Tracker, load_weight_set
from ces_ml.training import TrainingConfig, TrainingResult, record, train
from ces_ml.training.calibrating import folds_of
from ces_ml.training.counting import count_for_training
from ces_ml.weights import WeightSet, probabilities, raw_scores


def asked(config: TrainingConfig, **score: str) -> TrainingConfig:
    return TrainingConfig.parse(config.model_dump(mode="json") | {"score": score})


@pytest.fixture(scope="module")
def platt(config: TrainingConfig, log: pd.DataFrame) -> TrainingResult:
    return train(asked(config, calibrate="platt"), log)


def test_the_map_is_that_of_scores_by_weights_of_the_past(
    config: TrainingConfig, log: pd.DataFrame, result: TrainingResult, platt: TrainingResult
) -> None:
    assert platt.weight_set.weights == result.weight_set.weights
    table, _ = count_for_training(config, log)
    rows = table.take(platt.split.train)
    X = rows.design().astype(np.float32)
    folds = purged_folds(rows.customer, rows.as_of.dt.tz_localize(None), config.outcome.reach, 5)
    z, tested = [], []
    for train_rows, test_rows in folds:
        model = ConstrainedLogisticRegression(alpha=1e-4, constraints=config.model.rules)
        model.fit(X[train_rows], rows.outcomes[train_rows], feature_names=rows.names)
        z.append(model.decision_function(X[test_rows]))
        tested.append(test_rows)
    by_hand = recalibrate("platt", rows.outcomes[np.concatenate(tested)], np.concatenate(z))
    found = platt.weight_set.calibration
    assert (found.slope, found.intercept) == pytest.approx((by_hand.slope, by_hand.intercept))


def test_the_rows_that_are_reported_on_take_no_part(
    log: pd.DataFrame, platt: TrainingResult
) -> None:
    table, _ = count_for_training(platt.config, log)
    held_out = table.take(platt.split.test).customer
    # The held-out buyers did not buy, but for a few: weights and map must not notice.
    bought = log[log["event_type"] == "subscription_started"]
    buyers = bought.loc[bought["customer_id"].isin(held_out)]
    other = train(platt.config, log.drop(buyers.index[10:]))
    assert other.calibration.in_the_large < platt.calibration.in_the_large - 0.05
    assert other.weight_set.calibration == platt.weight_set.calibration
    assert other.weight_set.weights == platt.weight_set.weights


def test_metrics_are_those_of_the_calibrated_probability(
    log: pd.DataFrame, result: TrainingResult, platt: TrainingResult
) -> None:
    table, _ = count_for_training(platt.config, log)
    rows = table.take(platt.split.test)
    p = probabilities(platt.weight_set, raw_scores(platt.weight_set, rows.X))
    assert platt.calibration == calibration(rows.outcomes, p)
    assert platt.metrics["brier"] == pytest.approx(np.mean((p - rows.outcomes) ** 2))
    assert platt.metrics["roc_auc"] == pytest.approx(result.metrics["roc_auc"])
    assert platt.metrics["brier"] != result.metrics["brier"]
    assert result.weight_set.calibration is None
    assert result.calibration.slope == pytest.approx(1.0, abs=0.4)


def test_points_and_scale_go_with_a_calibrated_probability(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    body = config.model_dump(mode="json") | {"points": {"range": [-3, 5]}}
    plain = train(TrainingConfig.parse(body), log)
    score = {"scale": "probability", "calibrate": "isotonic"}
    found = train(TrainingConfig.parse(body | {"score": score}), log)
    assert found.weight_set.points == plain.weight_set.points
    table, _ = count_for_training(config, log)
    frame = Scorer(found.weight_set).score(table)
    np.testing.assert_allclose(frame["score"], 100 * frame["probability"])
    assert WeightSet.from_json(found.weight_set.to_json()) == found.weight_set


@pytest.mark.slow
def test_the_run_holds_figure_curve_and_metrics(platt: TrainingResult, tmp_path) -> None:
    import mlflow

    tracker = Tracker(tmp_path / "mlflow.db", "calibration")
    info = record(platt, tracker)
    client = mlflow.MlflowClient(tracker.store)
    run = client.get_run(info.run_id)
    assert run.data.metrics["calibration/slope"] == pytest.approx(platt.calibration.slope)
    assert run.data.metrics["calibration/ece"] == pytest.approx(platt.calibration.ece)
    assert run.data.params["calibrate"] == "platt"
    kept = {item.path for item in client.list_artifacts(info.run_id)}
    assert {"calibration.png", "calibration.json"} <= kept
    stored = load_weight_set(info.run_id, tracker.store)
    assert stored.calibration == platt.weight_set.calibration
    path = client.download_artifacts(info.run_id, "config.yaml", str(tmp_path))
    with open(path, encoding="utf-8") as file:
        assert yaml.safe_load(file)["score"] == {"calibrate": "platt"}


def test_the_digest_of_a_configuration_without_calibration_is_as_before(
    config: TrainingConfig,
) -> None:
    assert asked(config, calibrate="none").digest == config.digest
    assert asked(config, calibrate="platt").digest != config.digest
    body = config.model_dump(mode="json") | {"backtest": {"folds": 3}}
    assert TrainingConfig.parse(body).digest == config.digest


def test_folds_are_by_customer_where_the_split_is(
    config: TrainingConfig, log: pd.DataFrame, result: TrainingResult
) -> None:
    table, _ = count_for_training(config, log)
    split = TimeSplit(result.split.train, result.split.test, 0, 0, None, "by customer")
    folds = folds_of(config, table, split)
    assert sorted(np.concatenate([t for _, t in folds])) == list(range(split.train.sum()))


def test_training_rows_that_can_not_be_divided_are_refused(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    table, _ = count_for_training(config, log)
    one = np.arange(len(table)) == 0
    with pytest.raises(ConfigError, match="can't be calibrated on folds of the training rows"):
        folds_of(config, table, TimeSplit(one, ~one, 0, 0, None, ""))
