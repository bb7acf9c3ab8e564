"""A log that is written once in its best form gives the same counts as the log itself."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ces_ml.errors import EventLogError, OutputError, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import (
    AccountMapping,
    DuckDBEngine,
    PreparedLog,
    build_counts,
    open_engine,
    prepare_events,
)
from ces_ml.spec import CountSpec, CountTable, OutcomeSpec
from ces_ml.training import TrainingConfig, train

from .refusals import LOG, refused

AS_OF = ["2024-04-01", "2024-05-01", "2024-06-01"]
CHURN = OutcomeSpec(task="churn", silence_of="*", horizon="5d", gap="1d", active_within="5d")
EXPORTS = Path(__file__).parent / "exports"


def assert_same(found: CountTable, expected: CountTable) -> None:
    assert found.digest() == expected.digest()
    pd.testing.assert_frame_equal(found.keys, expected.keys)
    assert dict(found.report) == dict(expected.report)


@pytest.mark.parametrize("stored", ["frame", "csv", "parquet"])
def test_a_prepared_log_gives_the_same_counts_and_needs_no_schema(
    stored: str, tmp_path: Path, log: pd.DataFrame, schema: EventSchema, spec: CountSpec
) -> None:
    names = {"customer_id": "who", "event_type": "what", "timestamp": "at"}
    frame = log.rename(columns=names)
    events: object = frame
    if stored == "csv":
        frame.to_csv(tmp_path / "log.csv", index=False)
        events = tmp_path / "log.csv"
    elif stored == "parquet":
        frame.to_parquet(tmp_path / "log.parquet")
        events = tmp_path / "log.parquet"
    named = EventSchema(customer_col="who", event_col="what", timestamp_col="at", value_col="value")
    made = prepare_events(events, tmp_path / "log", named)
    expected = build_counts(events, spec, as_of=AS_OF, outcome=CHURN, schema=named)
    assert_same(build_counts(tmp_path / "log", spec, as_of=AS_OF, outcome=CHURN), expected)
    assert made.rows_read == len(log)
    assert made.rows < len(log)
    # Names of another log's columns, as a weight set may bring, do not matter.
    other = EventSchema(customer_col="x", timestamp_col="y")
    found = build_counts(str(tmp_path / "log"), spec, as_of=AS_OF, outcome=CHURN, schema=other)
    assert_same(found, expected)


@pytest.mark.parametrize(
    ("preset", "file", "event"),
    [
        ("ga4", "ga4_events.jsonl", "purchase"),
        ("mixpanel", "mixpanel_export.jsonl", "Purchase"),
        ("amplitude", "amplitude_export.json", "upgrade"),
        ("segment", "segment_tracks.csv", "order_completed"),
    ],
)
def test_an_export_is_prepared_with_its_arrivals_and_fields(
    tmp_path: Path, preset: str, file: str, event: str
) -> None:
    schema = EventSchema.preset(preset)
    prepare_events(EXPORTS / file, tmp_path / "log", schema)
    spec = CountSpec.of([event], window="30d")
    options = {"as_of": "2024-03-05", "observed_until": "2024-03-05"}
    expected = build_counts(EXPORTS / file, spec, schema=schema, **options)
    assert_same(build_counts(tmp_path / "log", spec, **options), expected)


def test_the_file_is_sorted_typed_and_encoded(
    tmp_path: Path, log: pd.DataFrame, schema: EventSchema
) -> None:
    big = pd.concat([log] * 200, ignore_index=True).sample(frac=1, random_state=0)
    prepare_events(big, tmp_path / "log", schema)
    file = pq.ParquetFile(PreparedLog.file(tmp_path / "log"))
    table = file.read()
    order = list(zip(table["customer_id"].to_pylist(), table["timestamp"].to_pylist(), strict=True))
    assert order == sorted(order)
    assert table.column_names[:3] == ["customer_id", "event_type", "timestamp"]
    assert set(table.column_names) == set(log.columns)
    assert str(table.schema.field("timestamp").type).startswith("timestamp[us")
    assert file.metadata.num_row_groups > 1
    for group in range(file.metadata.num_row_groups):
        found = file.metadata.row_group(group)
        assert found.num_rows <= 1_000_000
        assert found.column(1).compression == "ZSTD"
        assert any("DICTIONARY" in e for e in found.column(1).encodings)


def test_the_manifest_says_what_was_written(tmp_path: Path) -> None:
    log = pd.concat([LOG, LOG.head(1).assign(customer_id=None)], ignore_index=True)
    made = prepare_events(log, tmp_path / "log")
    data = Path(PreparedLog.file(tmp_path / "log")).read_bytes()
    manifest = json.loads((tmp_path / "log" / "ces_ml_manifest.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(data).hexdigest()
    assert manifest["rows"] == 3
    assert manifest["rows_read"] == 4
    assert manifest["dropped"]["null_customer"] == 1
    assert manifest["event_types"] == {"login": 2, "purchase": 1}
    assert made.profile().first.isoformat() == "2024-01-01T00:00:00+00:00"
    assert PreparedLog.read(tmp_path / "log") == made
    assert str(tmp_path) not in json.dumps(manifest)


def test_columns_without_a_role_are_kept(tmp_path: Path) -> None:
    prepare_events(LOG, tmp_path / "log")
    spec = CountSpec.of(["purchase"], measure="sum", window="90d")
    table = build_counts(tmp_path / "log", spec, schema=EventSchema(value_col="amount"))
    assert table.X.toarray().sum() == 2.0


def test_the_profile_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_events(LOG, tmp_path / "log")
    with open_engine(tmp_path / "log") as engine:
        asked: list[str] = []
        monkeypatch.setattr(engine.session, "fetch", asked.append)
        assert engine.profile().event_types == {"login": 2, "purchase": 1}
        assert asked == []


def test_a_part_of_a_prepared_log_and_its_accounts_are_counted_too(tmp_path: Path) -> None:
    prepare_events(LOG, tmp_path / "log")
    spec = CountSpec.of(["login"], window="90d")
    for options in (
        {"since": "2024-01-15"},
        {
            "accounts": AccountMapping(),
            "account_table": pd.DataFrame({"user_id": ["a"], "account_id": ["A"]}),
        },
    ):
        assert_same(
            build_counts(tmp_path / "log", spec, **options), build_counts(LOG, spec, **options)
        )


def test_preparing_again_replaces_the_log_and_leaves_nothing_behind(tmp_path: Path) -> None:
    prepare_events(LOG, tmp_path / "log")
    made = prepare_events(LOG.head(2), tmp_path / "log")
    assert made.rows == 2
    assert PreparedLog.read(tmp_path / "log") == made
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_a_job_that_fails_leaves_the_old_log(tmp_path: Path) -> None:
    made = prepare_events(LOG, tmp_path / "log")
    broken = LOG.assign(timestamp=["2024-01-01", "yesterday", "2024-01-01"])
    with pytest.raises(EventLogError, match="text that is not a time"):
        prepare_events(broken, tmp_path / "log")
    assert PreparedLog.read(tmp_path / "log") == made
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_a_folder_or_file_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(OutputError, match=r"no folder for a prepared log\n.*a folder with other"):
        prepare_events(LOG, tmp_path / "mine")
    with pytest.raises(OutputError, match=r"no folder for a prepared log\n.*, a file"):
        prepare_events(LOG, tmp_path / "mine" / "thesis.txt")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "ten years of work"


def test_a_place_that_can_t_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the output can't be written"):
        prepare_events(LOG, tmp_path / "file" / "log")


def test_a_log_that_is_not_the_one_of_its_manifest_is_refused(tmp_path: Path) -> None:
    prepare_events(LOG, tmp_path / "log")
    LOG.to_parquet(PreparedLog.file(tmp_path / "log"))
    refused(EventLogError, "not the one that its manifest describes", tmp_path / "log")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "ces-ml prepared log"}'])
def test_a_manifest_that_can_t_be_read_is_refused(tmp_path: Path, text: str) -> None:
    prepare_events(LOG, tmp_path / "log")
    (tmp_path / "log" / "ces_ml_manifest.json").write_text(text)
    refused(EventLogError, "the prepared log can't be read", tmp_path / "log")


@pytest.mark.slow
def test_the_sort_respects_the_memory_limit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 1_500_000
    log = pd.DataFrame({"customer_id": rng.permutation(n), "event_type": "x"})
    log["timestamp"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**9, n), "us")
    log["note"] = "a text to make the rows wide " + log["customer_id"].astype(str)
    log.to_parquet(tmp_path / "log.parquet")
    made = prepare_events(tmp_path / "log.parquet", tmp_path / "log", memory_limit="200MB")
    assert made.rows == n
    found = pq.read_table(PreparedLog.file(tmp_path / "log"), columns=["customer_id"])
    assert found["customer_id"].to_numpy().tolist() == list(range(n))
    with pytest.raises(SpecError, match="option of the engine"):
        prepare_events(LOG, tmp_path / "other", memory_limit="a little")


@pytest.mark.slow
def test_training_on_a_prepared_log_remembers_its_columns(tmp_path: Path) -> None:
    from ces_ml.datasets import make_event_history

    log = make_event_history(1000).events.rename(columns={"customer_id": "who"})
    prepare_events(log, tmp_path / "log", EventSchema(customer_col="who"))
    body = {
        "name": "trial",
        "outcome": {"task": "conversion", "event": "subscription_started", "horizon": "14d"},
        "as_of": "14d after trial_started",
        "counts": [{"events": ["login", "demo_booked"], "window": "28d"}],
    }
    (tmp_path / "job.yaml").write_text(json.dumps(body | {"events": {"path": "log"}}))
    config = TrainingConfig.from_file(tmp_path / "job.yaml")
    assert config.events.customer_col == "who"
    weights = train(config).weight_set
    raw = train(TrainingConfig.parse(body | {"events": {"customer_col": "who"}}), log).weight_set
    assert weights.weights == raw.weights
    assert weights.events == raw.events


def test_the_engine_names_the_customers_as_the_log_does(tmp_path: Path) -> None:
    log = LOG.rename(columns={"customer_id": "who"})
    prepare_events(log, tmp_path / "log", EventSchema(customer_col="who"))
    with DuckDBEngine(os.fspath(tmp_path / "log")) as engine:
        table = engine.table(CountSpec.of(["login"], window="9d"), None)
    assert table.keys.columns.tolist() == ["who", "as_of"]
