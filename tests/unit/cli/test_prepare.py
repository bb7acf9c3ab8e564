"""The command ``ces-ml prepare``."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from ces_ml import CountSpec, EventSchema, build_counts
from ces_ml.cli.main import app

SPEC = CountSpec.of(["login"], window="30d")
LOG = pd.DataFrame(
    {
        "user": ["a", "a", "b", None],
        "event_type": "login",
        "timestamp": ["2024-01-01", "2024-01-02", "2024-01-05", "2024-01-05"],
    }
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    LOG.to_csv("events.csv", index=False)
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["prepare", *words])


def digest(log: str, schema: EventSchema | None = None) -> str:
    return build_counts(log, SPEC, schema=schema).digest()


def test_a_log_is_written_and_what_was_left_out_is_said() -> None:
    done = call("events.csv", "-o", "log", "--set", "customer_col=user", "--threads", "1")
    assert done.exit_code == 0, done.output
    assert "3 events of 1 types" in done.output
    assert "1 rows with null customer, left out" in done.output
    assert "taken as UTC" in done.output
    assert digest("log") == digest("events.csv", EventSchema(customer_col="user"))


def test_a_configuration_names_the_log_and_its_columns(home: Path) -> None:
    (home / "jobs").mkdir()
    (home / "jobs" / "job.yaml").write_text(
        "name: x\nevents: {path: ../events.csv, customer_col: user}\n"
    )
    done = call("--config", "jobs/job.yaml", "-o", "log")
    assert done.exit_code == 0, done.output
    assert digest("log") == digest("events.csv", EventSchema(customer_col="user"))


def test_a_preset_and_what_differs_are_taken() -> None:
    LOG.rename(columns={"user": "distinct", "event_type": "event"}).assign(
        timestamp=[1704067200, 1704067201, 1704067202, 1704067203]
    ).to_json("events.jsonl", orient="records", lines=True)
    words = ("--set", "customer_col=distinct", "--set", "timestamp_col=timestamp")
    words += ("--set", "timestamp_unit=s", "--set", "arrival_col=null")
    done = call("events.jsonl", "--preset", "mixpanel", "-o", "log", *words)
    assert done.exit_code == 0, done.output
    assert build_counts("log", SPEC).X.toarray().tolist() == [[2], [1]]


def test_a_table_of_a_database_is_written() -> None:
    with duckdb.connect("log.duckdb") as con:
        con.execute("CREATE TABLE e AS SELECT * FROM 'events.csv'; CREATE TABLE other (a INT)")
    done = call("log.duckdb", "--set", "table=e", "--set", "customer_col=user", "-o", "log")
    assert done.exit_code == 0, done.output


def test_scoring_takes_the_accounts_and_columns_of_a_configuration(home: Path) -> None:
    from ces_ml.weights import WeightSet

    pd.DataFrame({"user_id": ["a", "b"], "account_id": ["A", "A"]}).to_csv("seats.csv", index=False)
    (home / "job.yaml").write_text(
        "events: {path: events.csv, customer_col: user, accounts: {path: seats.csv}}\n"
    )
    parts = {
        "name": "engagement",
        "terms": [{"name": "login", "event": "login", "window": "30d", "weight": 1.0}],
        "intercept": 0.0,
        "scale": {"method": "probability"},
        "bands": [{"name": "all", "from_score": 0}],
    }
    (home / "w.json").write_text(WeightSet.parse(parts).to_json())
    words = ["score", "w.json", "--config", "job.yaml", "-o", "scores.csv"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    scores = pd.read_csv("scores.csv")
    assert scores["account_id"].tolist() == ["A"]
    assert scores["raw_score"].tolist() == [3.0]
    done = CliRunner().invoke(app, ["score", "w.json", "-o", "scores.csv"])
    assert done.exit_code == 2
    assert "no event log is named" in done.output


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ((), "no event log is named"),
        (("none.csv",), "no file matches"),
        (("events.csv", "--set", "customer_col"), "--set is given no value"),
        (("events.csv", "--set", "customer=user"), "did you mean 'customer_col'"),
        (("events.csv", "--preset", "segmnt"), "did you mean 'segment'"),
        (("--config", "none.yaml"), "the configuration can't be read"),
        (("--config", "empty.yaml"), "has no section `events`"),
        (("events.csv",), "no such column"),
    ],
)
def test_what_can_t_be_done_exits_with_2_and_writes_nothing(
    home: Path, words: tuple[str, ...], match: str
) -> None:
    (home / "empty.yaml").write_text("name: x\n")
    done = call(*words, "-o", "log")
    assert done.exit_code == 2
    assert match in done.output
    assert not Path("log").exists()
