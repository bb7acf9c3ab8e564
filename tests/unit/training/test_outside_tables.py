"""Training jobs whose outcomes or treatments come from tables beside the log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ces_ml.errors import ConfigError
from ces_ml.features import build_counts
from ces_ml.report import weight_card
from ces_ml.spec import OutcomeSpec
from ces_ml.training import TrainingConfig, TrainingResult, train
from ces_ml.training.counting import count_for_training
from ces_ml.weights import WeightSet

from .conftest import YAML

LABELS = "{task: conversion, horizon: 14d, labels: {path: labels.csv, y_col: subscribed}}"
OUTCOME = "{task: conversion, event: subscription_started, horizon: 14d}"
AS_OF = "as_of: 14d after trial_started\n"
TOUCHED = OUTCOME.replace("14d}", "14d, treated: {path: touched.csv, how: weight, weight: 0.25}}")


@pytest.fixture(scope="session")
def told(config: TrainingConfig, log: pd.DataFrame) -> pd.DataFrame:
    """The rows and outcomes of the plain job, as a table."""
    table, _ = count_for_training(config, log)
    return table.keys.assign(subscribed=table.outcomes)


@pytest.fixture(scope="session")
def touched(told: pd.DataFrame) -> pd.DataFrame:
    rows = told[told["customer_id"].str[-1] == "7"]
    return pd.DataFrame({"customer_id": rows["customer_id"], "from": rows["as_of"]})


@pytest.fixture(scope="session")
def weighed(log: pd.DataFrame, touched: pd.DataFrame) -> TrainingResult:
    return train(TrainingConfig.from_yaml(YAML.replace(OUTCOME, TOUCHED)), log, treated=touched)


def test_labels_that_say_what_the_log_says_give_the_same_weights(
    folder: Path, told: pd.DataFrame, result: TrainingResult
) -> None:
    told.to_csv(folder / "labels.csv", index=False)
    text = YAML.replace(OUTCOME, LABELS).replace(AS_OF, "")
    # The log itself holds the outcome's event here; the rules do not count it.
    (folder / "labels.yaml").write_text(text)
    trained = train(TrainingConfig.from_file(folder / "labels.yaml"))
    assert trained.weight_set.weights == result.weight_set.weights
    assert trained.comparison[0] == result.comparison[0]
    assert str(folder) not in trained.weight_set.to_json()
    assert trained.weight_set.outcome.labels.y_col == "subscribed"
    assert "labels of a table: subscribed" in weight_card(trained.weight_set)


def test_treated_rows_enter_the_fit_and_the_evaluation_with_their_weight(
    config: TrainingConfig,
    log: pd.DataFrame,
    touched: pd.DataFrame,
    result: TrainingResult,
    weighed: TrainingResult,
) -> None:
    assert weighed.weight_set.weights != result.weight_set.weights
    for k, row in enumerate(result.comparison):  # the weights and every baseline
        assert weighed.comparison[k]["brier"] != row["brier"]
    assert weighed.sample["treated"] > 50
    assert weighed.sample["rows"] == result.sample["rows"]
    assert "Treated rows weigh 0.25" in weight_card(weighed.weight_set)
    # Rows of weight 1/4 are one of four copies of everyone else.
    rows = count_for_training(weighed.config, log, treated=touched)[0].sample_weight
    assert set(np.unique(rows)) == {0.25, 1.0}


def test_a_weight_set_from_treated_rows_can_be_saved_and_loaded(
    weighed: TrainingResult, tmp_path: Path
) -> None:
    path = weighed.weight_set.save(tmp_path / "w.json")
    assert WeightSet.load(path).outcome.treated.weight == 0.25


def test_the_job_says_who_was_treated(weighed: TrainingResult, touched: pd.DataFrame) -> None:
    assert weighed.sample["treated"] == len(touched)
    assert weighed.sample["treated"] + weighed.sample["untreated"] == weighed.sample["rows"]


def test_paths_of_tables_are_relative_to_the_configuration_and_leave_its_digest(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "c.yaml").write_text(YAML.replace(OUTCOME, TOUCHED))
    first, second = (TrainingConfig.from_file(tmp_path / n / "c.yaml") for n in ("a", "b"))
    assert first.outcome.treated.path == str(tmp_path / "a" / "touched.csv")
    assert first.digest == second.digest
    plain = TrainingConfig.from_yaml(YAML)
    assert plain.digest != first.digest


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (AS_OF, "", "as_of is missing"),
        (OUTCOME, LABELS, "as_of and labels both give the rows"),
    ],
)
def test_rows_that_come_from_nowhere_or_twice_are_refused(old: str, new: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        TrainingConfig.from_yaml(YAML.replace(old, new))


def test_labels_that_the_outcome_does_not_ask_for_are_refused(
    config: TrainingConfig, log: pd.DataFrame, told: pd.DataFrame
) -> None:
    with pytest.raises(ConfigError, match="labels are passed, but the outcome does not come from"):
        train(config, log, labels=told)


def test_the_outcome_of_the_job_is_that_of_the_counts(
    config: TrainingConfig, log: pd.DataFrame, told: pd.DataFrame
) -> None:
    outcome = OutcomeSpec(task="conversion", horizon="14d", labels={"y_col": "subscribed"})
    spec = count_for_training(config, log)[0].spec
    table = build_counts(log, spec, outcome=outcome, labels=told)
    assert table.outcomes.tolist() == told["subscribed"].tolist()
