"""The training job: events in, an evaluated weight set out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joblib import Parallel, delayed

from ces_ml.errors import CesWarning
from ces_ml.evaluation import (
    LEAST_CUSTOMERS,
    Calibration,
    DataVerdict,
    Difference,
    MetricInterval,
    TimeSplit,
    VendorBar,
    data_verdict,
)
from ces_ml.features import LogProfile
from ces_ml.linear import AlphaChoice, Path, Points, RulePrice, SolverResult, WeightIntervals
from ces_ml.spec.count_table import CountTable
from ces_ml.training import fitting
from ces_ml.training.auditing import Audit, LeakAudit
from ces_ml.training.backtesting import BacktestResult, backtest_of, fold_stages
from ces_ml.training.calibrating import calibration_of
from ces_ml.training.config import TrainingConfig
from ces_ml.training.counting import Counted, counted_for_training
from ces_ml.training.dividing import divided
from ces_ml.training.evaluating import evaluated
from ces_ml.training.in_spark import AllRows, RowsInSpark
from ces_ml.training.sureness import Sureness
from ces_ml.weights import Verdict, WeightSet

__all__ = ["TrainingResult", "learned_from", "stages", "train", "train_many"]

Progress = Callable[[str], None]
_COUNTING, _SPLITTING = "counting events", "splitting by time and customer"
_EVALUATING = "evaluating on held-out rows"


@dataclass(frozen=True)
class TrainingResult:
    """What a training job leaves behind.

    Parameters
    ----------
    config : TrainingConfig
    weight_set : WeightSet
        Fitted on the training rows; scale from them, bands from the held-out rows.
    comparison : list of dict
        Metrics on the held-out rows: the weights first, then every rival: counting, other
        weights, gradient boosting as the ceiling.
    sample : dict of str to int
        What was read, left out and why.
    split : TimeSplit
    solver : SolverResult
        Iterations, KKT residual, rules that are active.
    profile : LogProfile
        What the log holds.
    audit : Audit
        What the leak audit found.
    alpha : float
        Strength of the penalty that the weights were fitted with.
    alpha_choice : AlphaChoice or None
        Folds and held-out losses that chose it; row numbers are those among the training rows.
        None where it was given.
    path : Path or None
        The weights at every alpha that was tried.
    prices : tuple of RulePrice
        What each rule that binds costs on the held-out rows.
    points : Points or None
        Integer points, if the configuration asks for them; in the weight set too.
    differences : tuple of Difference
        ROC AUC and log loss of the weights minus those of each rival, with intervals.
    bar : VendorBar or None
        How the score concentrates outcomes, against the bar that a good vendor sets.
    data : DataVerdict or None
        Whether the training rows were enough to learn from, for the outcome and every term.
    calibration : Calibration or None
        How true the probabilities are on the held-out rows.
    backtest : BacktestResult or None
        How the score held up over time, if the configuration asks.
    sure : Sureness or None
        Intervals of the weights, or why there are none.
    metric_intervals : tuple of MetricInterval
        How sure ROC AUC and log loss on the held-out rows are.
    gains, distribution : list of dict
        Which share of the outcomes the first customers hold, in order of score, and how the
        scores of either outcome are distributed, on the held-out rows; see `gains_table` and
        `score_distribution`.
    all_rows : AllRows or None
        Where rows stayed in Spark: how many there are, and metrics of all that are held out. The
        weights and their intervals are then of all training rows; the rest of the result is of a
        sample, and `split` divides that.
    """

    config: TrainingConfig
    weight_set: WeightSet
    comparison: list[dict[str, Any]]
    sample: Mapping[str, int]
    split: TimeSplit
    solver: SolverResult
    profile: LogProfile
    audit: Audit
    alpha: float
    alpha_choice: AlphaChoice | None = None
    path: Path | None = None
    prices: tuple[RulePrice, ...] = ()
    points: Points | None = None
    differences: tuple[Difference, ...] = ()
    bar: VendorBar | None = None
    data: DataVerdict | None = None
    calibration: Calibration | None = None
    backtest: BacktestResult | None = None
    sure: Sureness | None = None
    metric_intervals: tuple[MetricInterval, ...] = ()
    gains: Sequence[Mapping[str, float]] = ()
    distribution: Sequence[Mapping[str, float]] = ()
    all_rows: AllRows | None = None

    @property
    def verdict(self) -> Verdict | None:
        """Whether the weights beat counting on the held-out rows."""
        return self.weight_set.verdict

    @property
    def intervals(self) -> WeightIntervals | None:
        """How sure the weights are, by customer of the training rows; also of sums of them.

        ``intervals.difference("demo", "webinar").probability`` is how sure the data are that a
        demo weighs more. None where the training rows give no intervals; `sure` says why.
        """
        return None if self.sure is None else self.sure.intervals

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the weights on the held-out rows."""
        return {k: v for k, v in self.comparison[0].items() if k != "name"}


