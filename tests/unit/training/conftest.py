from pathlib import Path

import pandas as pd
import pytest

from ces_ml.datasets import make_event_history
from ces_ml.training import TrainingConfig, TrainingResult, train

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
  rules:
    - login >= 0
    - demo_booked >= webinar_attended
    - support_ticket <= 0
    - error_seen <= 0
  hand_set: {login: 1, demo_booked: 5, support_ticket: -2}
evaluation: {ceiling: false}
"""


@pytest.fixture(scope="session")
def log() -> pd.DataFrame:
    return make_event_history(3000, seed=1).events


@pytest.fixture(scope="session")
def config() -> TrainingConfig:
    return TrainingConfig.from_yaml(YAML)


@pytest.fixture(scope="session")
def result(config: TrainingConfig, log: pd.DataFrame) -> TrainingResult:
    return train(config, log)


@pytest.fixture
def folder(tmp_path: Path, log: pd.DataFrame) -> Path:
    """A folder with a log and its configuration, as a user has it."""
    log.to_parquet(tmp_path / "events.parquet")
    (tmp_path / "conversion.yaml").write_text(YAML)
    return tmp_path
