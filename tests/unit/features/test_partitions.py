"""Partitioned folders, and reading only a part of a log: what lies outside is not opened."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ces_ml.errors import EventLogError, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import build_counts, open_engine
from ces_ml.features.log_span import LogSpan
from ces_ml.spec import CountSpec, CountTable, Term

from .refusals import refused

SPEC = CountSpec.of(["login", "it's; --"], window="10d")


def whole() -> pd.DataFrame:
    """A log of 60 days, 20 events a day, one of them at midnight."""
    times = pd.date_range("2024-01-01", periods=60 * 20, freq="72min", unit="us")
    n = range(len(times))
    return pd.DataFrame(
        {
            "customer_id": [f"{k % 7:03d}" for k in n],
            "event_type": ["it's; --" if k % 3 else "login" for k in n],
            "timestamp": times,
            "amount": [float(k) for k in n],
        }
    )


def partitioned(
    log: pd.DataFrame, folder: Path, key: str = "date", ending: str = "parquet"
) -> Path:
    for day, rows in log.groupby(log["timestamp"].dt.strftime("%Y-%m-%d")):
        place = folder / f"date={day}"
        place.mkdir(parents=True)
        if ending == "csv":
            rows.to_csv(place / "a.csv", index=False)
        else:
            rows.to_parquet(place / "a.parquet", index=False)
    return folder


def spoil(folder: Path, *, before: str = "", after: str = "9") -> int:
    """Make the files of days outside unreadable."""
    spoilt = [p for p in folder.rglob("*.*") if not before <= p.parent.name[5:] <= after]
    for path in spoilt:
        path.write_bytes(b"spoilt")
    return len(spoilt)


def same(one: CountTable, other: CountTable) -> bool:
    return one.digest() == other.digest() and dict(one.report) == dict(other.report)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_partitioned_folder_is_one_log(tmp_path: Path, ending: str) -> None:
    log = whole()
    folder = partitioned(log, tmp_path, ending=ending)
    events = folder if ending == "parquet" else folder / "*" / "*.csv"
    expected = build_counts(log, SPEC, as_of="2024-02-01")
    assert same(build_counts(events, SPEC, as_of="2024-02-01"), expected)
    assert same(build_counts(events, SPEC, as_of="2024-02-01", partition_col="date"), expected)


def test_the_values_of_partitions_are_columns_of_text(tmp_path: Path) -> None:
    for name in ("007", "7"):
        place = tmp_path / f"customer_id={name}"
        place.mkdir()
        whole().drop(columns="customer_id").head(20).to_parquet(place / "a.parquet")
    assert build_counts(tmp_path, SPEC).customer.tolist() == ["007", "7"]
    spec = CountSpec.of(["login"], measure="sum", window="10d")
    table = build_counts(tmp_path, spec, schema=EventSchema(value_col="customer_id"))
    assert table.X.toarray().tolist() == [[49], [49]]


def test_since_and_until_leave_the_rest_of_the_log_unread(tmp_path: Path) -> None:
    log = whole()
    part = log[(log["timestamp"] >= "2024-01-20T12:00") & (log["timestamp"] < "2024-02-10")]
    expected = build_counts(part, SPEC, as_of="2024-02-05")
    span = {"since": "2024-01-20T12:00", "until": "2024-02-10"}
    assert same(build_counts(log, SPEC, as_of="2024-02-05", **span), expected)
    folder = partitioned(log, tmp_path)
    assert same(build_counts(folder, SPEC, as_of="2024-02-05", **span), expected)
    assert spoil(folder, before="2024-01-20", after="2024-02-09") == 39
    span["partition_col"] = "date"
    assert same(build_counts(folder, SPEC, as_of="2024-02-05", **span), expected)


def test_only_folders_in_reach_are_opened_to_count(tmp_path: Path) -> None:
    log = whole()
    folder = partitioned(log, tmp_path)
    expected = build_counts(log, SPEC, as_of="2024-02-05")
    with open_engine(folder, partition_col="date") as engine:
        engine.profile()
        made = engine.session.make

        def spoil_before_counting(kind: str, name: str, select: str) -> None:
            made(kind, name, select)
            if name == "cu":  # who is in the sample is known; what they did is still to be counted
                assert spoil(folder, before="2024-01-26", after="2024-02-04") == 50

        engine.session.make = spoil_before_counting
        table = engine.table(SPEC, _dates("2024-02-05"))
    assert same(table, expected)


def _dates(text: str) -> object:
    from ces_ml.spec import parse_as_of

    return parse_as_of(text)


def test_one_engine_counts_at_several_moments_in_turn(tmp_path: Path) -> None:
    log = whole()
    folder = partitioned(log, tmp_path)
    spec = CountSpec(terms=(Term(event="login", window="5d"), Term(event="login", window="20d")))
    with open_engine(folder, partition_col="date") as engine:
        for day in ("2024-02-20", "2024-01-03", "2024-02-01"):
            expected = build_counts(log, spec, as_of=day)
            assert same(engine.table(spec, _dates(day)), expected)


def test_after_counting_the_whole_log_can_be_asked_again(tmp_path: Path) -> None:
    folder = partitioned(whole(), tmp_path)
    for events, options in ((whole(), {}), (folder, {}), (folder, {"partition_col": "date"})):
        with open_engine(events, **options) as engine:
            engine.table(SPEC, _dates("2024-02-01"))
            found = engine.session.fetch("SELECT COUNT(*) AS n FROM ev")
        assert found["n"].to_pylist() == [1200]


def test_folders_of_other_columns_are_counted_all_the_same(tmp_path: Path) -> None:
    log = whole()
    folder = partitioned(log, tmp_path)
    late = folder / "date=2024-02-29" / "a.parquet"
    pd.read_parquet(late).assign(extra=1.0).to_parquet(late)
    spec = CountSpec.of(["login"], measure="sum", window="5d")
    schema = EventSchema(value_col="extra")
    options = {"schema": schema, "partition_col": "date"}
    assert build_counts(folder, spec, as_of="2024-02-01", **options).X.nnz == 0


def test_rows_without_a_time_are_reported_in_every_part() -> None:
    log = whole()
    log.loc[3, "timestamp"] = None
    table = build_counts(log, SPEC, since="2024-02-01", as_of="2024-02-05")
    assert table.report["null_timestamp"] == 1


@pytest.mark.parametrize("name", ["date=2024-02-31", "date=yesterday", "day=2024-02-01"])
def test_a_folder_of_no_day_is_refused(tmp_path: Path, name: str) -> None:
    folder = partitioned(whole(), tmp_path)
    (folder / name).mkdir()
    whole().to_parquet(folder / name / "a.parquet")
    match = r"lies in no folder of a day\n.*\n.*date=2024-01-31"
    refused(SpecError, match, folder, since="2024-02-01", partition_col="date")


def test_the_null_partition_of_hive_is_always_read(tmp_path: Path) -> None:
    span = LogSpan.of("2024-02-01", None, "date")
    assert span.keep is not None
    assert span.keep("log/date=__HIVE_DEFAULT_PARTITION__/a.parquet")
    assert span.keep("log/date=20240201/a.parquet")
    assert not span.keep("log/date=2024-01-31/a.parquet")


def test_a_part_without_folders_is_refused(tmp_path: Path) -> None:
    folder = partitioned(whole(), tmp_path)
    match = r"no part of the event log lies between since and until\n.*60 files"
    refused(EventLogError, match, folder, since="2025-01-01", partition_col="date")


def test_what_is_no_folder_has_no_partitions() -> None:
    match = r"no folder of files\n.*partition_col"
    refused(SpecError, match, whole(), partition_col="date")


def test_an_empty_part_is_refused() -> None:
    match = r"the part of the log that is read is empty\n.*2024-02-01"
    refused(SpecError, match, whole(), since="2024-02-01", until="2024-02-01")