def train(
    config: TrainingConfig,
    events: Any = None,
    *,
    labels: Any = None,
    treated: Any = None,
    progress: Progress = lambda stage: None,
) -> TrainingResult:
    """Learn a weight set from an event log and evaluate it on later, held-out rows.

    Parameters
    ----------
    config : TrainingConfig
    events : path, frame, table or relation, optional
        The log; ``config.events.path`` when not given.
    labels, treated : path, frame or table, optional
        The tables of the outcome's `labels` and `treated`; their paths when not given.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    TrainingResult

    Notes
    -----
    With ``engine: spark`` and more than ``events.driver_rows`` rows, these stay in Spark, and this
    process looks at a sample of customers; see `TrainingResult.all_rows`.

    Raises
    ------
    EventLogError
        If the log can't be read or can't answer, or all outcomes are of one class.
    SpecError, ConstraintError
        If counts, outcome or rules do not fit the log.
    LeakError
        If counts seem to know the outcome, and the configuration does not allow it.

    Warns
    -----
    CesWarning
        If most rows are left out because the outcome had happened before, or too few customers of
        the training rows have the rarer outcome.
    ConvergenceWarning
        If the optimum was not reached.

    Examples
    --------
    >>> from ces_ml.datasets import make_event_history
    >>> config = TrainingConfig.parse({
    ...     "name": "trial_conversion",
    ...     "outcome": {"task": "conversion", "event": "subscription_started", "horizon": "14d"},
    ...     "as_of": "14d after trial_started",
    ...     "counts": [{"events": ["login", "demo_booked", "support_ticket"], "window": "28d",
    ...                 "half_life": "14d", "transform": "log1p"}],
    ...     "model": {"rules": ["login >= 0", "support_ticket <= 0"]},
    ... })
    >>> result = train(config, make_event_history(2000).events)
    >>> sorted(result.weight_set.weights)
    ['demo_booked', 'login', 'support_ticket']
    """
    progress(_COUNTING)
    leaks = LeakAudit(config)
    with counted_for_training(
        config, events, labels=labels, treated=treated, look=leaks.look
    ) as counted:
        return learned_from(config, counted, leaks, progress=progress)


def learned_from(
    config: TrainingConfig, counted: Counted, leaks: LeakAudit, *, progress: Progress
) -> TrainingResult:
    """Return what `train` does, from rows that are counted."""
    table = counted.table
    leaks.check(table)
    progress(_SPLITTING)
    split = divided(config, table, counted.test_from)
    data = _enough(data_verdict(table.take(split.train)))
    in_spark = None
    if counted.in_spark is not None:
        in_spark = RowsInSpark.of(counted.in_spark, config, split)
    fitted = fitting.fit(config, table, split, progress=progress, in_spark=in_spark)
    progress(_EVALUATING)
    found = evaluated(config, table, split, fitted)
    audit = leaks.finish(table, found.weight_set)
    all_rows = None if in_spark is None else _all_rows(in_spark, table, found.weight_set)
    past = None if config.backtest is None else backtest_of(config, table, progress=progress)
    return TrainingResult(
        config=config,
        weight_set=found.weight_set,
        comparison=found.comparison,
        sample=dict(table.report),
        split=split,
        solver=fitted.model.solver_result_,
        profile=counted.profile,
        audit=audit,
        alpha=float(fitted.model.alpha),
        alpha_choice=fitted.alpha_choice,
        path=fitted.path,
        prices=fitted.prices,
        points=fitted.points,
        differences=found.differences,
        bar=found.bar,
        data=data,
        calibration=calibration_of(found.weight_set, table, split),
        backtest=past,
        sure=found.sure,
        metric_intervals=found.intervals,
        gains=found.gains,
        distribution=found.distribution,
        all_rows=all_rows,
    )


def _all_rows(in_spark: RowsInSpark, table: CountTable, weight_set: WeightSet) -> AllRows:
    """Judge the weights by all held-out rows."""
    source = weight_set.provenance
    return AllRows(
        rows=table.report["rows"],
        looked_at=len(table),
        fitted=0 if source is None else source.rows,
        metrics=in_spark.judge(weight_set),
    )


def _enough(data: DataVerdict) -> DataVerdict:
    """Warn where nothing that is learned can be trusted; the rest is in tables."""
    outcome = data.outcome
    rarer = min(outcome.positives, outcome.negatives)
    if rarer < LEAST_CUSTOMERS:
        warnings.warn(
            f"only {rarer:,} customers of the training rows have the rarer outcome, for "
            f"{outcome.terms:,} terms: at least {LEAST_CUSTOMERS} are asked for; take more as_of "
            "moments, a longer horizon or fewer terms",
            CesWarning,
            stacklevel=3,
        )
    return data


def stages(config: TrainingConfig) -> tuple[str, ...]:
    """Return the stages that `train` reports under a configuration, in order."""
    past = () if config.backtest is None else fold_stages(config)
    return (_COUNTING, _SPLITTING, *fitting.stages(config), _EVALUATING, *past)


def train_many(configs: Sequence[TrainingConfig], *, n_jobs: int = 1) -> list[TrainingResult]:
    """Train several weight sets, in `n_jobs` processes; the results stand in the given order.

    Tracking is left to the caller, so that one process alone writes to the store.
    """
    results: list[TrainingResult] = Parallel(n_jobs=n_jobs)(delayed(train)(c) for c in configs)
    return results
