"""What each rule costs: how much better the fit would be without it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ces_ml.errors import ConstraintError, InfeasibleConstraintsError, SpecError
from ces_ml.linear.refits import Refits
from ces_ml.linear.rows import LabelledRows, column_spread

__all__ = ["MOST_CHANGED", "RulePrice", "price_of_rules", "prices_table"]

Floats = NDArray[np.float64]

MOST_CHANGED = 3
"""How many of the weights that a dropped rule changes are named."""


@dataclass(frozen=True)
class RulePrice:
    """What one active rule costs.

    Parameters
    ----------
    rule : str
        The rule in the user's words.
    multiplier : float
        By how much the objective would fall, to first order, per unit by which every inequality
        of the rule is relaxed; not negative.
    objective_change : float
        Objective (mean loss plus penalty, training rows) without the rule, less with it; never
        positive, except for round-off.
    log_loss_change : float
        Mean log loss on the rows judged without the rule, less with it, in nats: negative where
        the rule costs, positive where it helps. On training rows it is seldom positive: only if
        the rule worked against the penalty.
    auc_change : float
        The same for the area under the ROC curve; positive where the rule costs. nan if the rows
        judged have one outcome only.
    weights_changed : dict of str to (float, float)
        The `MOST_CHANGED` weights that change most, in units of the spread of their counts: the
        weight with the rule and without it. Weights that do not change are left out.
    held_out : bool
        Whether `log_loss_change` and `auc_change` are of held-out rows.
    note : str
        Empty, or why the rule has no price: the others can't be read without it. The changes are
        nan then.
    """

    rule: str
    multiplier: float
    objective_change: float
    log_loss_change: float
    auc_change: float
    weights_changed: dict[str, tuple[float, float]] = field(default_factory=dict)
    held_out: bool = False
    note: str = ""


def price_of_rules(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    X_test: Any = None,
    y_test: ArrayLike | None = None,
) -> list[RulePrice]:
    """Fit again without each active rule, one at a time, and say what changes.

    A rule is what was stated as one: a chain or a wildcard (``"page_* >= 0"``) is dropped as a
    whole. Rules that are not active cost nothing, by complementarity: their multipliers are
    zero, so the optimum is the same without them. They are neither fitted again nor returned.
    (Under a limit on their number that holds for the events it chose; without a rule it might
    have chosen others.) The prices of several rules do not add up: where two rules forbid the
    same thing, dropping either alone changes nothing.

    Parameters
    ----------
    estimator : ConstrainedLogisticRegression
        Fitted.
    X : array-like, sparse matrix or data frame of shape (n_rows, n_features)
        The rows that it was fitted on.
    y : array-like of shape (n_rows,)
        Their outcomes.
    sample_weight : array-like of shape (n_rows,), optional
        As it was given to `fit`.
    X_test, y_test : optional
        Held-out rows for `log_loss_change` and `auc_change`; by default the training rows.

    Returns
    -------
    list of RulePrice
        One for each active rule, in the order in which they were stated.

    Raises
    ------
    SpecError
        If one of `X_test` and `y_test` is given without the other, or outcomes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from ces_ml.linear import ConstrainedLogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(1.0, size=(500, 3))
    >>> y = rng.random(500) < 1 / (1 + np.exp(-X @ [0.5, 1.0, -0.5]))
    >>> model = ConstrainedLogisticRegression(constraints=["x0 >= x1", "* >= 0"]).fit(X, y)
    >>> for price in price_of_rules(model, X, y):
    ...     print(price.rule, round(price.log_loss_change, 3), list(price.weights_changed))
    x0 >= x1 -0.006 ['x1', 'x0']
    * >= 0 -0.04 ['x2', 'x0', 'x1']
    """
    if (X_test is None) != (y_test is None):
        raise SpecError(
            "held-out rows need their outcomes, and outcomes their rows",
            got="X_test without y_test" if y_test is None else "y_test without X_test",
            allowed="both or neither",
            hint="give X_test and y_test of the same rows",
        )
    stated, active = _stated(estimator.constraints), _active(estimator)
    training = LabelledRows.of(estimator, X, y, sample_weight)
    judged = training if y_test is None else LabelledRows.of(estimator, X_test, y_test)
    spread = column_spread(training.X, training.share)
    refits = Refits(estimator, X, y, sample_weight, estimator.constraints_.feature_names)
    prices = []
    for place, (text, _) in enumerate(stated):
        if text in active:
            rest = [rule for other, (_, rule) in enumerate(stated) if other != place]
            try:
                without = refits.fit(near=estimator, constraints=rest or None)
            except InfeasibleConstraintsError:
                raise
            except ConstraintError as error:
                prices.append(_no_price(estimator, text, y_test is not None, error))
                continue
            score = without.decision_function(X if y_test is None else X_test)
            changed = _changed(estimator, without, spread)
            prices.append(
                _price(estimator, text, without, judged, score, changed, y_test is not None)
            )
    return prices


def _price(
    estimator: Any,
    text: str,
    without: Any,
    judged: LabelledRows,
    score: Floats,
    changed: dict[str, tuple[float, float]],
    held_out: bool,
) -> RulePrice:
    before, after = estimator.solver_result_, without.solver_result_
    return RulePrice(
        text,
        multiplier=float(before.multipliers.get(text, 0.0)),
        objective_change=float(after.objective - before.objective),
        log_loss_change=judged.log_loss(score) - judged.log_loss(judged.score),
        auc_change=judged.auc(score) - judged.auc(judged.score),
        weights_changed=changed,
        held_out=held_out,
    )


def _no_price(estimator: Any, text: str, held_out: bool, error: ConstraintError) -> RulePrice:
    return RulePrice(
        text,
        multiplier=float(estimator.solver_result_.multipliers.get(text, 0.0)),
        objective_change=math.nan,
        log_loss_change=math.nan,
        auc_change=math.nan,
        held_out=held_out,
        note=f"the other rules can't be read without it: {error.problem}",
    )


def prices_table(prices: Sequence[RulePrice]) -> list[dict[str, Any]]:
    """Return the prices as rows of a table, the most expensive rule first.

    Parameters
    ----------
    prices : sequence of RulePrice
        From `price_of_rules`.

    Returns
    -------
    list of dict
        One flat row a rule, sorted by `objective_change`, rules without a price at the end;
        ``pandas.DataFrame(prices_table(prices))`` shows it.

    Examples
    --------
    >>> price = RulePrice("login >= 0", 0.2, -0.1, -0.09, 0.01, {"login": (0.0, -0.5)})
    >>> prices_table([price])[0]["weights_changed"]
    'login 0 → -0.5'
    """
    known = sorted(
        (price for price in prices if not price.note), key=lambda price: price.objective_change
    )
    return [
        {
            "rule": price.rule,
            "multiplier": price.multiplier,
            "objective_change": price.objective_change,
            "log_loss_change": price.log_loss_change,
            "auc_change": price.auc_change,
            "rows": "held out" if price.held_out else "training",
            "weights_changed": "; ".join(
                f"{name} {before:.3g} → {after:.3g}"
                for name, (before, after) in price.weights_changed.items()
            ),
            "note": price.note,
        }
        for price in [*known, *(price for price in prices if price.note)]
    ]


def _stated(constraints: Any) -> list[tuple[str, Any]]:
    """Return each rule as (the user's words, as they stand in results; the rule itself)."""
    if constraints is None:
        return []
    single = isinstance(constraints, str) or hasattr(constraints, "expand")
    rules = [constraints] if single else list(constraints)
    return [(rule.strip() if isinstance(rule, str) else str(rule), rule) for rule in rules]


def _active(estimator: Any) -> set[str]:
    """Return the rules that hold with equality, and those that choose events if a limit is full."""
    result, region = estimator.solver_result_, estimator.constraints_
    active = set(result.active) | set(result.multipliers)
    limits = zip(getattr(region, "limits", ()), getattr(region, "limit_rules", ()), strict=True)
    full = {
        rule
        for limit, rule in limits
        if np.count_nonzero(estimator.coef_[0][list(limit.members)]) >= limit.k
    }
    return active | full | (set(getattr(region, "kept_rules", ())) if full else set())


def _changed(estimator: Any, without: Any, spread: Floats) -> dict[str, tuple[float, float]]:
    before, after = estimator.coef_[0], without.coef_[0]
    size = np.abs(after - before) * spread
    # Two fits agree to their tolerance only; smaller changes are not the rule's.
    real = size > 1e-6 * max(float((np.abs(before) * spread).max(initial=0.0)), 1e-3)
    order = [j for j in np.argsort(-size, kind="stable")[:MOST_CHANGED] if real[j]]
    names = estimator.constraints_.feature_names
    return {names[j]: (float(before[j]), float(after[j])) for j in order}
