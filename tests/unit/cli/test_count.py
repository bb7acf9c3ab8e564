"""The command ``ces-ml count``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from ces_ml import TrainingConfig, build_counts, read_counts
from ces_ml.cli.main import app
from ces_ml.features import CountsFile

CONFIG = """
name: silence
events: {path: events.csv, customer_col: user}
outcome: {task: churn, silence_of: "*", horizon: 5d, active_within: 20d}
as_of: [2024-02-01, 2024-02-10]
counts: [{window: 30d, transform: log1p}]
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    log = pd.DataFrame(
        {
            "user": [f"u{k % 7}" for k in range(60)],
            "event_type": ["login", "buy"] * 30,
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(range(60), unit="D"),
        }
    )
    log.to_csv("events.csv", index=False)
    log.to_csv("other.csv", index=False)
    Path("job.yaml").write_text(CONFIG)
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["count", *words])


@pytest.mark.parametrize("events", [[], ["other.csv"]])
def test_the_file_holds_what_the_job_would_learn_from(events: list[str]) -> None:
    done = call(*events, "--config", "job.yaml", "-o", "c.parquet", "--memory-limit", "1GB")
    assert done.exit_code == 0, done.output
    assert "rows, 2 counts" in done.output
    job = TrainingConfig.from_file("job.yaml")
    expected = build_counts(
        "events.csv",
        job.counts,
        as_of=job.as_of_rule,
        outcome=job.outcome,
        schema=job.events.event_schema,
    )
    assert read_counts("c.parquet").digest() == expected.digest()


def test_another_moment_and_the_design_are_taken() -> None:
    words = ("--config", "job.yaml", "-o", "c.parquet", "--as-of", "2024-02-05", "--design")
    done = call(*words, "--threads", "1")
    assert done.exit_code == 0, done.output
    assert CountsFile.read("c.parquet").design
    assert pd.read_parquet("c.parquet")["as_of"].unique() == [pd.Timestamp("2024-02-05", tz="UTC")]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("--config", "job.yaml", "-o", "c.csv"), "can't be told from its name"),
        (("--config", "absent.yaml", "-o", "c.parquet"), "absent.yaml"),
        (("absent.csv", "--config", "job.yaml", "-o", "c.parquet"), "absent.csv"),
        (("--config", "job.yaml", "-o", "c.parquet", "--as-of", "2020-01-01"), "as_of"),
        (("--config", "job.yaml", "-o", "c.parquet", "--memory-limit", "much"), "memory_limit"),
        (("-o", "c.parquet"), "--config"),
    ],
)
def test_mistakes_end_with_2_and_leave_no_file(
    words: tuple[str, ...], match: str, home: Path
) -> None:
    before = sorted(home.iterdir())
    done = call(*words)
    assert done.exit_code == 2
    assert match in done.output + done.stderr
    assert sorted(home.iterdir()) == before
