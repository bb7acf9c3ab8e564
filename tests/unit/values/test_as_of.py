from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ces_ml.errors import SpecError
from ces_ml.spec import AsOfAnchor, AsOfDates, Duration, parse_as_of, parse_moment
from ces_ml.spec.as_of import to_us

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2024-01-01",
        " 2024-01-01T00:00:00Z ",
        "2024-01-01T02:00:00+02:00",
        "2023-12-31 19:00:00-05:00",
        date(2024, 1, 1),
        datetime(2024, 1, 1),
        datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        pd.Timestamp("2024-01-01"),
        pd.Timestamp("2024-01-01 09:00", tz="Asia/Tokyo"),
    ],
)
def test_a_moment_is_utc_whatever_it_was_written_in(value) -> None:
    moment = parse_moment(value)
    assert moment == NEW_YEAR
    assert moment.tzinfo is UTC
    assert type(moment) is datetime


@pytest.mark.parametrize(
    "value",
    [
        *("", "soon", "2024-13-01", "2024-02-30", "01/02/2024"),
        *(20240101, None, pd.NaT, b"2024-01-01"),
        *("0001-01-01T00:00:00+05:00", "9999-12-31T23:00:00-05:00"),
    ],
)
def test_what_is_not_a_moment_is_refused(value) -> None:
    with pytest.raises(SpecError, match=r"not a moment in time\n.*\n.*ISO 8601"):
        parse_moment(value)


def test_microseconds_count_from_1970_and_may_be_negative() -> None:
    assert to_us(datetime(1970, 1, 2, tzinfo=UTC)) == 86_400_000_000
    assert to_us(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000_000


def test_dates_are_sorted_and_repeats_dropped() -> None:
    rule = parse_as_of(["2024-02-01", date(2024, 1, 1), "2024-01-31T23:00:00-01:00"])
    assert rule.moments == (NEW_YEAR, datetime(2024, 2, 1, tzinfo=UTC))


def test_a_single_date_is_a_list_of_one() -> None:
    for value in ("2024-01-01", date(2024, 1, 1), NEW_YEAR):
        assert parse_as_of(value).moments == (NEW_YEAR,)


def test_a_rule_that_is_already_read_stays_as_it_is() -> None:
    rule = parse_as_of("3d after signup")
    assert parse_as_of(rule) is rule


def test_a_calendar_holds_both_ends_and_its_step() -> None:
    rule = parse_as_of("every 1w from 2024-01-01 to 2024-01-15")
    assert [m.day for m in rule.moments] == [1, 8, 15]
    assert str(rule) == "every 7d from 2024-01-01 to 2024-01-15"


def test_a_calendar_stops_before_an_end_between_steps() -> None:
    assert len(parse_as_of("EVERY 7d FROM 2024-01-01 TO 2024-01-14T23:59:59").moments) == 2


def test_a_calendar_from_a_moment_to_itself_holds_it() -> None:
    assert parse_as_of("every 7d from 2024-01-01 to 2024-01-01").moments == (NEW_YEAR,)


@pytest.mark.parametrize(
    "text",
    [
        "every 7d from 2024-02-01 to 2024-01-01",
        "every 0d from 2024-01-01 to 2024-02-01",
        "every 1s from 2024-01-01 to 2024-02-01",
    ],
)
def test_an_empty_or_endless_calendar_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"empty or endless\n.*\n.*at most 10,000 dates"):
        parse_as_of(text)


def test_an_empty_list_of_dates_is_refused() -> None:
    with pytest.raises(SpecError, match="no as_of moment is given"):
        parse_as_of([])


@pytest.mark.parametrize("text", ["7d after", "after signup", "every 7d", "7d before signup"])
def test_half_a_rule_is_refused_with_examples_of_whole_ones(text: str) -> None:
    with pytest.raises(SpecError, match="also takes 'every 28d from DATE to DATE' and '14d after"):
        parse_as_of(text)


@pytest.mark.parametrize("text", ["7 months after signup", "3m after signup"])
def test_an_anchor_in_months_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_as_of(text)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("14d after trial_started", "trial_started"),
        ("14d AFTER trial started", "trial started"),
        ('14d after "trial \\"A\\""', 'trial "A"'),
        ('14d after ""', ""),
        ("14d after after", "after"),
    ],
)
def test_an_anchor_is_a_duration_after_an_event(text: str, event: str) -> None:
    assert parse_as_of(text) == AsOfAnchor(Duration("14d"), event)


def test_every_hostile_event_can_be_an_anchor(hostile: str) -> None:
    rule = AsOfAnchor(Duration("7d"), hostile)
    assert parse_as_of(str(rule)) == rule


@given(st.text(), st.integers(0, 10**6).map(lambda s: Duration(timedelta(seconds=s))))
@example('"', Duration("1d"))
@example("\\", Duration("1d"))
@example("\x85", Duration("1d"))
def test_every_anchor_survives_its_text(event: str, after: Duration) -> None:
    rule = AsOfAnchor(after, event)
    assert parse_as_of(str(rule)) == rule


@given(st.lists(st.datetimes(), min_size=1, max_size=5))
def test_every_list_of_dates_survives_its_text(moments: list[datetime]) -> None:
    rule = parse_as_of(moments)
    assert isinstance(rule, AsOfDates)
    assert parse_as_of(str(rule)) == rule


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), st.integers(1, 500))
def test_every_calendar_survives_its_text(start: datetime, steps: int) -> None:
    end = start + timedelta(hours=5 * steps)
    rule = parse_as_of(f"every 5h from {start.isoformat()} to {end.isoformat()}")
    assert len(rule.moments) == steps + 1
    assert parse_as_of(str(rule)) == rule
