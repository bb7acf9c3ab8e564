"""Rules as rows on weights and intercept, and what they allow for one number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.constraints import LinearConstraints
from ces_ml.linear.solver import SolverResult

__all__ = ["RuleRows", "equations_of", "inequalities_of", "range_of_weights"]

Floats = NDArray[np.float64]

ROUNDS = 20
"""How often bounds are carried from weight to weight."""


@dataclass(frozen=True, eq=False)
class RuleRows:
    """Rows ``A θ ≤ b`` or ``A θ = b`` on ``θ = (w, c)``.

    Parameters
    ----------
    A : ndarray of shape (n_rules, n_features + 1)
        The last column, the intercept's, is zero.
    b : ndarray of shape (n_rules,)
        Right-hand sides.
    rules : tuple of str
        The rule of each row, in the user's words.
    multipliers : ndarray of shape (n_rules,)
        What the fit pays for each, not negative for inequalities; zero where it costs nothing.
    """

    A: Floats
    b: Floats
    rules: tuple[str, ...]
    multipliers: Floats

    def take(self, rows: NDArray[np.bool_]) -> RuleRows:
        """Return some of the rows."""
        rules = tuple(rule for rule, kept in zip(self.rules, rows, strict=True) if kept)
        return RuleRows(self.A[rows], self.b[rows], rules, self.multipliers[rows])

    def and_rows(self, other: RuleRows) -> RuleRows:
        """Return these rows and others."""
        return RuleRows(
            np.vstack([self.A, other.A]),
            np.concatenate([self.b, other.b]),
            (*self.rules, *other.rules),
            np.concatenate([self.multipliers, other.multipliers]),
        )


def _rows(p: int, parts: list[tuple[Floats, float, str, float]]) -> RuleRows:
    A = np.zeros((len(parts), p + 1))
    for i, (row, *_) in enumerate(parts):
        A[i, :p] = row
    return RuleRows(
        A,
        np.array([b for _, b, _, _ in parts], dtype=np.float64),
        tuple(rule for _, _, rule, _ in parts),
        np.array([m for *_, m in parts], dtype=np.float64),
    )


def equations_of(
    region: LinearConstraints, result: SolverResult, *, fit_intercept: bool = True
) -> RuleRows:
    """Return what holds with equality whatever the data say.

    These are the stated equations, the fixed weights, the weights that a limit on their number
    left out, which are zero, and the intercept if there is none.
    """
    p = len(region.feature_names)
    unit = np.eye(p)
    parts = [
        (a, float(b), rule, 0.0)
        for a, b, rule in zip(region.A_eq, region.b_eq, region.eq_rules, strict=True)
    ]
    for j in np.flatnonzero(region.lower == region.upper):
        rules = region.bound_rules[j]
        parts.append((unit[j], float(region.lower[j]), rules[0] or rules[1] or "", 0.0))
    chosen = set(result.support)
    for limit, rule in zip(region.limits, region.limit_rules, strict=True):
        out = sorted(set(limit.members) - chosen)
        parts += [(unit[j], 0.0, rule, 0.0) for j in out if region.lower[j] < region.upper[j]]
    found = _rows(p, parts)
    if fit_intercept:
        return found
    none = RuleRows(np.eye(p + 1)[-1:], np.zeros(1), ("",), np.zeros(1))
    return found.and_rows(none)


def inequalities_of(region: LinearConstraints, result: SolverResult) -> RuleRows:
    """Return the rows of `A` and the bounds of weights that are not fixed."""
    p = len(region.feature_names)
    unit = np.eye(p)
    parts = [
        (a, float(b), rule, float(lam))
        for a, b, rule, lam in zip(
            region.A, region.b, region.row_rules, result.row_multipliers, strict=True
        )
    ]
    for j in np.flatnonzero(region.lower < region.upper):
        lower_rule, upper_rule = region.bound_rules[j]
        mu = float(result.bound_multipliers[j])
        if np.isfinite(region.lower[j]):
            parts.append((-unit[j], -float(region.lower[j]), lower_rule or "", max(-mu, 0.0)))
        if np.isfinite(region.upper[j]):
            parts.append((unit[j], float(region.upper[j]), upper_rule or "", max(mu, 0.0)))
    return _rows(p, parts)


def range_of_weights(region: LinearConstraints, equations: RuleRows) -> tuple[Floats, Floats]:
    """Return bounds of each weight that follow from its own bounds and the rows, one at a time.

    Both of shape (n_features,). The range under all rules together may be smaller, never larger
    (see `ces_ml.linear.inference.reach`).
    """
    low, high = region.lower.copy(), region.upper.copy()
    A = np.vstack([region.A, equations.A[:, :-1], -equations.A[:, :-1]])
    b = np.concatenate([region.b, equations.b, -equations.b])
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(ROUNDS if len(A) else 0):
            before = np.concatenate([low, high])
            least = np.where(A > 0.0, A * low, np.where(A < 0.0, A * high, 0.0))
            endless = least == -np.inf
            finite = np.where(endless, 0.0, least)
            rest = finite.sum(axis=1, keepdims=True) - finite
            blocked = endless.sum(axis=1, keepdims=True) - endless > 0
            bound = (b[:, np.newaxis] - rest) / A
            above = np.where((A > 0.0) & ~blocked, bound, np.inf)
            below = np.where((A < 0.0) & ~blocked, bound, -np.inf)
            high = np.minimum(high, above.min(axis=0, initial=np.inf))
            low = np.maximum(low, below.max(axis=0, initial=-np.inf))
            if (np.concatenate([low, high]) == before).all():
                break
    return low, np.maximum(low, high)
