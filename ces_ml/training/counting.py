"""Counting for a job: the rows that it learns from, here or in Spark."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from ces_ml.errors import CesWarning, EventLogError
from ces_ml.features import Engine, LogProfile, SparkCounts, SparkEngine
from ces_ml.features import resolve_counts as resolved
from ces_ml.spec.as_of import AsOf
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountSpec
from ces_ml.training.config import TrainingConfig
from ces_ml.training.dividing import first_held_out
from ces_ml.training.opening import open_log, rows_of
from ces_ml.training.rivals import history_asked

__all__ = [
    "Counted",
    "Reached",
    "count_for_training",
    "counted_for_training",
    "looked_at_in_words",
    "reached",
]

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
    test_from : datetime or None
        From when on rows are held out, where all rows say it and `table` does not hold them.
    """

    table: CountTable
    profile: LogProfile
    in_spark: SparkCounts | None = None
    test_from: datetime | None = None

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

    With ``engine: spark`` and more than ``events.driver_rows`` rows, those of some customers.

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

    Warns
    -----
    CesWarning
        With their number, if the rows are those of some customers.
    """
    found = counted_for_training(
        config, events, labels=labels, treated=treated, look=look, keep=False
    )
    return found.table, found.profile


def counted_for_training(
    config: TrainingConfig,
    events: Any = None,
    *,
    labels: Any = None,
    treated: Any = None,
    look: Look | None = None,
    keep: bool = True,
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
    keep : bool, default=True
        Whether Spark counts and keeps all rows, where they stay there. If not, it counts those of
        the table only, and a warning says so.
    step : int, optional
        By default so that the table has about ``events.driver_rows`` rows.

    Returns
    -------
    Counted
    """
    with open_log(config, events) as engine:
        profile = engine.profile()
        spec = resolved(engine, config.counts, config.outcome)
        rows = rows_of(config, labels)
        found = reached(engine, config, spec, rows, treated=treated, keep=keep, step=step)
        table, kept = found.table, found.in_spark
        try:
            if isinstance(engine, SparkEngine) and found.sampled:
                engine.look_at(table)
            if history_asked(config, table):
                table = replace(table, history=engine.history(spec))
            if look is not None:
                look(engine, table)
            _check(table)
        except BaseException:
            if kept is not None:
                kept.frame.unpersist()
            raise
    return Counted(table, profile, kept, found.test_from)


@dataclass(frozen=True)
class Reached:
    """Rows that came to this process, and what is known of all.

    Parameters
    ----------
    table : CountTable
    in_spark : SparkCounts or None
    test_from : datetime or None
        See `Counted`.
    sampled : bool
        Whether the table holds the rows of some customers only.
    """

    table: CountTable
    in_spark: SparkCounts | None = None
    test_from: datetime | None = None
    sampled: bool = False


def reached(
    engine: Engine,
    config: TrainingConfig,
    spec: CountSpec,
    rows: AsOf | None,
    *,
    treated: Any = None,
    keep: bool = False,
    step: int | None = None,
) -> Reached:
    """Count rows with outcomes and bring them here: all, or where they are too many a sample.

    Too many are more than ``events.driver_rows`` with ``engine: spark``. The sample is then that of
    every job over the same rows: all rows of customers that a hash of their ids chooses.

    Parameters
    ----------
    engine : Engine
    config : TrainingConfig
    spec : CountSpec
    rows : AsOf, optional
    treated : path, frame or table, optional
    keep, step
        As in `counted_for_training`.
    """
    most = config.events.driver_rows
    if isinstance(engine, SparkEngine):
        counts = engine.counts(spec, rows, config.outcome, treated=treated)
        n = engine.rows()
        if n > most:
            all_rows = engine.place.frame("SELECT customer_id, as_of_us, y FROM cu")
            kept = replace(counts, frame=_kept(counts.frame)) if keep else None
            try:
                table = _sample(kept or counts, n, step or -(-n // most))
                start = first_held_out(all_rows, config)
            except BaseException:
                if kept is not None:
                    kept.frame.unpersist()
                raise
            if kept is None:
                warnings.warn(looked_at_in_words(table.report)[0], CesWarning, stacklevel=4)
            return Reached(table, kept, start, sampled=True)
    return Reached(engine.table(spec, rows, config.outcome, treated=treated))


def looked_at_in_words(report: Mapping[str, int]) -> tuple[str, ...]:
    """Return a sentence where a table holds the rows of some customers only, else nothing.

    Examples
    --------
    >>> looked_at_in_words({"rows": 9000, "rows_looked_at": 3012})[0]
    'looked at are 3,012 of 9,000 rows, all rows of some customers: see events.driver_rows'
    """
    if "rows_looked_at" not in report:
        return ()
    return (
        f"looked at are {report['rows_looked_at']:,} of {report['rows']:,} rows, all rows of some "
        "customers: see events.driver_rows",
    )


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
