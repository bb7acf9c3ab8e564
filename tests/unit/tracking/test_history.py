"""The history of an alias is whole: every move, in order, with who and why, and the way back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import TrackingError
from ces_ml.tracking import Move, Tracker, alias_history, rollback
from ces_ml.tracking.gate import RuleResult
from ces_ml.tracking.history import HISTORY, held_before, moves_of, next_key
from ces_ml.tracking.registry import model_of_run, move_alias, version_of, versions_of
from ces_ml.tracking.store import Store, open_store
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

AT = "2025-01-01T00:00:00+00:00"


@pytest.fixture
def store(db: Path) -> Store:
    return open_store(db)


@pytest.fixture(scope="module")
def promoted(template_db: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store with three versions, each promoted in its turn; made once and copied."""
    db = Path(shutil.copy(template_db, tmp_path_factory.mktemp("promoted") / "mlflow.db"))
    tracker = Tracker(db, experiment="tests")
    runs = []
    for k in (1, 2, 3):
        given = {"run_name": "base", "params": {}, "metrics": {}}
        runs.append(tracker.log_run(simple(float(k)), **given).run_id)
        tracker.promote(runs[-1], "churn", reason=f"reason {k}")
    return db, runs


@pytest.fixture
def db(promoted: tuple[Path, list[str]], tmp_path: Path) -> Path:
    return Path(shutil.copy(promoted[0], tmp_path / "mlflow.db"))


@pytest.fixture
def three(promoted: tuple[Path, list[str]]) -> list[str]:
    return promoted[1]


def simple(weight: float) -> WeightSet:
    return WeightSet(
        name="churn",
        terms=(WeightedTerm(name="login", event="login", window="30d", weight=weight),),
        intercept=0.0,
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
    )


def told(tracker: Tracker, alias: str = "champion") -> list[tuple[str, str, str]]:
    moves = alias_history("churn", alias, tracker.store).moves
    return [(m.action, m.before, m.after) for m in moves]


def test_every_promotion_of_an_alias_is_kept_in_order(tracker: Tracker, three) -> None:
    tracker.promote(three[0], "churn", reason="the first was right")
    assert told(tracker) == [
        ("promote", "none", "1"),
        ("promote", "1", "2"),
        ("promote", "2", "3"),
        ("promote", "3", "1"),
    ]
    found = alias_history("churn", store=tracker.store)
    assert [m.because for m in found.moves[:2]] == ["reason 1", "reason 2"]
    assert found.moves[-1].because == "the first was right"
    assert all(m.by and m.at.endswith("+00:00") and m.fingerprint for m in found.moves)
    assert found.now == {"champion": "1"}
    assert found.moved_otherwise == ()


def test_the_same_promotion_twice_is_one_move(tracker: Tracker, three) -> None:
    tracker.promote(three[2], "churn")
    assert len(told(tracker)) == 3


def test_two_rollbacks_go_two_steps_back_and_a_third_says_there_is_none(
    tracker: Tracker, store: Store, three
) -> None:
    for expected in ("2", "1"):
        move = rollback("churn", reason="wrong scores", store=tracker.store)
        assert move.after == expected
        assert str(version_of(store, "churn", alias="champion").version) == expected
    with pytest.raises(TrackingError, match="there is no version before") as refused:
        rollback("churn", reason="again", store=tracker.store)
    assert "5 moves" in refused.value.got
    assert "'churn' is back at its first champion" in refused.value.problem
    assert refused.value.allowed == "with --to, one of these versions: 2, 3"
    assert "--to 3" in refused.value.hint
    assert told(tracker)[3:] == [("rollback", "3", "2"), ("rollback", "2", "1")]
    assert version_of(store, "churn", alias="champion").tags["ces.fingerprint"] == (
        alias_history("churn", store=tracker.store).moves[-1].fingerprint
    )


def test_a_promotion_after_a_rollback_goes_back_to_where_it_came_from(
    tracker: Tracker, three
) -> None:
    rollback("churn", reason="wrong", store=tracker.store)
    tracker.promote(three[2], "churn", reason="mended")
    assert rollback("churn", reason="wrong again", store=tracker.store).after == "2"


