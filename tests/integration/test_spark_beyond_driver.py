"""A job whose rows stay in Spark learns what one learns that brings them to its process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss
from typer.testing import CliRunner

from ces_ml.cli.main import app
from ces_ml.datasets import make_event_history
from ces_ml.errors import CesWarning
from ces_ml.evaluation import split_by_time
from ces_ml.features import SparkCounts
from ces_ml.spec import CountSpec, CountTable
from ces_ml.tracking import Tracker
from ces_ml.training import (
    TrainingConfig,
    TrainingResult,
    alternatives,
    compare_weight_sets,
    dividing,
    record,
    train,
)
from ces_ml.training.auditing import LeakAudit
from ces_ml.training.backtesting import backtest_of
from ces_ml.training.counting import count_for_training, counted_for_training
from ces_ml.training.dividing import divided, first_held_out
from ces_ml.training.in_spark import RowsInSpark
from ces_ml.training.job import learned_from
from ces_ml.weights import probabilities, raw_scores

YAML = """
name: trial_conversion
outcome: {task: conversion, event: subscription_started, horizon: 14d}
as_of: 14d after trial_started
counts:
  - events: [login, page_view, demo_booked, webinar_attended, support_ticket, error_seen]
    window: 28d
    half_life: 14d
    transform: log1p
model:
  rules: [login >= 0, demo_booked >= webinar_attended, support_ticket <= 0, error_seen <= 0]
evaluation: {ceiling: false, replicates: 50}
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("log") / "events.parquet"
    make_event_history(1500, seed=1).events.to_parquet(file)
    return file


@pytest.fixture(scope="module")
def here(log: Path) -> TrainingResult:
    return train(TrainingConfig.from_yaml(YAML), str(log))


def beyond(
    log: Path, driver_rows: int, step: int | None, *, audited: bool = True
) -> TrainingResult:
    body = YAML + f"events: {{engine: spark, driver_rows: {driver_rows}}}\n"
    config = TrainingConfig.from_yaml(body)
    leaks = LeakAudit(config)
    look = leaks.look if audited else None
    with counted_for_training(config, str(log), look=look, step=step) as counted:
        assert counted.in_spark is not None
        return learned_from(config, counted, leaks, progress=lambda stage: None)


def weights(result: TrainingResult) -> list[float]:
    return [result.weight_set.intercept, *result.weight_set.weights.values()]


@pytest.fixture(scope="module")
def whole(spark: Any, log: Path) -> TrainingResult:
    """A job that keeps its rows in Spark, and looks at all of them too."""
    return beyond(log, driver_rows=50, step=1)


@pytest.mark.slow
def test_a_job_beyond_the_driver_learns_what_a_collected_job_does(
    whole: TrainingResult, here: TrainingResult
) -> None:
    np.testing.assert_allclose(weights(whole), weights(here), rtol=1e-8, atol=1e-10)
    assert whole.intervals is not None
    assert here.intervals is not None
    for mine, theirs in zip(whole.weight_set.terms, here.weight_set.terms, strict=True):
        assert mine.interval is not None
        assert theirs.interval is not None
        np.testing.assert_allclose(
            (mine.interval.low, mine.interval.high),
            (theirs.interval.low, theirs.interval.high),
            rtol=1e-4,
            atol=1e-6,
        )
    assert whole.verdict == here.verdict
    assert whole.weight_set.bands == here.weight_set.bands
    assert len(whole.audit.findings) == len(here.audit.findings)
    mine, theirs = whole.weight_set.provenance, here.weight_set.provenance
    assert mine is not None
    assert theirs is not None
    for name in ("rows", "customers", "positives", "as_of"):
        assert getattr(mine, name) == getattr(theirs, name)
    assert mine.data_digest.startswith("rows-in-spark-1:")
    assert here.all_rows is None
    assert whole.all_rows is not None
    found = whole.all_rows.metrics
    assert (found.rows, found.roc_auc_error) == (int(here.split.test.sum()), 0.0)
    for name in ("roc_auc", "log_loss", "brier"):
        assert getattr(found, name) == pytest.approx(here.metrics[name], rel=1e-8)


