"""What an inspection says, on logs whose oddities were put there."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ces_ml
from ces_ml.errors import EventLogError
from ces_ml.events import EventSchema
from ces_ml.features.log_checks import absent_ends, bursts_of, gaps_of, silent_days, usual_per_day
from ces_ml.spec.log_inspection import LogInspection

DAYS = 60
START = pd.Timestamp("2025-01-06")  # a Monday


def steady(name: str, a_day: int, days: range = range(DAYS), seed: int = 0) -> pd.DataFrame:
    """So many events on every day, by customers in turn, at random times of the day."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.array(days), a_day)
    seconds = rng.choice(86_400, len(day))
    return pd.DataFrame(
        {
            "customer_id": [f"c{k % 37}" for k in range(len(day))],
            "event_type": name,
            "timestamp": START + pd.to_timedelta(day, unit="D") + pd.to_timedelta(seconds, "s"),
        }
    )


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    views = steady("view", 60)
    gone = views["timestamp"].dt.day_of_year.between(20, 22)
    parts = [
        views[~gone],
        steady("new feature", 15, range(30, DAYS), seed=1)[lambda f: f["timestamp"].dt.day != 1],
        steady("old feature", 12, range(0, 10), seed=2),
        steady("view", 400, range(40, 41), seed=3),
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[~frame["timestamp"].dt.day_of_year.between(20, 22)]
    robot = pd.DataFrame(
        {
            "customer_id": "robot",
            "event_type": "view",
            "timestamp": START + pd.Timedelta("5D3h") + pd.to_timedelta(range(90), unit="s"),
        }
    )
    return pd.concat([frame, robot]).sort_values("timestamp", ignore_index=True)


@pytest.fixture(scope="module")
def found(log: pd.DataFrame) -> LogInspection:
    doubled = pd.concat([log, log.iloc[[5, 5, 9]]]).sort_values("timestamp", kind="stable")
    nulls = log.head(4).assign(customer_id=None)
    return ces_ml.inspect_events(pd.concat([doubled, nulls.assign(timestamp=pd.NaT)]))


def test_rows_customers_span_and_nulls_are_counted(found: LogInspection, log: pd.DataFrame) -> None:
    assert found.rows == len(log) + 3 + 4
    assert found.dropped == {"null_customer": 4, "null_event_type": 0, "null_timestamp": 4}
    assert found.customers == log["customer_id"].nunique()
    assert found.first == log["timestamp"].min().tz_localize("UTC")
    assert found.last == log["timestamp"].max().tz_localize("UTC")
    assert found.naive
    assert len(found.days) == DAYS


def test_duplicates_are_counted_without_their_first(found: LogInspection) -> None:
    assert found.duplicates == 3 + 3  # three repeated rows, and three of four rows of nulls
    assert found.repeated >= 3


def test_types_come_with_days_customers_and_ends(found: LogInspection, log: pd.DataFrame) -> None:
    by_name = {t.event: t for t in found.types}
    assert list(by_name) == ["view", "new feature", "old feature"]
    for name, held in log.groupby("event_type"):
        seen = by_name[name]
        day = (held["timestamp"].dt.normalize() - START) // pd.Timedelta("1D")
        assert seen.customers == held["customer_id"].nunique()
        assert seen.share == pytest.approx(seen.customers / found.customers)
        wanted = np.bincount(day, minlength=DAYS)
        assert np.abs(seen.per_day - wanted).sum() == seen.rows - len(held)
    assert by_name["new feature"].begins_late
    assert not by_name["new feature"].stops_early
    assert by_name["old feature"].stops_early
    assert not by_name["view"].begins_late
    assert by_name["new feature"].silent_days == 1  # the first of March


def test_gaps_and_bursts_are_found_where_they_were_put(found: LogInspection) -> None:
    assert found.gaps == ((date(2025, 1, 20), date(2025, 1, 22)),)
    (burst,) = [b for b in found.bursts if b.event == "view"]
    assert burst.day == (START + pd.Timedelta("40D")).date()
    assert burst.rows == 460
    assert burst.usual == 60
    assert found.bursts[0].rows >= 460


def test_a_customer_who_is_a_program_is_named(found: LogInspection) -> None:
    (hour,) = found.busy_hours
    assert (hour.customer, hour.rows) == ("robot", 90)
    assert hour.hour == (START + pd.Timedelta("5D3h")).tz_localize("UTC")
    assert found.n_busy_hours == 1
    assert 30 <= found.busy_hour_from <= 90


def test_hours_of_the_week_start_on_monday(found: LogInspection, log: pd.DataFrame) -> None:
    at = log["timestamp"].dt
    wanted = np.zeros((7, 24))
    np.add.at(wanted, (at.day_of_week, at.hour), 1)
    assert np.abs(found.by_hour - wanted).sum() == 3  # the repeated rows


def test_the_order_of_rows_is_told(log: pd.DataFrame, tmp_path: Path) -> None:
    by_time = ces_ml.inspect_events(log)
    assert (by_time.order, by_time.out_of_order) == ("by time", 0)
    grouped = log.sort_values(["customer_id", "timestamp"])
    assert ces_ml.inspect_events(grouped).order == "by customer, then time"
    late = pd.concat([log.iloc[:1000], log.iloc[[10, 20, 30]], log.iloc[1000:]])
    late.to_csv(tmp_path / "late.csv", index=False)
    back = (log["timestamp"][999] - log["timestamp"][10]) / pd.Timedelta("1D")
    for source in (late, str(tmp_path / "late.csv")):
        found = ces_ml.inspect_events(source)
        assert found.furthest_back_days == pytest.approx(back)
        assert (found.order, found.out_of_order) == ("none", 1)
    mixed = grouped.iloc[np.r_[1, 0, 2 : len(grouped)]]
    found = ces_ml.inspect_events(mixed)
    assert (found.order, found.out_of_order) == ("none", 1)


def test_large_numbers_are_written_out(log: pd.DataFrame) -> None:
    first = log.iloc[[0]].assign(timestamp=log["timestamp"][0] - pd.Timedelta("150D"))
    found = ces_ml.inspect_events(pd.concat([log, first]))
    assert found.furthest_back_days > 150
    (note,) = [n for n in found.notes if "the furthest is" in n]
    assert note.endswith(f"the furthest is {found.furthest_back_days:.0f} days late")


def test_late_rows_are_told(log: pd.DataFrame) -> None:
    delay = np.where(np.arange(len(log)) % 4 == 0, 36.0, 0.0)
    arrival = log["timestamp"] + pd.to_timedelta(delay, unit="h")
    arrival[1] = pd.NaT
    arrival[2] = log["timestamp"][2] - pd.Timedelta("1h")
    found = ces_ml.inspect_events(log.assign(seen=arrival), EventSchema(arrival_col="seen"))
    n = len(log)
    assert found.lateness["late"] == pytest.approx(-(-n // 4) / n)
    assert found.lateness["never_arrived"] == pytest.approx(1 / n)
    assert found.lateness["before"] == pytest.approx(1 / n)
    assert found.lateness["delay_days_p50"] == pytest.approx(1.5)
    assert found.lateness["delay_days_p100"] == pytest.approx(1.5)
    assert any("arrived late, half of these within 1.5 days" in note for note in found.notes)


def test_notes_say_what_was_found_with_numbers(found: LogInspection) -> None:
    notes = "\n".join(found.notes)
    for words in (
        "4 rows",
        "repeat an earlier row in every column",
        "3 days inside the log have no event; the longest stretch is 2025-01-20 to 2025-01-22",
        "1 event types begin late: 'new feature'",
        "1 event types stop early: 'old feature'",
        "1 hours in which one customer has",
    ):
        assert words in notes


def test_a_clean_log_has_no_notes() -> None:
    clean = (
        steady("view", 40).sort_values("timestamp").drop_duplicates(["customer_id", "timestamp"])
    )
    assert ces_ml.inspect_events(clean).notes == ()


def test_a_closed_weekday_is_said_once() -> None:
    shop = steady("visit", 40)
    shop = shop[shop["timestamp"].dt.day_of_week != 5].drop_duplicates(["customer_id", "timestamp"])
    found = ces_ml.inspect_events(shop.sort_values("timestamp"))
    assert found.notes == ("there are no events on any Saturday",)
    assert len(found.gaps) == 8
    assert found.types[0].silent_days == 0


def test_everything_goes_into_json(found: LogInspection) -> None:
    body = json.loads(json.dumps(found.to_dict()))
    assert body["rows"] == found.rows
    assert sum(body["events_per_day"]) == sum(t["rows"] for t in body["event_types"])
    assert body["gaps"] == [{"from": "2025-01-20", "to": "2025-01-22", "days": 3}]
    assert body["first"].endswith("Z")


def test_memory_and_threads_change_nothing(log: pd.DataFrame) -> None:
    one = ces_ml.inspect_events(log, threads=1, memory_limit="100MB").to_dict()
    assert one == ces_ml.inspect_events(log, memory_limit=None).to_dict()


def test_a_log_of_one_event_is_inspected() -> None:
    found = ces_ml.inspect_events(steady("x", 1, range(1)))
    assert (found.rows, len(found.days), found.bursts, found.gaps) == (1, 1, (), ())


def test_times_before_1970_fall_on_their_days() -> None:
    old = pd.DataFrame(
        {
            "customer_id": 1,
            "event_type": "x",
            "timestamp": pd.to_datetime(
                ["1969-12-30T23:30", "1969-12-31T00:30", "1970-01-01T00:00"]
            ),
        }
    )
    found = ces_ml.inspect_events(old)
    assert found.per_day.tolist() == [1, 1, 1]
    assert found.by_hour[1, 23] == found.by_hour[2, 0] == found.by_hour[3, 0] == 1


def test_a_log_without_events_is_refused() -> None:
    empty = pd.DataFrame({"customer_id": [None], "event_type": ["a"], "timestamp": ["2025-01-01"]})
    with pytest.raises(EventLogError, match="holds no events that can be counted"):
        ces_ml.inspect_events(empty)


def test_a_burst_is_far_above_both_medians() -> None:
    mondays = np.tile([70, 5, 5, 5, 5, 5, 5], 6)
    assert bursts_of(mondays, usual_per_day(mondays), None, date(2025, 1, 6)) == []
    mondays[15] = 70  # a Tuesday
    (burst,) = bursts_of(mondays, usual_per_day(mondays), "mail", date(2025, 1, 6))
    assert (burst.day, burst.rows, burst.usual) == (date(2025, 1, 21), 70, 5.0)


def test_small_numbers_are_no_burst_and_rare_types_no_gap() -> None:
    rare = np.r_[np.zeros(20), 15, np.zeros(20)].astype(int)
    usual = usual_per_day(rare)
    assert bursts_of(rare, usual, None, date(2025, 1, 1)) == []
    assert silent_days(rare, usual) == 0
    assert gaps_of(np.array([1, 1]), date(2025, 1, 1)) == ()


def test_ends_are_judged_by_a_types_own_pace() -> None:
    day = 86_400_000_000
    assert absent_ends(9, 50 * day, 100 * day, (0, 100 * day)) == (False, False)
    assert absent_ends(500, 0, 50 * day, (0, 100 * day)) == (False, True)
    assert absent_ends(500, 1 * day, 100 * day, (0, 100 * day)) == (False, False)
