"""Every time becomes integer UTC microseconds, rounded down, whatever it was written in."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.features import LogProfile, build_counts, open_engine
from ces_ml.spec import CountSpec
from ces_ml.spec.as_of import to_us

from .engines import ENGINES

NEW_YORK = ZoneInfo("America/New_York")


def profile(times: Any, engine: str = "duckdb") -> LogProfile:
    """What an engine makes of a column of times."""
    table = {"customer_id": ["a"] * len(times), "event_type": ["x"] * len(times)}
    if isinstance(times, pa.Array):
        log: Any = pa.table({**table, "timestamp": times})
    else:
        log = pd.DataFrame({**table, "timestamp": times})
    with open_engine(log, engine=engine) as opened:
        return opened.profile()


def utc(*parts: int) -> int:
    return to_us(datetime(*parts, tzinfo=UTC))  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "us", "naive"),
    [
        ("2024-02-29", utc(2024, 2, 29), True),
        ("2024-02-29 23:59:59.999999", utc(2024, 2, 29, 23, 59, 59, 999_999), True),
        ("2024-01-05 ", utc(2024, 1, 5), True),
        ("2024-01-05T10:00", utc(2024, 1, 5, 10), True),
        ("2024-01-05T10:00:00Z", utc(2024, 1, 5, 10), False),
        ("2024-01-05 10:00:00+02", utc(2024, 1, 5, 8), False),
        ("2024-01-05T10:00:00+02:00", utc(2024, 1, 5, 8), False),
        ("2024-01-05T10:00:00.25-0530", utc(2024, 1, 5, 15, 30, 0, 250_000), False),
        ("2024-01-05 10:00:00 UTC", utc(2024, 1, 5, 10), False),
        ("2024-01-05 10:00:00 EST", utc(2024, 1, 5, 15), False),
        ("2024-01-05 10:00:00 Etc/GMT+5", utc(2024, 1, 5, 15), False),
        ("2024-07-05 10:00:00 America/New_York", utc(2024, 7, 5, 14), False),
        ("1969-12-31T23:59:59.999999", -1, True),
        ("2024-01-05T00:00:00.0000009", utc(2024, 1, 5), True),
        ("1969-12-31T23:59:59.9999999Z", -1, False),
    ],
)
def test_iso_text_is_read_with_and_without_a_zone(
    engine: str, text: str, us: int, naive: bool
) -> None:
    found = profile([text], engine)
    assert (found.first_us, found.naive) == (us, naive)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("value", "us", "naive"),
    [
        (date(2024, 2, 29), utc(2024, 2, 29), True),
        (datetime(2024, 1, 5, 10), utc(2024, 1, 5, 10), True),
        (datetime(2024, 1, 5, 10, tzinfo=timezone(timedelta(hours=2))), utc(2024, 1, 5, 8), False),
        # The hour that New York lives twice, and the one it skips.
        (datetime(2024, 11, 3, 1, 30, tzinfo=NEW_YORK), utc(2024, 11, 3, 5, 30), False),
        (datetime(2024, 11, 3, 1, 30, fold=1, tzinfo=NEW_YORK), utc(2024, 11, 3, 6, 30), False),
        (datetime(2024, 3, 10, 3, tzinfo=NEW_YORK), utc(2024, 3, 10, 7), False),
    ],
)
def test_python_dates_and_times_are_read(engine: str, value: date, us: int, naive: bool) -> None:
    found = profile(pd.Series([value], dtype=object), engine)
    assert (found.first_us, found.naive) == (us, naive)


@pytest.mark.parametrize("engine", ENGINES)
def test_python_times_of_several_zones_are_converted(engine: str) -> None:
    here, there = datetime(2024, 1, 5, tzinfo=UTC), datetime(2024, 1, 5, tzinfo=NEW_YORK)
    found = profile(pd.Series([here, there], dtype=object), engine)
    assert (found.first_us, found.last_us) == (utc(2024, 1, 5), utc(2024, 1, 5, 5))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("zone", [None, "UTC", "+02:00", "America/New_York"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_every_unit_and_zone_are_instants(
    engine: str, unit: str, zone: str | None
) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    times = pa.array([-3 * per_second, 5 * per_second], pa.timestamp(unit, zone))
    found = profile(times, engine)
    assert (found.first_us, found.last_us) == (-3_000_000, 5_000_000)
    assert found.naive is (zone is None)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("days", [pa.date32(), pa.date64()])
def test_a_column_of_dates_is_midnight_utc(engine: str, days: pa.DataType) -> None:
    found = profile(pa.array([date(2024, 2, 29)], days), engine)
    assert (found.first_us, found.naive) == (utc(2024, 2, 29), True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("zone", [None, "UTC"])
@settings(max_examples=10, deadline=None)
@given(ns=st.integers(-(10**15), 10**18) | st.integers(-3_000, 3_000))
def test_nanoseconds_are_rounded_down_never_to_a_later_microsecond(
    engine: str, zone: str | None, ns: int
) -> None:
    assert profile(pa.array([ns], pa.timestamp("ns", zone)), engine).first_us == ns // 1000


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_nanoseconds_in_parquet_are_rounded_down_too(tmp_path: Path, zone: str | None) -> None:
    path = tmp_path / "log.parquet"
    times = pa.array([-1, 1999], pa.timestamp("ns", zone))
    pq.write_table(
        pa.table({"customer_id": [1, 1], "event_type": ["x"] * 2, "timestamp": times}), path
    )
    with open_engine(path) as engine:
        found = engine.profile()
    assert (found.first_us, found.last_us) == (-1, 1)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_event_a_nanosecond_before_as_of_counts_and_one_at_as_of_does_not(engine: str) -> None:
    as_of = 1_704_067_200 * 10**9
    log = pa.table(
        {
            "customer_id": ["before", "before", "at", "at", "later"],
            "event_type": ["x"] * 5,
            "timestamp": pa.array(
                [as_of - 10**9, as_of - 1, as_of - 10**9, as_of, as_of + 10**9], pa.timestamp("ns")
            ),
        }
    )
    table = build_counts(log, CountSpec.of(["x"], window="1h"), as_of="2024-01-01", engine=engine)
    assert table.to_pandas().set_index("customer_id")["x"].to_dict() == {"at": 1, "before": 2}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_window_is_so_many_hours_whatever_the_clocks_do(engine: str) -> None:
    # New York's night of 2024-03-10 has 23 hours: 24 h before noon there is 11:00 the day before.
    noon = datetime(2024, 3, 10, 12, tzinfo=NEW_YORK)
    times = [
        noon.astimezone(UTC) - timedelta(hours=24),
        noon.astimezone(UTC) - timedelta(hours=24, microseconds=1),
        noon,
    ]
    log = pd.DataFrame({"customer_id": 1, "event_type": "x", "timestamp": times})
    table = build_counts(log, CountSpec.of(["x"], window="24h"), as_of=noon, engine=engine)
    assert table.X.toarray().tolist() == [[1]]


@pytest.mark.parametrize("engine", ENGINES)
def test_active_days_are_days_of_utc(engine: str) -> None:
    # One evening in New York, two days in UTC; and both sides of 1970.
    evening = [datetime(2024, 1, 5, h, tzinfo=NEW_YORK) for h in (18, 20)]
    epoch = [datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    log = pd.DataFrame({"customer_id": 1, "event_type": "x", "timestamp": evening + epoch})
    spec = CountSpec.of(["x"], window="36500d", measure="active_days")
    assert build_counts(log, spec, engine=engine).X.toarray().tolist() == [[4]]


JOB = """
import pandas as pd
from ces_ml.features import build_counts
from ces_ml.spec import CountSpec, Term
spec = CountSpec(terms=(Term(event="x", window="24h"),
                        Term(event="x", measure="active_days", window="9d")))
for path in {paths}:
    table = build_counts(path, spec, as_of="2024-03-11")
    print(table.digest(), table.keys["as_of"].tolist(), table.X.toarray().tolist())
"""


@pytest.mark.slow
def test_the_zone_of_the_machine_changes_nothing(tmp_path: Path) -> None:
    times = pd.date_range("2024-03-08", "2024-03-12", freq="1h", unit="us")
    log = pd.DataFrame({"customer_id": "a", "event_type": "x", "timestamp": times})
    log.to_parquet(tmp_path / "naive.parquet")
    log.to_csv(tmp_path / "text.csv", index=False)
    log.assign(timestamp=times.tz_localize("UTC")).to_parquet(tmp_path / "zoned.parquet")
    job = JOB.format(paths=[str(p) for p in sorted(tmp_path.iterdir())])
    printed = {
        subprocess.run(
            [sys.executable, "-c", job],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for zone in ("UTC", "America/New_York")
    }
    assert len(printed) == 1
    (lines,) = printed
    assert len(set(lines.splitlines())) == 1
    assert lines.splitlines()[0].endswith("[[24.0, 3.0]]")
