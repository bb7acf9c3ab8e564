"""Paths, files and objects that are no event log are refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ces_ml.errors import EventLogError

from .engines import ENGINES
from .refusals import LOG, refused


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", ["log.xlsx", "log", "log.parquet.bak", "", "log.xml"])
def test_an_unknown_file_ending_is_refused(tmp_path: Path, engine: str, name: str) -> None:
    path = str(tmp_path / name) if name else ""
    if name:
        Path(path).write_text("x")
    refused(EventLogError, r"can't be told from its name\n.*\n.*\.parquet, ", path, engine=engine)


@pytest.mark.parametrize(
    "name", ["none.parquet", "none.csv", "nowhere/none.parquet", "no*.parquet", "it's none; 🎉.csv"]
)
def test_a_path_without_a_file_is_refused(tmp_path: Path, engine: str, name: str) -> None:
    refused(EventLogError, "no file matches the event log's path", tmp_path / name, engine=engine)


@pytest.mark.parametrize("path", ["s3://bucket/log.parquet", "https://example.com/log.csv"])
def test_a_log_on_another_machine_is_refused(engine: str, path: str) -> None:
    refused(EventLogError, "not on this machine\n.*\n.*\n.*pyarrow.dataset", path, engine=engine)


def test_a_folder_without_parquet_files_is_refused(tmp_path: Path, engine: str) -> None:
    (tmp_path / "log.csv").write_text("customer_id,event_type,timestamp\n")
    error = refused(EventLogError, "no file matches", tmp_path, engine=engine)
    assert "a folder without Parquet files" in str(error.got)


@pytest.mark.parametrize("name", ["log.parquet", "log.csv.gz"])
def test_a_file_that_is_not_what_its_ending_says_is_refused(
    tmp_path: Path, engine: str, name: str
) -> None:
    (tmp_path / name).write_bytes(b"this is no such file" * 50)
    refused(EventLogError, "the event log can't be (read|counted)", tmp_path / name, engine=engine)


@pytest.mark.parametrize("times", ["text", "timestamps"])
def test_a_parquet_file_with_damaged_pages_is_refused(
    tmp_path: Path, engine: str, times: str
) -> None:
    path = tmp_path / "log.parquet"
    frame = pd.DataFrame({"customer_id": range(5_000), "event_type": "x"})
    frame["timestamp"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame.index, unit="s")
    if times == "text":
        frame["timestamp"] = frame["timestamp"].astype(str)
    pq.write_table(pa.Table.from_pandas(frame), path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[4 : len(data) * 3 // 4] = b"\xff" * (len(data) * 3 // 4 - 4)  # the footer stays
    path.write_bytes(data)
    refused(EventLogError, "the event log can't be (read|counted)", path, engine=engine)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_csv_file_in_another_encoding_is_refused(
    tmp_path: Path, engine: str, encoding: str
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("customer_id,event_type,timestamp\né,x,2024-01-01\n", encoding=encoding)
    refused(EventLogError, "the event log can't be read", path, engine=engine)


@pytest.mark.parametrize("text", ["", "\n", "customer_id,event_type,timestamp\n"])
def test_a_csv_file_without_rows_is_refused(tmp_path: Path, engine: str, text: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    match = "no such column|holds no events|can't be read"
    refused(EventLogError, match, tmp_path / "log.csv", engine=engine)


@pytest.mark.parametrize(
    "thing",
    [
        *(None, 5, ["log.parquet"], {"customer_id": [1]}, b"log.parquet", np.zeros(2), object()),
        *(pd.Series([1]), pl.Series([1]), pl.col("a"), pa.array([1]), pa.int64()),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_no_table_is_refused(engine: str, thing: Any) -> None:
    refused(
        EventLogError, r"not an event log\n.*\n.*pandas or polars DataFrame", thing, engine=engine
    )


def test_a_duckdb_connection_is_no_table(engine: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    refused(EventLogError, "not an event log", duckdb.connect(), engine=engine)


def test_a_lazy_frame_that_can_t_be_collected_is_refused(tmp_path: Path, engine: str) -> None:
    lazy = pl.scan_parquet(tmp_path / "none.parquet")
    refused(EventLogError, "the polars frame can't be read", lazy, engine=engine)


def test_a_relation_of_a_closed_connection_is_refused(engine: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    relation = connection.from_arrow(pa.Table.from_pandas(LOG))
    connection.close()
    refused(EventLogError, "the event log can't be counted", relation, engine=engine)
