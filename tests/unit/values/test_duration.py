from __future__ import annotations

import copy
import pickle
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import SpecError
from ces_ml.spec import Duration
from ces_ml.spec.duration import MOST_DAYS, UNITS


@pytest.mark.parametrize(
    ("text", "canonical", "us"),
    [
        ("1s", "1s", 1_000_000),
        ("60s", "1min", 60_000_000),
        ("90min", "90min", 5_400_000_000),
        ("24h", "1d", 86_400_000_000),
        ("36h", "36h", 129_600_000_000),
        ("2w", "14d", 1_209_600_000_000),
        ("0w", "0d", 0),
        (" 28 D ", "28d", 2_419_200_000_000),
        (timedelta(hours=48), "2d", 172_800_000_000),
        (Duration("7d"), "7d", 604_800_000_000),
    ],
)
def test_a_length_has_one_canonical_text(text, canonical: str, us: int) -> None:
    assert str(Duration(text)) == canonical
    assert Duration(text).us == us


def test_equal_lengths_are_equal_values_with_equal_hashes() -> None:
    assert len({Duration("1w"), Duration("7d"), Duration("168h")}) == 1


def test_days_are_of_24_hours() -> None:
    assert Duration("36h").days == 1.5


@pytest.mark.parametrize("again", [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
def test_a_copy_is_still_a_duration(again) -> None:
    back = again(Duration("3w"))
    assert type(back) is Duration
    assert back == Duration("21d")


@given(st.integers(0, MOST_DAYS * 86_400).map(lambda s: timedelta(seconds=s)))
def test_every_whole_number_of_seconds_survives_its_text(length: timedelta) -> None:
    duration = Duration(length)
    assert Duration(str(duration)) == duration
    assert duration.us == length // timedelta(microseconds=1)


@given(st.integers(0, 10**11 - 1), st.sampled_from(sorted(UNITS)))
def test_number_and_unit_mean_number_times_unit(number: int, unit: str) -> None:
    if number * UNITS[unit] <= MOST_DAYS * UNITS["d"]:
        assert Duration(f"{number}{unit}").us == number * UNITS[unit]
    else:
        with pytest.raises(SpecError, match="too long"):
            Duration(f"{number}{unit}")


@pytest.mark.parametrize(
    "value", ["", "d", "28", "28 x", "-3d", "1.5d", "3d3d", "1e3d", "28d\n; --", None, b"3d", []]
)
def test_what_is_not_a_number_with_a_unit_is_refused(value) -> None:
    with pytest.raises(SpecError, match=r"not a duration\n.*\n.*s, min, h, d, w\n.*28d"):
        Duration(value)


@pytest.mark.parametrize("value", [28, 28.0])
def test_a_bare_number_is_refused_with_the_unit_it_may_mean(value) -> None:
    with pytest.raises(SpecError, match="add the unit, for example 28"):
        Duration(value)


@pytest.mark.parametrize("value", ["3m", "3 months", "1y", "1 year", "2q", "3M"])
def test_months_and_years_are_refused_because_their_length_varies(value: str) -> None:
    with pytest.raises(SpecError, match="months and years have no fixed length: write 30d"):
        Duration(value)


@pytest.mark.parametrize("value", [timedelta(seconds=-1), timedelta(microseconds=5)])
def test_a_timedelta_that_is_negative_or_broken_is_refused(value: timedelta) -> None:
    with pytest.raises(SpecError, match="not a duration"):
        Duration(value)


@pytest.mark.parametrize("value", ["999999999w", "1000001d", timedelta(days=999_999_999)])
def test_a_length_past_all_logs_is_refused(value) -> None:
    with pytest.raises(SpecError, match=r"too long\n.*\n.*at most 1000000d"):
        Duration(value)
