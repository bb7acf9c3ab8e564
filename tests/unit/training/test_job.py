import json

import numpy as np
import pandas as pd
import pytest

from ces_ml.errors import (
    CesWarning,
    ConfigError,
    ConstraintError,
    EventLogError,
    SpecError,
)
from ces_ml.tracking import Tracker
from ces_ml.training import TrainingConfig, TrainingResult, record, train, train_many
from ces_ml.training.counting import count_for_training
from ces_ml.training.job import stages
from ces_ml.weights import WeightSet


def changed(config: TrainingConfig, **sections: object) -> TrainingConfig:
    return TrainingConfig.parse(config.model_dump(mode="json") | sections)


def test_weights_obey_the_rules(result: TrainingResult) -> None:
    w = result.weight_set.weights
    assert w["login"] >= 0
    assert w["demo_booked"] >= w["webinar_attended"]
    assert w["support_ticket"] <= 0
    assert w["error_seen"] <= 0
    assert result.solver.kkt_residual <= 1e-8


def test_the_learned_weights_beat_every_baseline_on_held_out_rows(result: TrainingResult) -> None:
    auc = {row["name"]: row["roc_auc"] for row in result.comparison}
    assert set(auc) == {
        *("trial_conversion", "total_count", "decayed_count", "equal_weights", "hand_set"),
        *("univariate_lift", "halfway", "no_rules"),
    }
    del auc["no_rules"]
    assert max(auc, key=auc.__getitem__) == "trial_conversion"


def test_provenance_says_what_the_weights_were_learned_from(
    result: TrainingResult, config: TrainingConfig
) -> None:
    found = result.weight_set.provenance
    assert found is not None
    assert found.rows == int(result.split.train.sum())
    assert 0 < found.positives < found.rows
    assert found.customers == found.rows  # one trial a customer
    assert found.config_digest == config.digest
    assert found.versions["duckdb"]
    assert found.metrics["roc_auc"] == pytest.approx(result.metrics["roc_auc"], abs=1e-8)


def test_golden_rows_cover_a_customer_without_events_and_the_range(result: TrainingResult) -> None:
    golden = result.weight_set.golden_rows
    assert golden[0].counts == {}
    assert golden[0].raw_score == 0
    assert len(golden) >= 4
    result.weight_set.verify()


def test_bands_have_rising_outcome_rates(result: TrainingResult) -> None:
    rates = [band.rate for band in result.weight_set.bands]
    assert rates == sorted(rates)
    # Half of the customers, who have a row each, chose the cuts.
    assert sum(b.rows for b in result.weight_set.bands) == int(result.split.test.sum()) // 2
    assert all(b.low < b.rate < b.high for b in result.weight_set.bands)


def test_the_same_input_gives_the_same_fingerprint(
    config: TrainingConfig, log: pd.DataFrame, result: TrainingResult
) -> None:
    assert train(config, log).weight_set.fingerprint == result.weight_set.fingerprint


def test_row_order_and_file_boundaries_change_nothing(
    config: TrainingConfig, log: pd.DataFrame, result: TrainingResult, tmp_path
) -> None:
    shuffled = log.sample(frac=1, random_state=3)
    assert train(config, shuffled).weight_set == result.weight_set
    for k, part in enumerate(np.array_split(np.arange(len(shuffled)), 7)):
        shuffled.iloc[part].to_parquet(tmp_path / f"part-{k}.parquet")
    split = train(config, str(tmp_path / "*.parquet")).weight_set
    assert split.fingerprint == result.weight_set.fingerprint


def test_another_outcome_changes_data_digest_and_fingerprint(
    config: TrainingConfig, log: pd.DataFrame, result: TrainingResult
) -> None:
    ids = log.loc[log["event_type"] == "subscription_started", "customer_id"]
    dropped = log[
        ~((log["customer_id"] == ids.iloc[0]) & (log["event_type"] == "subscription_started"))
    ]
    other = train(config, dropped).weight_set
    assert other.provenance.data_digest != result.weight_set.provenance.data_digest
    assert other.fingerprint != result.weight_set.fingerprint


def test_stages_are_reported_in_order(config: TrainingConfig, log: pd.DataFrame) -> None:
    stages_seen: list[str] = []
    train(config, log, progress=stages_seen.append)
    assert stages_seen == [
        "counting events",
        "splitting by time and customer",
        "fitting weights",
        "pricing rules",
        "evaluating on held-out rows",
    ]
    assert tuple(stages_seen) == stages(config)


@pytest.mark.parametrize("scale", ["quantiles", "min_max", "probability"])
def test_every_scale_can_be_asked_for(
    config: TrainingConfig, log: pd.DataFrame, scale: str
) -> None:
    weight_set = train(changed(config, score={"scale": scale}), log).weight_set
    assert weight_set.scale.method == scale
    assert WeightSet.from_json(weight_set.to_json()) == weight_set


@pytest.mark.slow
def test_several_configurations_train_in_parallel_as_alone(folder, config, result) -> None:
    one = TrainingConfig.from_file(folder / "conversion.yaml")
    two = one.model_copy(update={"name": "second"})
    found = train_many([one, two], n_jobs=2)
    assert [r.weight_set.name for r in found] == ["trial_conversion", "second"]
    assert found[0].weight_set.weights == result.weight_set.weights


