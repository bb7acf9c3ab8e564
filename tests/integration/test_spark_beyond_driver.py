"""A job whose rows stay in Spark learns what one learns that brings them to its process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from ces_ml.datasets import make_event_history
from ces_ml.evaluation import split_by_time
from ces_ml.features import SparkCounts
from ces_ml.spec import CountSpec
from ces_ml.tracking import Tracker
from ces_ml.training import TrainingConfig, TrainingResult, record, train
from ces_ml.training.auditing import LeakAudit
from ces_ml.training.counting import counted_for_training
from ces_ml.training.in_spark import RowsInSpark
from ces_ml.training.job import learned_from

YAML = """
name: trial_conversion
outcome: {task: conversion, event: subscription_started, horizon: 14d}
as_of: 14d after trial_started
counts:
  - events: [login, page_view, demo_booked, webinar_attended, support_ticket, error_seen]
    window: 28d
    half_life: 14d
    transform: log1p
split: {test_from: 2025-04-14}
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


def beyond(log: Path, driver_rows: int, step: int | None) -> TrainingResult:
    body = YAML + f"events: {{engine: spark, driver_rows: {driver_rows}}}\n"
    config = TrainingConfig.from_yaml(body)
    leaks = LeakAudit(config)
    with counted_for_training(config, str(log), look=leaks.look, step=step) as counted:
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
    found = beyond(shuffled, driver_rows=rows // 3 + 1, step=None)
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
    "split",
    [
        {"test_from": "2025-02-20"},
        {"test_from": "2025-02-20", "customers": "disjoint", "test_share": 0.4},
        {"test_share": 0.4},
    ],
    ids=["by time", "by time and customer", "by customer alone"],
)
def test_rows_in_spark_are_divided_as_a_table_is(spark: Any, split: dict[str, Any]) -> None:
    moments = ["2025-01-01", "2025-02-10", "2025-03-01"] if "test_from" in split else ["2025-03-01"]
    body = YAML.replace("split: {test_from: 2025-04-14}", f"split: {split}")
    config = TrainingConfig.from_yaml(body)
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
    for mask, side in ((expected.train, found.train), (expected.test, found.test)):
        theirs = replace(counts, frame=side).to_table()
        pd.testing.assert_frame_equal(theirs.keys, table.take(mask).keys)
        assert 0 < len(theirs) < len(table)
