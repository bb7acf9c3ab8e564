"""The command ``score``: its outputs, and how it is told what it may use."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from ces_ml.cli.main import app
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    term = WeightedTerm(name="login", event="login", window="30d", weight=0.5)
    WeightSet(
        name="demo",
        terms=(term,),
        intercept=0,
        scale=Scale(method="min_max", knots=((0.0, 0.0), (2.0, 100.0))),
        bands=(Band(name="low", from_score=0), Band(name="high", from_score=50)),
    ).save("w.json")
    pd.DataFrame(
        {
            "customer_id": ["a", "a", "=b", "c"],
            "event_type": ["login", "login", "login", "other"],
            "timestamp": pd.to_datetime(["2025-01-01", "2025-01-02", "2025-01-02", "2025-01-03"]),
        }
    ).to_parquet("log.parquet")
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["score", "w.json", "log.parquet", *words])


def test_a_table_of_a_database_is_written(home: Path) -> None:
    done = call("-o", "s.duckdb", "--table", "mine", "--threads", "1", "--memory-limit", "200MB")
    assert done.exit_code == 0, done.output
    assert "3 rows written to s.duckdb" in done.output
    assert "1  high" in done.output
    assert "2  low" in done.output
    with duckdb.connect("s.duckdb") as con:
        found = con.sql("SELECT customer_id, raw_score, reason_1 FROM mine ORDER BY ALL").fetchall()
    assert found == [("=b", 0.5, "login"), ("a", 1.0, "login"), ("c", 0.0, None)]


@pytest.mark.filterwarnings("default::ces_ml.errors.CesWarning")
def test_a_calendar_gives_a_history(home: Path) -> None:
    done = call("-o", "s.csv", "--as-of", "every 1d from 2025-01-02 to 2025-01-04")
    assert done.exit_code == 0, done.output
    found = pd.read_csv("s.csv")
    assert found["customer_id"].tolist() == ["a", "=b", "a", "=b", "a", "c"]
    assert found["raw_score"].tolist() == [0.5, 0.5, 1.0, 0.5, 1.0, 0.0]


@pytest.mark.filterwarnings("default::ces_ml.errors.CesWarning")
def test_text_that_a_spreadsheet_would_run_is_warned_of_or_quoted(home: Path) -> None:
    assert "1 ids or names in 's.csv' begin like a formula" in call("-o", "s.csv").output
    assert "=b" in pd.read_csv("s.csv")["customer_id"].tolist()
    done = call("-o", "s.csv", "--spreadsheet-safe")
    assert "formula" not in done.output
    assert "'=b" in pd.read_csv("s.csv")["customer_id"].tolist()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--engine", "dukdb"), "engine has a value that is not allowed"),
        (("--memory-limit", "much"), "an option of the engine has a value that is not allowed"),
    ],
)
def test_what_it_may_not_use_is_refused(home: Path, words: tuple[str, ...], problem: str) -> None:
    done = call("-o", "s.csv", *words)
    assert done.exit_code == 2
    assert problem in done.output
    assert not Path("s.csv").exists()