@pytest.mark.slow
def test_a_job_that_looks_at_some_customers_still_fits_all_rows(
    spark: Any, whole: TrainingResult, here: TrainingResult, log: Path, tmp_path: Path
) -> None:
    shuffled = tmp_path / "shuffled.parquet"
    pd.read_parquet(log).sample(frac=1.0, random_state=7).to_parquet(shuffled)
    rows = here.sample["rows"]
    found = beyond(shuffled, driver_rows=rows // 3 + 1, step=None, audited=False)
    np.testing.assert_allclose(weights(found), weights(here), rtol=1e-8, atol=1e-10)
    assert found.all_rows is not None
    assert found.weight_set.provenance is not None
    assert found.all_rows.rows == rows
    assert 0.2 * rows < found.all_rows.looked_at < 0.5 * rows
    assert len(found.split.train) == found.all_rows.looked_at
    assert whole.weight_set.provenance is not None
    digest = whole.weight_set.provenance.data_digest
    assert found.weight_set.provenance.data_digest == digest
    assert found.all_rows.metrics.roc_auc == pytest.approx(here.metrics["roc_auc"], rel=1e-8)
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    info = record(found, Tracker(store, "spark"))
    run = mlflow.MlflowClient(store).get_run(info.run_id)
    assert run.data.metrics["train_rows"] == found.all_rows.fitted == int(here.split.train.sum())
    assert run.data.metrics["all_rows/test_rows"] == found.all_rows.metrics.rows
    assert "weights and intervals are of all" in run.data.tags["rows_in_spark"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "by_time"),
    [
        ({"test_from": "2025-02-20"}, True),
        ({"test_from": "2025-02-20", "customers": "disjoint", "test_share": 0.4}, True),
        ({"test_share": 0.6}, True),
        ({"customers": "disjoint", "test_share": 0.3}, True),
        ({"test_share": 0.4}, False),
    ],
    ids=[
        "by time",
        "by time and customer",
        "moment chosen",
        "among customers",
        "by customer alone",
    ],
)
def test_rows_in_spark_are_divided_as_a_table_is(
    spark: Any, split: dict[str, Any], by_time: bool
) -> None:
    moments = ["2025-01-01", "2025-02-10", "2025-03-01"] if by_time else ["2025-03-01"]
    config = TrainingConfig.from_yaml(YAML + f"split: {split}\n")
    keys = [(f"c{k}", pd.Timestamp(m, tz="UTC")) for m in moments for k in range(40)]
    spec = CountSpec.of(["login"], window="30d")
    rows = pd.DataFrame(keys, columns=["customer_id", "as_of"])
    rows["y"] = np.arange(len(rows)) % 2
    frame = spark.createDataFrame(rows).selectExpr(
        *("customer_id", "as_of", "CAST(y AS TINYINT) AS y"),
        *("ARRAY(0) AS indices", "ARRAY(1E0) AS `values`"),
    )
    counts = SparkCounts(frame, spec)
    table = counts.to_table()
    expected = split_by_time(table, config.outcome, **config.split.model_dump(), seed=config.seed)
    found = RowsInSpark.of(counts, config, expected)
    every = frame.selectExpr("customer_id", "UNIX_MICROS(as_of) AS as_of_us", "y")
    chosen = first_held_out(every, config)
    assert chosen == (None if "test_from" in split else expected.test_from)
    assert (chosen is not None) == (by_time and "test_from" not in split)
    for mask, side in ((expected.train, found.train), (expected.test, found.test)):
        theirs = replace(counts, frame=side).to_table()
        pd.testing.assert_frame_equal(theirs.keys, table.take(mask).keys)
        assert 0 < len(theirs) < len(table)


@pytest.mark.slow
def test_rows_of_too_many_moments_leave_the_moment_to_the_sample(
    spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dividing, "MOST_MOMENTS", 99)
    every = spark.range(200).selectExpr(
        "id AS customer_id", "(id DIV 2) * 86400000000 AS as_of_us", "CAST(id % 2 AS TINYINT) AS y"
    )
    config = TrainingConfig.from_yaml(YAML)
    assert first_held_out(every, config) is None
    assert first_held_out(every.where("id < 198"), config) is not None


