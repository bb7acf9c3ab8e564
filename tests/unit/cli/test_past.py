"""`ces-ml backtest` and `ces-ml alternatives`, as a user meets them."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from ces_ml.cli.main import app
from ces_ml.datasets import make_event_history

CONFIG = """
name: trial_conversion
events: {path: events.parquet}
outcome: {task: conversion, event: subscription_started, horizon: 14d}
as_of: 14d after trial_started
counts: [{events: [login, demo_booked, support_ticket, page_view], window: 28d, transform: log1p}]
model: {rules: ["login >= 0"], hand_set: {login: 1, demo_booked: 5}}
backtest: {folds: 3}
"""


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    return make_event_history(1500, seed=2).events


@pytest.fixture
def home(tmp_path: Path, events: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Path:
    events.to_parquet(tmp_path / "events.parquet")
    (tmp_path / "conversion.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_backtest_is_shown_written_and_drawn(home: Path) -> None:
    done = call("backtest", "conversion.yaml", "-o", "past.json", "--figure", "out/past.png")
    assert done.exit_code == 0, done.output
    body = json.loads((home / "past.json").read_text())
    assert len(body["folds"]) == 3
    for fold in body["folds"]:
        assert fold["test_from"][:10] in done.output
        assert f"{fold['roc_auc']:.3f}" in done.output
    assert "rank flips" in done.output
    assert "demo_booked" in done.output
    assert (home / "out" / "past.png").read_bytes().startswith(b"\x89PNG")
    assert not (home / "mlflow.db").exists()


def test_alternatives_are_shown_and_written(home: Path) -> None:
    done = call("alternatives", "conversion.yaml", "-o", "near.json")
    assert done.exit_code == 0, done.output
    body = json.loads((home / "near.json").read_text())
    assert body["found"][0]["name"] == "fitted"
    for one in body["found"]:
        assert one["name"].replace("_", " ") in done.output
        assert f"{one['log_loss']:.4f}" in done.output


@pytest.mark.slow
def test_training_says_how_true_its_probabilities_are(home: Path) -> None:
    text = CONFIG.replace("backtest: {folds: 3}", "score: {calibrate: platt}")
    (home / "platt.yaml").write_text(text)
    plain = call("train", "conversion.yaml", "--no-track")
    assert "calibration: slope" in plain.output
    assert "after platt" not in plain.output
    done = call("train", "platt.yaml", "--no-track", "-o", "weights.json")
    assert "; after platt" in done.output
    assert json.loads((home / "weights.json").read_text())["calibration"]["method"] == "platt"


def test_a_backtest_that_can_not_be_made_exits_with_2_and_writes_nothing(home: Path) -> None:
    day = CONFIG.replace("14d after trial_started", "2025-03-01")
    (home / "day.yaml").write_text(day)
    done = call("backtest", "day.yaml", "-o", "past.json")
    assert done.exit_code == 2
    assert "the past can't be tested" in done.output
    assert not (home / "past.json").exists()


def test_a_backtest_is_logged_below_one_run_where_it_is_asked_for(home: Path) -> None:
    done = call("backtest", "conversion.yaml", "--track")
    assert done.exit_code == 0, done.output
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    run_id = done.output.split("logged below run ")[1].split()[0]
    assert client.get_run(run_id).info.run_name == "backtest of trial_conversion"
    below = client.search_runs(["1"], f"tags.mlflow.parentRunId = '{run_id}'")
    assert len(below) == 3


@pytest.mark.parametrize(
    ("command", "shown"), [("backtest", "rank flips"), ("alternatives", "fitted")]
)
def test_what_was_found_is_shown_although_it_can_t_be_logged(
    home: Path, command: str, shown: str
) -> None:
    store = home / "mlflow.db"
    store.write_text("something else")
    done = call(command, "conversion.yaml", "--track", "-o", "found.json")
    assert done.exit_code == 2
    assert shown in done.stdout
    assert "written to found.json" in done.stdout
    assert "the tracking store is not an SQLite database" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["backtest", "alternatives"])
def test_what_was_found_is_shown_and_kept_where_the_store_fails(
    command: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    done = call(command, "conversion.yaml", "--track")
    assert done.exit_code == 2
    assert "demo_booked" in done.stdout
    assert "the tracking server can't be reached" in done.stderr
    assert "Traceback" not in done.output
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    done = call("track", "--resume", "--store", "mlflow.db")
    assert done.exit_code == 0, done.output
    assert "1 logged, 0 left" in done.stdout
