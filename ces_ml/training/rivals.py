"""What learned weights are compared with: counting, other weights, and the ceiling."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from ces_ml.evaluation import (
    Columns,
    baseline_scores,
    calibrated,
    ceiling_probability,
    halfway,
    univariate_weights,
)
from ces_ml.evaluation.metrics import roc_auc
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.spec.count_table import CountTable
from ces_ml.training.config import TrainingConfig

__all__ = ["RIVALS", "Rival", "history_asked", "rivals"]

#: Rivals beside `ces_ml.evaluation.BASELINES` and `CEILINGS`, and what they are.
RIVALS: dict[str, str] = {
    "univariate_lift": "weights learned one event at a time, as vendors do",
    "halfway": "half hand-set weights, brought to the size of log-odds, and half learned ones",
    "no_rules": "weights learned with the same penalty, without rules and without hand-set ones",
}


@dataclass(frozen=True)
class Rival:
    """A score to compare with, on the held-out rows.

    Parameters
    ----------
    score, probability : ndarray of shape (n_test,)
        The probability was calibrated on the training rows.
    reversed : bool
        Whether fewer is better on the training rows.
    """

    score: NDArray[np.float64]
    probability: NDArray[np.float64]
    reversed: bool = False

    @property
    def oriented(self) -> NDArray[np.float64]:
        """The score, turned round where fewer is better."""
        return -self.score if self.reversed else self.score


def history_asked(config: TrainingConfig, table: CountTable) -> bool:
    """Return whether the rivals need to know more of the customers than their counts."""
    terms = [t for t in table.spec.terms if t.measure == "count"]
    whole = {t.event for t in terms if t.half_life is None}
    return config.evaluation.ceiling or any(t.event not in whole for t in terms)


def rivals(
    config: TrainingConfig,
    train: CountTable,
    test: CountTable,
    model: ConstrainedLogisticRegression,
    signs: Mapping[str, int],
) -> dict[str, Rival]:
    """Return every rival of a model, fitted on the training rows and scored on the held-out ones.

    Parameters
    ----------
    config : TrainingConfig
    train, test : CountTable
    model : ConstrainedLogisticRegression
        The weights to compare with; fitted.
    signs : mapping of str to int
        The signs that are stated, for equal weights.

    Returns
    -------
    dict of str to Rival
        In the order of tables: what counts, then other weights, then the ceiling. Without
        ``no_rules`` where no rule or hand-set weight takes part, or where without them the weights
        have no end (an event that all of one outcome did and nobody else).
    """
    y, weight = train.outcomes, train.sample_weight
    hand_set = config.model.hand_set or None
    before, after = (
        baseline_scores(rows, signs=signs, hand_set=hand_set, total=_total(rows))
        for rows in (train, test)
    )
    Z, Z_test = train.design(), test.design()
    lift = univariate_weights(train.X, y, weight)
    before["univariate_lift"], after["univariate_lift"] = Z @ lift, Z_test @ lift
    if hand_set:
        size, w = halfway(before["hand_set"], y, weight), model.coef_[0]
        before["halfway"] = (size * before["hand_set"] + Z @ w) / 2
        after["halfway"] = (size * after["hand_set"] + Z_test @ w) / 2
    found = {
        name: Rival(
            score,
            calibrated(before[name], y, score, weight),
            roc_auc(y, before[name], weight) < 0.5,
        )
        for name, score in after.items()
    }
    if config.model.rules or config.model.prior_strength:
        free = ConstrainedLogisticRegression(alpha=model.alpha, l1_ratio=model.l1_ratio)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            free.fit(Z.astype(np.float32), y, weight)
        if free.solver_result_.status == "optimal":
            raw = free.decision_function(Z_test)
            found["no_rules"] = Rival(raw, free.predict_proba(Z_test)[:, 1])
    return found | _ceilings(config, train, test)


def _total(rows: CountTable) -> NDArray[np.float64] | None:
    """Return the number of events without decay, where the counts do not say it."""
    terms = [t for t in rows.spec.terms if t.measure == "count"]
    whole = {t.event for t in terms if t.half_life is None}
    if rows.history is None or all(t.event in whole for t in terms):
        return None
    return rows.history[:, 2]


def _ceilings(config: TrainingConfig, train: CountTable, test: CountTable) -> dict[str, Rival]:
    asked = config.evaluation
    if not asked.ceiling:
        return {}
    columns = {"boosting": (Columns(train.X), Columns(test.X))}
    if train.history is not None and test.history is not None:
        columns["boosting_with_recency"] = (
            Columns(train.X, train.history[:, :2]),
            Columns(test.X, test.history[:, :2]),
        )
    found = {}
    for name, (seen, judged) in columns.items():
        p = ceiling_probability(
            seen,
            train.outcomes,
            train.customer.to_numpy(),
            judged,
            sample_weight=train.sample_weight,
            most_rows=asked.ceiling_rows,
            seed=config.seed,
        )
        found[name] = Rival(p, p)
    return found
