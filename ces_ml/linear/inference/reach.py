"""How far a combination of weights can go under all rules together."""

from __future__ import annotations

import daqp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from ces_ml.linear.inference.rules import RuleRows

__all__ = ["within_rules"]

Floats = NDArray[np.float64]

_EQUALITY = 5


def within_rules(
    rows: Floats, ends: Floats, fitted: Floats, equations: RuleRows, inequalities: RuleRows
) -> Floats:
    """Return ends of intervals, moved inwards to what some weights under the rules have.

    Parameters
    ----------
    rows : ndarray of shape (n_numbers, n_features)
        The combinations.
    ends : ndarray of shape (2, n_numbers)
        Lower and upper ends.
    fitted : ndarray of shape (n_features,)
        Weights that obey the rules.
    equations, inequalities : RuleRows
        The rules; bounds of weights are among them.
    """
    plain = np.count_nonzero(inequalities.A, axis=1) == 1
    if len(equations.b) == 0 and plain.all():
        return ends
    moved = ends.copy()
    for k, row in enumerate(rows):
        for side in range(2):
            if not _reached(row, ends[side, k], fitted, equations, inequalities):
                moved[side, k] = _extreme(row, side, ends[side, k], equations, inequalities)
    return moved


def _reached(
    row: Floats, value: float, fitted: Floats, equations: RuleRows, inequalities: RuleRows
) -> bool:
    """Return whether some weights under the rules are found that have this value.

    They are the nearest to the fitted ones, which is a small quadratic program.
    """
    if not np.isfinite(value) or value == float(row @ fitted):
        return bool(np.isfinite(value))
    A = np.vstack([inequalities.A[:, :-1], equations.A[:, :-1], row])
    b = np.concatenate([inequalities.b, equations.b, [value]]) - A @ fitted
    size = np.linalg.norm(A, axis=1)
    kept = size > 0.0
    A, b = A[kept] / size[kept, np.newaxis], b[kept] / size[kept]
    equal = (np.arange(len(size)) >= len(inequalities.b))[kept]
    b = np.where(equal, b, np.maximum(b, 0.0))
    sense = np.where(equal, _EQUALITY, 0).astype(np.int32)
    p = len(fitted)
    _, _, flag, _ = daqp.solve(
        np.eye(p), np.zeros(p), np.ascontiguousarray(A), b, np.where(equal, b, -np.inf), sense
    )
    return bool(flag == 1)


def _extreme(
    row: Floats, side: int, value: float, equations: RuleRows, inequalities: RuleRows
) -> float:
    """Return the least or the largest value under the rules, or `value` if that is inside."""
    sign = 1.0 if side == 0 else -1.0
    answer = linprog(
        sign * row,
        A_ub=inequalities.A[:, :-1],
        b_ub=inequalities.b,
        A_eq=equations.A[:, :-1],
        b_eq=equations.b,
        bounds=(None, None),
        method="highs",
    )
    if answer.status != 0:  # without end, or not solved
        return value
    extreme = sign * float(answer.fun)
    return max(value, extreme) if side == 0 else min(value, extreme)
