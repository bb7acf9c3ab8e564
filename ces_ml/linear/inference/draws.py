"""Draws of the weights as other customers would have given them, under the same rules."""

from __future__ import annotations

import daqp
import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.inference.rules import RuleRows

__all__ = ["project"]

Floats = NDArray[np.float64]

_EQUALITY = 5
SETTINGS: tuple[dict[str, float], ...] = (
    {"primal_tol": 1e-10},
    {"primal_tol": 1e-8},
    {"primal_tol": 1e-7, "sing_tol": 1e-14, "zero_tol": 1e-15},
    {"primal_tol": 1e-6, "eps_prox": 1e-4},
)
"""Tried in this order, as DAQP may report a false conflict among rows that nearly depend."""

RIDGE = 1e-9


def project(points: Floats, hessian: Floats, equations: RuleRows, inequalities: RuleRows) -> Floats:
    """Return for each point the nearest that obeys the rules, as the curvature measures distance.

    To second order that is the estimate under the rules where the point is the one without them.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_features + 1)
        Weights, then the intercept.
    hessian : ndarray of shape (n_features + 1, n_features + 1)
        Of loss and penalty.
    equations, inequalities : RuleRows
        The rules.
    """
    found = points.copy()
    equal = np.abs(points @ equations.A.T - equations.b).max(axis=1, initial=0.0) > 1e-10
    beyond = (points @ inequalities.A.T > inequalities.b).any(axis=1)
    outside = np.flatnonzero(equal | beyond)
    if not len(outside):
        return found
    own = hessian[-1, -1]
    across = hessian[-1, :-1] / own if own > 0.0 else np.zeros(len(hessian) - 1)
    H = hessian[:-1, :-1] - own * np.outer(across, across)  # the intercept follows the weights
    unit = 1.0 / np.sqrt(np.maximum(np.diag(H), 1e-300))
    unit = np.where(np.isfinite(unit) & (unit < 1e100), unit, 1.0)
    G = np.ascontiguousarray(H * np.outer(unit, unit) + RIDGE * np.eye(len(unit)))
    A = np.vstack([inequalities.A, equations.A])[:, :-1] * unit
    size = np.linalg.norm(A, axis=1)
    A, size = np.ascontiguousarray(A[size > 0.0] / size[size > 0.0, np.newaxis]), size
    b = np.concatenate([inequalities.b, equations.b])[size > 0.0] / size[size > 0.0]
    equality = np.repeat([False, True], [len(inequalities.b), len(equations.b)])[size > 0.0]
    sense = np.where(equality, _EQUALITY, 0).astype(np.int32)
    for k in outside:
        v = points[k, :-1] / unit
        z = _nearest(G, -(G @ v), A, b, equality, sense)
        if z is not None:
            found[k, :-1] = unit * z
            found[k, -1] -= across @ (found[k, :-1] - points[k, :-1])
    return found


def _nearest(
    G: Floats,
    f: Floats,
    A: Floats,
    b: Floats,
    equality: NDArray[np.bool_],
    sense: NDArray[np.int32],
) -> Floats | None:
    low = np.where(equality, b, -np.inf)
    for settings in SETTINGS:
        z, _, flag, _ = daqp.solve(G, f, A, b, low, sense.copy(), **settings)
        if flag == 1:
            return np.array(z)
    return None
