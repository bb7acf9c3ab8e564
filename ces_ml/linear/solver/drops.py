"""What it costs at least that one more weight is zero: the bounds of branch and bound."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

from ces_ml.linear.solver.contract import Polyhedron
from ces_ml.linear.solver.step import LEAST_STEP_RIDGE, Centred, scaled_model

__all__ = ["Drops"]

Floats = NDArray[np.float64]


class Drops:
    """Lower bounds from the curvature of the model, whatever the rules.

    In units of its curvature the model is ``½uᵀGu − hᵀu``; other terms of the cost are convex. At
    its minimum ``u*`` over a convex region no derivative points to a lower feasible point, except
    for the ridge of the step, which leaves a slope ``−m`` with ``m = ridge·(u* − u₀)``. So all that
    is feasible costs more than ``u*`` by at least ``−mᵀδ + ½δᵀGδ`` with ``δ = u − u*``, of which
    the least value where ``u_j = 0`` is ``½(u*_j + (G⁻¹m)_j)² / (G⁻¹)_jj − ½mᵀG⁻¹m``. No set of
    weights costs less than any one of its members.

    Parameters
    ----------
    model : Centred
        The second-order model around `w`, penalty included.
    w : ndarray of shape (n_features,)
        Where it was taken.
    region : Polyhedron
        The rules.
    """

    def __init__(self, model: Centred, w: Floats, region: Polyhedron) -> None:
        self._G, _ = scaled_model(model)
        self._G[np.diag_indices(len(w))] += LEAST_STEP_RIDGE
        self._scale, self._w = model.scale, w
        self._open = region.lower < region.upper
        # A column without variation has a curvature in the step that is not in the cost.
        self._flat = self._G.diagonal() < 0.5
        self._coupled = bool(len(region.b) + len(region.b_eq))

    def least_increase(self, zeros: Collection[int], target: Floats, ridge: float) -> Floats:
        """Return the bound for each weight, at least 0.

        `target` is the minimum with `zeros`, of a model with this `ridge`.
        """
        least = np.zeros(len(target))
        inside = self._open.copy()
        inside[list(zeros)] = False
        j = inside.nonzero()[0]
        if not len(j) or (self._coupled and self._flat.any()):
            return least
        factor, failed = dpotrf(self._G.take(j, 0).take(j, 1), lower=1)
        if failed:
            return least
        u = target[j] * self._scale[j]
        slope = ridge * (target[j] - self._w[j]) * self._scale[j]
        shift, _ = dpotrs(factor, slope, lower=1)
        inverse, failed = dpotri(factor, lower=1)
        if failed:
            return least
        least[j] = 0.5 * (u + shift) ** 2 / inverse.diagonal() - 0.5 * (slope @ shift)
        least[self._flat] = 0.0
        # The ridge of G itself is not in the cost either.
        return np.maximum(least - LEAST_STEP_RIDGE * float(u @ u), 0.0)
