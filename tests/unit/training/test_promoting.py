"""An alias moves if every rule holds, or on a person's word; in a file and behind a server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from ces_ml.errors import CesWarning, ConfigError, EventLogError, SpecError, TrackingError
from ces_ml.tracking import Tracker, alias_history, load_weight_set, open_store, rollback
from ces_ml.tracking.registry import model_of_run, version_of
from ces_ml.tracking.run_files import read_run_file, run_of
from ces_ml.tracking.store import Store
from ces_ml.tracking.ui import ui_command, ui_environment
from ces_ml.training import TrainingConfig, compare_runs, judge_promotion, promote, train
from ces_ml.training.comparing_runs import config_of_run
from ces_ml.training.promoting import carry_out
from ces_ml.training.recording import record

RULES = {
    "verdict": True,
    "beats_champion": {"metric": "roc_auc", "by": 0.0, "confidence": 0.8},
    "forbid_sign_flips": ["login", "demo_*"],
    "most_band_changes": 0.9,
    "calibration": {"ece": 0.2},
    "export_parity": True,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, log) -> Path:
    """A folder with the log and a store that is made once."""
    folder = tmp_path_factory.mktemp("promoting")
    log.to_parquet(folder / "events.parquet")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The ``noload`` loader")  # MLflow's own
        open_store(folder / "template.db")
    return folder


@pytest.fixture(scope="module")
def asked(config: TrainingConfig, place: Path) -> TrainingConfig:
    body = config.model_dump(mode="json", exclude_defaults=True)
    body |= {"events": {"path": str(place / "events.parquet")}, "promotion": RULES}
    return TrainingConfig.parse(body)


@pytest.fixture(scope="module")
def weak(asked: TrainingConfig):
    """The weight set in use: fewer events, beaten by far."""
    body = asked.model_dump(mode="json", exclude_defaults=True)
    body |= {"counts": [{"events": ["page_view", "login"], "window": "7d"}], "model": {}}
    return train(TrainingConfig.parse(body)).weight_set


@pytest.fixture
def tracker(place: Path, tmp_path: Path) -> Tracker:
    return Tracker(shutil.copy(place / "template.db", tmp_path / "mlflow.db"), experiment="tests")


@pytest.fixture
def store(tracker: Tracker) -> Store:
    return open_store(tracker.store)


def logged(tracker: Tracker, weight_set, config: TrainingConfig | None = None, **rules) -> str:
    """Log a weight set as training does, with the configuration that the run keeps."""
    texts = {}
    if config is not None:
        body = config.model_dump(mode="json", exclude_defaults=True)
        body["promotion"] = {**body["promotion"], **rules}
        texts = {"config.yaml": yaml.safe_dump(body)}
    given = {"run_name": "base", "params": {}, "metrics": {}, "texts": texts}
    return tracker.log_run(weight_set, **given).run_id


def test_the_first_promotion_asks_no_rule_about_a_champion(tracker, store, asked, result) -> None:
    run_id = logged(tracker, result.weight_set, asked)
    done = promote(run_id, "churn", reason="first", store=tracker.store)
    assert (done.version, done.moved) == ("1", True)
    applies = {r.rule: r.applies for r in done.judgement.results}
    assert applies == {
        "verdict": True,
        "beats_champion": False,
        "forbid_sign_flips": False,
        "most_band_changes": False,
        "calibration": True,
        "export_parity": True,
    }
    tags = version_of(store, "churn", alias="champion").tags
    assert tags["gate"] == "passed"
    assert [r["rule"] for r in json.loads(tags["gate_rules"])] == list(RULES)
    again = promote(run_id, "churn", store=tracker.store)
    assert (again.version, again.moved, again.judgement.results) == ("1", False, ())
    assert len(alias_history("churn", store=tracker.store).moves) == 1


def test_better_weights_pass_every_rule_and_the_comparison_is_kept_in_the_run(
    tracker, store, asked, result, weak
) -> None:
    first = logged(tracker, weak, asked)
    promote(first, "churn", override="the old weights", store=tracker.store)
    second = logged(tracker, result.weight_set, asked)
    done = promote(second, "churn", store=tracker.store)
    assert all(r.passed and r.applies for r in done.judgement.results), done.judgement.results
    kept = json.loads(read_run_file(store, second, "promotion/gate_champion.json"))
    assert (kept["passed"], kept["in_use"]) == (True, "1")
    names = [f.path for f in store.client.list_artifacts(second, "compare")]
    assert sorted(name.rpartition(".")[2] for name in names) == ["html", "json"]
    assert load_weight_set("models:/churn@champion", tracker.store) == result.weight_set
    [_, move] = alias_history("churn", store=tracker.store).moves
    assert (move.before, move.after, move.gate) == ("1", "2", "passed")


@pytest.mark.slow
def test_worse_weights_are_refused_with_every_reason_and_nothing_moves(
    tracker, store, asked, result, weak
) -> None:
    promote(logged(tracker, result.weight_set, asked), "churn", store=tracker.store)
    worse = logged(tracker, weak, asked, most_band_changes=0.0)
    with pytest.raises(TrackingError, match=r"\d of 6 rules of the gate do not hold") as refused:
        promote(worse, "churn", store=tracker.store)
    assert "beats_champion: gain −" in refused.value.got
    assert "most_band_changes: " in refused.value.got
    assert "ROC AUC better by more than 0 at 80 % confidence" in refused.value.allowed
    assert str(version_of(store, "churn", alias="champion").version) == "1"
    assert len(store.client.search_model_versions("name = 'churn'")) == 1
    assert not json.loads(read_run_file(store, worse, "promotion/gate_champion.json"))["passed"]

    promote(worse, "churn", override="a pilot <b>", reason="why", store=tracker.store)
    tags = version_of(store, "churn", alias="champion").tags
    assert tags["override_because"] == "a pilot <b>"
    assert tags["override_by"] == tags["promoted_by"]
    assert tags["gate"] == "overridden"
    move = alias_history("churn", store=tracker.store).moves[-1]
    assert {"beats_champion", "most_band_changes"} <= set(move.failed)
    assert move.override == "a pilot <b>"


def test_a_log_that_is_gone_fails_the_rules_that_need_it(tracker, asked, result, weak) -> None:
    promote(logged(tracker, weak, asked), "churn", override="old", store=tracker.store)
    gone = asked.model_copy(
        update={"events": asked.events.model_copy(update={"path": "gone/events.parquet"})}
    )
    run_id = logged(tracker, result.weight_set, gone)
    judged = judge_promotion(run_id, "churn", store=tracker.store)
    failed = {r.rule: r.found for r in judged.results if not r.passed}
    assert set(failed) == {"beats_champion", "most_band_changes", "calibration"}
    assert all(words.startswith("can't be judged: ") for words in failed.values())
    assert all("gone/events.parquet" in words for words in failed.values())
    given = judge_promotion(run_id, "churn", config=asked, store=tracker.store)
    assert given.passed
    assert given.rules_of == "the configuration given"
    by_log = judge_promotion(run_id, "churn", events=asked.events.path, store=tracker.store)
    assert by_log.passed


@pytest.mark.slow
def test_a_run_without_a_configuration_is_judged_by_its_verdict(tracker, result) -> None:
    run_id = logged(tracker, result.weight_set)
    judged = judge_promotion(run_id, store=tracker.store)
    assert [r.rule for r in judged.results] == ["verdict"]
    assert "the run has kept no configuration" in judged.rules_of
    assert judged.name == result.weight_set.name
    bare = logged(tracker, result.weight_set.model_copy(update={"verdict": None}))
    with pytest.raises(TrackingError, match="1 of 1 rules of the gate does not hold"):
        promote(bare, store=tracker.store)


def test_a_champion_whose_file_is_gone_fails_the_rules_about_it(
    tracker, store, asked, result, weak
) -> None:
    promote(logged(tracker, weak, asked), "churn", override="old", store=tracker.store)
    location = version_of(store, "churn", alias="champion").source
    shutil.rmtree(location.removeprefix("file://"))
    judged = judge_promotion(
        logged(tracker, result.weight_set, asked), "churn", store=tracker.store
    )
    found = {r.rule: r for r in judged.results}
    for rule in ("beats_champion", "forbid_sign_flips", "most_band_changes"):
        assert not found[rule].passed
        assert "version 1, which the alias points at, can't be read" in found[rule].found


def test_an_alias_that_moved_since_it_was_judged_is_left_where_it_is(
    tracker, store, asked, result, weak
) -> None:
    first = logged(tracker, weak, asked)
    promote(first, "churn", override="old", store=tracker.store)
    judged = judge_promotion(
        logged(tracker, result.weight_set, asked), "churn", store=tracker.store
    )
    assert (judged.passed, judged.before) == (True, "1")
    other = logged(tracker, result.weight_set.model_copy(update={"intercept": 0.5}))
    tracker.promote(other, "churn", reason="a colleague was faster")
    with pytest.raises(TrackingError, match="the alias has moved since the rules were judged"):
        carry_out(judged)
    assert str(version_of(store, "churn", alias="champion").version) == "2"
    assert len(alias_history("churn", store=tracker.store).moves) == 2


def test_a_store_that_fails_is_not_taken_for_a_run_without_rules(
    tracker, asked, result, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = logged(tracker, result.weight_set, asked)

    def refuse(*args: object) -> None:
        raise OSError("Connection reset by peer")

    monkeypatch.setattr(type(open_store(tracker.store).client), "list_artifacts", refuse)
    with pytest.raises(TrackingError, match="can't be reached"):
        judge_promotion(run_id, "churn", store=tracker.store)


def test_a_version_of_no_run_has_no_run(tracker, store, result, weak, tmp_path: Path) -> None:
    run_id = logged(tracker, weak)
    location = model_of_run(store, run_id).artifact_location
    store.client.create_registered_model("bare")
    store.client.create_model_version("bare", location)
    assert run_of(store, "models:/bare/1") is None
    file = result.weight_set.save(tmp_path / "new.json")
    assert compare_runs([file, "models:/bare/1"], store=tracker.store).logged_to == ()


def test_a_page_that_cant_be_kept_does_not_lose_the_comparison(
    tracker, result, weak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = logged(tracker, result.weight_set)

    def refuse(*args: object) -> None:
        raise OSError("Permission denied")

    monkeypatch.setattr(type(open_store(tracker.store).client), "log_artifacts", refuse)
    with pytest.warns(CesWarning, match=f"2 weight sets could not be kept in run {run_id}"):
        found = compare_runs([weak.save(tmp_path / "a.json"), run_id], store=tracker.store)
    assert (found.logged_to, len(found.comparison.changes)) == ((), 1)


def test_an_override_that_is_blank_is_refused_first(tracker) -> None:
    with pytest.raises(TrackingError, match="an override without a reason"):
        promote("no run", override=" ", store=tracker.store)


def test_a_reference_to_a_version_stands_for_its_run(tracker, asked, result) -> None:
    run_id = logged(tracker, result.weight_set, asked)
    promote(run_id, "churn", alias="challenger", store=tracker.store)
    done = promote("models:/churn@challenger", "churn", store=tracker.store)
    assert (done.version, done.judgement.run_id) == ("1", run_id)


def test_findings_that_cant_be_kept_are_warned_of(
    tracker, asked, result, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = logged(tracker, result.weight_set, asked)

    def refuse(*args: object) -> None:
        raise OSError("Permission denied")

    monkeypatch.setattr(type(open_store(tracker.store).client), "log_artifacts", refuse)
    with pytest.warns(CesWarning, match="findings of 6 rules could not be kept"):
        done = promote(run_id, "churn", store=tracker.store)
    assert done.moved


def test_training_keeps_the_rules_in_the_run(tracker, store, asked, result) -> None:
    from dataclasses import replace

    run = record(replace(result, config=asked), tracker)
    kept = config_of_run(store, run.run_id)
    assert kept.promotion == asked.promotion
    assert kept.digest == asked.digest
    none = asked.model_copy(update={"promotion": type(asked.promotion)()})
    assert none.digest == asked.digest  # rules about promotion decide no weight


def test_runs_versions_and_files_are_compared_and_the_page_is_kept(
    tracker, store, asked, result, weak, tmp_path: Path
) -> None:
    promote(logged(tracker, weak, asked), "churn", override="old", store=tracker.store)
    run_id = logged(tracker, result.weight_set, asked)
    file = weak.save(tmp_path / "old 'n' <b>.json")
    found = compare_runs(["models:/churn@champion", file, run_id], store=tracker.store)
    names = [one.name for one in found.comparison.sets]
    assert names == ["churn@champion", "old 'n' <b>.json", f"run {run_id[:8]}"]
    assert found.comparison.rows > 0
    assert found.logged_to == (run_id,)
    [html] = [
        f.path for f in store.client.list_artifacts(run_id, "compare") if f.path.endswith("html")
    ]
    assert read_run_file(store, run_id, html) == found.page
    assert "<b>.json" not in found.page
    quiet = compare_runs(["models:/churn/1", run_id], store=tracker.store, log=False)
    assert quiet.logged_to == ()


def test_without_a_log_that_can_be_read_weights_alone_are_compared(
    tracker, asked, result, weak, tmp_path: Path
) -> None:
    files = [weak.save(tmp_path / "a.json"), result.weight_set.save(tmp_path / "b.json")]
    found = compare_runs(files)
    assert found.comparison.split.endswith("no configuration: the challengers are files")
    assert found.comparison.rows == 0
    gone = asked.model_copy(
        update={"events": asked.events.model_copy(update={"path": "gone.parquet"})}
    )
    run_id = logged(tracker, result.weight_set, gone)
    assert "gone.parquet" in compare_runs([files[0], run_id], store=tracker.store).comparison.split
    with pytest.raises(EventLogError, match="log"):
        compare_runs(files, gone)
    with pytest.raises(ConfigError, match="no event log is named"):
        compare_runs(files, gone.model_copy(update={"events": type(gone.events)()}))
    with pytest.raises(SpecError, match="a weight set is named twice"):
        compare_runs([files[0], files[0]])


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[str]:
    """Address of an MLflow server over a store of its own."""
    db = Path(shutil.copy(place / "template.db", place / "served.db"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = subprocess.Popen(
        ui_command(db, port),
        env=ui_environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 180
    try:
        while time.monotonic() < deadline and running.poll() is None:
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=5):
                    break
            except OSError:
                with suppress(subprocess.TimeoutExpired):  # not before it has had a moment
                    running.wait(timeout=0.2)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGTERM)  # the server and its worker
        running.wait(timeout=60)


@pytest.mark.slow
def test_gate_history_and_rollback_work_behind_a_server(server, asked, result, weak) -> None:
    tracker = Tracker(server, experiment="served")
    first, second = (logged(tracker, ws, asked) for ws in (weak, result.weight_set))
    promote(first, "churn", override="the old weights", store=server)
    found = compare_runs(["models:/churn@champion", second], store=server)
    assert found.logged_to == (second,)
    assert promote(second, "churn", reason="better", store=server).version == "2"
    assert not promote(second, "churn", store=server).moved
    assert rollback("churn", reason="wrong", store=server).after == "1"
    history = alias_history("churn", store=server)
    assert [(m.action, m.before, m.after) for m in history.moves] == [
        ("promote", "none", "1"),
        ("promote", "1", "2"),
        ("rollback", "2", "1"),
    ]
    assert history.now == {"champion": "1"}
    assert load_weight_set("models:/churn@champion", server) == weak
