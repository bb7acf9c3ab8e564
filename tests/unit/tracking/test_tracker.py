from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from ces_ml.errors import TrackingError, WeightSetError
from ces_ml.tracking import Tracker, load_weight_set, metric_keys
from ces_ml.tracking import tracker as tracker_module
from ces_ml.tracking.quiet import mlflow_part
from ces_ml.tracking.registry import version_of
from ces_ml.tracking.store import Store, open_store


@pytest.fixture
def store(db: Path) -> Store:
    return open_store(db)


def test_a_weight_set_comes_back_equal_from_run_version_alias_and_file(
    tracker: Tracker, log, weight_set, tmp_path: Path
) -> None:
    run_id = log(weight_set, register_as="churn")
    tracker.promote(run_id, "churn")
    path = weight_set.save(tmp_path / "w.json")
    refs = (run_id, f"runs:/{run_id}", "models:/churn/1", "models:/churn@champion", path)
    for ref in refs:
        assert tracker.load(ref) == weight_set
        assert load_weight_set(ref, tracker.store) == weight_set


def test_a_logged_model_is_found_by_its_id_and_by_its_name(
    tracker: Tracker, store: Store, log, weight_set
) -> None:
    run_id = log(weight_set, run_name="v1.0: 'best'")
    model_id = store.client.get_run(run_id).outputs.model_outputs[0].model_id
    assert tracker.load(f"models:/{model_id}") == weight_set
    assert store.client.get_logged_model(model_id).name == f"v1_0_ _best-{run_id[:6]}"
    assert tracker.load(f"runs:/{run_id}/v1_0_ _best-{run_id[:6]}") == weight_set
    with pytest.raises(TrackingError, match="no weight set called 'other'"):
        tracker.load(f"runs:/{run_id}/other")


def test_every_weight_is_a_metric_and_a_row_with_its_raw_name(
    tracker: Tracker, store: Store, log, weight_set, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = log(weight_set)
    metrics = store.client.get_run(run_id).data.metrics
    keys = metric_keys(weight_set.names)
    assert {k: metrics[keys[k]] for k in weight_set.names} == weight_set.weights
    path = store.client.download_artifacts(run_id, "weights_table.json")
    table = json.loads(Path(path).read_text(encoding="utf-8"))
    columns = ["term", "event", "measure", "window", "weight", "low", "high", "level", "evidence"]
    assert table["columns"] == columns
    assert [row[0] for row in table["data"]] == list(weight_set.names)
    assert table["data"][1][4:] == [0.125, -0.875, 1.125, 0.9, None]
    assert table["data"][2][5:] == [None] * 4
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.store)  # load_table asks the global store
    experiment = store.experiment_id("tests")
    client = mlflow_part().MlflowClient()
    frame = client.load_table(experiment, "weights_table.json", run_ids=[run_id])
    assert len(frame) == len(weight_set.names)


def test_runs_with_different_weights_are_compared_by_their_metrics(
    store: Store, log, make_weight_set
) -> None:
    runs = [log(make_weight_set(shift=shift)) for shift in (0.0, 2.0)]
    weights = [store.client.get_run(r).data.metrics["weight/login"] for r in runs]
    assert weights == [0.0, 2.0]


def test_a_run_keeps_parameters_tags_texts_figures_tables_and_its_data(
    store: Store, log, weight_set
) -> None:
    run_id = log(
        weight_set,
        run_name="näme / 'x'",
        params={"rules[0]": "login >= 0", "penalty": "ridge"},
        metrics={"auc": 0.8, "lift@10%": 2.0, "bad": float("nan"), "worse": float("inf")},
        tags={"team": "növa"},
        texts={"card/weights.md": "# card ✓"},
        figures={"figures/weights.png": b"\x89PNG"},
        tables={"bands.json": [{"band": "x", "rate": float("nan")}, {"band": "y", "rows": 3}]},
    )
    run = store.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "näme / 'x'"
    assert run.data.params["penalty"] == "ridge"
    assert "login >= 0" in run.data.params.values()
    assert run.data.metrics["auc"] == 0.8
    assert 2.0 in run.data.metrics.values()
    assert not {"bad", "worse"} & set(run.data.metrics)
    assert run.data.tags["team"] == "növa"
    assert run.data.tags["ces.fingerprint"] == weight_set.fingerprint
    assert run.data.tags["ces.data_digest"] == "ab" * 32
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.digest == "ab" * 16
    assert json.loads(dataset.profile)["customers"] == 10
    read = lambda path: Path(store.client.download_artifacts(run_id, path)).read_bytes()  # noqa: E731
    assert read("card/weights.md").decode() == "# card ✓"
    assert read("figures/weights.png") == b"\x89PNG"
    assert json.loads(read("bands.json")) == {
        "columns": ["band", "rate", "rows"],
        "data": [["x", None, None], ["y", None, 3]],
    }


