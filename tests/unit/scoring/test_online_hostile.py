"""What must not pass into an online state, or break it: odd times, ids and bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ces_ml.errors import EventLogError, SpecError, WeightSetError
from ces_ml.scoring import OnlineScorer
from ces_ml.spec import Term

from .online_cases import weight_set

AT = "2025-01-05T10:00:00"
LONE = "\ud800"  # half of a character: JSON can hold it, UTF-8 can't


def online(**options: Any) -> OnlineScorer:
    return OnlineScorer(weight_set([Term(event="a", window="10d")]), "1d", **options)


@pytest.mark.parametrize("moment", [10**30, 1_736_071_200_000_000_000, -(10**18)])
def test_a_number_outside_the_calendar_is_no_moment(moment: int) -> None:
    mine = online()
    mine.update("x", "a", AT)
    for ask in (
        lambda: mine.update("x", "a", moment),
        lambda: mine.update("x", "a", AT, arrival=moment),
        lambda: mine.score("x", as_of=moment),
    ):
        with pytest.raises(SpecError, match="a moment lies outside the calendar"):
            ask()
    assert mine.counts(["x"], as_of="2025-01-06").tolist() == [[1.0]]


def test_an_id_that_is_missing_is_refused_and_leaves_no_trace() -> None:
    mine = online(dedupe="1d")
    for missing in (None, float("nan"), np.nan):
        with pytest.raises(EventLogError, match="an event has no id"):
            mine.update("x", "a", AT, event_id=missing)
    mine.update("x", "a", AT, event_id=1)
    assert mine.report["events"] == 1


@pytest.mark.parametrize("customer", [None, float("nan")])
def test_an_event_of_nobody_is_refused(customer: object) -> None:
    with pytest.raises(EventLogError, match="neither whose nor what"):
        online().update(customer, "a", AT)


def test_a_number_that_is_none_is_refused() -> None:
    terms = [Term(event="a", measure="sum", property="amount", where="size > 1", window="10d")]
    mine = OnlineScorer(weight_set(terms), "1d")
    for properties in (
        {"amount": np.datetime64("2025-01-01"), "size": 2},
        {"amount": 1, "size": 10**400},
    ):
        with pytest.raises(EventLogError, match=r"can't be (counted|compared)"):
            mine.update("x", "a", AT, properties)
    assert len(mine) == 0


def test_half_a_character_is_a_character_like_others(tmp_path: Path) -> None:
    terms = [Term(event="a", measure="distinct", property="shop", window="10d")]
    mine = OnlineScorer(weight_set(terms), "1d", dedupe="1d")
    for shop in (LONE, "\udfff", LONE):
        mine.update(LONE, "a", AT, {"shop": shop}, event_id=shop)
    assert mine.report["duplicates"] == 1
    for other in (OnlineScorer.load(mine.dump(tmp_path / "states"), mine.weight_set), mine):
        assert other.customers == [LONE]
        assert other.counts([LONE], as_of="2025-01-06").tolist() == [[2.0]]


@pytest.mark.parametrize("state", ["CES1 text", None, 5])
def test_a_state_that_is_no_bytes_is_refused(state: Any) -> None:
    with pytest.raises(WeightSetError, match="no state of an online scorer"):
        online().load_state("x", state)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "another customer": lambda d: d.replace(b"anna", b"anne"),
    "a number in place of a text": lambda d: d.replace(b"\x021", b"\x031"),
    "fewer customers": lambda d: d.replace(b'"customers": 2', b'"customers": 1'),
    "no number of customers": lambda d: d.replace(b'"customers": 2', b'"customers":{}'),
    "another granularity": lambda d: d.replace(b'"1d"', b'"?d"'),
    "more at its end": lambda d: d + bytes(12),
    "less at its end": lambda d: d[:-1],
    "nothing but its beginning": lambda d: d.partition(b"\n")[0] + b"\n",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_of_states_that_was_changed_is_refused(change: str, tmp_path: Path) -> None:
    mine = online()
    for customer in ("anna", "1"):
        mine.update(customer, "a", AT)
    path = mine.dump(tmp_path / "states")
    whole = path.read_bytes()
    changed = CHANGES[change](whole)
    assert changed != whole
    path.write_bytes(changed)
    with pytest.raises(WeightSetError, match=r"truncated or damaged|can't be read"):
        OnlineScorer.load(path, mine.weight_set)


def test_no_byte_of_a_file_of_states_may_change(tmp_path: Path) -> None:
    mine = online()
    mine.update("x", "a", AT)
    path = mine.dump(tmp_path / "states")
    whole = path.read_bytes()
    for k in range(len(whole)):
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 4]) + whole[k + 1 :])
        with pytest.raises(WeightSetError):
            OnlineScorer.load(path, mine.weight_set)


@pytest.mark.parametrize("seconds", [18_446_744_073_710, -18_446_744_073_710, 2**62])
def test_a_time_in_another_unit_does_not_wrap_around_into_the_calendar(seconds: int) -> None:
    weights = weight_set([Term(event="a", window="10d")], timestamp_unit="s")
    frame = pd.DataFrame({"customer_id": ["x"], "event_type": ["a"], "timestamp": [seconds]})
    with pytest.raises(EventLogError, match="lie outside the calendar"):
        OnlineScorer(weights, "1d").update_many(frame)