def test_a_rollback_may_name_a_version_that_held_the_alias_and_no_other(
    tracker: Tracker, store: Store, three, log
) -> None:
    log(simple(9.0), register_as="churn")
    with pytest.raises(TrackingError, match="version 4 of 'churn' never was the champion"):
        rollback("churn", to="4", reason="past the gate", store=tracker.store)
    assert rollback("churn", to="1", reason="the oldest", store=tracker.store).before == "3"
    assert rollback("churn", to="1", reason="the oldest", store=tracker.store) is None
    assert len(told(tracker)) == 4
    store.client.delete_model_version("churn", "2")
    with pytest.raises(TrackingError, match="version 2 of 'churn' was deleted") as refused:
        rollback("churn", to="2", reason="x", store=tracker.store)
    assert "one of these versions: 3" in refused.value.allowed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "chrn"}, "no registered weight set with this name"),
        ({"alias": "champin"}, "'churn' has no such alias"),
        ({"alias": "latest"}, "not an alias"),
        ({"reason": "  "}, "a rollback without a reason"),
    ],
)
def test_a_rollback_of_what_is_not_there_is_refused(tracker, three, given, message) -> None:
    with pytest.raises(TrackingError, match=message):
        rollback(**{"name": "churn", "reason": "x", "store": tracker.store, **given})


def test_aliases_have_histories_of_their_own(tracker: Tracker, three) -> None:
    tracker.promote(three[0], "churn", alias="challenger")
    assert told(tracker, "challenger") == [("promote", "none", "1")]
    assert len(alias_history("churn", store=tracker.store).moves) == 4
    with pytest.raises(TrackingError, match="'churn' has never had such an alias") as refused:
        alias_history("churn", "champin", tracker.store)
    assert "did you mean 'champion'" in refused.value.allowed
    with pytest.raises(TrackingError, match="'churn' has had one challenger only"):
        rollback("churn", "challenger", reason="x", store=tracker.store)


def test_an_alias_that_was_moved_by_other_means_is_named_and_can_be_rolled_back(
    tracker: Tracker, store: Store, three
) -> None:
    store.client.set_registered_model_alias("churn", "champion", "1")
    assert alias_history("churn", store=tracker.store).moved_otherwise == ("champion",)
    move = rollback("churn", reason="somebody clicked", store=tracker.store)
    assert (move.before, move.after) == ("1", "3")
    assert alias_history("churn", store=tracker.store).moved_otherwise == ()


def test_promotions_of_before_there_was_a_history_are_read_from_the_versions(
    tracker: Tracker, store: Store, three
) -> None:
    model = store.client.get_registered_model("churn")
    for key in [k for k in model.tags if k.startswith(HISTORY)]:
        store.client.delete_registered_model_tag("churn", key)
    assert told(tracker) == [("promote", "none", "1"), ("promote", "1", "2"), ("promote", "2", "3")]
    assert rollback("churn", reason="still works", store=tracker.store).after == "2"


def test_rules_and_an_override_are_kept_with_the_version_and_in_the_history(
    tracker: Tracker, store: Store, log
) -> None:
    rules = (
        RuleResult("verdict", "beats counting", "no\n<better>", False),
        RuleResult("export_parity", "all", "x" * 5000, True),
    )
    model = model_of_run(store, log(simple(1.0)))
    beside = {"override_because": "a pilot 😀", "override_by": "ana", "override_at": AT}
    move_alias(store, model, "other", "champion", None, beside, rules)
    tags = version_of(store, "other", alias="champion").tags
    assert tags["gate"] == "overridden"
    kept = json.loads(tags["gate_rules"])
    assert kept[0] == rules[0].as_dict()
    assert kept[1]["found"] == "x" * 1000
    [move] = alias_history("other", store=tracker.store).moves
    assert (move.gate, move.failed, move.override) == ("overridden", ("verdict",), "a pilot 😀")


