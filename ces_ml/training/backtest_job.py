"""The backtest as a job of its own: events in, how the score held up over time out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ces_ml.training.backtesting import BacktestResult, backtest_of, fold_stages
from ces_ml.training.config import TrainingConfig
from ces_ml.training.counting import count_for_training

__all__ = ["backtest", "backtest_stages"]

Progress = Callable[[str], None]
_COUNTING = "counting events"


def backtest(
    config: TrainingConfig,
    events: Any = None,
    *,
    labels: Any = None,
    treated: Any = None,
    progress: Progress = lambda stage: None,
) -> BacktestResult:
    """Fit on the past and test on the block of time that follows, through the whole log.

    Events are counted once. The moments of the rows are cut into blocks (`purged_folds`); each fold
    fits as `train` would with ``test_from`` at the block's first moment, on rows whose outcome was
    known by then, and is tested on the rows of that block alone. With ``split: {customers:
    disjoint}`` no customer is on both sides. What `split` says of `test_from` and `test_share` is
    not used, and neither are points, prices and recalibration: calibration is that of the fit. Of
    rows that are too many for this process (``events.driver_rows`` with ``engine: spark``) all
    folds are those that `train` looks at: every row of some customers.

    Parameters
    ----------
    config : TrainingConfig
        Its ``backtest`` says how many folds; 5 on all of the past when there is none.
    events, labels, treated
        As in `train`.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    BacktestResult

    Raises
    ------
    ConfigError
        If the rows have too few moments for the folds, or a fold would train on one outcome only.
    EventLogError, SpecError, ConstraintError
        As `train`.

    Warns
    -----
    CesWarning
        If a block has one outcome only, so that nothing can be measured on it; with their number,
        if not all rows are looked at.

    Examples
    --------
    >>> from ces_ml.datasets import make_event_history
    >>> config = TrainingConfig.parse({
    ...     "name": "trial_conversion",
    ...     "outcome": {"task": "conversion", "event": "subscription_started", "horizon": "14d"},
    ...     "as_of": "14d after trial_started",
    ...     "counts": [{"events": ["login", "demo_booked"], "window": "28d"}],
    ...     "backtest": {"folds": 3},
    ... })
    >>> result = backtest(config, make_event_history(2000).events)
    >>> [fold.train_to < fold.test_from for fold in result.folds]
    [True, True, True]
    """
    progress(_COUNTING)
    table, _ = count_for_training(config, events, labels=labels, treated=treated)
    return backtest_of(config, table, progress=progress)


def backtest_stages(config: TrainingConfig) -> tuple[str, ...]:
    """Return the stages that `backtest` reports, in order."""
    return (_COUNTING, *fold_stages(config))
