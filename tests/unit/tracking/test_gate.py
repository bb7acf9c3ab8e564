"""Weights that do not beat counting are promoted on a person's word only, which is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from ces_ml.errors import TrackingError
from ces_ml.tracking import Tracker
from ces_ml.tracking.registry import version_of
from ces_ml.tracking.store import Store, open_store
from ces_ml.weights import Verdict

KINDS = ("no_better", "worse", "too_few")


@pytest.fixture
def store(db: Path) -> Store:
    return open_store(db)


def judged(weight_set, kind: str):
    verdict = Verdict(kind=kind, words=f"found {kind}", against="total_count", rarer=50)
    return weight_set.model_copy(update={"verdict": verdict})


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_do_not_beat_counting_are_refused_and_nothing_is_registered(
    kind: str, tracker: Tracker, store: Store, log, weight_set
) -> None:
    run_id = log(judged(weight_set, kind))
    with pytest.raises(TrackingError, match="not found to beat counting") as refused:
        tracker.promote(run_id, "churn")
    assert f"found {kind}" in refused.value.got
    assert "override" in refused.value.allowed
    assert "--override" in refused.value.hint
    assert not store.client.search_registered_models()


def test_an_override_is_kept_with_who_why_and_when(
    tracker: Tracker, store: Store, log, weight_set
) -> None:
    run_id = log(judged(weight_set, "no_better"))
    assert tracker.promote(run_id, "churn", override="a pilot with one team") == "1"
    tags = version_of(store, "churn", alias="champion").tags
    assert tags["verdict"] == "found no_better"
    assert tags["override_because"] == "a pilot with one team"
    assert tags["override_by"] == tags["promoted_by"]
    assert tags["override_at"].endswith("+00:00")


@pytest.mark.parametrize("override", [None, "not needed"])
def test_weights_that_beat_counting_need_no_override(
    override: str | None, tracker: Tracker, store: Store, log, weight_set
) -> None:
    run_id = log(judged(weight_set, "better"))
    assert tracker.promote(run_id, "churn", override=override) == "1"
    tags = version_of(store, "churn", alias="champion").tags
    assert tags["verdict"] == "found better"
    assert "override_because" not in tags


def test_a_weight_set_of_before_there_were_verdicts_is_promoted(
    tracker: Tracker, store: Store, log, weight_set
) -> None:
    assert weight_set.verdict is None
    assert tracker.promote(log(weight_set), "churn") == "1"
    assert "verdict" not in version_of(store, "churn", alias="champion").tags


def test_an_override_without_a_reason_is_refused(tracker: Tracker, log, weight_set) -> None:
    run_id = log(judged(weight_set, "worse"))
    with pytest.raises(TrackingError, match="an override without a reason"):
        tracker.promote(run_id, "churn", override="  ")
