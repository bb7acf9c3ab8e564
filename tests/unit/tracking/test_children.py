from __future__ import annotations

import json
from pathlib import Path

import pytest

from ces_ml.errors import TrackingError
from ces_ml.tracking import ChildRun, Tracker, grouped, metric_keys, open_store
from ces_ml.tracking import tracker as tracker_module
from ces_ml.tracking.store import Store


@pytest.fixture
def store(db: Path) -> Store:
    return open_store(db)


def below(store: Store, run_id: str) -> list:
    experiment = store.experiment_id("tests")
    found = store.client.search_runs(
        [experiment], f"tags.mlflow.parentRunId = '{run_id}'", order_by=["attributes.start_time"]
    )
    return list(found)


def test_what_was_tried_stands_below_the_run_with_its_numbers(
    tracker: Tracker, store: Store, weight_set
) -> None:
    tried = [
        ChildRun(
            name=f"alpha {k} / 'x'",
            kind="alpha",
            params={"alpha": str(k), "note": "n" * 7000},
            metrics={"log_loss": k / 10, "bad": float("nan"), "odd@name": 1.0},
            weights=dict.fromkeys(weight_set.names, float(k)),
        )
        for k in (1, 2)
    ]
    info = tracker.log_run(weight_set, run_name="r", params={}, metrics={}, children=tried)
    children = [store.client.get_run(run_id) for run_id in info.children]
    assert {c.info.run_id for c in below(store, info.run_id)} == set(info.children)
    assert [c.info.run_name for c in children] == ["alpha 1 / 'x'", "alpha 2 / 'x'"]
    assert {c.info.status for c in children} == {"FINISHED"}
    keys = metric_keys(weight_set.names)
    for k, child in enumerate(children, start=1):
        assert child.data.params["alpha"] == str(k)
        assert len(child.data.params["note"]) == 6000
        assert "(cut, sha256 " in child.data.params["note"]
        assert child.data.metrics["log_loss"] == k / 10
        assert "bad" not in child.data.metrics
        assert {child.data.metrics[keys[n]] for n in weight_set.names} == {float(k)}
        assert child.data.tags["ces.kind"] == "alpha"
        assert "ces.fingerprint" not in child.data.tags
    with pytest.raises(TrackingError, match="the run holds no weight set"):
        tracker.load(info.children[0])


def test_a_child_with_more_weights_than_a_request_takes_is_logged_whole(
    tracker: Tracker, store: Store, weight_set
) -> None:
    weights = {f"event {k}": float(k) for k in range(2100)}
    child = ChildRun(name="all", kind="fold", params={"p": "1"}, weights=weights)
    info = tracker.log_run(weight_set, run_name="r", params={}, metrics={}, children=[child])
    metrics = store.client.get_run(info.children[0]).data.metrics
    assert metrics == {f"weight/{name}": value for name, value in weights.items()}


def test_runs_of_one_experiment_stand_below_one_run(
    tracker: Tracker, store: Store, db: Path, make_weight_set
) -> None:
    alone = Tracker(db, experiment="elsewhere")
    trackers = [tracker, alone, tracker]
    with grouped(trackers, ["a", "b", "c"]) as parents:
        assert parents[1] is None
        for one, parent in zip(trackers, parents, strict=True):
            one.log_run(
                make_weight_set(), run_name="r", params={}, metrics={}, parent_run_id=parent
            )
    assert parents[0] == parents[2] is not None
    group = store.client.get_run(parents[0])
    assert group.info.run_name == "a, c"
    assert group.info.status == "FINISHED"
    assert group.data.tags["ces.kind"] == "group"
    assert len(below(store, parents[0])) == 2


def test_many_runs_are_counted_in_the_name_of_their_group(tracker: Tracker, store: Store) -> None:
    with grouped([tracker] * 5, list("abcde")) as parents:
        pass
    assert store.client.get_run(parents[0]).info.run_name == "a, b, c and 2 more"


def test_without_a_group_the_runs_are_logged_all_the_same(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **options: object) -> None:
        raise TrackingError("full", got="x", allowed="y", hint="z")

    monkeypatch.setattr(tracker_module.Tracker, "group", refused)
    with grouped([tracker, tracker], ["a", "b"]) as parents:
        assert parents == [None, None]


def test_a_group_whose_block_breaks_off_is_marked_failed(tracker: Tracker, store: Store) -> None:
    with pytest.raises(KeyError), tracker.group("g", {"note": "n"}) as parent:
        raise KeyError("x")
    run = store.client.get_run(parent)
    assert run.info.status == "FAILED"
    assert run.data.tags["note"] == "n"


def test_fits_without_a_weight_set_of_their_own_get_a_run_to_stand_below(
    tracker: Tracker, store: Store
) -> None:
    tried = [ChildRun(name="fold 1", kind="backtest", weights={"login": 1.0})]
    run_id = tracker.log_tried(
        "backtest", tried, metrics={"worst": 0.6}, tables={"folds.json": [{"fold": 1}]}
    )
    run = store.client.get_run(run_id)
    assert run.data.metrics == {"worst": 0.6}
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "folds.json", "type": "table"}
    ]
    table = json.loads(Path(store.client.download_artifacts(run_id, "folds.json")).read_text())
    assert table == {"columns": ["fold"], "data": [[1]]}
    (child,) = below(store, run_id)
    assert child.data.metrics == {"weight/login": 1.0}


def test_a_group_whose_end_can_t_be_written_is_told_in_words(
    tracker: Tracker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(store.client), "set_terminated", refuse)
    group = tracker.group("several")
    with pytest.raises(TrackingError, match="the disk of the tracking store is full"), group:
        pass


def test_a_group_that_can_t_be_ended_costs_nothing_that_stands_below(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    full = pytest.raises(TrackingError, match="disk of the tracking store is full")
    with full, tracker.group("alone") as parent:
        monkeypatch.setattr(type(open_store(tracker.store).client), "set_terminated", refused)
    with grouped([tracker, tracker], ["a", "b"]) as parents:
        assert parents[0] == parents[1] != parent


def test_an_error_below_a_group_goes_on_to_the_caller(tracker: Tracker) -> None:
    with pytest.raises(TrackingError, match="mine"), grouped([tracker] * 2, ["a", "b"]):
        raise TrackingError("mine", got="x", allowed="y", hint="z")