@pytest.fixture(scope="module")
def few(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job with at most a third of its rows in this process, with two folds of the past."""
    file = tmp_path_factory.mktemp("few") / "job.yaml"
    events = {"path": str(log), "engine": "spark", "driver_rows": 300}
    file.write_text(YAML + f"events: {events}\nbacktest: {{folds: 2}}\n")
    return file


@pytest.fixture(scope="module")
def sample(spark: Any, log: Path) -> CountTable:
    """The rows that such a job looks at, counted with DuckDB."""
    table, _ = count_for_training(TrainingConfig.from_yaml(YAML), str(log))
    step = -(-len(table) // 300)
    assert step > 2
    ids = spark.createDataFrame([(str(c),) for c in set(table.customer)], "c string")
    chosen = {row.c for row in ids.where(f"PMOD(XXHASH64(c), {step}) = 0").collect()}
    kept = table.take(table.customer.isin(chosen).to_numpy())
    return replace(kept, report={**kept.report, "rows": len(table), "rows_looked_at": len(kept)})


SAID = r"looked at are {some} of {all} rows, all rows of some customers: see events.driver_rows"


def said(sample: CountTable) -> str:
    return SAID.format(some=len(sample), all=f"{sample.report['rows']:,}")


@pytest.mark.slow
@pytest.mark.filterwarnings("default::ces_ml.errors.CesWarning")
def test_a_backtest_beyond_the_driver_is_that_of_some_customers(
    few: Path, sample: CountTable, tmp_path: Path
) -> None:
    ran = CliRunner().invoke(app, ["backtest", str(few), "-o", str(tmp_path / "past.json")])
    assert ran.exit_code == 0, ran.output
    assert f"warning: {said(sample)}" in ran.output
    found = json.loads((tmp_path / "past.json").read_text())
    expected = backtest_of(TrainingConfig.from_file(few), sample)
    assert found["notes"] == [said(sample)] == list(expected.notes)
    assert sum(fold["test_rows"] for fold in found["folds"]) < len(sample)
    for mine, theirs in zip(found["folds"], expected.table, strict=True):
        assert mine["test_from"] == theirs["test_from"]
        assert (mine["train_rows"], mine["test_rows"]) == (
            theirs["train_rows"],
            theirs["test_rows"],
        )
        assert mine["log_loss"] == pytest.approx(theirs["log_loss"], rel=1e-6)


@pytest.mark.slow
def test_commands_beyond_the_driver_look_at_the_held_out_rows_of_some_customers(
    few: Path, sample: CountTable, here: TrainingResult
) -> None:
    config = TrainingConfig.from_file(few)
    with pytest.warns(CesWarning, match=said(sample)):
        found = alternatives(config)
    assert found.notes[0] == said(sample)
    # From the moment that divides all rows, not from one that would divide the sample.
    split = divided(config, sample, here.split.test_from)
    assert split.test_from != divided(config, sample).test_from
    Z = sample.design().astype(np.float32)
    for one in found.found:
        raw = Z[split.test] @ np.array(list(one.weights.values())) + one.intercept
        loss = np.logaddexp(0.0, (1.0 - 2.0 * sample.outcomes[split.test]) * raw).mean()
        assert one.log_loss == pytest.approx(loss, rel=1e-6)
    weight_set = here.weight_set
    with pytest.warns(CesWarning, match=said(sample)):
        compared = compare_weight_sets({"one": weight_set, "two": weight_set}, config)
    assert compared.notes[0] == said(sample)
    held = sample.take(split.test)
    p = probabilities(weight_set, raw_scores(weight_set, held.X))
    assert compared.sets[0].metrics["log_loss"] == pytest.approx(log_loss(held.outcomes, p))
    assert compared.sets[0].seen == 0
    assert compared.rows == int(split.test.sum())
