"""The log and the rows that a configuration names, opened alike by every job that counts them."""

from __future__ import annotations

from typing import Any

from ces_ml.errors import ConfigError
from ces_ml.features import Engine, open_engine
from ces_ml.spec.as_of import AsOf, parse_as_of
from ces_ml.training.config import TrainingConfig

__all__ = ["open_log", "rows_of"]


def open_log(config: TrainingConfig, events: Any = None) -> Engine:
    """Open the log of a configuration, or `events` in its place, by its engine and columns.

    Raises
    ------
    ConfigError
        If no log is named.
    EventLogError
        If it can't be read.
    """
    named = config.events
    if events is None and not named.named:
        raise ConfigError(
            "no event log is named",
            got="no events.path",
            allowed="the path of a log, a query of a database, or a table of Spark",
            hint="add `events: {path: …}`, name the log with --events, or pass events from Python",
        )
    source = named.source if events is None else events
    return open_engine(source, named.event_schema, engine=named.engine, **named.options)


def rows_of(config: TrainingConfig, labels: Any = None) -> AsOf | None:
    """Return the rows of a configuration: those of its rule, or of the labels.

    Raises
    ------
    ConfigError
        If labels are passed to an outcome that does not come from labels.
    """
    if config.outcome.labels is not None:
        return config.outcome.labels.table(labels)
    if labels is not None:
        raise ConfigError(
            "labels are passed, but the outcome does not come from labels",
            got="labels= with an outcome without `labels`",
            allowed="`labels` in the outcome, and no as_of",
            hint="write for example `outcome: {task: churn, horizon: 90d, labels: {}}`",
        )
    return parse_as_of(config.as_of_rule)
