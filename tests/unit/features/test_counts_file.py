"""Counts written straight to a file are those of the table in memory, whatever the blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ces_ml import CountSpec, EventSchema, OutcomeSpec, build_counts, read_counts, write_counts
from ces_ml.errors import CesError, EventLogError, OutputError, SpecError
from ces_ml.features import CountsFile, counts_file, sql_engine
from ces_ml.linear import ConstrainedLogisticRegression, fit_parquet
from ces_ml.spec import CountTable, Term

from .refusals import LOG, SPEC

AS_OF = ["2024-04-01", "2024-05-01", "2024-06-01"]
CHURN = OutcomeSpec(task="churn", silence_of="*", horizon="5d", gap="1d", active_within="20d")


def assert_equal(found: CountTable, expected: CountTable) -> None:
    pd.testing.assert_frame_equal(found.keys, expected.keys)
    assert found.spec == expected.spec
    assert found.X.dtype == expected.X.dtype
    np.testing.assert_array_equal(found.X.indptr, expected.X.indptr)
    np.testing.assert_array_equal(found.X.indices, expected.X.indices)
    np.testing.assert_allclose(found.X.data, expected.X.data, rtol=1e-12)
    for name in ("y", "sample_weight"):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if other is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert dict(found.report) == dict(expected.report)
    assert dict(found.not_counted) == dict(expected.not_counted)


def in_blocks(monkeypatch: pytest.MonkeyPatch, rows: int, spec: CountSpec) -> None:
    monkeypatch.setattr(counts_file, "_BLOCK", rows * len(spec.terms))


@pytest.mark.parametrize("rows", [1, 7, 60, 10_000])
@pytest.mark.parametrize("outcome", [None, CHURN])
def test_a_file_gives_back_the_table_whatever_its_blocks(
    rows: int,
    outcome: OutcomeSpec | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log: pd.DataFrame,
    schema: EventSchema,
    spec: CountSpec,
) -> None:
    in_blocks(monkeypatch, rows, spec)
    options: dict[str, Any] = {"as_of": AS_OF, "outcome": outcome, "schema": schema}
    expected = build_counts(log, spec, **options)
    file = write_counts(log, spec, tmp_path / "c.parquet", **options)
    assert_equal(read_counts(tmp_path / "c.parquet"), expected)
    assert CountsFile.read(tmp_path / "c.parquet") == file
    held = pq.ParquetFile(tmp_path / "c.parquet")
    assert held.metadata.num_row_groups == -(-len(expected) // rows)
    assert held.schema_arrow.names[2 : 2 + len(spec.terms)] == list(spec.names)


def test_rows_without_events_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks without any count lie before, between and behind those that have some."""
    log = pd.DataFrame(
        {
            "customer_id": [f"{k:02d}" for k in range(20)],
            "event_type": ["buy" if k in (7, 8, 13) else "login" for k in range(20)],
            "timestamp": pd.Timestamp("2024-01-01"),
        }
    )
    for event in ("buy", "never"):
        spec = CountSpec.of([event], window="30d")
        in_blocks(monkeypatch, 3, spec)
        write_counts(log, spec, tmp_path / "c.parquet", as_of="2024-01-02")
        found = read_counts(tmp_path / "c.parquet")
        assert_equal(found, build_counts(log, spec, as_of="2024-01-02"))
        assert len(found) == 20


def test_many_rows_stay_in_order_on_two_threads_and_through_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    n = 600_000
    log = pd.DataFrame(
        {
            "customer_id": rng.permutation(200_000).astype(str)[rng.integers(0, 200_000, n)],
            "event_type": rng.choice(["a", "b", "c"], n),
            "timestamp": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 86_400, n), unit="s"),
        }
    )
    spec = CountSpec.of(["a", "b", "c"], window="7d")
    in_blocks(monkeypatch, 7_001, spec)
    options: dict[str, Any] = {"as_of": "2024-01-02", "threads": 2}
    monkeypatch.setattr(sql_engine, "_BLOCK", 3 * 10_007)
    expected = build_counts(log, spec, **options)
    write_counts(log, spec, tmp_path / "c.parquet", memory_limit="150MB", **options)
    assert_equal(read_counts(tmp_path / "c.parquet"), expected)
    assert_equal(build_counts(log, spec, memory_limit="150MB", **options), expected)