def test_values_too_long_for_mlflow_are_cut_and_kept_whole_in_an_artifact(
    store: Store, log, weight_set
) -> None:
    params, tags = {"exact": "e" * 6000, "rules": "p" * 6001}, {"note": "n" * 9000}
    run_id = log(weight_set, params=params, tags=tags)
    run = store.client.get_run(run_id)
    assert run.data.params["exact"] == params["exact"]
    assert len(run.data.params["rules"]) == 6000
    seal = hashlib.sha256(b"p" * 6001).hexdigest()[:16]
    assert run.data.params["rules"].endswith(
        f"(cut, sha256 {seal}, whole text in the artifact long_values.json)"
    )
    assert len(run.data.tags["note"]) == 8000
    path = store.client.download_artifacts(run_id, "long_values.json")
    kept = json.loads(Path(path).read_text(encoding="utf-8"))
    assert kept == {"params": {"rules": params["rules"]}, "tags": tags}


def test_more_values_than_one_request_takes_are_all_logged(
    store: Store, log, make_weight_set
) -> None:
    weight_set = make_weight_set(tuple(f"event {k}" for k in range(1100)))
    run_id = log(weight_set, params={f"p{k}": str(k) for k in range(230)})
    data = store.client.get_run(run_id).data
    ends = [k for k in data.metrics if k.startswith(("weight_low/", "weight_high/"))]
    assert len(data.metrics) - len(ends) == 1100
    assert len(ends) == 1100  # both ends of every other weight
    assert len(data.params) == 230


