"""Fitting in a job: the strength of the penalty, the weights, and what is read off them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from ces_ml.errors import CesWarning, ConfigError, SpecError
from ces_ml.evaluation import TimeSplit
from ces_ml.linear import (
    AlphaChoice,
    ConstrainedLogisticRegression,
    Path,
    Points,
    RulePrice,
    choose_alpha,
    price_of_rules,
    regularization_path,
    to_points,
)
from ces_ml.spec.count_table import CountTable
from ces_ml.training.config import AlphaByFolds, ModelConfig, PointsConfig, TrainingConfig
from ces_ml.training.learned import Learned
from ces_ml.training.sureness import Sureness

if TYPE_CHECKING:
    from ces_ml.training.in_spark import RowsInSpark

__all__ = ["Fitted", "fit", "stages"]

Progress = Callable[[str], None]
_CHOOSING, _FITTING = "choosing alpha by folds", "fitting weights"
_PRICING, _POINTS = "pricing rules", "choosing points"


@dataclass(frozen=True)
class Fitted:
    """A fitted model and what was read off it.

    Parameters
    ----------
    model : ConstrainedLogisticRegression
        Fitted on the training rows.
    alpha_choice : AlphaChoice or None
        None where alpha was given.
    path : Path or None
        The weights at every alpha that was tried, on all training rows.
    prices : tuple of RulePrice
        One for each rule that binds, judged on the held-out rows.
    points : Points or None
    sure : Sureness or None
        How sure the weights are, where they are of rows that are not here.
    learned : Learned or None
        These rows in numbers.
    """

    model: ConstrainedLogisticRegression
    alpha_choice: AlphaChoice | None
    path: Path | None
    prices: tuple[RulePrice, ...]
    points: Points | None
    sure: Sureness | None = None
    learned: Learned | None = None


def stages(config: TrainingConfig) -> tuple[str, ...]:
    """Return the stages of `fit` under a configuration, as they are reported."""
    asked = {
        _CHOOSING: isinstance(config.model.alpha, AlphaByFolds),
        _FITTING: True,
        _PRICING: bool(config.model.rules) and config.model.price_of_rules,
        _POINTS: config.points is not None,
    }
    return tuple(stage for stage, wanted in asked.items() if wanted)


def fit(
    config: TrainingConfig,
    table: CountTable,
    split: TimeSplit,
    *,
    progress: Progress,
    in_spark: RowsInSpark | None = None,
) -> Fitted:
    """Fit the weights on the training rows; choose alpha and points, price rules as configured.

    Sample weights enter every fit. The losses of held-out rows by which alpha is chosen and rules
    are priced weigh all rows alike. With `in_spark` the weights are those of all rows there; alpha,
    the price of rules (between two fits to the table) and points are found with the table.

    Raises
    ------
    ConfigError
        If folds can't be made of the training rows.
    ConstraintError
        If the rules do not fit the terms or each other.

    Warns
    -----
    CesWarning
        With their number, if fits along the path or without a rule did not converge.
    ConvergenceWarning
        If the fit of the weights did not converge.
    """
    # float32: the last bits of a decayed sum depend on the order of addition, and half the memory
    # is enough. The solver adds in float64.
    Z = table.design().astype(np.float32)
    y = np.asarray(table.outcomes)
    X, good = Z[split.train], y[split.train]
    weight = None if table.sample_weight is None else table.sample_weight[split.train]
    wanted, strength = stages(config), config.model.alpha
    choice = path = None
    if isinstance(strength, AlphaByFolds):
        progress(_CHOOSING)
        bare = _model(config.model, 1.0)
        choice = _choice(strength, bare, X, good, weight, config, table, split)
        with _told_once("along the regularisation path"):
            path = regularization_path(
                bare, X, good, weight, alphas=choice.alphas, feature_names=table.names
            )
        strength = choice.alpha
    progress(_FITTING)
    model = priced = _model(config.model, strength).fit(X, good, weight, feature_names=table.names)
    sure = learned = None
    if in_spark is not None:
        model, sure = in_spark.fit(_model(config.model, strength), level=config.evaluation.level)
        learned = in_spark.learned()
    prices, points = [], None
    if _PRICING in wanted:
        progress(_PRICING)
        with _told_once("without one of the rules"):
            prices = price_of_rules(
                priced, X, good, weight, X_test=Z[split.test], y_test=y[split.test]
            )
    if config.points is not None:
        progress(_POINTS)
        points = _points(config.points, config.model.rules, model, X, good, weight)
    return Fitted(model, choice, path, tuple(prices), points, sure, learned)


def _model(config: ModelConfig, alpha: float) -> ConstrainedLogisticRegression:
    return ConstrainedLogisticRegression(
        alpha=alpha,
        l1_ratio=config.l1_ratio,
        constraints=config.rules or None,
        prior=config.hand_set if config.prior_strength > 0 else None,
        prior_strength=config.prior_strength,
    )


def _choice(
    asked: AlphaByFolds,
    model: ConstrainedLogisticRegression,
    X: Any,
    y: NDArray[Any],
    weight: NDArray[np.float64] | None,
    config: TrainingConfig,
    table: CountTable,
    split: TimeSplit,
) -> AlphaChoice:
    """Choose alpha by folds of the training rows, divided as the split divides all rows."""
    moments = table.as_of[split.train].dt.tz_localize(None).to_numpy()
    try:
        with _told_once("on the folds"):
            return choose_alpha(
                model,
                X,
                y,
                weight,
                groups=table.customer[split.train].to_numpy(),
                times=None if split.test_from is None else moments,
                reach=config.outcome.reach,
                cv=asked.folds,
                disjoint=config.split.customers == "disjoint",
                rule=asked.choose,
                feature_names=table.names,
            )
    except SpecError as error:
        raise ConfigError(
            f"alpha can't be chosen by folds of the training rows: {error.problem}",
            got=error.got,
            allowed=error.allowed,
            hint="write `alpha: {folds: 2}`, add earlier as_of moments, or give alpha a number",
        ) from error


def _points(
    asked: PointsConfig,
    rules: tuple[str, ...],
    model: ConstrainedLogisticRegression,
    X: Any,
    y: NDArray[Any],
    weight: NDArray[np.float64] | None,
) -> Points:
    """Choose points under the model's rules, for as many terms as are asked for."""
    low, high = asked.range
    if asked.at_most is not None:
        # To which terms points go is decided with weights; the points keep the others at zero.
        names, rules = model.constraints_.feature_names, (*rules, f"at most {asked.at_most} events")
        few = ConstrainedLogisticRegression(**{**model.get_params(), "constraints": rules})
        model = few.fit(X, y, weight, feature_names=names)
    return to_points(model, X, y, weight, low=low, high=high)


@contextmanager
def _told_once(which: str) -> Iterator[None]:
    """Turn the warnings of many fits that did not converge into one with their number."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        yield
    failed = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    for other in caught:
        if other not in failed:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    if failed:
        warnings.warn(
            f"{len(failed)} of the fits {which} did not converge; the first: {failed[0].message}",
            CesWarning,
            stacklevel=4,
        )
