from __future__ import annotations

from pathlib import Path

import pytest

from ces_ml.tracking import Tracker, experiment_links, open_store
from ces_ml.tracking.store import Store
from ces_ml.tracking.view import VIEW_TAG, _state_of, view_state


@pytest.fixture
def store(db: Path) -> Store:
    return open_store(db)


def kept(store: Store) -> str:
    return store.client.get_experiment(store.experiment_id("tests")).tags[VIEW_TAG]


def test_the_view_shows_main_metrics_the_verdict_and_the_largest_weights(make_weight_set) -> None:
    weight_set = make_weight_set(tuple(f"event {k}" for k in range(40)))
    metrics = {"brier": 0.1, "log_loss": 0.4, "roc_auc": 0.8, "lift_at_10": 2.0}
    state = view_state(weight_set, metrics, {"verdict": "beats counting"})
    assert state["orderByKey"] == "metrics.`roc_auc`"
    columns = state["selectedColumns"]
    assert columns[1:4] == ["metrics.`roc_auc`", "metrics.`log_loss`", "tags.`verdict`"]
    assert columns[4:] == [f"metrics.`weight/event {k}`" for k in range(39, 27, -1)]
    charts = [c for c in state["compareRunCharts"] if c["type"] == "BAR"]
    assert [c["metricKey"] for c in charts[:2]] == ["weight/event 39", "weight/event 38"]
    assert [c["metricKey"] for c in charts[-3:]] == ["roc_auc", "log_loss", "lift_at_10"]
    sections = {s["uuid"] for s in state["compareRunSections"]}
    assert {c["metricSectionId"] for c in state["compareRunCharts"]} == sections


def test_a_run_without_our_metrics_is_ordered_by_what_it_has(make_weight_set) -> None:
    state = view_state(make_weight_set(), {"mine": 1.0}, {})
    assert state["orderByKey"] == "metrics.`mine`"
    assert "tags.`verdict`" not in state["selectedColumns"]
    assert view_state(make_weight_set(), {}, {})["orderByKey"] == "attributes.start_time"


def test_logging_a_run_writes_the_view_of_the_newest_weights(
    store: Store, log, make_weight_set
) -> None:
    log(make_weight_set(("login", "view")))
    first = kept(store)
    log(make_weight_set(("login", "view"), shift=1.0))
    assert kept(store) == first  # the same columns: not written again
    log(make_weight_set(("buy",)))
    assert "metrics.`weight/buy`" in _state_of(kept(store))["selectedColumns"]


def test_a_view_of_very_many_hostile_weights_fits_into_the_tag(
    store: Store, log, make_weight_set
) -> None:
    log(make_weight_set(tuple(f"{k}" + "é" * 300 for k in range(500))))
    assert 0 < len(kept(store)) < 20_000


def test_a_view_that_was_written_by_something_else_is_replaced(
    store: Store, log, weight_set
) -> None:
    experiment = store.experiment_id("tests")
    store.client.set_experiment_tag(experiment, VIEW_TAG, "no JSON")
    log(weight_set)
    assert _state_of(kept(store)) is not None


def test_a_store_that_refuses_the_view_keeps_the_run(
    tracker: Tracker, weight_set, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object) -> None:
        raise RuntimeError("no views here")

    monkeypatch.setattr(tracker._open.client, "set_experiment_tag", refused)
    info = tracker.log_run(weight_set, run_name="r", params={}, metrics={})
    run = tracker._open.client.get_run(info.run_id)
    assert run.info.status == "FINISHED"
    assert tracker.load(info.run_id) == weight_set
    assert VIEW_TAG not in tracker._open.client.get_experiment(info.experiment_id).tags


def test_experiments_with_weights_are_linked_in_the_mode_for_models(
    store: Store, log, weight_set
) -> None:
    assert experiment_links("http://h:1", store.uri) == []
    log(weight_set)
    experiment = store.experiment_id("tests")
    assert experiment_links("http://h:1/", store.uri) == [
        (
            "tests",
            f"http://h:1/#/experiments/{experiment}/runs?workflowType=machine_learning"
            "&viewStateShareKey=ces-overview",
        )
    ]


def test_the_info_of_a_run_leads_to_its_experiment(tracker: Tracker, weight_set) -> None:
    info = tracker.log_run(weight_set, run_name="r", params={}, metrics={})
    page = info.experiment_page("http://127.0.0.1:5000")
    assert (("tests", page)) in experiment_links("http://127.0.0.1:5000", tracker.store)
