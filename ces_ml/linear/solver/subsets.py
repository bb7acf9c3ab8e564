"""The quadratic model on many subsets of the weights, where the only rules are signs.

Then a subset costs one Cholesky factor of a small matrix, and some more where signs bind, instead
of a general quadratic program.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs

from ces_ml.linear.solver.contract import Polyhedron
from ces_ml.linear.solver.lift import Kinks
from ces_ml.linear.solver.step import LEAST_STEP_RIDGE, Centred, scaled_model

__all__ = ["Subsets"]

Floats = NDArray[np.float64]

BLOCK_TRIES = 3
"""Exchanges of whole blocks that may fail to bring down the number of wrong signs."""

MOST_PIVOTS = 500
SLIGHT = 1e-12
"""A derivative at zero, in units of the largest, that counts as none."""


class Subsets:
    """Minimises ``½uᵀGu − hᵀu`` with ``u_j = 0`` for some j and ``u_j ≥ 0`` for others.

    ``u`` are the weights in units of their own curvature, their signs turned so that each rule
    says ``≥ 0``. `LEAST_STEP_RIDGE` keeps `G` positive definite.

    Parameters
    ----------
    model : Centred
        The second-order model around `w`, penalty included.
    w : ndarray of shape (n_features,)
        Where it was taken.
    region : Polyhedron
        The rules.
    kinks : Kinks
        What the penalty has beside the model.
    """

    def __init__(self, model: Centred, w: Floats, region: Polyhedron, kinks: Kinks) -> None:
        H, f = scaled_model(model)
        below, above = region.lower == 0.0, region.upper == 0.0
        turn = np.where(above & ~below, -1.0, 1.0)
        self._unit, self._signed = turn / model.scale, below | above
        self._open = ~(below & above)
        H[np.diag_indices(len(w))] += LEAST_STEP_RIDGE
        h = H @ (w * model.scale) - f
        self._G = H * np.outer(turn, turn)
        self._h = turn * h - np.where(self._signed, kinks.slopes / model.scale, 0.0)
        self._slight = SLIGHT * float(np.abs(self._h).max(initial=1.0))

    @staticmethod
    def can_do(region: Polyhedron, kinks: Kinks) -> bool:
        """Return whether the rules are signs alone, and say the sign of each absolute value."""
        below, above = region.lower == 0.0, region.upper == 0.0
        simple = (below | np.isneginf(region.lower)) & (above | np.isposinf(region.upper))
        known = below | above | (kinks.slopes == 0.0)
        rows = len(region.b) + len(region.b_eq)
        return bool(simple.all() and known.all()) and not rows and kinks.ray is None

    def minimum(self, zeros: Collection[int]) -> Floats | None:
        """Return the best weights with these at zero; None if round-off prevents it.

        Block principal pivoting: coordinates of the wrong sign leave, those with a derivative of
        the wrong sign enter, all at once while that helps and else one at a time, which ends.

        References
        ----------
        J. Kim and H. Park (2011), Fast nonnegative matrix factorization: an active-set-like method
        and comparisons, *SIAM Journal on Scientific Computing* 33(6). doi:10.1137/110821172
        """
        inside = self._others(zeros)
        signed = self._signed & inside
        if not signed.any():
            return self._solve(inside)
        fewest, tries = len(inside) + 1, BLOCK_TRIES
        for _ in range(MOST_PIVOTS):
            w = self._solve(inside)
            if w is None:
                return None
            u = w / self._unit
            slope = self._G @ u - self._h
            wrong = signed & np.where(inside, u < 0.0, slope < -self._slight)
            n_wrong = int(np.count_nonzero(wrong))
            if not n_wrong:
                return w
            if n_wrong < fewest:
                fewest, tries = n_wrong, BLOCK_TRIES
            elif tries:
                tries -= 1
            else:
                wrong[: np.flatnonzero(wrong)[-1]] = False
            inside ^= wrong
        return None

    def _others(self, zeros: Collection[int]) -> NDArray[np.bool_]:
        others: NDArray[np.bool_] = self._open.copy()
        others[list(zeros)] = False
        return others

    def _solve(self, inside: NDArray[np.bool_]) -> Floats | None:
        """Return the minimum over the weights inside, whatever their signs."""
        w, j = np.zeros(len(inside)), inside.nonzero()[0]
        if len(j):
            factor, failed = dpotrf(self._G.take(j, 0).take(j, 1), lower=1)
            if failed:
                return None
            u, _ = dpotrs(factor, self._h[j], lower=1)
            w[j] = u * self._unit[j]
        return w
