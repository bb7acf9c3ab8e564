"""``ces-ml track``, and ``ces-ml train`` where the store fails."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from ces_ml.cli.main import app
from ces_ml.datasets import make_event_history
from ces_ml.tracking import Tracker
from ces_ml.weights import WeightSet

CONFIG = """
name: trial_conversion
events: {path: events.parquet}
outcome: {task: conversion, event: subscription_started, horizon: 14d}
as_of: 14d after trial_started
counts:
  - {events: [login, demo_booked], window: 28d}
evaluation: {ceiling: false}
"""
DEAD = "http://127.0.0.1:1"


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    return make_event_history(800, seed=2).events


@pytest.fixture
def home(tmp_path: Path, events: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Path:
    events.to_parquet(tmp_path / "events.parquet")
    (tmp_path / "conversion.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_a_fit_whose_store_fails_is_kept_told_and_logged_later(home: Path) -> None:
    done = call("train", "conversion.yaml", "--store", DEAD, "--register", "conversion")
    assert done.exit_code == 2
    assert "ROC AUC" in done.stdout  # the result is printed all the same
    assert "the tracking server can't be reached" in done.stderr
    assert "Traceback" not in done.output
    (entry,) = (home / "ces-ml-outbox").glob("2*")
    assert f"the fit is kept in {entry}" in done.stderr
    assert f"ces-ml track --resume --store {DEAD} --outbox {entry.parent}" in done.stderr
    assert call("show", entry / "weights.json").exit_code == 0

    listed = call("track", "--list")
    assert listed.exit_code == 0, listed.output
    for part in ("trial_conversion", DEAD, "can't be reached", f"kept in {entry.parent}"):
        assert part in listed.stdout

    still = call("track", "--resume")
    assert still.exit_code == 2
    assert "stays in the outbox" in still.stderr
    assert "0 logged, 1 left" in still.stdout

    logged = call("track", "--resume", "--store", "mlflow.db")
    assert logged.exit_code == 0, logged.output
    run = re.search(r"is logged as run ([0-9a-f]{32})", logged.stdout)[1]
    assert Tracker("mlflow.db").load("models:/conversion/1") == Tracker("mlflow.db").load(run)
    for words in (["track"], ["track", "--resume"]):
        assert call(*words).stdout.strip() == "nothing is waiting"


@pytest.mark.slow
def test_one_store_that_fails_loses_no_weight_set_of_several(home: Path) -> None:
    (home / "second.yaml").write_text(CONFIG.replace("trial_conversion", "second"))
    box = home / "box"
    done = call("train", "conversion.yaml", "second.yaml", "--store", DEAD, "--outbox", box)
    assert done.exit_code == 2
    kept = [WeightSet.load(path) for path in sorted(box.glob("*/weights.json"))]
    assert sorted(w.name for w in kept) == ["second", "trial_conversion"]


@pytest.mark.slow
def test_weights_that_can_t_be_written_to_a_file_are_logged_all_the_same(home: Path) -> None:
    (home / "taken").mkdir()
    done = call("train", "conversion.yaml", "--store", "mlflow.db", "--output", "taken")
    assert done.exit_code == 2
    assert "taken" in done.stderr
    assert "ROC AUC" in done.stdout
    run = re.search(r"ces-ml promote ([0-9a-f]{32})", done.stdout)[1]
    assert Tracker("mlflow.db").load(run).name == "trial_conversion"


def test_a_store_or_name_that_can_t_be_is_told_before_the_training(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*args: object, **kwargs: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("ces_ml.training.train", trained)
    for words, message in (
        (["--store", "weights.json"], "not a tracking store"),
        (["--register", "a/b"], "not a name for a registered weight set"),
    ):
        done = call("train", "conversion.yaml", *words)
        assert done.exit_code == 2
        assert message in done.stderr


def test_the_password_of_a_configured_store_is_in_no_file(home: Path) -> None:
    uri = "postgresql+pg8000://ana:S3cret@127.0.0.1:1/db"
    (home / "conversion.yaml").write_text(CONFIG + f"tracking: {{store: '{uri}'}}\n")
    done = call("train", "conversion.yaml")
    assert done.exit_code == 2
    assert "S3cret" not in done.output
    (entry,) = (home / "ces-ml-outbox").glob("2*")
    files = [path for path in entry.rglob("*") if path.is_file()]
    assert [p.name for p in files if b"S3cret" in p.read_bytes()] == []
    shutil.copy(entry / "files" / "config.yaml", home / "again.yaml")
    done = call("train", "again.yaml")  # the address is there, but for its password
    assert "127.0.0.1:1/db" in done.stderr


def test_resuming_and_listing_are_two_things(home: Path) -> None:
    done = call("track", "--resume", "--list")
    assert done.exit_code == 2
    assert "choose one" in done.stderr
