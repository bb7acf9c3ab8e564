"""The backtest: fit on the past, test on what came next, again and again through one log."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ces_ml.errors import CesWarning, ConfigError, SpecError
from ces_ml.evaluation import (
    TimeSplit,
    baseline_scores,
    calibration,
    evaluate_scores,
    weight_stability,
)
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.purging import Fold, purged_folds
from ces_ml.training import fitting
from ces_ml.training.config import BacktestConfig, TrainingConfig
from ces_ml.training.counting import looked_at_in_words
from ces_ml.weights.scale import sigmoid

__all__ = ["BacktestFold", "BacktestResult", "backtest_of", "fold_stages", "past_and_next"]

Progress = Callable[[str], None]
_FLIPS = ("sign_flips", "rank_flips")


@dataclass(frozen=True)
class BacktestFold:
    """One fit on the past and what it did on the block of time after it.

    Parameters
    ----------
    test_from, test_to : pandas.Timestamp
        First and last `as_of` of the rows tested.
    train_to : pandas.Timestamp
        Last `as_of` of the rows trained on; their outcomes were known by `test_from`.
    train_rows, train_positives, test_rows, test_positives : int
        Sizes; positives have the good outcome.
    alpha : float
        Strength of the penalty.
    alpha_by : str
        Who chose it: ``"hand"``, ``"folds by time"`` or ``"folds by customer"`` of the rows
        trained on. The early folds of a log seldom have moments enough for folds by time.
    weights : dict of str to float
    intercept : float
    metrics : dict of str to float
        Metrics of the rows tested, with ``slope``, ``intercept``, ``in_the_large``, ``ece`` and
        ``ece_by_chance`` of calibration, and ``total_count_roc_auc``. Only what can be computed:
        nothing for a block with one outcome.
    """

    test_from: pd.Timestamp
    test_to: pd.Timestamp
    train_to: pd.Timestamp
    train_rows: int
    train_positives: int
    test_rows: int
    test_positives: int
    alpha: float
    alpha_by: str
    weights: dict[str, float]
    intercept: float
    metrics: dict[str, float]

    @property
    def row(self) -> dict[str, Any]:
        """The fold without its weights, as one flat row of JSON values."""
        flat = {k: v for k, v in asdict(self).items() if k not in ("weights", "intercept")}
        flat |= {k: flat[k].isoformat() for k in ("test_from", "test_to", "train_to")}
        return {**flat, **flat.pop("metrics")}


@dataclass(frozen=True)
class BacktestResult:
    """How a score held up over time.

    Parameters
    ----------
    config : TrainingConfig
    folds : tuple of BacktestFold
        In order of time.
    sample : dict of str to int
        What was read, left out and why.
    """

    config: TrainingConfig
    folds: tuple[BacktestFold, ...]
    sample: Mapping[str, int]

    @property
    def weights(self) -> dict[str, list[float]]:
        """Weight of every term, one a fold."""
        return {name: [f.weights[name] for f in self.folds] for name in self.folds[0].weights}

    @property
    def stability(self) -> list[dict[str, Any]]:
        """How much each weight moves; see `weight_stability`."""
        held = self.weights
        return weight_stability(np.array(list(held.values())).T, list(held))

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row a fold."""
        return [fold.row for fold in self.folds]

    @property
    def summary(self) -> dict[str, float]:
        """Mean and worst ROC AUC of the folds that have one, and the flips of all weights.

        Each flip of rank counts twice: for either term.
        """
        auc = [f.metrics["roc_auc"] for f in self.folds if f.metrics]
        found = {f"backtest/{k}": float(sum(r[k] for r in self.stability)) for k in _FLIPS}
        if auc:
            found |= {"backtest/roc_auc": float(np.mean(auc)), "backtest/roc_auc_worst": min(auc)}
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """Which rows were looked at, if not all."""
        return looked_at_in_words(self.sample)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as values of JSON."""
        return {
            "name": self.config.name,
            "notes": list(self.notes),
            "folds": self.table,
            "weights": [
                # Nested: a term may be called like a key beside it.
                {
                    "test_from": f.test_from.isoformat(),
                    "intercept": f.intercept,
                    "weights": f.weights,
                }
                for f in self.folds
            ],
            "stability": self.stability,
        }


def fold_stages(config: TrainingConfig) -> tuple[str, ...]:
    """Return the stages that `backtest_of` reports, in order."""
    folds = (config.backtest or BacktestConfig()).folds
    return tuple(f"backtest: fold {k} of {folds}" for k in range(1, folds + 1))


def backtest_of(
    config: TrainingConfig, table: CountTable, *, progress: Progress = lambda stage: None
) -> BacktestResult:
    """Run the backtest on rows that are counted already; see `backtest`."""
    folds = past_and_next(config, table)
    # The strength of the penalty and the weights are what a fold is about; nothing is read off.
    lean = config.model_copy(
        update={
            "points": None,
            "model": config.model.model_copy(update={"price_of_rules": False}),
        }
    )
    found, baseline = [], baseline_scores(table)["total_count"]
    Z = table.design()
    for (train, test), stage in zip(folds, fold_stages(config), strict=True):
        progress(stage)
        fitted, alpha_by = _fitted(lean, table, train, test)
        score = Z[test] @ fitted.model.coef_[0]
        found.append(_fold(table, train, test, fitted, alpha_by, score, baseline[test]))
    silent = [f for f in found if not f.metrics]
    if silent:
        warnings.warn(
            f"{len(silent)} of {len(found)} blocks have one outcome only, so nothing is measured "
            f"on them; the first from {silent[0].test_from.date()}",
            CesWarning,
            stacklevel=3,
        )
    return BacktestResult(config, tuple(found), dict(table.report))


def past_and_next(config: TrainingConfig, table: CountTable) -> list[Fold]:
    """Return the folds of a backtest: rows of the past, rows of the block that follows.

    Raises
    ------
    ConfigError
        If they can't be made, or a fold would train on one outcome only.
    """
    asked = config.backtest or BacktestConfig()
    try:
        folds = purged_folds(
            table.customer.to_numpy(),
            table.as_of.dt.tz_localize(None).to_numpy(),
            config.outcome.reach,
            asked.folds,
            config.split.customers == "disjoint",
            asked.window,
        )
    except SpecError as error:
        raise ConfigError(
            f"the past can't be tested: {error.problem}",
            got=error.got,
            allowed=error.allowed,
            hint="write `backtest: {folds: 2}`, or add earlier as_of moments",
        ) from error
    for k, (train, test) in enumerate(folds, start=1):
        good = int(table.outcomes[train].sum())
        if good in (0, len(train)):
            raise ConfigError(
                f"fold {k} of the backtest would learn from one outcome only",
                got=f"{len(train):,} rows before {table.as_of.iloc[test].min().date()}, "
                f"{good:,} of them good",
                allowed="both outcomes among the rows of the past",
                hint="write `backtest: {folds: 2}`, or add earlier as_of moments",
            )
    return folds


def _fitted(
    config: TrainingConfig, table: CountTable, train: NDArray[np.intp], test: NDArray[np.intp]
) -> tuple[fitting.Fitted, str]:
    """Fit on the past of a fold; alpha by folds of customers where time has too few moments."""
    past, following = (np.isin(np.arange(len(table)), rows) for rows in (train, test))
    first = table.as_of.iloc[test].min().to_pydatetime()
    by_time = TimeSplit(past, following, 0, 0, first, "")
    if isinstance(config.model.alpha, float):
        return fitting.fit(config, table, by_time, progress=_silent), "hand"
    try:
        return fitting.fit(config, table, by_time, progress=_silent), "folds by time"
    except ConfigError:
        by_customer = TimeSplit(past, following, 0, 0, None, "")
        return fitting.fit(config, table, by_customer, progress=_silent), "folds by customer"


def _silent(stage: str) -> None:
    """Leave the stages within a fold unsaid."""


def _fold(
    table: CountTable,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    fitted: fitting.Fitted,
    alpha_by: str,
    score: NDArray[np.float64],
    total_count: NDArray[np.float64],
) -> BacktestFold:
    y = table.outcomes
    intercept = float(fitted.model.intercept_[0])
    weight = None if table.sample_weight is None else table.sample_weight[test]
    metrics: dict[str, float] = {}
    if 0 < y[test].sum() < len(test):
        probability = sigmoid(score + intercept)
        metrics = evaluate_scores(y[test], score, probability, weight)
        metrics |= calibration(y[test], probability, weight).metrics
        plain = evaluate_scores(y[test], total_count, None, weight)
        metrics["total_count_roc_auc"] = plain["roc_auc"]
    return BacktestFold(
        test_from=table.as_of.iloc[test].min(),
        test_to=table.as_of.iloc[test].max(),
        train_to=table.as_of.iloc[train].max(),
        train_rows=len(train),
        train_positives=int(y[train].sum()),
        test_rows=len(test),
        test_positives=int(y[test].sum()),
        alpha=float(fitted.model.alpha),
        alpha_by=alpha_by,
        weights=dict(zip(table.names, fitted.model.coef_[0].tolist(), strict=True)),
        intercept=intercept,
        metrics={k: v for k, v in metrics.items() if math.isfinite(v)},
    )