def test_logging_changes_no_global_setting_of_mlflow(
    tracker: Tracker, log, weight_set, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////elsewhere/other.db")
    monkeypatch.chdir(tmp_path)
    mlflow = mlflow_part()
    before = dict(os.environ), mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    tracker.promote(log(weight_set, register_as="churn"), "churn")
    tracker.load("models:/churn@champion")
    assert (dict(os.environ), mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == before
    assert mlflow.active_run() is None
    assert {p.name for p in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock", "mlartifacts"}


def test_the_info_of_a_run_says_where_to_look(tracker: Tracker, weight_set) -> None:
    info = tracker.log_run(weight_set, run_name="r", params={}, metrics={}, register_as="churn")
    assert (info.model_name, info.model_version, info.url) == ("churn", "1", None)
    assert info.ui_hint == f"ces-ml ui --store {tracker.store}"


def test_a_run_that_breaks_off_is_marked_failed_and_told_as_a_tracking_error(
    tracker: Tracker, store: Store, log, weight_set, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tracker_module, "log_files", full)
    with pytest.raises(TrackingError, match="disk of the tracking store is full") as caught:
        log(weight_set, run_name="broken")
    assert "No space left" in str(caught.value)
    runs = store.client.search_runs([store.experiment_id("tests")])
    assert [r.info.status for r in runs] == ["FAILED"]


def test_an_interrupted_run_is_marked_killed(
    store: Store, log, weight_set, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracker_module, "log_files", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log(weight_set)
    runs = store.client.search_runs([store.experiment_id("tests")])
    assert [r.info.status for r in runs] == ["KILLED"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../up.md", "a/../../up.md", "", "c:\\x"])
def test_artifacts_stay_below_the_run_s_folder(path: str, log, weight_set) -> None:
    with pytest.raises(TrackingError, match="not the path of an artifact"):
        log(weight_set, texts={path: "x"})


def test_promoting_registers_moves_the_alias_and_writes_the_history(
    tracker: Tracker, store: Store, log, make_weight_set
) -> None:
    first, second = (log(make_weight_set(shift=s)) for s in (0.0, 1.0))
    assert tracker.promote(first, "churn") == "1"
    assert tracker.promote(second, "churn", reason="better calibrated") == "2"
    assert tracker.load("models:/churn@champion") == make_weight_set(shift=1.0)
    tags = version_of(store, "churn", alias="champion").tags
    assert tags["promoted_from"] == "1"
    assert tags["promoted_because"] == "better calibrated"
    assert tags["promoted_at"].endswith("+00:00")
    assert tags["promoted_by"]
    assert tags["fingerprint"] == make_weight_set(shift=1.0).fingerprint
    assert version_of(store, "churn", number="1").tags["promoted_from"] == "none"


def test_promoting_a_registered_run_makes_no_second_version(tracker: Tracker, log, weight_set):
    run_id = log(weight_set, register_as="churn")
    assert tracker.promote(run_id, "churn") == "1"
    assert tracker.promote(run_id, "churn") == "1"
    assert tracker.promote(run_id, "churn", alias="challenger") == "1"
    assert tracker.load("models:/churn@challenger") == weight_set


@pytest.mark.parametrize("alias", ["latest", "v1", "prod 1", "", "2026.1"])
def test_an_alias_that_mlflow_refuses_is_refused_before_anything_happens(
    alias: str, tracker: Tracker, store: Store, log, weight_set
) -> None:
    run_id = log(weight_set)
    with pytest.raises(TrackingError, match="not an alias"):
        tracker.promote(run_id, "churn", alias=alias)
    assert not store.client.search_registered_models()


@pytest.mark.parametrize("name", ["a/b", "a:b", " ", "it's", "x@y", "two\nlines"])
def test_a_name_that_the_registry_can_t_hold_is_refused_before_anything_happens(
    name: str, store: Store, log, weight_set
) -> None:
    with pytest.raises(TrackingError, match="not a name for a registered weight set"):
        log(weight_set, register_as=name)
    assert not store.client.search_runs([store.experiment_id("tests")])


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("models:/chrun@champion", r"no registered weight set(.|\n)*did you mean 'churn'"),
        ("models:/churn@champoin", r"no such alias(.|\n)*did you mean 'champion'"),
        ("models:/churn/7", r"no such version(.|\n)*'1'"),
        ("0" * 32, "no run with this id"),
        ("models:/m-" + "0" * 32, "could not find the logged model"),
        ("churn@champion", r"not a reference(.|\n)*write models:/churn@champion"),
        ("models:/churn", "not a reference"),
        ("models:/churn/latest", "not a reference"),
        ("runs:/abc", "not a reference"),
        ("champion", "not a reference"),
        ("", "not a reference"),
    ],
)
def test_what_is_not_in_the_store_is_told_with_the_nearest(
    ref: str, message: str, tracker: Tracker, log, weight_set
) -> None:
    tracker.promote(log(weight_set), "churn")
    with pytest.raises(TrackingError, match=message):
        tracker.load(ref)


def test_a_run_id_with_a_slip_is_answered_with_the_nearest(tracker, log, weight_set) -> None:
    run_id = log(weight_set)
    wrong = run_id[:-1] + ("0" if run_id[-1] != "0" else "1")
    with pytest.raises(TrackingError, match=f"did you mean '{run_id}'"):
        tracker.load(wrong)


def test_a_run_without_a_weight_set_is_told(tracker: Tracker, store: Store) -> None:
    run = store.client.create_run(store.experiment_id("tests"))
    with pytest.raises(TrackingError, match="the run holds no weight set"):
        tracker.load(run.info.run_id)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightSetError, match="can't be read"):
        load_weight_set(tmp_path / "w.json")


def _payload(db: Path) -> Path:
    return next((db.parent / "mlartifacts" / "models").rglob("weights.json"))


def test_an_edited_weight_set_in_the_store_is_refused(
    tracker: Tracker, db: Path, log, weight_set
) -> None:
    run_id = log(weight_set)
    path = _payload(db)
    path.write_text(path.read_text().replace('"weight": 0.125', '"weight": 9.125'))
    with pytest.raises(WeightSetError, match="was changed after it was written"):
        tracker.load(run_id)


def test_a_replaced_weight_set_in_the_store_is_refused(
    tracker: Tracker, db: Path, log, make_weight_set
) -> None:
    run_id = log(make_weight_set(), register_as="churn")
    make_weight_set(shift=5.0).save(_payload(db))
    for ref in (run_id, "models:/churn/1"):
        with pytest.raises(TrackingError, match="not the one that was logged"):
            tracker.load(ref)


def test_a_store_whose_files_were_moved_away_is_explained(
    tracker: Tracker, db: Path, log, weight_set
) -> None:
    run_id = log(weight_set)
    (db.parent / "mlartifacts").rename(db.parent / "moved")
    with pytest.raises(TrackingError, match="not where the store says it is"):
        tracker.load(run_id)


def test_two_stores_are_used_side_by_side(
    template_db: Path, tmp_path: Path, make_weight_set
) -> None:
    trackers = []
    for name in ("a.db", "b.db"):
        (tmp_path / name).write_bytes(template_db.read_bytes())
        trackers.append(Tracker(tmp_path / name))
    for shift, tracker in enumerate(trackers):
        tracker.log_run(
            make_weight_set(shift=shift), run_name="r", params={}, metrics={}, register_as="churn"
        )
    for shift, tracker in enumerate(trackers):
        assert tracker.load("models:/churn/1") == make_weight_set(shift=shift)


def test_loading_from_a_store_draws_no_progress_bar_of_mlflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", raising=False)
    mlflow_part("mlflow")
    variables = mlflow_part("mlflow.environment_variables")
    assert not variables.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.get()
