"""A configuration with accounts runs on Spark unchanged: weights and scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ces_ml import WeightSet
from ces_ml.cli.main import app
from ces_ml.datasets import make_event_history

YAML = """
name: accounts
events:
  path: events.parquet
  customer_col: user
  observed_until: 2025-06-30
  driver_rows: 500
  accounts: {path: seats.csv, valid_from_col: joined, valid_to_col: left}
outcome: {task: upsell, event: demo_booked, repeatable: true, horizon: 14d}
as_of: every 28d from 2025-02-10 to 2025-06-10
counts:
  - {events: [login, page_view, support_ticket], window: 28d, per: seat, transform: log1p}
  - {events: [error_seen], window: 56d}
  - {events: [webinar_attended], measure: distinct, property: user, window: 28d}
model:
  rules: [login >= 0, support_ticket <= 0]
evaluation: {ceiling: false, replicates: 50}
"""


def run(*arguments: str) -> str:
    ran = CliRunner().invoke(app, list(arguments))
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 900 users, most of them in one of 200 accounts, some in two after another."""
    folder = tmp_path_factory.mktemp("job")
    log = make_event_history(900, seed=3).events.rename(columns={"customer_id": "user"})
    log.to_parquet(folder / "events.parquet")
    users = np.array(sorted(log["user"].unique()))
    rng = np.random.default_rng(3)
    firms = rng.integers(0, 200, (2, len(users)))
    first = pd.DataFrame({"user_id": users, "account_id": [f"firm {k}" for k in firms[0]]})
    moved = first.assign(account_id=[f"firm {k}" for k in firms[1]])[::4]
    first = first.assign(joined=None, left=None)
    first.loc[::4, "left"] = moved["joined"] = "2025-04-01T12:00:00Z"
    pd.concat([first[: 1 - len(users) // 50], moved]).to_csv(folder / "seats.csv", index=False)
    (folder / "job.yaml").write_text(YAML)
    return folder


@pytest.mark.slow
def test_a_job_over_accounts_learns_on_spark_what_it_learns_on_duckdb(
    spark: object, folder: Path
) -> None:
    job, scored = str(folder / "job.yaml"), {}
    for engine in ("duckdb", "spark"):
        run("train", job, "--no-track", "-o", str(folder / f"{engine}.json"), "--engine", engine)
    mine, theirs = (WeightSet.load(folder / f"{e}.json") for e in ("spark", "duckdb"))
    assert mine.account_col == "account_id"
    assert mine.provenance.data_digest.startswith("rows-in-spark-1:")  # past `driver_rows`
    assert mine.provenance.rows == theirs.provenance.rows
    assert mine.provenance.customers == theirs.provenance.customers
    weights = ([s.intercept, *s.weights.values()] for s in (mine, theirs))
    np.testing.assert_allclose(*weights, rtol=1e-8, atol=1e-10)
    for engine, output in (("duckdb", "scores.parquet"), ("spark", "scores")):
        arguments = ["score", str(folder / "duckdb.json"), "--config", job, "--engine", engine]
        run(*arguments, "-o", str(folder / output), "--as-of", "2025-05-01")
        scored[engine] = pd.read_parquet(folder / output).sort_values("account_id")
    pd.testing.assert_frame_equal(
        *(s.reset_index(drop=True) for s in scored.values()), check_dtype=False, rtol=1e-9
    )
    assert len(scored["spark"]) > 100
