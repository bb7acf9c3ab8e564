"""The proof of optimality: how far a point is from obeying the Karush-Kuhn-Tucker conditions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.solver.contract import Polyhedron
from ces_ml.linear.solver.step import Centred, QPAnswer

__all__ = ["held_rules", "kkt_residual", "max_violation", "multipliers_by_rule"]

Floats = NDArray[np.float64]

HELD = 1e-9
"""A row of `A` counts as held with equality when its scaled slack is at most this."""


def kkt_residual(
    w: Floats,
    gradient: Floats,
    answer: QPAnswer,
    region: Polyhedron,
    reference: Centred,
    slopes: Floats | float = 0.0,
) -> float:
    """Return by how much the optimality conditions fail, in scale-free units.

    With gradient ``g`` (of loss and smooth penalty), multipliers ``μ`` of the bounds, ``λ ≥ 0`` of
    the rows and ``ν`` of the equations, the residual is the largest of

    - ``|g_j − m_j g_c + μ_j + (Aᵀλ + A_eqᵀν)_j + slope_j·s_j| / σ_j`` for each weight:
      stationarity, where ``s_j`` is the sign of ``w_j``, or the best number in [−1, 1] if that is
      zero; ``m_j`` and
      ``σ_j`` are the mean and the standard deviation of column j (exactly, ``σ_j² = var_j +
      4·penalty curvature``; a constant column counts by its size), so that neither shifting nor
      rescaling a column changes it. Without the loss's curvature this is a correlation: at most 1;
    - ``|g_c|``: stationarity of the intercept;
    - ``λ_i·(b − A w)_i`` and ``|μ_j|`` times the distance to its bound: complementarity, in nats;
    - the largest violation of a constraint, as in `SolverResult.max_violation`.
    """
    mu, lam = answer.bound_multipliers, answer.row_multipliers
    balance = gradient[:-1] - reference.means * gradient[-1] + mu + region.A.T @ lam
    balance += region.A_eq.T @ answer.eq_multipliers + slopes * np.sign(w)
    at_kink = np.sign(balance) * np.maximum(np.abs(balance) - slopes, 0.0)
    balance = np.where(w == 0.0, at_kink, balance)
    stationarity = np.abs(balance / (2.0 * reference.scale)).max(initial=abs(gradient[-1]))
    at = np.where(mu > 0.0, region.upper, region.lower)
    gap = np.where(mu != 0.0, np.abs(mu) * np.abs(np.where(mu != 0.0, at, w) - w), 0.0)
    slack = lam * np.abs(region.b - region.A @ w)
    complementarity = max(gap.max(initial=0.0), slack.max(initial=0.0))
    return float(max(stationarity, complementarity, max_violation(w, region)))


def max_violation(w: Floats, region: Polyhedron) -> float:
    """Return the largest violation, relative to the largest term of its inequality above 1."""
    outside = np.maximum(region.lower - w, w - region.upper) / np.maximum(1.0, np.abs(w))
    rows = (region.A @ w - region.b) / _row_sizes(w, region.A, region.b)
    equations = (region.A_eq @ w - region.b_eq) / _row_sizes(w, region.A_eq, region.b_eq)
    beyond = np.concatenate([outside, rows, np.abs(equations)])
    return float(beyond.max(initial=0.0))


def _row_sizes(w: Floats, A: Floats, b: Floats) -> Floats:
    largest = np.abs(A * w).max(axis=1, initial=0.0)
    sizes: Floats = np.maximum(1.0, np.maximum(largest, np.abs(b)))
    return sizes


def held_rules(w: Floats, region: Polyhedron) -> tuple[str, ...]:
    """Return the rules that hold with equality somewhere, each once, in order of the features."""
    rules: dict[str, None] = {}
    at = np.stack([w == region.lower, w == region.upper], axis=1)
    for j, side in np.argwhere(at).tolist():
        rule = region.bound_rules[j][side]
        if rule is not None:
            rules[rule] = None
    slack = (region.b - region.A @ w) / _row_sizes(w, region.A, region.b)
    for i in (slack <= HELD).nonzero()[0].tolist():
        rules[region.row_rules[i]] = None
    rules.update(dict.fromkeys(region.eq_rules))
    return tuple(rules)


def multipliers_by_rule(answer: QPAnswer, region: Polyhedron) -> dict[str, float]:
    """Return for each rule with a non-zero multiplier the sum of its multipliers, as positive."""
    sums: dict[str, float] = {}
    for mu, (lower, upper) in zip(answer.bound_multipliers, region.bound_rules, strict=True):
        rule = upper if mu > 0.0 else lower
        if mu != 0.0 and rule is not None:
            sums[rule] = sums.get(rule, 0.0) + abs(float(mu))
    rows = [*zip(answer.row_multipliers, region.row_rules, strict=True)]
    for lam, rule in [*rows, *zip(answer.eq_multipliers, region.eq_rules, strict=True)]:
        if lam != 0.0:
            sums[rule] = sums.get(rule, 0.0) + abs(float(lam))
    return sums
