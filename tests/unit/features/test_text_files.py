"""CSV, TSV and JSON lines: every row as it is written, or an error that names the line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from ces_ml.errors import EventLogError
from ces_ml.events import EventSchema
from ces_ml.features import build_counts, open_engine
from ces_ml.spec import CountSpec

from .refusals import refused

X = CountSpec.of(["x"], window="7d")
LINE = {"customer_id": "a", "event_type": "x", "timestamp": "2024-01-01"}


def write_lines(path: Path, lines: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize(
    "name", ["log.jsonl", "log.ndjson", "log.jsonl.gz", "log.ndjson.gz", "log.json", "log.json.gz"]
)
def test_json_lines_are_read(tmp_path: Path, name: str) -> None:
    lines = [LINE, LINE | {"customer_id": "it's ü"}, LINE | {"event_type": None}]
    table = build_counts(write_lines(tmp_path / name, lines), X)
    assert table.customer.tolist() == ["a", "it's ü"]
    assert table.report["null_event_type"] == 1


def test_a_json_list_of_objects_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps([LINE, LINE], indent=2))
    assert build_counts(tmp_path / "log.json", X).X.toarray().tolist() == [[2]]


def test_ids_in_json_stay_what_they_are(tmp_path: Path) -> None:
    ids = ["007", 7, "7.0", 2**63, 12345678901234567890123, "2024-01-01", "null", ""]
    path = write_lines(tmp_path / "log.jsonl", [LINE | {"customer_id": i} for i in ids])
    table = build_counts(path, X)
    assert sorted(table.customer) == sorted(str(i) for i in ids)


def test_a_key_that_appears_late_is_read(tmp_path: Path) -> None:
    late = [LINE | {"arrived": "2024-02-01", "amount": 2.5}]
    path = write_lines(tmp_path / "log.jsonl", [LINE] * 30_000 + late)
    schema = EventSchema(value_col="amount", arrival_col="arrived")
    spec = CountSpec.of(["x"], window="7d", measure="sum")
    with open_engine(path, schema) as engine:
        assert engine.profile().never_arrived == 30_000
    table = build_counts(path, spec, schema=EventSchema(value_col="amount"))
    assert table.X.toarray().tolist() == [[2.5]]


def test_many_different_keys_are_columns(tmp_path: Path) -> None:
    lines = [LINE | {f"key {k}": k} for k in range(500)]
    path = write_lines(tmp_path / "log.jsonl", lines)
    spec = CountSpec.of(["x"], window="7d", measure="sum")
    table = build_counts(path, spec, schema=EventSchema(value_col="key 499"))
    assert table.X.toarray().tolist() == [[499]]


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("a b", "a b"),
        ("x/y~z", "x/y~z"),
        ("it's", "it's"),
        ('say "hi"', 'say "hi"'),
        ("🎉", "🎉"),
        ("$insert", "$insert"),
        ("*", "*"),
        ("0", "0"),
    ],
)
def test_a_field_may_have_any_name_without_a_dot(tmp_path: Path, key: str, field: str) -> None:
    path = write_lines(tmp_path / "log.jsonl", [LINE | {"p": {key: 4, "other": 5}}])
    spec = CountSpec.of(["x"], window="7d", measure="sum")
    table = build_counts(path, spec, schema=EventSchema(value_col=f"p.{field}"))
    assert table.X.toarray().tolist() == [[4]]


def test_a_column_with_dots_in_its_name_goes_before_a_field(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log.jsonl", [LINE | {"p": {"v": 1}, "p.v": 2}])
    spec = CountSpec.of(["x"], window="7d", measure="sum")
    table = build_counts(path, spec, schema=EventSchema(value_col="p.v"))
    assert table.X.toarray().tolist() == [[2]]


def test_fields_of_structs_maps_and_json_text_are_read() -> None:
    import pyarrow as pa

    deep = pa.struct([("v", pa.float64()), ("w", pa.struct([("v", pa.int64())]))])
    log = pa.table(
        {
            "customer_id": ["a", "b"],
            "event_type": ["x", "x"],
            "timestamp": ["2024-01-01", "2024-01-01"],
            "s": pa.array([{"v": 1.5, "w": {"v": 7}}, None], deep),
            "m": pa.array([[("k", 3)], []], pa.map_(pa.string(), pa.int64())),
            "j": ['{"v": {"u": 9}}', "no json"],
        }
    )
    found = {}
    for column in ("s.v", "s.w.v", "m.k", "j.v.u"):
        spec = CountSpec.of(["x"], window="7d", measure="sum")
        table = build_counts(log, spec, schema=EventSchema(value_col=column))
        found[column] = table.X.toarray().ravel().tolist()
    assert found == {"s.v": [1.5, 0], "s.w.v": [7, 0], "m.k": [3, 0], "j.v.u": [9, 0]}


def test_a_field_that_is_not_there_is_refused() -> None:
    log = pd.DataFrame([LINE | {"s": {"v": 1}}])
    schema = EventSchema(timestamp_col="s.at")
    refused(EventLogError, r"no such column\n.*'s.at'", log, X, schema=schema)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"a": 1}\n{"a":\n', r"can't be read\n.*line 3"),
        ("no json\n", r"can't be read\n.*Malformed JSON.*line"),
        ('{"a": 1, "a": 2}\n', "duplicate key"),
        ("5\n6\n", r"JSON that is no list of objects\n.*BIGINT\n.*one JSON object a line"),
        ("", r"no such column|holds no events"),
    ],
)
def test_a_file_that_is_no_json_lines_is_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "log.jsonl").write_text(text)
    refused(EventLogError, match, tmp_path / "log.jsonl")


HEADER = "customer_id,event_type,timestamp\n"
ROW = "a,x,2024-01-01\n"


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (ROW + "b,x,2024-01-01,more\n" + ROW, r"Line: 3 .*Expected Number of Columns: 3 Found: 4"),
        (ROW * 2 + "b,x\n" + ROW, r"Line: 4 .*Expected Number of Columns: 3 Found: 2"),
        (ROW + 'b,"x,2024-01-01\n', r"Line: 3 .*unterminated quote"),
        (ROW + 'b,"x"y,2024-01-01\n', r"Line: 3 "),
        (ROW + "b,x,2024-01-01\r\n" + ROW, r"line 3 ends in \\r\\n, the lines before it in \\n"),
    ],
)
def test_a_row_that_does_not_fit_is_named_by_its_line(
    tmp_path: Path, rows: str, match: str
) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes((HEADER + rows).encode())
    refused(EventLogError, f"can't be read\n.*{match}", path, X)


def test_a_few_rows_with_too_many_columns_do_not_hide_the_others(tmp_path: Path) -> None:
    # DuckDB's own guess takes the last line for the header of a table without rows.
    (tmp_path / "log.csv").write_text(HEADER + ROW + "b,x,2024-01-01,more\n")
    refused(EventLogError, "Line: 3", tmp_path / "log.csv", X)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way_that_does_not_change(tmp_path: Path, ending: str) -> None:
    text = (HEADER + ROW * 3 + 'b,"x",2024-01-01\n').replace("\n", ending)
    (tmp_path / "log.csv").write_bytes(text.encode())
    assert build_counts(tmp_path / "log.csv", X).X.toarray().tolist() == [[3], [1]]


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("customer_id,event_type,timestamp,timestamp\n", "columns of the same name: 'timestamp'"),
        ("\n", "no header in the first line"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(tmp_path: Path, header: str, match: str) -> None:
    (tmp_path / "log.csv").write_text(header + "a,x,2024-01-01,2024-01-01\n")
    refused(EventLogError, match, tmp_path / "log.csv", X)


def test_files_with_other_separators_and_orders_are_one_log(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(HEADER + ROW)
    (tmp_path / "2.csv").write_text("timestamp;event_type;customer_id;more\n2024-01-01;x;a;1\n")
    (tmp_path / "3.csv").write_text("\ufeff" + HEADER + ROW, encoding="utf-8")
    assert build_counts(tmp_path / "*.csv", X).X.toarray().tolist() == [[3]]


def test_times_of_a_text_file_are_parsed_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(HEADER + "a,x,2024-01-01T00:00:00+02:00\n")
    with open_engine(tmp_path / "log.csv") as engine:
        select, naive = engine.session.prelude(engine.schema, ())
    assert "TRY_CAST" not in select
    assert not naive


def test_naive_times_of_a_text_file_stay_naive(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(HEADER + ROW)
    with open_engine(tmp_path / "log.csv") as engine:
        assert engine.profile().naive


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["int64", "float64", "text", "decimal"])
def test_times_as_numbers_are_instants(unit: str, kind: str) -> None:
    per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    second = 1_704_067_200  # 2024-01-01
    number: object = second * per
    if kind == "float64":
        number = float(second * per)
    elif kind == "text":
        number = f" {second * per}.0"
    elif kind == "decimal":
        from decimal import Decimal

        number = Decimal(second * per)
    log = pd.DataFrame([LINE | {"timestamp": number}])
    with open_engine(log, EventSchema(timestamp_unit=unit)) as engine:
        profile = engine.profile()
    assert profile.first_us == second * 10**6
    assert not profile.naive


@pytest.mark.parametrize(
    ("number", "unit", "us"),
    [
        ("1704067200.1234567", "s", 1_704_067_200_123_456),
        (1_704_067_200_123_456_789, "ns", 1_704_067_200_123_456),
        (1_704_067_200.25, "s", 1_704_067_200_250_000),
        ("1704067200123.4", "ms", 1_704_067_200_123_400),
        ("1.7040672e9", "s", 1_704_067_200_000_000),
    ],
)
def test_parts_of_a_unit_are_kept_to_the_microsecond(number: object, unit: str, us: int) -> None:
    log = pd.DataFrame([LINE | {"timestamp": number}])
    with open_engine(log, EventSchema(timestamp_unit=unit)) as engine:
        assert engine.profile().first_us == us


def test_an_event_at_as_of_in_numbers_is_not_counted() -> None:
    log = pd.DataFrame(
        [LINE | {"timestamp": t} for t in (1_704_067_199_999_999, 1_704_067_200_000_000)]
    )
    schema = EventSchema(timestamp_unit="us")
    table = build_counts(log, X, as_of="2024-01-01", schema=schema)
    assert table.X.toarray().tolist() == [[1]]
