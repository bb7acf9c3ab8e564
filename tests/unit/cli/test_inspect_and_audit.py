"""The command line says what is odd about a log, and stops where counts know the outcome."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from ces_ml.cli.main import app
from ces_ml.datasets import make_count_until_churn

TRAP = """
name: retention
events: {path: events.parquet}
outcome: {task: churn, event: subscription_cancelled, horizon: 14d}
as_of: 0d after account_reviewed
counts: [{events: [login, page_view, support_ticket], window: 52w}]
"""
HOSTILE = "[red]<script>alert(1)</script>\x1b[31m"


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "120"})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_count_until_churn(800, seed=1).to_parquet(tmp_path / "events.parquet")
    (tmp_path / "trap.yaml").write_text(TRAP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_a_leak_stops_the_job_with_exit_2_and_leaves_nothing(home: Path) -> None:
    done = call("train", "trap.yaml", "-o", "weights.json")
    assert done.exit_code == 2
    for words in (
        "error: the leak audit stops this job",
        "got:     1 finding",
        "exposure: customers with the good outcome were observed for",
        "→ take as_of at the same moments for everybody",
        'audit: {allow: ["exposure"]}',
        "--allow-leaks REASON",
    ):
        assert words in done.stderr
    assert not (home / "weights.json").exists()
    assert not (home / "mlflow.db").exists()


@pytest.mark.slow
def test_a_reason_lets_it_go_on_and_is_shown(home: Path) -> None:
    done = call("train", "trap.yaml", "--no-track", "-o", "w.json", "--allow-leaks", "[b]a test")
    assert done.exit_code == 0, done.output
    assert "leak audit: 1 allowed" in done.output
    assert "because: [b]a test" in done.output
    assert "ROC AUC of the score as counted at as_of" in done.output
    assert (home / "w.json").exists()
    refused = call("train", "trap.yaml", "--no-track", "--allow-leaks", "")
    assert refused.exit_code == 2
    assert "leaks are allowed for no reason" in refused.stderr


def test_what_the_configuration_allows_goes_on(home: Path) -> None:
    (home / "trap.yaml").write_text(TRAP + "audit: {allow: [exposure]}\n")
    done = call("train", "trap.yaml", "--no-track")
    assert done.exit_code == 0, done.output
    assert "because: allowed in the configuration" in done.output


def test_inspect_prints_tables(home: Path) -> None:
    done = call("inspect", "events.parquet")
    assert done.exit_code == 0, done.output
    log = pd.read_parquet("events.parquet")
    assert f"{len(log):,} rows, 800 customers, 6 event types" in done.output
    assert "rows stand by customer, then time" in done.output
    assert "subscription_cancelled" in done.output


def test_inspect_prints_json_alone(home: Path) -> None:
    done = call("inspect", "events.parquet", "--json")
    body = json.loads(done.stdout)
    assert body["customers"] == 800
    assert {t["event"] for t in body["event_types"]} >= {"login", "page_view"}
    assert body["order"] == "by customer, then time"


def test_inspect_writes_a_page_and_reads_other_columns(home: Path) -> None:
    log = pd.read_parquet("events.parquet").rename(
        columns={"customer_id": "who", "event_type": "what", "timestamp": "when"}
    )
    log.loc[::3, "what"] = HOSTILE
    log.assign(seen=log["when"] + pd.Timedelta("1D")).to_csv("odd.csv", index=False)
    columns = ["--customer-col", "who", "--event-col", "what", "--timestamp-col", "when"]
    done = call("inspect", "odd.csv", *columns, "--arrival-col", "seen", "--html", "out/log.html")
    assert done.exit_code == 0, done.output
    assert "\x1b[31m" not in done.output
    assert "[red]<script>" in done.output
    assert "arrived late, half of these within 1 days" in done.output
    page = (home / "out" / "log.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<script>" not in page
    assert "page written to out/log.html" in done.output


def test_inspect_reads_a_preset_and_the_log_of_a_configuration(home: Path) -> None:
    log = pd.read_parquet("events.parquet")
    times = log["timestamp"].astype("datetime64[s]").astype("int64")
    lines = [
        json.dumps({"event": e, "properties": {"distinct_id": c, "time": t}})
        for c, e, t in zip(log["customer_id"], log["event_type"], times, strict=True)
    ]
    (home / "mixpanel.jsonl").write_text("\n".join(lines))
    (home / "log.yaml").write_text(
        "events: {path: mixpanel.jsonl, preset: mixpanel, arrival_col: null}\n"
    )
    words = ["mixpanel.jsonl", "--preset", "mixpanel", "--set", "arrival_col=null"]
    for done in (
        call("inspect", *words, "--json"),
        call("inspect", "--config", "log.yaml", "--json"),
    ):
        assert done.exit_code == 0, done.output
        body = json.loads(done.stdout)
        assert (body["rows"], body["customers"]) == (len(log), 800)


def test_inspect_reads_a_table_of_a_database(home: Path) -> None:
    import duckdb

    with duckdb.connect("log.duckdb") as con:
        con.execute("CREATE TABLE a AS FROM 'events.parquet'; CREATE TABLE b AS FROM a LIMIT 7")
    done = call("inspect", "log.duckdb", "--set", "table=b", "--json")
    assert json.loads(done.stdout)["rows"] == 7


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([], "no event log is named"),
        (["events.parquet", "--set", "tabel=x"], "unknown key in the section `events`"),
        (["events.parquet", "--preset", "segmnt"], "did you mean 'segment'"),
        (["none.parquet"], "no file matches the event log's path"),
        (["events.parquet", "--customer-col", "customr_id"], "did you mean 'customer_id'"),
        (["events.parquet", "--event-col", "timestamp"], "one column is given two roles"),
        (["events.parquet", "--html", "/dev/null/a.html"], "the output can't be written"),
    ],
)
def test_a_log_that_can_not_be_inspected_exits_with_2(home: Path, words, match: str) -> None:
    done = call("inspect", *words)
    assert done.exit_code == 2
    assert match in done.stderr
