"""Counting on Spark: every form of a log, and what the user's session sees of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ces_ml.errors import EventLogError, OutputError, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import (
    SparkEngine,
    build_counts,
    open_engine,
    prepare_events,
    read_counts,
    read_spark_counts,
    write_counts,
)
from ces_ml.spec import CountSpec, CountTable, OutcomeSpec, Term, parse_as_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark")]

SPEC = CountSpec.of(["login", "buy"], window="30d")
AS_OF = "2024-03-12"


def rows(*, zoned: bool = True) -> pd.DataFrame:
    """Forty events around the night in which New York loses an hour."""
    rng = np.random.default_rng(3)
    times = pd.Timestamp("2024-03-10T01:30") + pd.to_timedelta(np.arange(40) * 37, unit="min")
    return pd.DataFrame(
        {
            "customer_id": rng.choice(["007", "7", "it's", ""], 40),
            "event_type": rng.choice(["login", "buy", "other"], 40),
            "timestamp": times.tz_localize("UTC") if zoned else times,
            "value": rng.integers(0, 9, 40) / 2,
        }
    )


def same(found: CountTable, expected: CountTable) -> None:
    assert list(map(str, found.customer)) == list(map(str, expected.customer))
    assert found.as_of.tolist() == expected.as_of.tolist()
    np.testing.assert_allclose(found.X.toarray(), expected.X.toarray(), rtol=1e-12, atol=1e-12)
    assert (found.y is None) == (expected.y is None)
    if found.y is not None:
        assert found.y.tolist() == expected.y.tolist()
    assert (found.sample_weight is None) == (expected.sample_weight is None)
    if found.sample_weight is not None:
        assert found.sample_weight.tolist() == expected.sample_weight.tolist()
    assert dict(found.report) == dict(expected.report)
    assert dict(found.not_counted) == dict(expected.not_counted)


OUTCOME = OutcomeSpec(
    task="upsell",
    event="buy; it's",
    repeatable=True,
    gap="1d",
    horizon="10d",
    treated={"events": "two*", "how": "weight", "weight": 0.25},
)


WHEN = ["2024-05-01", "2024-06-01T12:34:56.789"]


def test_every_measure_is_the_same_collected_and_in_files(
    log: pd.DataFrame, schema: EventSchema, spec: CountSpec, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"schema": schema, "as_of": WHEN}
    expected = build_counts(log, spec, **asked)
    assert expected.X.nnz > 1000
    same(build_counts(log, spec, engine="spark", **asked), expected)
    write_counts(log, spec, tmp_path / "c.parquet", engine="spark", **asked)
    same(read_counts(tmp_path / "c.parquet"), expected)
    assert [p.name for p in tmp_path.iterdir()] == ["c.parquet"]


def test_every_measure_is_the_same_where_the_rows_stay_in_spark(
    log: pd.DataFrame, schema: EventSchema, spec: CountSpec, tmp_path: Path
) -> None:
    expected = build_counts(log, spec, schema=schema, as_of=WHEN, outcome=OUTCOME)
    assert expected.X.nnz > 500
    folder = tmp_path / "counts [of] {all}"
    with SparkEngine(log, schema) as engine:
        engine.counts(spec, parse_as_of(WHEN), OUTCOME).write(str(folder))
    assert list(tmp_path.iterdir()) == [folder]
    same(read_spark_counts(str(folder)).to_table(), expected)


def test_counts_in_spark_are_capped_and_transformed_as_weights_see_them(
    log: pd.DataFrame, schema: EventSchema
) -> None:
    terms = [
        Term(event="login", window="60d", cap=2.0),
        Term(event="login", window="90d", transform="log1p"),
        Term(event="buy; it's", measure="sum", window="90d", cap=30.0, transform="sqrt"),
        Term(event="buy; it's", measure="sum", window="90d", transform="log1p", per="day"),
    ]
    spec = CountSpec(terms=tuple(terms))
    expected = build_counts(log, spec, schema=schema, as_of="2024-06-01").design().toarray()
    assert expected.min() < 0 < expected.max()
    from ces_ml.features.spark_counts import sparse_rows

    with SparkEngine(log, schema) as engine:
        counts = engine.counts(spec, parse_as_of("2024-06-01"), design=True)
        found = counts.frame.orderBy("as_of", "customer_id").toArrow()
        with pytest.raises(SpecError, match="counts after cap and transform"):
            counts.to_table()
    np.testing.assert_allclose(sparse_rows(found, 4).toarray(), expected, rtol=1e-12)


def forms(spark: Any, folder: Path) -> dict[str, tuple[Any, dict[str, Any]]]:
    """One log in every form that Spark reads."""
    zoned, naive = rows(), rows(zoned=False)
    arrow = pa.Table.from_pandas(zoned, preserve_index=False)
    text = zoned.assign(timestamp=zoned["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    found: dict[str, tuple[Any, dict[str, Any]]] = {"pandas": (zoned, {}), "naive": (naive, {})}
    for unit in ("ms", "us", "ns"):
        for zone in (None, "UTC"):
            kind = pa.timestamp(unit, zone)
            path = folder / f"{unit}-{zone}[x].parquet"
            times = arrow["timestamp"].cast(pa.timestamp(unit, "UTC")).cast(pa.int64()).cast(kind)
            pq.write_table(arrow.set_column(2, "timestamp", times), path, version="2.6")
            found[path.name] = (path, {})
    text.to_csv(folder / "log.csv", index=False)
    text.to_csv(folder / "log.tsv", index=False, sep="\t")
    text.to_json(folder / "log.jsonl", orient="records", lines=True)
    found |= {n: (folder / f"log.{n}", {}) for n in ("csv", "tsv", "jsonl")}
    orc = folder / "log.orc"
    ours = spark.read.parquet(str(folder / "us-UTC\\[x\\].parquet"))
    ours.write.orc(str(orc))
    found["orc"] = (orc, {"format": "orc"})
    ours.createOrReplaceTempView("the_log")
    found["table"] = (None, {"table": "the_log"})
    found["frame"] = (ours, {})
    prepare_events(zoned, folder / "prepared")
    found["prepared"] = (folder / "prepared", {})
    days = zoned.assign(date=zoned["timestamp"].dt.strftime("%Y-%m-%d"))
    days.to_parquet(folder / "days", partition_cols=["date"])
    found["partitions"] = (folder / "days", {})
    return found


def test_a_log_has_the_same_events_in_every_form(spark: Any, tmp_path: Path) -> None:
    log = rows()
    us = log["timestamp"].dt.as_unit("us").astype("int64")
    expected = sorted(zip(log["customer_id"], log["event_type"], us.tolist(), strict=True))
    without_id = [event for event in expected if event[0]]
    assert 0 < len(without_id) < len(expected)
    for name, (events, options) in forms(spark, tmp_path).items():
        with SparkEngine(events, **options) as engine:
            found = engine.rows_to_count(SPEC, parse_as_of(AS_OF))
            held = engine.place.fetch("SELECT customer_id, event_type, ts_us FROM ev").to_pylist()
        empty_is_none = name in ("csv", "tsv")
        assert sorted(tuple(e.values()) for e in held) == (
            without_id if empty_is_none else expected
        ), name
        missing = len(expected) - len(without_id) if empty_is_none else 0
        assert found.report["null_customer"] == missing, name


def test_only_the_part_of_a_log_that_is_asked_for_counts(tmp_path: Path) -> None:
    log = rows()
    days = log.assign(date=log["timestamp"].dt.strftime("%Y%m%d"))
    days.to_parquet(tmp_path / "days", partition_cols=["date"])
    part = {"since": "2024-03-10T03:00", "until": "2024-03-11"}
    expected = build_counts(log, SPEC, as_of="2024-03-11", **part)
    found = build_counts(log, SPEC, as_of="2024-03-11", engine="spark", **part)
    same(found, expected)
    found = build_counts(
        tmp_path / "days", SPEC, as_of="2024-03-11", engine="spark", partition_col="date", **part
    )
    assert found.X.toarray().tolist() == expected.X.toarray().tolist()


def test_fields_inside_columns_are_found_as_they_are_by_duckdb(spark: Any, tmp_path: Path) -> None:
    log = rows()
    inner = [
        {"at": t.isoformat(), "us.er": c, "user": c, "n`it's": v}
        for t, c, v in zip(log["timestamp"], log["customer_id"], log["value"], strict=True)
    ]
    table = pa.table(
        {
            "event_type": log["event_type"],
            "s": pa.array(inner),
            "j": [json.dumps({"deep": i}) for i in inner],
            "m": pa.array([list(i.items())[:3] for i in inner], pa.map_(pa.string(), pa.string())),
        }
    )
    pq.write_table(table, tmp_path / "nested.parquet")
    spec = CountSpec(terms=(Term(event="login", measure="sum", window="30d"),))
    for user, at, value in (
        ("s.us.er", "s.at", "s.n`it's"),
        ("j.deep.user", "j.deep.at", "j.deep.n`it's"),
        ("m.user", "m.at", "s.n`it's"),
    ):
        schema = EventSchema(customer_col=user, timestamp_col=at, value_col=value)
        expected = build_counts(tmp_path / "nested.parquet", spec, as_of=AS_OF, schema=schema)
        found = build_counts(
            tmp_path / "nested.parquet", spec, as_of=AS_OF, schema=schema, engine="spark"
        )
        assert expected.X.sum() > 0
        same(found, expected)


@pytest.mark.parametrize("kind", ["whole", "float", "text"])
def test_times_that_are_numbers_are_read_by_their_unit(kind: str, spark: Any) -> None:
    log = rows()
    us = log["timestamp"].dt.as_unit("us").astype("int64")
    for unit, scale in (("s", 1e-6), ("ms", 1e-3), ("us", 1), ("ns", 1000)):
        times = us * scale if kind == "float" else (us * 1000 // round(1e3 / scale))
        if kind == "text":
            times = times.astype(str)
        numbers = log.assign(timestamp=times, anon="x", customer_id=log["customer_id"] + "\\")
        schema = EventSchema(timestamp_unit=unit, anonymous_col="anon")
        expected = build_counts(numbers, SPEC, as_of=AS_OF, schema=schema)
        assert expected.X.sum() > 0
        same(build_counts(numbers, SPEC, as_of=AS_OF, schema=schema, engine="spark"), expected)


def test_text_in_filters_is_text_whatever_spark_makes_of_it() -> None:
    words = ["${env:HOME}", r"a\n", r"back\\slash", "it's", '"', "`", "%", "${spark.app.name}"]
    log = pd.DataFrame(
        {
            "customer_id": words,
            "event_type": "login",
            "timestamp": pd.Timestamp("2024-01-01"),
            "word": words,
            "Word": "other",
        }
    )
    quoted = [w.replace("'", "''") for w in words]
    terms = [Term(event="login", window="9d", where=f"word = '{q}'", name=w) for w, q in
             zip(words, quoted, strict=True)]  # fmt: skip
    spec = CountSpec(terms=tuple(terms))
    expected = build_counts(log, spec, as_of="2024-01-02")
    assert expected.X.sum() == len(words)
    same(build_counts(log, spec, as_of="2024-01-02", engine="spark"), expected)


def test_the_users_session_keeps_its_views_settings_and_memory(spark: Any) -> None:
    spark.createDataFrame(pa.table({"x": [1]})).createOrReplaceTempView("ev")
    before = dict(spark.conf.getAll)
    held = spark.sparkContext._jsc.getPersistentRDDs().size()
    frame = spark.createDataFrame(rows())
    with open_engine(frame, engine="spark") as engine:
        engine.table(SPEC, None)
        assert spark.table("ev").columns == ["x"]
    assert type(spark).getActiveSession() is spark
    assert dict(spark.conf.getAll) == before
    assert spark.sparkContext._jsc.getPersistentRDDs().size() == held
    assert [t.name for t in spark.catalog.listTables("global_temp") if "ces_ml" in t.name] == []
    spark.catalog.dropTempView("ev")


def refused(kind: type[Exception], match: str, events: Any, **options: Any) -> None:
    with pytest.raises(kind, match=match) as caught:
        build_counts(events, SPEC, engine="spark", **options)
    error: Any = caught.value
    assert all((error.problem, error.got, error.allowed, error.hint)), str(error)


def test_what_spark_cant_read_is_refused_with_what_to_do(spark: Any, tmp_path: Path) -> None:
    rows().to_parquet(tmp_path / "_log.parquet")
    (tmp_path / "bad.parquet").write_text("no parquet")
    (tmp_path / "ragged.csv").write_text("customer_id,event_type,timestamp\na,b\n")
    (tmp_path / "x.duckdb").write_text("")
    refused(EventLogError, "begin with _", tmp_path / "_log.parquet")
    refused(EventLogError, "can't be", tmp_path / "bad.parquet")
    refused(EventLogError, "can't be counted", tmp_path / "ragged.csv")
    refused(EventLogError, "no file matches", tmp_path / "none.parquet")
    refused(EventLogError, "DuckDB database", tmp_path / "x.duckdb")
    refused(SpecError, "can't read the format 'delta'", tmp_path / "none", format="delta")
    refused(EventLogError, "no such table", None, table="no.such_table")
    refused(SpecError, "not named once", rows(), table="t")
    refused(SpecError, "not named once", None)
    refused(SpecError, "option threads is not one of", rows(), threads=2)
    refused(SpecError, "unknown option", rows(), memory="2GB")
    refused(SpecError, "no Spark session", rows(), spark=7)
    import duckdb

    refused(EventLogError, "can't be brought to Spark", duckdb.sql("SELECT 1 AS x"))
    refused(EventLogError, "not an event log", 7)
    twice = spark.sql("SELECT 1 AS customer_id, 2 AS customer_id, 'x' AS event_type")
    refused(EventLogError, "two columns of the same name", twice)
    refused(EventLogError, "no such column", rows(), since="2024-03-10", partition_col="day")
    schema = EventSchema(timestamp_unit="s", timestamp_col="value")
    refused(EventLogError, "do not fit their unit", rows(), schema=schema)
    schema = EventSchema(timestamp_unit="s", timestamp_col="word")
    refused(EventLogError, "times that are no numbers", rows().assign(word="x"), schema=schema)
    schema = EventSchema(anonymous_col="nobody")
    refused(EventLogError, "anonymous_col", rows(), schema=schema)


def test_what_lies_in_the_way_of_counts_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with SparkEngine(rows()) as engine:
        counts = engine.counts(SPEC)
        with pytest.raises(OutputError, match="no folder of this kind"):
            counts.write(str(tmp_path / "mine"))
        with pytest.raises(OutputError, match="can't be written"):
            counts.write(str(tmp_path / "mine" / "thesis.txt" / "below"))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"
    with pytest.raises(SpecError, match="no counts that can be read"):
        read_spark_counts(str(tmp_path / "mine"))


def test_sums_past_all_numbers_are_refused_on_the_executors_too() -> None:
    log = rows().assign(value=1.7e308)
    spec = CountSpec(terms=(Term(event="login", measure="sum", window="30d"),))
    schema = EventSchema(value_col="value")
    with pytest.raises(EventLogError, match="larger than any number"):
        build_counts(log, spec, schema=schema, engine="spark")
    with SparkEngine(log, schema) as engine:
        counts = engine.counts(spec)
        with pytest.raises(Exception, match="larger than any number"):
            counts.to_table()


def test_what_is_made_of_a_log_is_kept_while_its_counts_are_made(spark: Any) -> None:
    with SparkEngine(rows()) as engine:
        engine.counts(SPEC, parse_as_of(AS_OF))
        assert engine.place.spark.table("cu").storageLevel.useMemory
        with engine.place.narrowed(0, 1):
            assert engine.place.fetch("SELECT COUNT(*) AS n FROM ev").to_pylist() == [{"n": 0}]
        assert engine.place.fetch("SELECT COUNT(*) AS n FROM ev").to_pylist() == [{"n": 40}]
        assert engine.place.spark.table("cu").storageLevel.useMemory
