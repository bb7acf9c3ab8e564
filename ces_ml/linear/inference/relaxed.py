"""The estimate without the rules: what the data alone say, and its curvature.

Without the rules means: without the inequalities and the lasso's kinks, but with everything that
holds whatever the data say (fixed weights, equations, the choice of a limited number of events) and
with the inequalities that the data clearly break. There the best weights under the rules lie on
the rule's boundary, so it is an equation of what is estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ces_ml.errors import SpecError
from ces_ml.linear.inference.rows import CustomerRows
from ces_ml.linear.inference.rules import RuleRows
from ces_ml.linear.kernels import Evaluation
from ces_ml.linear.penalties import Penalty

__all__ = ["Bread", "Relaxed", "broken_rules", "relax"]

Floats = NDArray[np.float64]

FLAT = 1e-11
"""Scaled curvature, of a sum of ones, below which a direction is flat."""

VANISHING = 1e-6
"""Part of a combination, in the scale of the weights, below which it has none in a direction."""

STEP_ERROR, ROUGH_STEP_ERROR = 1e-3, 0.1
"""A Newton step ends the iteration when what it leaves is below this share of a standard error.

The second holds from `ROUGH_FROM` rows on, where a pass costs: a tenth of a standard error takes
0.003 off a coverage of 0.9."""

ROUGH_FROM = 100_000

MOST_CHANGE = 0.3
"""Change of scores (of those that have curvature) beyond which a step is not the last.

