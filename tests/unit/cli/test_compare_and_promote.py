"""Compare, promote, history and rollback as a user meets them: tables, JSON, exit codes."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ces_ml.cli.main import app
from ces_ml.datasets import make_event_history
from ces_ml.tracking import Tracker, open_store
from ces_ml.training import TrainingConfig, train
from ces_ml.weights import WeightSet

OLD = """
name: trial
events: {path: events.parquet}
outcome: {task: conversion, event: subscription_started, horizon: 14d}
as_of: 14d after trial_started
counts: [{events: [page_view], window: 7d}]
evaluation: {ceiling: false}
promotion: {verdict: false}
"""
NEW = OLD.replace(
    "[page_view], window: 7d", "[login, demo_booked, page_view], window: 28d"
).replace(
    "promotion: {verdict: false}",
    "promotion: {verdict: false, beats_champion: {by: 0.0}, most_band_changes: 0.9}",
)

GOLDEN = Path(__file__).parents[2] / "golden" / "weight_set.v1.json"


def call(*words: object, width: int = 200) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": str(width)})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, WeightSet, WeightSet, list[str]]:
    """A folder with a log, two configurations, two weight sets and their runs; made once."""
    folder = tmp_path_factory.mktemp("made")
    make_event_history(1500, seed=2).events.to_parquet(folder / "events.parquet")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The ``noload`` loader")  # MLflow's own
        open_store(folder / "mlflow.db")
    sets, runs = [], []
    for name, text in (("old", OLD), ("new", NEW)):
        (folder / f"{name}.yaml").write_text(text)
        sets.append(train(TrainingConfig.from_file(folder / f"{name}.yaml")).weight_set)
        sets[-1].save(folder / f"{name}.json")
        kept = text.replace("events.parquet", str(folder / "events.parquet"))
        given = {"run_name": name, "params": {}, "metrics": {}, "texts": {"config.yaml": kept}}
        runs.append(Tracker(folder / "mlflow.db").log_run(sets[-1], **given).run_id)
    return folder, *sets, runs


@pytest.fixture
def home(made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def runs(made) -> list[str]:
    return made[3]


def test_files_are_compared_on_the_log_of_a_configuration(home: Path) -> None:
    done = call("compare", "old.json", "new.json", "--config", "new.yaml", "-o", "page.html")
    assert done.exit_code == 0, done.output
    for words in (
        "weights, the most important first",
        "metrics on the same held-out rows",
        "new.json in place of the first",
        "counted otherwise: window 7d → 28d",
        "customers change band (",
        "page written to page.html",
    ):
        assert words in done.output, words
    assert re.search(r"ROC AUC [+−]0\.\d{4} \(90 % interval [+−]", done.output)
    assert (home / "page.html").read_text().startswith("<!doctype html>")


def test_weights_of_another_outcome_are_said_to_be_so_before_any_number(
    home: Path, made: tuple[Path, WeightSet, WeightSet, list[str]]
) -> None:
    outcome = made[1].outcome.model_copy(update={"horizon": "7d"})
    made[1].model_copy(update={"outcome": outcome}).save(home / "other.json")
    done = call("compare", "other.json", "new.json", "--config", "new.yaml", width=80)
    said = "note: 'other.json' was trained for another outcome than the one it is judged by"
    assert said in done.stdout.split("weights, the most important first")[0].splitlines()
    assert_whole(done.stdout)


def assert_whole(output: str) -> None:
    """No table is cut: each line that begins at a border ends at one."""
    ends = {"┏": "┓", "┡": "┩", "│": "│", "┃": "┃", "└": "┘"}
    lines = [line.rstrip() for line in output.splitlines() if line[:1] in ends]
    assert lines
    for line in lines:
        assert len(line) <= 80, line
        assert line[-1] == ends[line[0]], line


def test_weights_and_what_g_is_are_whole_at_80_columns(home: Path) -> None:
    done = call("show", "new.json", width=80)
    assert "g(n)" in done.stdout
    assert_whole(done.stdout)
    done = call("show", str(GOLDEN), width=80)
    assert "log1p(min(" in done.stdout
    assert_whole(done.stdout)


def test_json_is_alone_on_the_standard_output(home: Path) -> None:
    done = call("compare", "old.json", "new.json", "--config", "new.yaml", "--json", "-o", "p.html")
    body = json.loads(done.stdout)
    assert [one["name"] for one in body["sets"]] == ["old.json", "new.json"]
    assert body["changes"][0]["migration"]["changed"] >= 0
    assert "page written to p.html" in done.stderr


def test_without_a_configuration_files_are_compared_by_their_weights(home: Path) -> None:
    done = call("compare", "old.json", "new.json")
    assert done.exit_code == 0, done.output
    assert "metrics noted at training" in done.output
    assert "no held-out rows" in done.output
    assert not list(home.glob("*.html"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["old.json"], "there is nothing to compare"),
        (["old.json", "old.json"], "a weight set is named twice"),
        (["old.json", "nowhere.json"], "can't be read"),
        (["old.json", "models:/trial@champion"], "no registered weight set"),
        (["old.json", "new.json", "--config", "nowhere.yaml"], "configuration can't be read"),
        (["old.json", "new.json", "--config", "new.yaml", "--events", "x.parquet"], "x.parquet"),
    ],
)
def test_what_cant_be_compared_ends_with_code_two(home: Path, words, message) -> None:
    done = call("compare", *words)
    assert done.exit_code == 2, done.output
    assert message in done.stderr


def test_gate_history_and_rollback_follow_each_other(home: Path, runs: list[str]) -> None:
    first = call("promote", runs[0], "--reason", "to begin with")
    assert first.exit_code == 0, first.output
    assert "trial@champion is now version 1" in first.output
    compared = call("compare", "models:/trial@champion", runs[1])
    assert compared.exit_code == 0, compared.output
    assert f"kept in run {runs[1]}, artifacts in compare/" in compared.output
    second = call("promote", runs[1], "--reason", "demos <b>count</b>")
    assert second.exit_code == 0, second.output
    assert re.search(r"beats_champion +│ ROC AUC better by more than 0", second.output)
    assert "trial@champion is now version 2" in second.output
    assert "is already version 2" in call("promote", runs[1]).output

    back = call("promote", runs[0], "--config", "new.yaml")
    assert back.exit_code == 2
    assert "│ no" in back.stdout
    assert "1 of 2 rules of the gate does not hold" in back.stderr
    assert "--override" in back.stderr
    forced = call("promote", runs[0], "--config", "new.yaml", "--override", "[red]a test[/red]")
    assert forced.exit_code == 0, forced.output

    rolled = call("rollback", "trial", "--reason", "the test is over")
    assert rolled.exit_code == 0, rolled.output
    assert "trial@champion is back at version 2, from version 1" in rolled.output
    table = call("history", "trial")
    assert table.exit_code == 0, table.output
    for words in (
        "none → 1",
        "1 → 2",
        "2 → 1",
        "demos <b>count</b>",
        "override: [red]a test[/red]",
        "overridden (beats_champion)",
        "the test is over",
        "champion points at version 2",
    ):
        assert words in table.output, words
    body = json.loads(call("history", "trial", "--json").stdout)
    assert [m["action"] for m in body["moves"]] == ["promote"] * 3 + ["rollback"]
    assert body["now"] == {"champion": "2"}
    assert body["moves"][2]["failed"] == ["beats_champion"]
    same = call("rollback", "trial", "--to", 2, "--reason", "again")
    assert (same.exit_code, "is already version 2" in same.output) == (0, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["history", "trail"], "no registered weight set with this name"),
        (["rollback", "trail", "--reason", "x"], "no registered weight set with this name"),
        (["rollback", "trial"], "Missing option"),
        (["promote", "0" * 32], "no run with this id"),
        (["promote", "0" * 32, "--override", " "], "an override without a reason"),
    ],
)
def test_what_is_not_there_ends_with_code_two(home: Path, words, message) -> None:
    done = call(*words)
    assert done.exit_code == 2, done.output
    assert message in done.stderr


def test_hostile_names_stay_text_in_the_terminal(home: Path, made) -> None:
    names = ("\x1b[31mred\x1b[0m", "[bold]b[/bold]", "")
    terms = [
        t.model_copy(update={"name": n, "event": n, "weight": -t.weight})
        for t, n in zip(made[2].terms, names, strict=True)
    ]
    for k, weights in enumerate((1.0, -1.0)):
        flipped = tuple(t.model_copy(update={"weight": weights * t.weight}) for t in terms)
        gone = {"terms": flipped, "golden_rows": (), "provenance": None}
        made[2].model_copy(update=gone).save(home / f"h{k}.json")
    done = call("compare", "h0.json", "h1.json", width=120)
    assert done.exit_code == 0, done.output
    assert "\x1b[31m" not in done.output
    assert "\\x1b[31mred" in done.output
    assert "[bold]b[/bold]" in done.output
    assert "signs that flip: 3:" in done.output
