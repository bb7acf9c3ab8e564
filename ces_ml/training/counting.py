"""Counting for a job: the rows that it learns from, here or in Spark."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from ces_ml.errors import CesWarning, EventLogError
from ces_ml.features import Engine, LogProfile, SparkCounts, SparkEngine
from ces_ml.features import resolve_counts as resolved
from ces_ml.spec.count_table import CountTable
from ces_ml.training.config import TrainingConfig
from ces_ml.training.opening import open_log, rows_of
from ces_ml.training.rivals import history_asked

__all__ = ["Counted", "count_for_training", "counted_for_training"]

Look = Callable[[Engine, CountTable], None]


@dataclass(frozen=True)
class Counted:
    """The rows of a job; use it in a ``with`` block.

    Parameters
    ----------
    table : CountTable
        The rows, or where they are too many for this process those of some customers; the report
        is that of all.
    profile : LogProfile
        What the log holds.
    in_spark : SparkCounts or None
        All rows, kept by Spark, where `table` does not hold them.
    """

    table: CountTable
    profile: LogProfile
    in_spark: SparkCounts | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.in_spark is not None:
            self.in_spark.frame.unpersist()


def count_for_training(
    config: TrainingConfig,
    events: Any = None,
    *,
    labels: Any = None,
    treated: Any = None,
    look: Look | None = None,
) -> tuple[CountTable, LogProfile]:
    """Count what the configuration asks for, with outcomes, into this process.

    Parameters
    ----------
    config : TrainingConfig
    events, labels, treated : path, frame, table or relation, optional
        As in `train`.
    look : callable, optional
        Called with the engine and the table before the log is closed.

    Returns
    -------
    (CountTable, LogProfile)

    Raises
    ------
    EventLogError
        If all outcomes are of one class, or as `build_counts`.
    ConfigError
        If no log is named.
    """
    found = _counted(config, (events, labels, treated), look, most=None)
    return found.table, found.profile


def counted_for_training(
    config: TrainingConfig,
    events: Any = None,
    *,
    labels: Any = None,
    treated: Any = None,
    look: Look | None = None,
    step: int | None = None,
) -> Counted:
    """Count what the configuration asks for, with outcomes; see `count_for_training`.

    With ``engine: spark`` and more than ``events.driver_rows`` rows, the rows stay in Spark, and
    the table holds those of one customer in `step`.

    Parameters
    ----------
    config : TrainingConfig
    events, labels, treated : path, frame, table or relation, optional
    look : callable, optional
    step : int, optional
        By default so that the table has about ``events.driver_rows`` rows.

    Returns
    -------
    Counted
    """
    most = config.events.driver_rows if config.events.engine == "spark" else None
    return _counted(config, (events, labels, treated), look, most=most, step=step)


def _counted(
    config: TrainingConfig,
    given: tuple[Any, Any, Any],
    look: Look | None,
    *,
    most: int | None,
    step: int | None = None,
) -> Counted:
    events, labels, treated = given
    with open_log(config, events) as engine:
        profile = engine.profile()
        spec = resolved(engine, config.counts, config.outcome)
        rows, kept = rows_of(config, labels), None
        if most is not None and isinstance(engine, SparkEngine):
            counts = engine.counts(spec, rows, config.outcome, treated=treated)
            n = engine.rows()
            if n > most:
                kept = replace(counts, frame=_kept(counts.frame))
                table = _sample(kept, n, step or -(-n // most))
                engine.look_at(table)
        if kept is None:
            table = engine.table(spec, rows, config.outcome, treated=treated)
        try:
            if history_asked(config, table):
                table = replace(table, history=engine.history(spec))
            if look is not None:
                look(engine, table)
            _check(table)
        except BaseException:
            if kept is not None:
                kept.frame.unpersist()
            raise
    return Counted(table, profile, kept)


def _kept(frame: Any) -> Any:
    """Let Spark keep what it computes, on disk where memory ends.

    The plan of the counts is as long as the whole of counting, and every query over them would go
    through it again. It ends here at the rows that it gives; a part that is lost with an executor
    is still computed again.
    """
    from pyspark import StorageLevel
    from pyspark.sql.classic.dataframe import DataFrame

    spark, plan = frame.sparkSession, frame._jdf
    rows = spark._jsparkSession.createDataFrame(plan.toJavaRDD(), plan.schema())
    return DataFrame(rows, spark).persist(StorageLevel.MEMORY_AND_DISK)


def _sample(counts: SparkCounts, n: int, step: int) -> CountTable:
    """Bring the rows of one customer in `step` here; the report stays that of all rows."""
    found = counts.of_customers(step).to_table()
    return replace(found, report={**found.report, "rows": n, "rows_looked_at": len(found)})


def _check(table: CountTable) -> None:
    """Warn where most rows are left out, and refuse outcomes of one class."""
    happened, rows = table.report.get("left_out_already_happened", 0), table.report["rows"]
    if happened > rows:
        warnings.warn(
            f"{happened:,} rows are left out because the outcome had happened before, more than "
            f"the {rows:,} that stay: if it can happen again, set `repeatable: true` in outcome",
            CesWarning,
            stacklevel=5,
        )
    positives = int(table.outcomes.sum())
    if positives in (0, len(table)):
        raise EventLogError(
            "all outcomes are of one class, so there is nothing to learn from",
            got=f"{len(table):,} rows, all with y = {int(positives > 0)}",
            allowed="rows with y = 1 and rows with y = 0",
            hint="check the outcome's event, horizon and as_of",
        )
