"""What a run of a training job holds, and what stands below it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ces_ml.tracking import Tracker, open_store
from ces_ml.training import (
    Alternative,
    Alternatives,
    TrainingConfig,
    TrainingResult,
    record,
    record_tried,
    train,
)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return Tracker(tmp_path_factory.mktemp("store") / "mlflow.db", "recording")


@pytest.fixture(scope="module")
def client(tracker: Tracker) -> Any:
    return open_store(tracker.store).client


@pytest.fixture(scope="module")
def searched(config: TrainingConfig, log: pd.DataFrame) -> TrainingResult:
    """A job that chooses alpha, runs the backtest, and wants a run for each of them."""
    body = config.model_dump(mode="json", exclude_defaults=True)
    body["model"]["alpha"] = {"folds": 2}
    body["backtest"] = {"folds": 2}
    body["tracking"] = {"children": True}
    return train(TrainingConfig.parse(body), log)


def table(client: Any, run_id: str, name: str) -> pd.DataFrame:
    body = json.loads(Path(client.download_artifacts(run_id, name)).read_text(encoding="utf-8"))
    return pd.DataFrame(body["data"], columns=body["columns"])


def test_a_run_says_what_it_was_made_of(
    result: TrainingResult, tracker: Tracker, client: Any, tmp_path: Path
) -> None:
    made = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    (tmp_path / "churn.yaml").write_text("name: x\n")
    for step in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "first")):
        subprocess.run(["git", *made, *step], cwd=tmp_path, check=True, capture_output=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=tmp_path, text=True).strip()
    (tmp_path / "churn.yaml").write_text("name: y\n")
    info = record(result, tracker, source=tmp_path / "churn.yaml")
    run = client.get_run(info.run_id)
    tags, params = run.data.tags, run.data.params
    assert (tags["git.commit"], tags["git.dirty"]) == (commit, "true")
    provenance = result.weight_set.provenance
    assert tags["ces.data_digest"] == provenance.data_digest
    assert tags["ces.config_digest"] == result.config.digest
    assert tags["version.numpy"] == np.__version__
    assert json.loads(params["config/model/rules"]) == list(result.config.model.rules)
    assert params["config/outcome/horizon"] == "14d"
    assert not [key for key in params if key.startswith(("config/events", "config/tracking"))]
    assert info.children == ()


def test_metrics_of_a_run_have_intervals_around_them(
    result: TrainingResult, tracker: Tracker, client: Any
) -> None:
    info = record(result, tracker)
    metrics = client.get_run(info.run_id).data.metrics
    for name in ("roc_auc", "log_loss"):
        assert metrics[f"{name}_low"] < metrics[name] < metrics[f"{name}_high"]
    rows = table(client, info.run_id, "metric_intervals.json").set_index("metric")
    assert rows.loc["roc_auc", "value"] == pytest.approx(metrics["roc_auc"])
    for term in result.weight_set.terms:
        low, high = (metrics[f"weight_{end}/{term.name}"] for end in ("low", "high"))
        assert (low, high) == (term.interval.low, term.interval.high)


@pytest.mark.slow
def test_every_figure_that_can_be_drawn_is_there_with_its_table(
    result: TrainingResult, tracker: Tracker, client: Any
) -> None:
    info = record(result, tracker)
    names = {item.path for item in client.list_artifacts(info.run_id)}
    figures = {"weights.png", "gains.png", "scores_by_outcome.png", "calibration.png"}
    assert figures | {"weight_card.md", "weights_table.json"} <= names
    gains = table(client, info.run_id, "gains.json").set_index("share")
    # Lift at 10 % is also one of the metrics, computed by another function.
    assert gains.loc[0.1, "lift"] == pytest.approx(result.metrics["lift_at_10"], rel=0.02)
    scores = table(client, info.run_id, "scores_by_outcome.json")
    assert scores[["good", "bad"]].sum().tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.slow
def test_every_alpha_and_every_fold_is_a_run_below_the_run_of_the_weights(
    searched: TrainingResult, tracker: Tracker, client: Any
) -> None:
    info = record(searched, tracker)
    below = [client.get_run(run_id) for run_id in info.children]
    assert {r.data.tags["mlflow.parentRunId"] for r in below} == {info.run_id}
    alphas = [r for r in below if r.data.tags["ces.kind"] == "alpha"]
    choice, path = searched.alpha_choice, searched.path
    assert [float(r.data.params["alpha"]) for r in alphas] == choice.alphas.tolist()
    losses = [r.data.metrics["alpha_folds/log_loss"] for r in alphas]
    assert losses == pytest.approx(choice.mean.tolist())
    chosen = [r for r in alphas if r.data.params["chosen"] == "True"]
    assert [float(r.data.params["alpha"]) for r in chosen] == [searched.alpha]
    at = path.alphas.tolist().index(searched.alpha)
    weights = {n: chosen[0].data.metrics[f"weight/{n}"] for n in path.feature_names}
    assert weights == dict(zip(path.feature_names, path.coefs[at].tolist(), strict=True))
    folds = [r for r in below if r.data.tags["ces.kind"] == "backtest"]
    assert [r.data.metrics["weight/login"] for r in folds] == searched.backtest.weights["login"]
    assert [r.data.metrics["roc_auc"] for r in folds] == [
        f.metrics["roc_auc"] for f in searched.backtest.folds
    ]
    assert len(alphas) + len(folds) == len(below)


def test_children_are_left_out_where_the_caller_says_so(
    searched: TrainingResult, tracker: Tracker
) -> None:
    assert record(searched, tracker, children=False).children == ()


def test_whether_children_are_logged_changes_no_digest(searched: TrainingResult) -> None:
    config = searched.config
    silent = config.tracking.model_copy(update={"children": False})
    assert config.model_copy(update={"tracking": silent}).digest == config.digest


def test_a_backtest_and_alternatives_are_logged_below_a_run_of_their_own(
    searched: TrainingResult, tracker: Tracker, client: Any
) -> None:
    weights = {"login": 1.0, "page_view": 0.5}
    fitted = Alternative("fitted", "the weights that training learns", weights, -1.0, 0.4)
    sparse = replace(fitted, name="sparsest", weights={"login": 1.25}, loss_difference=0.01)
    others = Alternatives(searched.config, (fitted, sparse), ("no hand-set weights",))
    for found, kind, names in (
        (searched.backtest, "backtest", 2),
        (others, "alternative", ["fitted", "sparsest"]),
    ):
        run_id = record_tried(found, tracker)
        experiment = client.get_run(run_id).info.experiment_id
        below = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{run_id}'")
        assert {r.data.tags["ces.kind"] for r in below} == {kind}
        if isinstance(names, int):
            assert len(below) == names
        else:
            assert sorted(r.info.run_name for r in below) == names
            one = next(r for r in below if r.info.run_name == "sparsest").data.metrics
            assert (one["weight/login"], one["difference/fitted/log_loss"]) == (1.25, 0.01)
            rows = table(client, run_id, "alternatives.json")
            assert rows["meaning"].tolist()[-1] == "no hand-set weights"
