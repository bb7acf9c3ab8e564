"""However a log is stored, ordered or read, its counts are the same."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.events import EventSchema
from ces_ml.features import build_counts
from ces_ml.spec import CountSpec, CountTable, OutcomeSpec

from .engines import ENGINES

AS_OF = ["2024-04-01", "2024-05-01", "2024-06-01"]
CHURN = OutcomeSpec(task="churn", silence_of="*", horizon="5d", gap="1d", active_within="5d")


@pytest.fixture(scope="module", params=ENGINES)
def counted(
    request: pytest.FixtureRequest, spec: CountSpec, schema: EventSchema
) -> Callable[..., CountTable]:
    """Count a log, always the same way."""

    def count(events: Any, **options: Any) -> CountTable:
        return build_counts(
            events,
            spec,
            as_of=AS_OF,
            outcome=CHURN,
            schema=schema,
            engine=request.param,
            **options,
        )

    return count


@pytest.fixture(scope="module")
def table(counted: Callable[..., CountTable], log: pd.DataFrame) -> CountTable:
    return counted(log)


def assert_same(table: CountTable, other: CountTable) -> None:
    assert other.digest() == table.digest()
    pd.testing.assert_frame_equal(other.keys, table.keys)
    assert dict(other.report) == dict(table.report)


def test_the_log_is_worth_the_comparison(table: CountTable) -> None:
    assert len(table) > 100
    assert 10 < table.outcomes.sum() < len(table) - 5
    assert (table.X.toarray() != 0).sum(axis=0).min() > 30
    assert table.report["null_customer"] > 0
    assert table.report["left_out_not_active"] > 0


def write(frame: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".parquet", ".pq"):
        frame.to_parquet(path, index=False)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def relation(frame: pd.DataFrame) -> duckdb.DuckDBPyRelation:
    return duckdb.connect().from_arrow(pa.Table.from_pandas(frame))


FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas with its index shuffled": lambda f: f.sample(frac=1, random_state=1),
    "pandas of objects": lambda f: f.astype({"customer_id": object, "event_type": object}),
    "pandas of categories": lambda f: f.astype({"event_type": "category"}),
    "pandas of nanoseconds": lambda f: f.astype({"timestamp": "datetime64[ns]"}),
    "pandas in UTC": lambda f: f.assign(timestamp=f["timestamp"].dt.tz_localize("UTC")),
    # The copy: before 3.1.1, pandas turns missing times of the original into 1970 here.
    "pandas of Arrow types": lambda f: f.copy().convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.from_pandas,
    "polars, lazy": lambda f: pl.from_pandas(f).lazy(),
    "polars of categories": lambda f: pl.from_pandas(f).with_columns(
        pl.col("customer_id", "event_type").cast(pl.Categorical)
    ),
    "Arrow table": pa.Table.from_pandas,
    "Arrow record batch": lambda f: pa.Table.from_pandas(f).combine_chunks().to_batches()[0],
    "Arrow reader": lambda f: pa.Table.from_pandas(f).to_reader(max_chunksize=100),
    "Arrow data set": lambda f: ds.dataset(pa.Table.from_pandas(f)),
    "Arrow dictionaries": lambda f: pa.table(
        {n: pa.array(f[n], from_pandas=True).dictionary_encode() for n in f.columns[:2]}
        | {n: pa.array(f[n], from_pandas=True) for n in f.columns[2:]}
    ),
    "DuckDB relation": relation,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_any_frame_or_table_gives_the_same_counts(
    kind: str, log: pd.DataFrame, counted: Callable[..., CountTable], table: CountTable
) -> None:
    assert_same(table, counted(FRAMES[kind](log)))


@pytest.mark.parametrize(
    "name",
    [
        "log.parquet",
        "log.pq",
        "log.csv",
        "log.csv.gz",
        "log.tsv",
        'it\'s a "log"; 🎉 {x}.parquet',
        "every*?[0-9].parquet",
        "every*?[0-9].csv",
    ],
)
def test_any_file_gives_the_same_counts(
    name: str,
    tmp_path: Path,
    log: pd.DataFrame,
    counted: Callable[..., CountTable],
    table: CountTable,
) -> None:
    path = write(log, tmp_path / name)
    write(log.head(500), tmp_path / f"every other 7{path.suffix}")  # what a pattern would match
    assert_same(table, counted(path))
    assert_same(table, counted(str(path)))


def test_an_ending_in_capitals_is_read_too(
    tmp_path: Path, log: pd.DataFrame, counted: Callable[..., CountTable], table: CountTable
) -> None:
    write(log, tmp_path / "log.parquet").rename(tmp_path / "LOG.PARQUET")
    assert_same(table, counted(tmp_path / "LOG.PARQUET"))


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz", "tsv"])
def test_a_glob_over_split_files_gives_the_same_counts(
    ending: str,
    tmp_path: Path,
    log: pd.DataFrame,
    counted: Callable[..., CountTable],
    table: CountTable,
) -> None:
    for k in range(5):
        write(log[k::5], tmp_path / f"part {k}.{ending}")
    assert_same(table, counted(tmp_path / f"part*.{ending}"))


@pytest.mark.parametrize("folder", ["plain", "it's [a-z] *", "🎉"])
def test_a_folder_of_nested_files_gives_the_same_counts(
    folder: str,
    tmp_path: Path,
    log: pd.DataFrame,
    counted: Callable[..., CountTable],
    table: CountTable,
) -> None:
    for k, place in enumerate(["a.parquet", "b/c.parquet", "b/d/e.parquet"]):
        write(log[k::3], tmp_path / folder / place)
    (tmp_path / folder / "notes.txt").write_text("not a log")
    assert_same(table, counted(tmp_path / folder))


def test_files_with_columns_in_another_order_or_missing_are_one_log(
    tmp_path: Path, log: pd.DataFrame, counted: Callable[..., CountTable], table: CountTable
) -> None:
    write(log[log["value"].notna()][log.columns[::-1]], tmp_path / "a.parquet")
    write(log[log["value"].isna()].drop(columns="value"), tmp_path / "b.parquet")
    assert_same(table, counted(tmp_path))


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 2}, {"memory_limit": "200MB"}])
def test_threads_and_memory_change_nothing(
    options: dict[str, Any],
    tmp_path: Path,
    log: pd.DataFrame,
    counted: Callable[..., CountTable],
    table: CountTable,
) -> None:
    assert_same(table, counted(write(log, tmp_path / "log.parquet"), **options))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 7))
def test_the_order_of_rows_and_their_split_into_files_change_nothing(
    seed: int,
    parts: int,
    tmp_path_factory: pytest.TempPathFactory,
    log: pd.DataFrame,
    counted: Callable[..., CountTable],
    table: CountTable,
) -> None:
    folder = tmp_path_factory.mktemp("split")
    shuffled = log.sample(frac=1, random_state=seed)
    for k in range(parts):
        write(shuffled[k::parts], folder / f"{k}.parquet")
    assert_same(table, counted(folder))


def test_ids_in_a_csv_file_stay_the_text_they_are(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "customer_id,event_type,timestamp\n"
        "007,login,2024-01-01\n7,login,2024-01-01\n7.0,login,2024-01-02\n 7,login,2024-01-02\n"
    )
    table = build_counts(path, CountSpec.of(["login"], window="7d"))
    assert table.customer.tolist() == [" 7", "007", "7", "7.0"]
    assert table.X.toarray().ravel().tolist() == [1, 1, 1, 1]


def test_a_csv_file_with_semicolons_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("customer_id;event_type;timestamp\na;it's, well;2024-01-01\n")
    table = build_counts(path, CountSpec.of(["it's, well"], window="7d"))
    assert table.X.toarray().tolist() == [[1]]


def test_spilling_leaves_nothing_behind_in_the_folder_of_the_job(
    tmp_path: Path, log: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, spec: CountSpec
) -> None:
    monkeypatch.chdir(tmp_path)
    schema = EventSchema(value_col="value")
    build_counts(log, spec, as_of=AS_OF, schema=schema, memory_limit="200MB")
    assert list(tmp_path.iterdir()) == []


def test_quotes_that_appear_late_in_a_csv_file_are_quotes(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    header = "customer_id,event_type,timestamp\n"
    late = 'b,"q, ""r""\ns",2024-01-01\n'
    path.write_text(header + "a,x,2024-01-01\n" * 25_000 + late)
    table = build_counts(path, CountSpec.of(["x", 'q, "r"\ns'], window="7d"))
    assert table.X.toarray().tolist() == [[25_000, 0], [0, 1]]


def test_an_apostrophe_in_a_csv_file_is_a_letter(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("customer_id,event_type,timestamp\n" + "a,'x',2024-01-01\n" * 5)
    table = build_counts(path, CountSpec.of(["'x'", "x"], window="7d"))
    assert table.X.toarray().tolist() == [[5, 0]]
