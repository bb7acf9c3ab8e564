"""From a fitted estimator and its rows to intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ces_ml.errors import SpecError, show
from ces_ml.linear.inference.combinations import Combinations, near_rules
from ces_ml.linear.inference.intervals import WeightIntervals, checked_level
from ces_ml.linear.inference.relaxed import broken_rules, relax, smooth
from ces_ml.linear.inference.rows import CustomerRows
from ces_ml.linear.inference.rules import equations_of, inequalities_of, range_of_weights
from ces_ml.linear.inference.spread import spread_of
from ces_ml.linear.parameters import read_penalty

__all__ = ["check_draws", "intervals_from", "weight_intervals"]

Floats = NDArray[np.float64]


def weight_intervals(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.9,
    n_replicates: int = 300,
    random_state: int | None = 0,
) -> WeightIntervals:
    r"""Return intervals of the weights that respect the rules, by customer.

    Parameters
    ----------
    estimator : ConstrainedLogisticRegression
        Fitted.
    X : array-like, sparse matrix or data frame of shape (n_rows, n_features)
        The rows that it was fitted on.
    y : array-like of shape (n_rows,)
        Their outcomes.
    sample_weight : array-like of shape (n_rows,), optional
        As it was given to `fit`; weight 2 is two equal rows of the same customer.
    groups : array-like of shape (n_rows,), optional
        The customer of each row. Rows of one customer are not independent, and customers are what
        another sample would differ in. By default each row is a customer of its own.
    level : float, default=0.9
        Nominal coverage of each interval.
    n_replicates : int, default=300
        Number of `WeightIntervals.draws`, which are made when they are asked for.
    random_state : int or None, default=0
        Seed of the draws.

    Returns
    -------
    WeightIntervals
        Intervals of weights, differences, shares and scores, with classes of evidence.

    Raises
    ------
    SpecError
        If a parameter is out of its range, `groups` does not fit the rows, or there is no finite
        estimate without the rules.

    Notes
    -----
    The data alone give weights without the rules, with the covariance of a sandwich by customer:
    jackknifed where few customers decide, and with Student's quantile. The interval of a number is
    the set that the data don't reject when the rules are believed: the profile of the distance
    from these weights, under what the rules say of the number and under the one rule that is near
    and most correlated with it (`ces_ml.linear.inference.profile`). So

    - the interval lies inside the bounds that the rules give, holds the fitted weight, and is no
      wider than without the rules, except where it must be stretched to hold the fitted weight;
    - coverage is about nominal where the truth obeys the rules, on their boundaries too, where
      percentiles of a bootstrap under the rules are not (see experiments/coverage);
    - rules that the data clearly break, by more than :math:`\sqrt{\log n}` standard errors of
      their multiplier, become equations: the intervals are about the best weights under the rules.

    The intervals are about the minimum of the same *penalised* objective over all customers. Where
    the penalty is strong that is not the truth. They are conditional on the choice of events by a
    limit on their number, and on `alpha` where that was chosen by the same rows. The kinks of a
    lasso are dropped.

    References
    ----------
    D. W. K. Andrews and G. Soares (2010), Inference for parameters defined by moment inequalities
    using generalized moment selection, *Econometrica* 78(1). doi:10.3982/ECTA7502

    J. G. MacKinnon and H. White (1985), Some heteroskedasticity-consistent covariance matrix
    estimators with improved finite sample properties, *Journal of Econometrics* 29(3).
    doi:10.1016/0304-4076(85)90158-7

    Examples
    --------
    >>> import numpy as np
    >>> from ces_ml.linear import ConstrainedLogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(1.0, size=(500, 3))
    >>> y = rng.random(500) < 1 / (1 + np.exp(-X @ [0.5, 1.0, -0.1]))
    >>> model = ConstrainedLogisticRegression(constraints=["* >= 0"]).fit(X, y)
    >>> found = weight_intervals(model, X, y)
    >>> for row in found.table():
    ...     print(f"{row.name} {row.weight:.2f} [{row.low:.2f}, {row.high:.2f}] {row.evidence}")
    x0 0.42 [0.18, 0.61] strong
    x1 0.79 [0.54, 1.04] strong
    x2 0.00 [0.00, 0.06] none
    >>> bool(found.difference("x1", "x0").probability > 0.9)
    True
    """
    level = checked_level(level)
    check_draws(n_replicates, random_state)
    rows = CustomerRows.of(estimator, X, y, sample_weight, groups)
    return intervals_from(estimator, rows, level, (int(n_replicates), random_state))


def intervals_from(
    estimator: Any, rows: CustomerRows, level: float, draws: tuple[int, int | None]
) -> WeightIntervals:
    """Return the intervals from rows that have been read, wherever they are.

    Parameters
    ----------
    estimator : ConstrainedLogisticRegression
        Fitted.
    rows : CustomerRows
        The rows that it was fitted on.
    level : float
        Nominal coverage.
    draws : (int, int or None)
        Number of draws and their seed.
    """
    region, result = estimator.constraints_, estimator.solver_result_
    penalty = read_penalty(estimator, region.feature_names)
    intercept = float(estimator.intercept_[0] + rows.shift @ estimator.coef_[0])
    start = np.append(estimator.coef_[0], intercept)
    first = rows.evaluate(start)
    slope, curvature = rows.residuals(start)
    meat = _centred(rows.score_products(slope), first.gradient, rows.n_customers)
    _, _, hessian = smooth(penalty, first, start)

    certain = equations_of(region, result, fit_intercept=bool(estimator.fit_intercept))
    inequalities = inequalities_of(region, result)
    near = near_rules(rows.n_customers)
    broken = broken_rules(inequalities, certain.A, hessian, first.hessian, meat, near)
    equations = certain.and_rows(inequalities.take(broken))
    relaxed = relax(rows, penalty, equations.A, start, first, meat)
    if (relaxed.at != start).any():
        slope, curvature = rows.residuals(relaxed.at)
        scores = rows.blocks.slope(relaxed.at[:-1], float(relaxed.at[-1])).gradient
        meat = _centred(rows.score_products(slope), scores, rows.n_customers)
    spread = spread_of(rows, relaxed.bread, slope, curvature, meat)
    return WeightIntervals(
        feature_names=region.feature_names,
        coef=np.array(estimator.coef_[0]),
        level=level,
        n_customers=rows.n_customers,
        broken=tuple(dict.fromkeys(inequalities.take(broken).rules)),
        _intercept=intercept,
        _shift=rows.shift,
        _numbers=Combinations(relaxed, spread, equations, inequalities.take(~broken), near),
        _rules=(certain, inequalities),
        _range=range_of_weights(region, equations),
        _draws=draws,
    )


def _centred(products: Floats, gradient: Floats, n_customers: int) -> Floats:
    """Return the products about the mean score, which the penalty keeps from zero."""
    return products - np.outer(gradient, gradient) / n_customers


def check_draws(n_replicates: object, random_state: object) -> None:
    """Refuse a number of draws, or a seed, that is none."""
    for name, value, least, example in (
        ("n_replicates", n_replicates, 1, "300"),
        ("random_state", random_state, 0, "0"),
    ):
        if value is None and name == "random_state":
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise SpecError(
                f"{name} is not a whole number of at least {least}",
                got=show(value),
                allowed=f"a whole number, at least {least}",
                hint=f"for example {name}={example}",
            )