def test_an_event_in_a_rule_that_never_occurs_is_named_with_the_nearest(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    bad = changed(config, model={"rules": ["logn >= 0"]})
    with pytest.raises(ConstraintError, match=r"logn >= 0(.|\n)*did you mean 'login'"):
        train(bad, log)


def test_contradictory_rules_are_refused_in_the_users_words(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    bad = changed(config, model={"rules": ["login >= 1", "login <= 0"]})
    with pytest.raises(ConstraintError, match=r"login >= 1(.|\n)*login <= 0"):
        train(bad, log)


def test_one_class_only_is_refused_with_counts(config: TrainingConfig, log: pd.DataFrame) -> None:
    none = log[log["event_type"] != "subscription_started"]
    one = log[log["event_type"] == "subscription_started"].head(1).assign(customer_id="nobody")
    with pytest.raises(EventLogError, match=r"all outcomes are of one class(.|\n)*all with y = 0"):
        train(config, pd.concat([none, one]))


def test_the_outcomes_own_event_cannot_be_counted(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    bad = changed(config, counts=[{"events": "subscription_started", "window": "30d"}], model={})
    with pytest.raises(SpecError, match="names an event of the outcome"):
        train(bad, log)


def test_patterns_leave_the_outcomes_own_event_out_unless_the_user_insists(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    counts = [{"events": "sub*", "window": "60d"}, {"events": "login", "window": "30d"}]
    table, _ = count_for_training(changed(config, counts=counts), log)
    assert set(table.names) == {"login", "subscription_cancelled"}
    outcome = config.outcome.model_dump(mode="json") | {"count_own_events": True}
    table, _ = count_for_training(changed(config, counts=counts, outcome=outcome), log)
    assert "subscription_started" in table.names


def test_no_log_is_refused(config: TrainingConfig) -> None:
    bad = changed(config, events={})
    with pytest.raises(ConfigError, match="no event log is named"):
        train(bad)


def test_a_recorded_run_holds_weights_metrics_baselines_and_texts(
    result: TrainingResult, tmp_path
) -> None:
    tracker = Tracker(tmp_path / "mlflow.db", "test")
    info = record(result, tracker, register_as="conversion")
    assert tracker.load(info.run_id) == result.weight_set
    import mlflow

    client = mlflow.MlflowClient(tracker.store)
    run = client.get_run(info.run_id)
    assert run.data.metrics["weight/login"] == result.weight_set.weights["login"]
    assert run.data.metrics["roc_auc"] == pytest.approx(result.metrics["roc_auc"])
    assert "total_count/roc_auc" in run.data.metrics
    assert run.data.params["rules"] == "; ".join(result.config.model.rules)
    names = {item.path for item in client.list_artifacts(info.run_id)}
    assert {"weight_card.md", "config.yaml", "weights.png", "comparison.json"} <= names
    # Nothing of what was not asked for.
    assert not names & {"alpha.png", "alpha_folds.json", "alpha_path.json", "points.json"}
    assert run.data.params["alpha_chosen_by"] == "hand"


@pytest.mark.slow
def test_the_recorded_configuration_trains_the_same_weights(
    result: TrainingResult, log: pd.DataFrame, tmp_path
) -> None:
    tracker = Tracker(tmp_path / "mlflow.db", "test")
    info = record(result, tracker)
    import mlflow

    local = mlflow.MlflowClient(tracker.store).download_artifacts(
        info.run_id, "config.yaml", str(tmp_path)
    )
    again = train(TrainingConfig.from_file(local), log)
    assert again.weight_set.fingerprint == result.weight_set.fingerprint


def test_the_weight_set_is_plain_json(result: TrainingResult) -> None:
    body = json.loads(result.weight_set.to_json())
    assert body["schema_version"] == 1
    assert {t["event"] for t in body["terms"]} >= {"login", "demo_booked"}


def test_a_sample_that_lost_most_rows_to_earlier_outcomes_is_pointed_out(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    outcome = {"task": "conversion", "event": "login", "horizon": "14d"}
    common = changed(config, outcome=outcome, as_of="every 14d from 2025-02-01 to 2025-05-01")
    common = changed(common, counts=[{"events": "page_view", "window": "28d"}], model={})
    with pytest.warns(CesWarning, match=r"rows are left out because.*`repeatable: true`"):
        count_for_training(common, log)


def test_weights_can_be_drawn_to_the_hand_set_ones(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    hand = {"login": 1.0, "demo_booked": 4.0, "support_ticket": -2.0}
    model = {"hand_set": hand, "prior_strength": 100.0, "rules": ["login >= 0"]}
    w = train(changed(config, model=model), log).weight_set.weights
    scale = w["login"]
    assert scale > 0
    assert w["demo_booked"] / scale == pytest.approx(4, rel=0.02)
    assert w["support_ticket"] / scale == pytest.approx(-2, rel=0.02)


def test_a_lasso_leaves_terms_out(config: TrainingConfig, log: pd.DataFrame) -> None:
    w = train(changed(config, model={"alpha": 0.03, "l1_ratio": 1.0}), log).weight_set.weights
    assert 0 < sum(v == 0 for v in w.values()) < len(w)
