"""The command line as a user meets it: in a folder, by its words and exit codes."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from ces_ml.cli.main import app
from ces_ml.datasets import make_event_history
from ces_ml.weights import WeightSet

CONFIG = """
name: trial_conversion
events: {path: events.parquet}
outcome: {task: conversion, event: subscription_started, horizon: 14d}
as_of: 14d after trial_started
counts:
  - {events: [login, demo_booked, support_ticket], window: 28d, half_life: 14d, transform: log1p}
model: {rules: [login >= 0, demo_booked >= 0, support_ticket <= 0]}
evaluation: {ceiling: false}
"""
COMMANDS = [
    "inspect",
    "prepare",
    "train",
    "track",
    "backtest",
    "alternatives",
    "compare",
    "promote",
    "history",
    "rollback",
    "score",
    "changes",
    "declines",
    "show",
    "export",
    "ui",
    "demo",
]


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
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_train_promote_score_and_export_follow_each_other(home: Path) -> None:
    trained = call("train", "conversion.yaml", "--register", "conversion")
    assert trained.exit_code == 0, trained.output
    assert "ROC AUC" in trained.output
    run = re.search(r"promote ([0-9a-f]{32})", trained.output)[1]

    # Three events of 1,500 customers: no better than counting, and said so from the start.
    assert "verdict: no better than counting (" in trained.output
    assert re.search(r"│ total count +│ [+−]0\.\d{3} \([+−]0\.\d{3} to [+−]0", trained.output)
    assert "data: enough? " in trained.output
    assert f"promote {run} --name conversion --override 'WHY'" in trained.output
    refused = call("promote", run, "--name", "conversion", "--reason", "first")
    assert refused.exit_code == 2
    for part in ("they were not found to beat counting", "verdict: no better", "--override"):
        assert part in refused.stderr
    override = ("--reason", "first", "--override", "a pilot")
    promoted = call("promote", run, "--name", "conversion", *override)
    assert promoted.exit_code == 0, promoted.output
    assert "conversion@champion is now version 1" in promoted.output
    assert "verdict: no better than counting (" in promoted.output

    ref = "models:/conversion@champion"
    scored = call("score", ref, "events.parquet", "-o", "scores.parquet", "--as-of", "2025-04-01")
    assert scored.exit_code == 0, scored.output
    scores = pd.read_parquet("scores.parquet")
    assert f"{len(scores):,} rows written to scores.parquet" in scored.output
    assert scores["score"].between(0, 100).all()

    exported = call("export", ref, "-o", "weights.json")
    assert exported.exit_code == 0, exported.output
    assert WeightSet.load("weights.json").fingerprint in exported.output

    again = call("score", "weights.json", "events.parquet", "-o", "b.csv", "--as-of", "2025-04-01")
    assert again.exit_code == 0, again.output
    assert pd.read_csv("b.csv")["raw_score"].tolist() == pytest.approx(
        scores["raw_score"].tolist(), abs=1e-12
    )


def test_training_can_leave_mlflow_alone(home: Path) -> None:
    done = call("train", "conversion.yaml", "--no-track", "-o", "w.json")
    assert done.exit_code == 0, done.output
    assert WeightSet.load("w.json").name == "trial_conversion"
    assert not list(home.glob("mlflow.db*"))


@pytest.mark.slow
def test_several_configurations_train_at_once(home: Path) -> None:
    (home / "second.yaml").write_text(CONFIG.replace("trial_conversion", "second"))
    done = call("train", "conversion.yaml", "second.yaml", "--jobs", 2, "--no-track")
    assert done.exit_code == 0, done.output
    assert "trial_conversion" in done.output
    assert "second" in done.output


def points(value: int) -> str:
    """Points as a pattern of how they are shown."""
    return re.escape(f"{value:+d}") if value else "0"


BOUND = "demo_booked <= 20%"


def test_train_shows_alpha_by_folds_points_and_prices(home: Path) -> None:
    model = f"alpha: {{folds: 3}}, rules: [login >= 0, demo_booked >= 0, {BOUND},"
    config = CONFIG.replace("rules: [login >= 0, demo_booked >= 0,", model)
    (home / "full.yaml").write_text(config + "points: {range: [-3, 7]}\n")
    done = call("train", "full.yaml", "--no-track", "-o", "w.json")
    assert done.exit_code == 0, done.output
    assert re.search(r"penalty: alpha [\d.e-]+, chosen by 3 folds \(best\) from 20", done.output)
    assert re.search(rf"│ {BOUND} +│ +[+-]0\.\d{{4}} │", done.output)
    assert "integer points" in done.output
    assert "a point is worth" in done.output
    card = WeightSet.load("w.json").points
    for name, value in card.values.items():
        assert re.search(rf"│ {name} .*│ +{points(value)} │", done.output)


def test_train_shows_no_points_and_prices_where_there_are_none(home: Path) -> None:
    (home / "free.yaml").write_text(re.sub(r"model: .*\n", "", CONFIG))
    done = call("train", "free.yaml", "--no-track")
    assert done.exit_code == 0, done.output
    assert "penalty: alpha 0.0001, as configured." in done.output
    for word in ("points", "price of"):
        assert word not in done.output


def test_show_prints_a_weight_set_from_a_file_or_a_store(home: Path) -> None:
    (home / "card.yaml").write_text(CONFIG + "points: {}\n")
    trained = call("train", "card.yaml", "--register", "card", "-o", "w.json")
    assert trained.exit_code == 0, trained.output
    run = re.search(r"promote ([0-9a-f]{32})", trained.output)[1]
    shown = {ref: call("show", ref) for ref in ("w.json", run, "models:/card/1")}
    weight_set = WeightSet.load("w.json")
    for ref, done in shown.items():
        assert done.exit_code == 0, (ref, done.output)
        assert weight_set.fingerprint in done.output
        assert "rule: support_ticket <= 0" in done.output
        assert "integer points" in done.output
        for term in weight_set.terms:
            weight = re.escape(f"{term.weight:+.3f}")
            value = points(weight_set.points.values[term.name])
            assert re.search(rf"│ {term.name} +│ +{weight} │.*│ +{value} │", done.output)


def test_show_refuses_what_is_no_weight_set(home: Path) -> None:
    done = call("show", "nothing.json")
    assert done.exit_code == 2
    assert "error: " in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str) -> None:
    done = call(command, "--help")
    assert done.exit_code == 0
    assert "Examples:" in done.output
    assert f"ces-ml {command}" in done.output


def test_the_version_is_printed() -> None:
    from ces_ml import __version__

    assert call("--version").output.strip() == __version__


def bad(home: Path, name: str, text: str) -> str:
    (home / name).write_text(text)
    return name


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("window: 28d", "windw: 28d"), "did you mean 'window'"),
        (("login >= 0,", "logn >= 0,"), "did you mean 'login'"),
        (("login >= 0,", "login >= 1, login <= 0,"), "login <= 0"),
        (("path: events.parquet", "path: none.parquet"), "no file matches"),
        (("path: events.parquet", "path: events.parquet, customer_col: user"), "no such column"),
        (("14d after trial_started", "'1999-01-01'"), "as_of lies outside the log"),
        (("14d after trial_started", "14d after trial"), "did you mean 'trial_started'"),
        (("horizon: 14d", "horizon: 9999d"), "every horizon ends after the log does"),
        (("event: subscription_started", "event: subscribed"), "no event type in the log matches"),
        (("name: trial_conversion", "name: [unclosed"), "is not YAML"),
    ],
)
def test_a_bad_configuration_exits_with_2_and_leaves_nothing(
    home: Path, change: tuple[str, str], match: str
) -> None:
    assert change[0] in CONFIG
    before = set(home.iterdir())
    name = bad(home, "bad.yaml", CONFIG.replace(*change))
    done = call("train", name, "-o", "w.json")
    assert done.exit_code == 2
    assert match in done.stderr
    for part in ("error: ", "got: ", "allowed: ", "next: "):
        assert part in done.stderr
    assert "Traceback" not in done.output
    assert set(home.iterdir()) == before | {home / "bad.yaml"}


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda t: t[: len(t) // 2], "truncated or not JSON"),
        (lambda t: t.replace('"weight": ', '"weight": 1', 1), "was changed after it was written"),
        (lambda t: t.replace('"schema_version": 1', '"schema_version": 99'), "unknown version"),
        (lambda t: "{}", "is not a weight set"),
    ],
)
def test_a_bad_weight_set_exits_with_2_and_writes_nothing(home: Path, edit, match: str) -> None:
    assert call("train", "conversion.yaml", "--no-track", "-o", "w.json").exit_code == 0
    Path("w.json").write_text(edit(Path("w.json").read_text()))
    done = call("score", "w.json", "events.parquet", "-o", "s.parquet")
    assert done.exit_code == 2
    assert match in done.stderr
    assert not Path("s.parquet").exists()


def test_an_output_that_cannot_be_written_exits_with_2_and_keeps_the_old_file(home: Path) -> None:
    assert call("train", "conversion.yaml", "--no-track", "-o", "w.json").exit_code == 0
    (home / "old.txt").write_text("kept")
    done = call("score", "w.json", "events.parquet", "-o", "old.txt/s.parquet")
    assert done.exit_code == 2
    assert "the output can't be written" in done.stderr
    assert (home / "old.txt").read_text() == "kept"


def test_a_store_that_cannot_be_opened_exits_with_2(home: Path) -> None:
    (home / "text.db").write_text("this is no database " * 100)
    done = call("train", "conversion.yaml", "--store", "text.db")
    assert done.exit_code == 2
    assert "error: " in done.stderr
    assert "Traceback" not in done.output


def test_an_unknown_model_names_the_nearest(home: Path) -> None:
    assert call("train", "conversion.yaml", "--register", "conversion").exit_code == 0
    done = call("score", "models:/convrsion@champion", "events.parquet", "-o", "s.parquet")
    assert done.exit_code == 2
    assert "did you mean 'conversion'" in done.stderr


def test_null_ids_are_dropped_and_reported(home: Path, events: pd.DataFrame) -> None:
    holes = events.copy()
    holes.loc[holes.index[:7], "customer_id"] = None
    holes.loc[holes.index[10:13], "event_type"] = None
    holes.to_parquet(home / "events.parquet")
    done = call("train", "conversion.yaml", "--no-track")
    assert done.exit_code == 0, done.output
    assert "7 rows without a customer, dropped" in done.output
    assert "3 rows without an event type, dropped" in done.output


def test_scoring_names_the_most_frequent_events_that_it_ignores(
    home: Path, events: pd.DataFrame
) -> None:
    assert call("train", "conversion.yaml", "--no-track", "-o", "w.json").exit_code == 0
    new = events.head(7).assign(event_type="[bold]\x1b[31mnew")
    more = pd.concat([new] * 999 + [events.head(1).assign(event_type="once")])
    pd.concat([events, more]).to_parquet(home / "later.parquet")
    done = call("score", "w.json", "later.parquet", "-o", "scores.csv")
    assert done.exit_code == 0, done.output
    assert re.search(r"\d event types not counted\n +[\d,]+ events of these types\n", done.output)
    assert r"6,993  [bold]\x1b[31mnew" in done.output
    assert "once" not in done.output
    assert re.search(r"\n +and \d+ more\n", done.output)


def test_hostile_event_names_do_not_reach_the_terminal_raw(home: Path, events) -> None:
    name = "[bold]\x1b[31mlogin\n"
    events.replace({"event_type": {"login": name}}).to_parquet(home / "events.parquet")
    config = CONFIG.replace("[login,", f"[{json.dumps(name)},").replace("login >= 0, ", "")
    config = config.replace("demo_booked >= 0", json.dumps(f"{json.dumps(name)} <= 0.1"))
    (home / "conversion.yaml").write_text(config)
    done = call("train", "conversion.yaml", "--no-track")
    assert done.exit_code == 0, done.output
    assert "price of the rules that bind" in done.output  # with the rule in its words
    assert "\x1b[31m" not in done.output
    assert "[bold]" in done.output
    assert r"\x1b[31mlogin\n" in done.output


@pytest.mark.slow
def test_the_hint_to_promote_names_the_model_that_was_registered(home: Path) -> None:
    done = call("train", "conversion.yaml", "--register", "other name")
    assert "registered as version 1 of other name" in done.output
    assert "--name 'other name'" in done.output


def test_registering_without_tracking_is_refused(home: Path) -> None:
    done = call("train", "conversion.yaml", "--no-track", "--register", "x")
    assert done.exit_code == 2
    assert "--register needs tracking" in done.stderr


def test_reading_from_a_store_that_is_not_there_makes_none(home: Path) -> None:
    for words in (["score", "models:/a@champion", "events.parquet", "-o", "s.csv"], ["ui"]):
        done = call(*words, "--store", "nope.db")
        assert done.exit_code == 2
        assert "there is no tracking store" in done.stderr
    assert not (home / "nope.db").exists()


def test_names_of_usual_length_are_shown_whole(home: Path) -> None:
    long = "support_ticket_" + "x" * 25
    (home / "conversion.yaml").write_text(CONFIG.replace("support_ticket", long))
    frame = pd.read_parquet("events.parquet")
    frame.replace({"event_type": {"support_ticket": long}}).to_parquet("events.parquet")
    done = call("train", "conversion.yaml", "--no-track")
    assert done.exit_code == 0, done.output
    assert "…" not in done.output


def test_a_defect_is_reported_in_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("inside")

    monkeypatch.setattr("ces_ml.training.train", broken)
    done = call("train", "conversion.yaml")
    assert done.exit_code == 1
    assert "this is a defect of ces-ml" in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.slow
def test_the_ui_serves_the_runs_and_stops_cleanly(home: Path) -> None:
    assert call("train", "conversion.yaml").exit_code == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "ces_ml.cli.main", "ui", "--port", str(port)],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        answer = wait_for(f"http://127.0.0.1:{port}/version", server)
        assert re.fullmatch(r"3\.\d+.*", answer)
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=60)
    assert code in (0, 130)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def wait_for(url: str, server: subprocess.Popen) -> str:
    import urllib.request

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            select_a_moment()
    raise AssertionError(f"no server at {url}")


def select_a_moment() -> None:
    """Wait a moment without holding the processor."""
    import select

    select.select([], [], [], 0.2)


def test_an_option_of_an_export_that_is_not_name_and_value_is_refused(home: Path) -> None:
    result = call("export", "weights.json", "-o", "x", "--option", "dialect")
    assert result.exit_code == 2
    assert "not NAME=VALUE" in result.output


@pytest.mark.slow
def test_weight_sets_trained_together_stand_below_one_run(home: Path) -> None:
    (home / "second.yaml").write_text(
        (home / "conversion.yaml").read_text().replace("trial_conversion", "other", 1)
    )
    done = call("train", "conversion.yaml", "second.yaml")
    assert done.exit_code == 0, done.output
    link = "/runs?workflowType=machine_learning&viewStateShareKey=ces-overview"
    assert done.output.count(f"http://127.0.0.1:5000/#/experiments/1{link}") == 2
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    names = {
        run.info.run_id: (run.info.run_name, run.data.tags.get("mlflow.parentRunId"))
        for run in client.search_runs(["1"])
    }
    (group,) = (run_id for run_id, (_, parent) in names.items() if parent is None)
    assert names[group] == ("trial_conversion, other", None)
    assert {name for name, parent in names.values() if parent == group} == {
        "trial_conversion",
        "other",
    }


@pytest.mark.slow
def test_ui_prints_the_page_of_each_experiment_with_weights(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("train", "conversion.yaml", "--experiment", "näme [x]").exit_code == 0
    page = "http://127.0.0.1:5055/#/experiments/1/runs?workflowType=machine_learning"

    def served(*args: object, ready: Callable[[str], None], **options: object) -> int:
        ready(f"{page}&viewStateShareKey=first")
        return 0

    monkeypatch.setattr("ces_ml.tracking.start_ui", served)
    done = call("ui", "--port", "5055", "--no-open")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        f"{page}&viewStateShareKey=first",
        f"näme [x]: {page}&viewStateShareKey=ces-overview",
    ]
