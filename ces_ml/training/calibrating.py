"""Calibration in a job: a map fitted on folds of the training rows, judged on the held-out rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from ces_ml.errors import ConfigError, SpecError
from ces_ml.evaluation import Calibration, TimeSplit, calibration, recalibrate
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.purging import Fold, purged_folds
from ces_ml.training.config import TrainingConfig
from ces_ml.weights import Recalibration, WeightSet, probabilities, raw_scores

__all__ = ["calibration_of", "folds_of", "recalibration"]

_FOLDS = 5


def recalibration(
    config: TrainingConfig,
    table: CountTable,
    split: TimeSplit,
    model: ConstrainedLogisticRegression,
) -> Recalibration | None:
    """Fit the map that the configuration asks for; None if it asks for none.

    Folds are made of the training rows: each is scored by weights fitted, with the parameters of
    `model`, to rows whose outcome was known before it. Fits to fewer rows are a little less sure
    than the one that is kept, so the map errs toward caution.

    Raises
    ------
    ConfigError
        If the training rows can't be divided.
    """
    if config.score.as_fitted:
        return None
    # float32, as the weights were fitted.
    Z = table.design().astype(np.float32)[split.train]
    y = table.outcomes[split.train]
    weight = None if table.sample_weight is None else table.sample_weight[split.train]
    scored: list[tuple[NDArray[np.intp], NDArray[np.float64]]] = []
    for train, test in folds_of(config, table, split):
        if len(np.unique(y[train])) < 2:
            continue
        fold = ConstrainedLogisticRegression(**model.get_params(deep=False))
        with warnings.catch_warnings():
            # One that is nearly converged serves here; the weights that are kept warn themselves.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fold.fit(Z[train], y[train], _of(weight, train), feature_names=table.names)
        scored.append((test, fold.decision_function(Z[test])))
    rows = np.concatenate([r for r, _ in scored]) if scored else np.zeros(0, dtype=np.intp)
    if len(np.unique(y[rows])) < 2:
        raise _impossible(f"{len(rows):,} rows, all of one outcome", None)
    z = np.concatenate([s for _, s in scored])
    return recalibrate(config.score.calibrate, y[rows], z, _of(weight, rows))


def folds_of(config: TrainingConfig, table: CountTable, split: TimeSplit) -> list[Fold]:
    """Return purged folds of the training rows: by time as far as it goes, else by customer.

    Raises
    ------
    ConfigError
        If there are fewer than two customers.
    """
    rows = table.take(split.train)
    moments = None if split.test_from is None else rows.as_of.dt.tz_localize(None).to_numpy()
    disjoint = config.split.customers == "disjoint"
    error: SpecError | None = None
    for times in (None,) if moments is None else (moments, None):
        for n_splits in range(_FOLDS, 1, -1):
            try:
                return purged_folds(
                    rows.customer.to_numpy(), times, config.outcome.reach, n_splits, disjoint
                )
            except SpecError as refused:
                error = refused
    raise _impossible((error.got if error else None) or "no rows", error)


def calibration_of(weight_set: WeightSet, table: CountTable, split: TimeSplit) -> Calibration:
    """Return how true the probabilities are on the held-out rows."""
    rows = table.take(split.test)
    found = probabilities(weight_set, raw_scores(weight_set, rows.X))
    return calibration(rows.outcomes, found, rows.sample_weight)


def _of(weight: NDArray[np.float64] | None, rows: Any) -> NDArray[np.float64] | None:
    return None if weight is None else weight[rows]


def _impossible(got: str, cause: SpecError | None) -> ConfigError:
    error = ConfigError(
        "probabilities can't be calibrated on folds of the training rows",
        got=got,
        allowed="training rows that can be divided, with both outcomes in the parts",
        hint="write `score: {calibrate: none}`, or take more customers or as_of moments",
    )
    error.__cause__ = cause
    return error
