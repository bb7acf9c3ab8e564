"""Fits that could not be logged: kept whole, without secrets, and logged once."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ces_ml.errors import NotLoggedError, TrackingError
from ces_ml.tracking import ChildRun, Tracker, list_outbox, resume_outbox
from ces_ml.tracking import outbox as outbox_module
from ces_ml.tracking import tracker as tracker_module
from ces_ml.tracking.outbox import OUTBOX
from ces_ml.tracking.pending import LOG_ID_TAG, read_pending
from ces_ml.tracking.record import RunRecord
from ces_ml.tracking.store import Store, open_store
from ces_ml.weights import WeightSet

RUN: dict[str, Any] = {
    "run_name": "näme / 'x'",
    "params": {"rules[0]": "login >= 0", "long": "p" * 7000},
    "metrics": {"auc": 0.8, "bad": float("nan")},
    "tags": {"team": "növa"},
    "texts": {"card/weights.md": "# card ✓"},
    "figures": {"figures/weights.png": b"\x89PNG\x00\xff"},
    "tables": {"bands.json": [{"band": "x", "rate": float("nan")}]},
    "register_as": "churn",
}


@pytest.fixture
def store(db: Path) -> Store:
    return open_store(db)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, and a home that holds nothing."""
    here = tmp_path / "working folder"
    here.mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return here


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let a step of logging fail until told otherwise."""

    def fail(step: str = "log_pending", error: BaseException | None = None) -> None:
        def failing(*args: object, **options: object) -> None:
            raise error or OSError(28, "No space left on device")

        owner = Tracker if step == "log_pending" else tracker_module
        monkeypatch.setattr(owner, step, failing)

    return fail


@pytest.fixture
def keep(tracker: Tracker, weight_set: WeightSet, broken, monkeypatch) -> Callable[..., Path]:
    """Log a run that fails at a step, mend the step, and return where the run is kept."""

    def keep(step: str = "log_pending", **options: Any) -> Path:
        with monkeypatch.context():
            before = getattr(Tracker if step == "log_pending" else tracker_module, step)
            broken(step)
            with pytest.raises(NotLoggedError, match="the fit is kept in") as caught:
                tracker.log_run(weight_set, **{**RUN, **options})
            monkeypatch.setattr(Tracker if step == "log_pending" else tracker_module, step, before)
        assert caught.value.entry is not None
        return caught.value.entry

    return keep


def runs(store: Store) -> list[Any]:
    return list(store.client.search_runs([store.experiment_id("tests")]))


def contents(store: Store, run: Any) -> dict[str, Any]:
    """Everything of a run that another log of the same fit must have too."""
    own = ("mlflow.", "ces.log_id")
    folder = Path(store.client.download_artifacts(run.info.run_id, ""))
    return {
        "name": run.info.run_name,
        "params": run.data.params,
        "metrics": run.data.metrics,
        "tags": {k: v for k, v in run.data.tags.items() if not k.startswith(own)},
        "user": run.data.tags["mlflow.user"],
        "source": run.data.tags["mlflow.source.name"],
        "dataset": run.inputs.dataset_inputs[0].dataset.digest,
        "files": {
            p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*")
            if p.is_file()
        },
    }


def test_a_run_that_waited_is_the_run_that_would_have_been_logged(
    tracker: Tracker, store: Store, weight_set: WeightSet, keep
) -> None:
    straight = tracker.log_run(weight_set, **RUN)
    entry = keep()
    assert entry.parent == Path(tracker.store.removeprefix("sqlite:///")).parent / OUTBOX
    (done,) = resume_outbox(tracker.store)
    assert done.error is None
    assert done.info is not None
    assert done.info.model_version == "2"
    later, first = (store.client.get_run(i.run_id) for i in (done.info, straight))
    assert contents(store, later) == contents(store, first)
    assert tracker.load(done.info.run_id) == tracker.load("models:/churn/2") == weight_set
    assert not entry.parent.exists()
    assert later.info.status == "FINISHED"
    assert later.info.start_time == later.info.end_time


def test_what_is_kept_is_json_and_plain_files_with_every_field_of_the_record(
    keep, weight_set: WeightSet
) -> None:
    entry = keep()
    body = json.loads((entry / "run.json").read_text())
    assert set(body["record"]) | {"files"} == {f.name for f in fields(RunRecord)}
    assert WeightSet.load(entry / "weights.json") == weight_set
    assert (entry / "files/figures/weights.png").read_bytes() == RUN["figures"][
        "figures/weights.png"
    ]
    assert (entry / "files/card/weights.md").read_text() == "# card ✓"
    run = read_pending(entry)
    assert (run.run_name, run.experiment, run.register_as) == (RUN["run_name"], "tests", "churn")
    assert run.record.params["long"].startswith("ppp")
    assert "disk of the tracking store is full" in run.error or "No space left" in run.error


def test_the_error_says_what_was_wrong_where_the_fit_is_and_what_to_type(keep, broken) -> None:
    entry = keep("log_files")
    (kept,) = list_outbox(outbox=entry.parent)
    assert kept.entry == entry
    assert kept.problem == "the disk of the tracking store is full, or fails"


def test_the_error_survives_a_process_boundary(tracker: Tracker, weight_set, broken) -> None:
    broken("log_files")
    with pytest.raises(NotLoggedError, match="ces-ml track --resume --store") as caught:
        tracker.log_run(weight_set, **RUN)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.entry) == (str(caught.value), caught.value.entry)


def test_a_run_that_broke_off_half_way_is_marked_failed_and_logged_anew(
    store: Store, keep, tracker: Tracker
) -> None:
    keep("log_files")
    assert [r.info.status for r in runs(store)] == ["FAILED"]
    (done,) = resume_outbox(tracker.store)
    assert done.info is not None
    assert {r.info.run_id: r.info.status for r in runs(store)}[done.info.run_id] == "FINISHED"
    assert sorted(r.info.status for r in runs(store)) == ["FAILED", "FINISHED"]
    assert len({r.data.tags[LOG_ID_TAG] for r in runs(store)}) == 1
    assert len(store.client.search_model_versions("name = 'churn'")) == 1


def test_a_run_whose_store_went_away_before_it_could_be_ended_is_marked_failed_later(
    store: Store, keep, tracker: Tracker
) -> None:
    keep("log_files")
    (first,) = runs(store)
    store.client.update_run(first.info.run_id, "RUNNING")
    assert [done.error for done in resume_outbox(tracker.store)] == [None]
    assert store.client.get_run(first.info.run_id).info.status == "FAILED"


@pytest.mark.slow
@pytest.mark.parametrize("status", ["RUNNING", "FINISHED"])
def test_a_run_of_which_only_the_end_was_lost_is_not_logged_twice(
    status: str, store: Store, keep, tracker: Tracker, weight_set
) -> None:
    entry = keep()
    copy = shutil.copytree(entry, entry.with_name("copy"))
    (done,) = resume_outbox(tracker.store)
    assert done.info is not None
    store.client.update_run(done.info.run_id, status)
    entry.parent.mkdir(exist_ok=True)
    shutil.move(copy, entry)  # as if the process had died before it took the run out
    (again,) = resume_outbox(tracker.store)
    assert again.info == done.info
    assert [r.info.status for r in runs(store)] == ["FINISHED"]
    assert len(store.client.search_model_versions("name = 'churn'")) == 1
    assert not entry.exists()


def test_a_run_that_still_can_t_be_logged_stays_and_the_others_go(tracker: Tracker, keep) -> None:
    good, bad, odd = keep(), keep(run_name="second"), keep(run_name="third")
    (bad / "weights.json").write_text("{}")
    (odd / "files/card/weights.md").write_text("# another card")
    results = {done.entry: done for done in resume_outbox(tracker.store)}
    assert results[good].error is None
    assert "can't be read" in str(results[bad].error)
    assert "files/card/weights.md was changed after it was written" in str(results[odd].error)
    assert [k.entry for k in list_outbox(tracker.store)] == sorted([bad, odd])
    assert all(k.run is None for k in list_outbox(tracker.store))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "format"),
        ("log_id", "' OR 1=1", "log_id"),
        ("files", {"../../etc/passwd": "0" * 64}, "not the path of an artifact"),
        ("surprise", 1, "surprise"),
    ],
)
def test_a_kept_run_that_was_tampered_with_is_refused(
    key: str, value: object, message: str, keep
) -> None:
    entry = keep()
    body = json.loads((entry / "run.json").read_text()) | {key: value}
    (entry / "run.json").write_text(json.dumps(body))
    with pytest.raises(TrackingError, match=rf"a kept run can't be read(.|\n)*{message}"):
        read_pending(entry)


def test_no_password_reaches_the_outbox_or_a_message(
    weight_set: WeightSet, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "postgresql+pg8000://ana:S3cret@127.0.0.1:1/db"
    tracker = Tracker(uri, "tests")
    given = {**RUN, "texts": {"config.yaml": f"store: {uri}\n"}, "params": {"store": uri}}
    with pytest.raises(NotLoggedError, match="can't be reached") as caught:
        tracker.log_run(weight_set, **given)
    assert caught.value.entry is not None
    assert caught.value.entry.parent == elsewhere / OUTBOX
    assert "S3cret" not in str(caught.value)
    assert "--store STORE" in str(caught.value)
    for path in caught.value.entry.rglob("*"):
        assert path.is_dir() or b"S3cret" not in path.read_bytes()
        assert "S3cret" not in path.name
    (refused,) = resume_outbox()
    assert "the store of a kept run needs its password" in str(refused.error)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (tried,) = resume_outbox()
    assert "can't be reached" in str(tried.error)
    assert "S3cret" not in str(tried.error)


def test_a_run_goes_to_the_store_that_is_named_in_place_of_its_own(
    weight_set: WeightSet, db: Path, elsewhere: Path
) -> None:
    with pytest.raises(NotLoggedError, match="can't be reached"):
        Tracker("http://127.0.0.1:1", "tests").log_run(weight_set, **RUN)
    (done,) = resume_outbox(db, elsewhere / OUTBOX)
    assert done.info is not None
    assert Tracker(db).load(done.info.run_id) == weight_set


def test_an_interrupted_run_is_kept_too(tracker: Tracker, weight_set, broken) -> None:
    broken("log_files", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt, match="the fit is kept in"):
        tracker.log_run(weight_set, **RUN)
    (kept,) = list_outbox(tracker.store)
    assert kept.run is not None
    assert kept.run.weight_set == weight_set


def test_a_defect_of_ours_does_not_lose_the_fit_either(tracker, weight_set, broken) -> None:
    broken("log_pending", KeyError("inside"))
    with pytest.raises(NotLoggedError, match="a defect of ces-ml: KeyError") as caught:
        tracker.log_run(weight_set, **RUN)
    assert caught.value.entry is not None


def test_an_argument_that_is_not_allowed_is_told_and_nothing_is_kept(
    tracker: Tracker, weight_set
) -> None:
    with pytest.raises(TrackingError, match="not a name for a registered weight set"):
        tracker.log_run(weight_set, **{**RUN, "register_as": "a/b"})
    assert not list_outbox(tracker.store)


def test_where_one_outbox_can_t_be_written_the_next_is_used(
    tracker: Tracker, weight_set, broken, elsewhere: Path, db: Path
) -> None:
    (db.parent / OUTBOX).write_text("a file")
    broken("log_files")
    with pytest.raises(NotLoggedError, match="kept in") as caught:
        tracker.log_run(weight_set, **RUN)
    assert caught.value.entry is not None
    assert caught.value.entry.parent == elsewhere / OUTBOX


def test_where_no_outbox_can_be_written_that_is_told(
    db: Path, weight_set, broken, tmp_path: Path
) -> None:
    (tmp_path / "box").write_text("a file")
    broken("log_files")
    tracker = Tracker(db, "tests", outbox=tmp_path / "box")
    with pytest.raises(NotLoggedError, match="could not be kept on disk either") as caught:
        tracker.log_run(weight_set, **RUN)
    assert caught.value.entry is None


def test_an_outbox_that_is_not_there_is_told_and_an_empty_one_is_quiet(
    tmp_path: Path, tracker: Tracker
) -> None:
    with pytest.raises(TrackingError, match="there is no outbox"):
        list(resume_outbox(tracker.store, tmp_path / "none"))
    assert list(resume_outbox(tracker.store)) == []
    assert list_outbox(tracker.store) == []


def test_an_outbox_that_can_t_be_locked_is_told(keep, tracker: Tracker) -> None:
    entry = keep()
    (entry.parent / ".lock").mkdir()
    with pytest.raises(TrackingError, match="the outbox can't be locked"):
        list(resume_outbox(tracker.store))


RESUME = """
import sys
from ces_ml.tracking import resume_outbox
print(sum(done.error is None for done in resume_outbox(sys.argv[1])))
"""


@pytest.mark.slow
def test_two_processes_that_resume_at_once_log_every_run_once(
    tracker: Tracker, store: Store, keep
) -> None:
    for k in range(4):
        keep(run_name=f"run {k}")
    command = [sys.executable, "-c", RESUME, tracker.store]
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    logged = [int(job.communicate(timeout=240)[0]) for job in jobs]
    assert sum(logged) == 4
    assert sorted(r.info.run_name for r in runs(store)) == [f"run {k}" for k in range(4)]


def test_numbers_of_children_that_are_none_do_not_keep_a_run_from_the_outbox(
    keep, tracker: Tracker, store: Store
) -> None:
    none = float("nan")
    child = ChildRun(
        "fold 1", "backtest", metrics={"roc_auc": none, "rows": 3}, weights={"a": none}
    )
    entry = keep(children=[child])
    assert (entry / "run.json").is_file()
    [done] = resume_outbox(tracker.store, entry.parent)
    assert done.info is not None
    [below] = done.info.children
    assert store.client.get_run(below).data.metrics == {"rows": 3.0}


def test_whatever_goes_wrong_in_keeping_a_run_is_told_beside_why_it_was_not_logged(
    tracker: Tracker, weight_set: WeightSet, broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise ValueError("Out of range float values are not JSON compliant")

    broken()
    monkeypatch.setattr(outbox_module, "write_pending", fail)
    with pytest.raises(NotLoggedError, match="could not be kept on disk either") as caught:
        tracker.log_run(weight_set, **RUN)
    assert caught.value.entry is None
    for words in ("No space left", "not JSON compliant", "write it out with --output"):
        assert words in str(caught.value)


def test_a_fit_whose_children_hold_numbers_that_json_lacks_is_kept(
    tracker: Tracker, store: Store, keep
) -> None:
    values = {"loss": np.float64(0.5), "rows": np.int64(7), "bad": float("nan"), "far": np.inf}
    child = ChildRun("fold 1", "backtest", {"k": "1"}, values, {"login": np.float64(2.0)})
    keep("log_files", children=[child])
    (done,) = resume_outbox(tracker.store)
    assert done.info is not None
    (below,) = done.info.children
    assert store.client.get_run(below).data.metrics == {
        "loss": 0.5,
        "rows": 7.0,
        "weight/login": 2.0,
    }


@pytest.mark.parametrize("step", ["log_pending", "log_files", "log_children"])
def test_what_was_tried_is_kept_too_and_logged_once(
    step: str, tracker: Tracker, store: Store, broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = [ChildRun(f"fold {k}", "backtest", weights={"login": float(k)}) for k in (1, 2)]
    owner = Tracker if step == "log_pending" else tracker_module
    before = getattr(owner, step)
    broken(step)
    with pytest.raises(NotLoggedError, match="kept in") as caught:
        tracker.log_tried(
            "backtest", tried, metrics={"worst": 0.6}, tables={"folds.json": [{"fold": 1}]}
        )
    monkeypatch.setattr(owner, step, before)
    entry = caught.value.entry
    assert entry is not None
    assert not (entry / "weights.json").exists()
    (kept,) = list_outbox(tracker.store)
    assert kept.run is not None
    assert kept.run.weight_set is None
    (done,) = resume_outbox(tracker.store)
    assert done.info is not None
    run = store.client.get_run(done.info.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"worst": 0.6}
    assert run.data.tags["ces.kind"] == "group"
    children = [store.client.get_run(child).data.metrics for child in done.info.children]
    assert children == [{"weight/login": 1.0}, {"weight/login": 2.0}]
    assert list(resume_outbox(tracker.store)) == []


def test_a_kept_run_whose_weights_were_taken_away_is_refused(keep) -> None:
    entry = keep()
    (entry / "weights.json").unlink()
    with pytest.raises(TrackingError, match=r"a kept run can't be read(.|\n)*weights.json"):
        read_pending(entry)


def test_a_fit_that_no_file_can_hold_is_told_as_not_kept(
    tracker: Tracker, weight_set, broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*args: object) -> None:
        raise TypeError("Object of type set is not JSON serializable")

    monkeypatch.setattr("ces_ml.tracking.outbox.write_pending", odd)
    broken("log_files")
    with pytest.raises(NotLoggedError, match=r"on disk either \((.|\n)*type set") as caught:
        tracker.log_run(weight_set, **RUN)
    assert caught.value.entry is None
