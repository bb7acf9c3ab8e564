"""What was tried beside the weights that are kept, as child runs: alphas, folds, alternatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ces_ml.tracking import ChildRun, Tracker
from ces_ml.training.alternatives import Alternatives
from ces_ml.training.backtesting import BacktestResult
from ces_ml.training.job import TrainingResult

__all__ = ["record_tried", "tried_for"]


def tried_for(result: TrainingResult) -> list[ChildRun]:
    """Return one child for every alpha that folds were asked about, and for every fold."""
    return [*_alphas(result), *([] if result.backtest is None else _folds(result.backtest))]


def record_tried(found: BacktestResult | Alternatives, tracker: Tracker | None = None) -> str:
    """Log what `backtest` or `alternatives` found: one child run each, below a run of their own.

    Parameters
    ----------
    found : BacktestResult or Alternatives
    tracker : Tracker, optional
        The store and experiment of the configuration when not given.

    Returns
    -------
    str
        Id of the run that they stand below.

    Raises
    ------
    NotLoggedError
        If the store can't be opened or written; everything is then kept in an outbox.
    """
    config = found.config
    tracker = tracker or Tracker(config.tracking.store, config.tracking.experiment)
    if isinstance(found, BacktestResult):
        return tracker.log_tried(
            f"backtest of {config.name}",
            _folds(found),
            metrics=found.summary,
            tables={"backtest.json": found.table, "backtest_stability.json": found.stability},
        )
    rows = [{"name": one.name, "meaning": one.meaning} for one in found.found]
    rows += [{"name": "not found", "meaning": note} for note in found.notes]
    return tracker.log_tried(
        f"alternatives to {config.name}", _others(found), tables={"alternatives.json": rows}
    )


def _alphas(result: TrainingResult) -> list[ChildRun]:
    choice, path = result.alpha_choice, result.path
    if choice is None or path is None:
        return []
    at = {float(alpha): coefs for alpha, coefs in zip(path.alphas, path.coefs, strict=True)}
    children = []
    for k, alpha in enumerate(choice.alphas.tolist()):
        folds = {f"fold_{f}": v for f, v in enumerate(choice.fold_losses[:, k].tolist(), start=1)}
        children.append(
            ChildRun(
                name=f"alpha {alpha:.3g}",
                kind="alpha",
                params={"alpha": repr(alpha), "chosen": str(alpha == choice.alpha)},
                metrics={
                    "alpha_folds/log_loss": float(choice.mean[k]),
                    "alpha_folds/standard_error": float(choice.standard_error[k]),
                    **{f"alpha_folds/{name}": loss for name, loss in folds.items()},
                },
                weights=_named(path.feature_names, at[alpha]) if alpha in at else {},
            )
        )
    return children


def _folds(past: BacktestResult) -> list[ChildRun]:
    return [
        ChildRun(
            name=f"fold {k}: from {fold.test_from.date()}",
            kind="backtest",
            params={
                "test_from": fold.test_from.isoformat(),
                "test_to": fold.test_to.isoformat(),
                "train_to": fold.train_to.isoformat(),
                "alpha": repr(fold.alpha),
                "alpha_chosen_by": fold.alpha_by,
            },
            metrics={
                **fold.metrics,
                "train_rows": fold.train_rows,
                "train_positives": fold.train_positives,
                "test_rows": fold.test_rows,
                "test_positives": fold.test_positives,
            },
            weights=fold.weights,
        )
        for k, fold in enumerate(past.folds, start=1)
    ]


def _others(found: Alternatives) -> list[ChildRun]:
    return [
        ChildRun(
            name=one.name,
            kind="alternative",
            params={"meaning": one.meaning},
            metrics={
                "log_loss": one.log_loss,
                "difference/fitted/log_loss": one.loss_difference,
                "difference/fitted/log_loss_low": one.low,
                "difference/fitted/log_loss_high": one.high,
            },
            weights=one.weights,
        )
        for one in found.found
    ]


def _named(names: Sequence[str], coefs: Any) -> dict[str, float]:
    return dict(zip(names, coefs.tolist(), strict=True))