def test_names_that_clash_are_told_apart(tmp_path: Path) -> None:
    names = ("y", "as_of", "who", "sample_weight", "y (count)", "a.b", "a", 'x"; DROP', "\n", "🎉")
    log = pd.DataFrame(
        {
            "who": [k % 9 for k in range(180)],
            "event_type": [names[k % 10] for k in range(180)],
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(180), unit="D"),
        }
    )
    treated = pd.DataFrame({"who": [1, 2], "from": ["2024-02-01"] * 2, "to": ["2024-05-01"] * 2})
    outcome = OutcomeSpec.parse(
        {
            "task": "churn",
            "silence_of": "a*",
            "horizon": "9d",
            "active_within": "30d",
            "treated": {"how": "weight", "weight": 0.5, "from_col": "from", "to_col": "to"},
        }
    )
    spec = CountSpec.of(names, window="60d")
    options: dict[str, Any] = {
        "as_of": ["2024-03-01", "2024-04-01"],
        "outcome": outcome,
        "schema": EventSchema(customer_col="who"),
        "treated": treated,
    }
    file = write_counts(log, spec, tmp_path / "c.parquet", **options)
    assert_equal(read_counts(tmp_path / "c.parquet"), build_counts(log, spec, **options))
    assert (file.customer, file.as_of, file.y, file.sample_weight) == (
        "who",
        "as_of",
        "y",
        "sample_weight",
    )
    assert file.terms[:6] == (
        "y (count) (count)",
        "as_of (count)",
        "who (count)",
        "sample_weight (count)",
        "y (count)",
        "a.b",
    )
    columns = pq.read_schema(tmp_path / "c.parquet").names
    assert len(set(columns)) == len(columns) == 14


@pytest.mark.parametrize("column", ["y", "as_of_moment", "sample_weight"])
def test_a_customer_column_keeps_its_name(column: str, tmp_path: Path) -> None:
    log = LOG.rename(columns={"customer_id": column})
    schema = EventSchema(customer_col=column)
    file = write_counts(log, SPEC, tmp_path / "c.parquet", schema=schema)
    assert file.customer == column
    assert_equal(read_counts(tmp_path / "c.parquet"), build_counts(log, SPEC, schema=schema))


def test_a_fit_on_the_file_is_the_fit_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pd.DataFrame, schema: EventSchema
) -> None:
    spec = CountSpec(
        terms=tuple(
            Term(event=e, window="60d", transform="log1p", cap=8)
            for e in ("login", "buy; it's", "two\nlines")
        )
    )
    in_blocks(monkeypatch, 50, spec)
    options: dict[str, Any] = {"as_of": AS_OF, "outcome": CHURN, "schema": schema}
    table = build_counts(log, spec, **options)
    path = tmp_path / "c.parquet"
    file = write_counts(log, spec, path, design=True, **options)
    model = ConstrainedLogisticRegression(alpha=0.01, constraints="login >= 0")
    assert file.y is not None
    found = fit_parquet(path, target=file.y, features=file.terms, estimator=model)
    design = pd.DataFrame(table.design().toarray(), columns=list(spec.names))
    expected = model.fit(design, table.outcomes)
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-7)
    np.testing.assert_allclose(found.intercept_, expected.intercept_, atol=1e-7)
    with pytest.raises(SpecError, match="counts after cap and transform"):
        read_counts(path)


@pytest.mark.parametrize("text", [None, b"no parquet"])
def test_another_file_is_refused(text: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    if text is None:
        LOG.to_parquet(path)
    else:
        path.write_bytes(text)
    for file in (path, tmp_path / "absent.parquet"):
        with pytest.raises(SpecError, match="holds no counts that can be read"):
            read_counts(file)


@pytest.mark.parametrize(
    ("kind", "match", "events", "options"),
    [
        (EventLogError, "as_of", LOG, {"as_of": "2020-01-01"}),
        (EventLogError, "customer_id", LOG.drop(columns="customer_id"), {}),
        (SpecError, "unknown engine", LOG, {"engine": "duck"}),
    ],
)
def test_what_fails_leaves_the_file_before_it(
    kind: type[CesError], match: str, events: pd.DataFrame, options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "c.parquet"
    path.write_text("before")
    with pytest.raises(kind, match=match):
        write_counts(events, SPEC, path, **options)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_break_while_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pd.DataFrame
) -> None:
    in_blocks(monkeypatch, 5, SPEC)
    written: list[CountTable] = []
    columns = counts_file._columns

    def breaking(block: CountTable, file: CountsFile) -> Any:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(block)
        return columns(block, file)

    monkeypatch.setattr(counts_file, "_columns", breaking)
    with pytest.raises(OutputError, match="can't be written"):
        write_counts(log, SPEC, tmp_path / "c.parquet")
    assert list(tmp_path.iterdir()) == []