Under separation no step is: each changes scores by about 1, for ever."""

MOST_STEPS = 60


@dataclass(frozen=True, eq=False)
class Bread:
    """The inverse curvature along the directions that equations leave free.

    Parameters
    ----------
    factor : ndarray of shape (n_features + 1, n_free)
        ``F`` with ``F Fᵀ`` the inverse of the Hessian on those directions.
    blind : ndarray of shape (n_features + 1, n_blind)
        Directions along which the loss is flat, so that the data say nothing of them whatever the
        penalty makes of them: a column without variation, the difference of two equal columns.
    units : ndarray of shape (n_features + 1,)
        The scale of each weight.
    """

    factor: Floats
    blind: Floats
    units: Floats

    @property
    def inverse(self) -> Floats:
        """The inverse itself, of shape (n_features + 1, n_features + 1)."""
        inverse: Floats = self.factor @ self.factor.T
        return inverse

    @classmethod
    def of(cls, hessian: Floats, loss: Floats, equations: Floats) -> Bread:
        """Factor the Hessian `hessian` of the objective; `loss` is that of the loss alone."""
        units = _units(hessian)
        values, directions = _curvatures(hessian, units, equations)
        kept = values > FLAT
        factor = directions[:, kept] / np.sqrt(values[kept])
        values, directions = _curvatures(loss, _units(loss), equations)
        return cls(factor, directions[:, values <= FLAT], units)

    def is_blind(self, rows: Floats) -> NDArray[np.bool_]:
        """Return which of the combinations ``row·θ`` the data say nothing of."""
        if not self.blind.size:
            return np.zeros(len(rows), dtype=bool)
        length = np.linalg.norm(self.blind / self.units[:, np.newaxis], axis=0)
        along = np.abs(rows @ self.blind / length).max(axis=1)
        blind: NDArray[np.bool_] = along > VANISHING * np.linalg.norm(rows * self.units, axis=1)
        return blind

    def is_fixed(self, rows: Floats) -> NDArray[np.bool_]:
        """Return which of the combinations follow from the equations."""
        free = np.linalg.norm(rows @ self.factor, axis=1)
        fixed: NDArray[np.bool_] = free <= VANISHING * np.linalg.norm(rows * self.units, axis=1)
        return fixed & ~self.is_blind(rows)


def _units(hessian: Floats) -> Floats:
    size = np.sqrt(np.maximum(np.diag(hessian), 0.0))
    return 1.0 / np.where(size > 0.0, size, 1.0)


def _curvatures(hessian: Floats, units: Floats, equations: Floats) -> tuple[Floats, Floats]:
    """Return curvatures in these units along the directions that equations leave free."""
    tangent = _null_space(equations * units)
    values, vectors = np.linalg.eigh(tangent.T @ (hessian * np.outer(units, units)) @ tangent)
    return values, units[:, np.newaxis] * (tangent @ vectors)


@dataclass(frozen=True, eq=False)
class Relaxed:
    """The estimate without the rules.

    Parameters
    ----------
    theta : ndarray of shape (n_features + 1,)
        Weights, then the intercept of the shifted columns.
    at : ndarray of shape (n_features + 1,)
        Where curvature and scores were taken: `theta`, or less than `STEP_ERROR` of a standard
        error times its effect from it.
    hessian : ndarray of shape (n_features + 1, n_features + 1)
        Of loss and penalty at `at`.
    bread : Bread
    """

    theta: Floats
    at: Floats
    hessian: Floats
    bread: Bread


def smooth(penalty: Penalty, loss: Evaluation, theta: Floats) -> tuple[float, Floats, Floats]:
    """Return value, gradient and Hessian of the loss and the smooth part of the penalty."""
    w = theta[:-1]
    p = len(w)
    value = loss.value + penalty.value(w) - float(penalty.slopes(p) @ np.abs(w))
    gradient, hessian = loss.gradient.copy(), loss.hessian.copy()
    gradient[:p] += penalty.gradient(w)
    hessian[np.arange(p), np.arange(p)] += penalty.curvature(w)
    ray = penalty.ray()
    if ray is not None and float(w @ ray.direction) > 0.0:  # its scale follows the weights
        a = ray.direction
        hessian[:p, :p] -= ray.strength * np.outer(a, a) / float(a @ a)
    return value, gradient, hessian


def broken_rules(
    rows: RuleRows,
    equations: Floats,
    hessian: Floats,
    loss: Floats,
    meat: Floats,
    near: float,
) -> NDArray[np.bool_]:
    """Return which inequalities the data clearly break: their multiplier exceeds its noise.

    The multipliers solve ``Aᵀλ = −gradient`` at the estimate under the rules. A change ``ε`` of
    the scores changes them by the part of ``ε`` that the free weights do not take up, so their
    covariance follows from that of the scores. `near` is the threshold in standard errors, after
    D. W. K. Andrews and G. Soares (2010), Inference for parameters defined by moment inequalities,
    *Econometrica* 78(1), doi:10.3982/ECTA7502: it grows with the sample, more slowly than the
    multiplier of a rule that the truth breaks.
    """
    paid = np.flatnonzero(rows.multipliers > 0.0)
    broken = np.zeros(len(rows.b), dtype=bool)
    if not len(paid):
        return broken
    held = np.vstack([equations, rows.A[paid]])
    bread = Bread.of(hessian, loss, held)
    inverse = np.linalg.pinv(held.T)[len(equations) :]
    noise = inverse @ (np.eye(len(hessian)) - hessian @ bread.inverse)
    spread = np.sqrt(np.maximum(np.diag(noise @ meat @ noise.T), 0.0))
    broken[paid] = rows.multipliers[paid] > near * spread
    return broken


def relax(
    rows: CustomerRows,
    penalty: Penalty,
    equations: Floats,
    start: Floats,
    first: Evaluation,
    meat: Floats,
) -> Relaxed:
    """Return the estimate by Newton's method from the weights under the rules.

    Parameters
    ----------
    rows : CustomerRows
    penalty : Penalty
    equations : ndarray of shape (n_equations, n_features + 1)
        What holds at `start` and goes on holding.
    start : ndarray of shape (n_features + 1,)
        Weights under the rules, then the intercept.
    first : Evaluation
        Of the loss at `start`.
    meat : ndarray of shape (n_features + 1, n_features + 1)
        Sum of squares of the customers' scores at `start`: the scale on which a step is small.

    Raises
    ------
    SpecError
        If there is no finite estimate without the rules.
    """
    theta, loss = start, first
    enough = STEP_ERROR if rows.blocks.n_rows < ROUGH_FROM else ROUGH_STEP_ERROR
    value, gradient, hessian = smooth(penalty, loss, theta)
    for _ in range(MOST_STEPS):
        bread = Bread.of(hessian, loss.hessian, equations)
        step = -bread.inverse @ gradient
        if _left_over(step, hessian, bread, meat) <= enough:
            return Relaxed(theta + step, theta, hessian, bread)
        slope, size = float(gradient @ step), 1.0
        slack = 16.0 * np.finfo(float).eps * abs(value)
        while size > 1e-6:
            following = theta + size * step
            loss = rows.evaluate(following)
            found = smooth(penalty, loss, following)
            if found[0] <= value + 1e-4 * size * slope + slack:
                break
            size *= 0.5
        theta, (value, gradient, hessian) = following, found
    raise SpecError(
        "without the rules the weights have no finite estimate, so nothing says how sure they are",
        got=f"weights that still grow after {MOST_STEPS} steps: some counts separate the outcomes",
        allowed="data and a penalty under which the weights are finite without the rules",
        hint="raise alpha, or leave out the events that separate the outcomes",
    )


def _left_over(step: Floats, hessian: Floats, bread: Bread, meat: Floats) -> float:
    """Return about how far, in standard errors, the minimum is from the end of a Newton step.

    A step that changes scores by δ changes the curvature by about the share δ, and so leaves
    about δ times its own length.
    """
    covariance = bread.inverse @ meat @ bread.inverse
    spread = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    length = np.abs(step) / np.where(spread > 0.0, spread, np.inf)
    mass = float(hessian[-1, -1]) or float(np.trace(hessian))
    change = np.sqrt(max(float(step @ hessian @ step), 0.0) / mass) if mass > 0.0 else 0.0
    if change > MOST_CHANGE:
        return np.inf
    return float(change * length.max(initial=0.0))


def _null_space(rows: Floats) -> Floats:
    """Return an orthonormal basis of what the rows leave free."""
    q = rows.shape[1]
    size = np.linalg.norm(rows, axis=1)
    rows = rows[size > 0.0] / size[size > 0.0, np.newaxis]
    if not len(rows):
        return np.eye(q)
    _, singular, vectors = np.linalg.svd(rows, full_matrices=True)
    rank = int((singular > 1e-10 * singular[0]).sum())
    return vectors[rank:].T
