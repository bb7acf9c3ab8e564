"""Times that SQLite holds as text are the moments that they state, however ISO 8601 is spelt."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from ces_ml.exporters.sql import DIALECTS

TEN = datetime(2025, 1, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("clock", ["10:00", "10:00:00", "10:00:00.5", "10:00:00.123456789"])
@pytest.mark.parametrize(
    ("zone", "minutes"),
    [
        ("", 0),
        ("Z", 0),
        ("z", 0),
        (" UTC", 0),
        ("+00:00", 0),
        ("+02:00", 120),
        ("-0330", -210),
        ("+05", 300),
        (" +02:00", 120),
    ],
)
@pytest.mark.parametrize("between", ["T", " "])
def test_a_time_as_text_is_the_moment_that_it_states(
    clock: str, zone: str, minutes: int, between: str
) -> None:
    text = f"2025-01-01{between}{clock}{zone}"
    micro = int((clock.partition(".")[2] + "000000")[:6])
    wanted = TEN + timedelta(microseconds=micro) - timedelta(minutes=minutes)
    assert asked(text) == (wanted - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_a_date_is_its_midnight_and_what_is_no_time_is_none() -> None:
    assert asked("2025-01-01") == 1_735_689_600_000_000
    assert asked("1969-12-31T23:59:59.9Z") == -100_000
    assert asked("soon") is None
    assert asked(None) is None


def asked(text: str | None) -> int | None:
    words = DIALECTS["sqlite"].times["text"].format("t")
    with closing(sqlite3.connect(":memory:")) as con:
        return con.execute(f"SELECT {words} FROM (SELECT ? AS t)", (text,)).fetchone()[0]
