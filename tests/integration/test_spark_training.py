"""A training job whose log is counted on Spark learns what it learns with DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ces_ml import WeightSet
from ces_ml.cli.main import app
from ces_ml.datasets import make_event_history
from ces_ml.errors import ConfigError
from ces_ml.training import TrainingConfig, train
from ces_ml.training.config import EventsConfig
from ces_ml.training.counting import count_for_training

YAML = """
name: trial_conversion
events: {path: events.parquet}
outcome: {task: conversion, event: subscription_started, horizon: 14d}
as_of: 14d after trial_started
counts:
  - events: [login, page_view, demo_booked, webinar_attended, support_ticket, error_seen]
    window: 28d
    half_life: 14d
    transform: log1p
model:
  rules: [login >= 0, demo_booked >= webinar_attended, support_ticket <= 0, error_seen <= 0]
  hand_set: {login: 1, demo_booked: 5, support_ticket: -2}
evaluation: {ceiling: false, replicates: 50}
"""


@pytest.mark.slow
def test_a_job_on_spark_learns_the_weights_of_one_on_duckdb(spark: Any, tmp_path: Path) -> None:
    make_event_history(1500, seed=1).events.to_parquet(tmp_path / "events.parquet")
    file = tmp_path / "job.yaml"
    file.write_text(YAML)
    expected = train(TrainingConfig.from_file(file)).weight_set
    ran = CliRunner().invoke(
        app,
        [
            *("train", str(file), "--engine", "spark", "--no-track"),
            *("-o", str(tmp_path / "weights.json")),
        ],
    )
    assert ran.exit_code == 0, ran.output
    found = WeightSet.load(tmp_path / "weights.json")
    assert found.provenance.data_digest == expected.provenance.data_digest
    assert found.spec == expected.spec
    mine, theirs = (list(s.weights.values()) for s in (found, expected))
    np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-10)
    spark.read.parquet(str(tmp_path / "events.parquet")).createOrReplaceTempView("shop_events")
    section = {"engine": "spark", "table": "shop_events"}
    job = TrainingConfig.from_yaml(YAML.replace("{path: events.parquet}", str(section)))
    rows = [count_for_training(c)[0] for c in (job, TrainingConfig.from_file(file))]
    assert rows[0].digest() == rows[1].digest()


def test_the_section_of_events_names_spark_and_its_formats() -> None:
    events = EventsConfig(path="s3a://lake/events", format="delta", engine="spark")
    assert events.located("/jobs").path == "s3a://lake/events"
    assert events.options["format"] == "delta"
    assert EventsConfig(table="shop.events", engine="spark").named
    assert EventsConfig(table="shop.events", engine="spark").described == "shop.events"
    assert not EventsConfig(table="shop.events").named
    assert EventsConfig(engine="spark").driver_rows == 1_000_000
    with pytest.raises(ConfigError, match="driver_rows"):
        EventsConfig(engine="spark", driver_rows=0)
    with pytest.raises(ConfigError, match="format of the event log is named, but nothing reads it"):
        EventsConfig(path="events.parquet", format="delta")
    with pytest.raises(ConfigError, match="did you mean 'spark'"):
        EventsConfig(path="events.parquet").on("sparc")
    with pytest.raises(ConfigError, match="engine"):
        EventsConfig(path="events.parquet", engine="sparc")