def test_a_move_that_the_store_refuses_leaves_no_trace_in_the_history(
    tracker: Tracker, store: Store, three, log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError("disk is full")

    client = type(store.client)
    run_id = log(simple(7.0))
    monkeypatch.setattr(client, "set_registered_model_alias", refuse)
    with pytest.raises(TrackingError, match="the disk of the tracking store is full"):
        tracker.promote(run_id, "churn")
    monkeypatch.undo()
    found = alias_history("churn", store=tracker.store)
    tags = store.client.get_registered_model("churn").tags
    assert len([k for k in tags if k.startswith(HISTORY)]) == 3
    assert len(found.moves) == 3
    assert found.moved_otherwise == ()
    assert found.now == {"champion": "3"}
    [version] = [v for v in versions_of(store, "churn") if str(v.version) == "4"]
    assert not [tag for tag in version.tags if tag.startswith("promoted_")]


def test_a_move_whose_answer_was_lost_on_the_way_is_kept_in_the_history(
    tracker: Tracker, store: Store, three, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = type(store.client)
    move = client.set_registered_model_alias

    def move_and_fail(*args: object) -> None:
        move(*args)
        raise OSError("Connection reset by peer")

    monkeypatch.setattr(client, "set_registered_model_alias", move_and_fail)
    assert tracker.promote(three[0], "churn", reason="the oldest") == "1"
    found = alias_history("churn", store=tracker.store)
    assert (found.now, found.moved_otherwise) == ({"champion": "1"}, ())
    assert (found.moves[-1].after, found.moves[-1].because) == ("1", "the oldest")


def test_a_refused_move_leaves_the_tags_of_the_promotion_before(
    tracker: Tracker, store: Store, three, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError("disk is full")

    [before] = [v.tags for v in versions_of(store, "churn") if str(v.version) == "1"]
    monkeypatch.setattr(type(store.client), "set_registered_model_alias", refuse)
    with pytest.raises(TrackingError, match="the disk of the tracking store is full"):
        tracker.promote(three[0], "churn", reason="another reason")
    monkeypatch.undo()
    [after] = [v.tags for v in versions_of(store, "churn") if str(v.version) == "1"]
    assert after == before


def test_the_override_of_an_earlier_promotion_is_not_said_of_a_later_one(store: Store, log) -> None:
    model = model_of_run(store, log(simple(1.0)))
    failed = (RuleResult("verdict", "beats counting", "no", False),)
    beside = {"override_because": "a pilot", "override_by": "ana", "override_at": AT}
    move_alias(store, model, "other", "challenger", None, beside, failed)
    move_alias(store, model, "other", "champion", "it has proved itself")
    tags = version_of(store, "other", alias="champion").tags
    assert tags["promoted_to"] == "champion"
    assert not {"override_because", "override_by", "override_at", "gate", "gate_rules"} & set(tags)
    moves = alias_history("other", store=store.uri).moves
    assert [(m.alias, m.override) for m in moves] == [("challenger", "a pilot"), ("champion", "")]


def test_a_version_that_was_registered_on_mlflow_s_page_is_promoted_and_not_made_again(
    tracker: Tracker, store: Store, log
) -> None:
    run_id = log(simple(1.0))
    model = model_of_run(store, run_id)
    store.client.create_registered_model("by hand")
    store.client.create_model_version("by hand", model.artifact_location, run_id)
    assert tracker.promote(run_id, "by hand") == "1"
    assert len(versions_of(store, "by hand")) == 1


@given(
    st.text(max_size=20000), st.text(max_size=6000), st.lists(st.text(max_size=200), max_size=50)
)
def test_a_move_is_never_longer_than_a_tag_of_postgresql(because, override, failed) -> None:
    move = Move(AT, "champion", "promote", "1", "2", "me", because, override, tuple(failed), "x")
    text = move.to_json()
    assert len(text) <= 5000
    assert json.loads(text)["to"] == "2"


@pytest.mark.parametrize("noise", ["", "{}", "[]", "null", '{"at": "yesterday"}', "{" * 2000, "\0"])
def test_other_things_in_the_tags_are_passed_over(noise: str) -> None:
    class Model:
        tags = {HISTORY + "x": noise, "other": "y"}  # noqa: RUF012

    assert moves_of(Model, []) == []


def test_a_later_move_has_a_later_key_even_when_the_clock_goes_back() -> None:
    class Model:
        tags = {HISTORY + "29991231T235959.999999Z-abcdef": "{}"}  # noqa: RUF012

    key, at = next_key(Model)
    assert key > next(iter(Model.tags))
    assert at == "3000-01-01T00:00:00+00:00"


def test_the_version_before_is_found_through_any_sequence_of_moves() -> None:
    def moves(*steps: str) -> list[Move]:
        found, now = [], "none"
        for step in steps:
            action = "rollback" if step.startswith("<") else "promote"
            to = step.removeprefix("<")
            found.append(Move(AT, "champion", action, now, to, "me"))
            now = to
        return found

    assert held_before(moves("1"), "1") == []
    assert held_before(moves("1", "2", "1"), "1") == ["2"]
    assert held_before(moves("1", "2", "1", "3", "<1"), "1") == ["2"]
    assert held_before(moves("1", "2", "3", "<2", "4"), "4") == ["1", "2"]
    assert held_before(moves("1", "2", "3", "<1"), "1") == []
    assert held_before([], "7") == []
