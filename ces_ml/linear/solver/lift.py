"""Absolute values and a fitted scale as variables of a quadratic program.

A step measures the weights as displacements ``v`` from `w` in units of `D`: the weights are
``w + D·v``. Two kinds of penalty are not quadratic in ``v`` but are in more variables ``z``:

- ``slope·|w_j|``, where the rules do not say the sign of ``w_j``: ``w_j = w_j⁺ − w_j⁻`` with both
  parts not negative costs ``slope·(w_j⁺ + w_j⁻)``. Where the sign is known the cost is linear.
- shrinkage to the half-line ``t·direction``: its scale ``t ≥ 0`` is one variable.

``z`` holds the displacements of the weights or of their positive parts, then of the negative parts,
then of the scale; all are zero at the present point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.penalties import Ray
from ces_ml.linear.solver.contract import Polyhedron

__all__ = ["Kinks", "Lift"]

Floats = NDArray[np.float64]

CROSSING_RIDGE = 1e-3
"""Added to the scaled curvature of the side of zero that a weight is not on.

It keeps the program strictly convex along ``(1, 1)`` in the two parts. At the optimum no weight
changes sides, so it shortens steps and moves no optimum.
"""


@dataclass(frozen=True)
class Kinks:
    """The part of a penalty that a step takes exactly.

    Parameters
    ----------
    slopes : ndarray of shape (n_features,)
        Weight of each absolute value.
    ray : Ray or None
        The half-line of a prior.
    """

    slopes: Floats
    ray: Ray | None

    def change(self, w: Floats, target: Floats) -> float:
        """Return by how much the absolute values grow from `w` to `target`."""
        return float(self.slopes @ (np.abs(target) - np.abs(w)))


@dataclass(frozen=True)
class Lift:
    """The map from displacements ``z`` to weights, around one point.

    Parameters
    ----------
    w, D : ndarray of shape (n_features,)
        The point and the units.
    split : ndarray of int
        The weights that are held as two parts.
    slopes : ndarray of shape (n_features,)
        Weight of each absolute value.
    signs : ndarray of shape (n_features,)
        Sign of the weights that are not split, 1 or −1.
    ray : Ray or None
        The half-line whose scale is a variable.
    """

    w: Floats
    D: Floats
    split: NDArray[np.intp]
    slopes: Floats
    signs: Floats
    ray: Ray | None

    @classmethod
    def around(cls, w: Floats, D: Floats, region: Polyhedron, kinks: Kinks | None = None) -> Lift:
        """Return the map around the weights `w`."""
        slopes = np.zeros(len(w)) if kinks is None else kinks.slopes
        known = (region.lower >= 0.0) | (region.upper <= 0.0)
        split = np.flatnonzero((slopes > 0.0) & ~known)
        signs = np.where(region.lower >= 0.0, 1.0, np.where(region.upper <= 0.0, -1.0, 0.0))
        return cls(w, D, split, slopes, signs, None if kinks is None else kinks.ray)

    @property
    def _plain(self) -> bool:
        """Whether ``z`` are the displacements of the weights and nothing else."""
        return not len(self.split) and self.ray is None

    def rows(self, A: Floats) -> Floats:
        """Return rows on weights as rows on ``z``."""
        scaled = A * self.D
        if self._plain:
            return scaled
        parts = [scaled, -scaled[:, self.split]]
        if self.ray is not None:
            parts.append(np.zeros((len(A), 1)))
        return np.hstack(parts)

    def bounds(self, region: Polyhedron) -> tuple[Floats, Floats]:
        """Return the bounds of ``z``."""
        lower, upper, s = region.lower - self.w, region.upper - self.w, self.split
        if self._plain:
            return lower / self.D, upper / self.D
        plus, minus = np.maximum(self.w[s], 0.0), np.maximum(-self.w[s], 0.0)
        lower[s], upper[s] = -plus, region.upper[s] - plus
        most = (-region.lower[s] - minus) / self.D[s]
        t = [] if self.ray is None else [-self._scale / self._unit]
        return (
            np.concatenate([lower / self.D, -minus / self.D[s], t]),
            np.concatenate([upper / self.D, most, [np.inf] * len(t)]),
        )

    def model(self, H: Floats, f: Floats) -> tuple[Floats, Floats]:
        """Return Hessian and gradient in ``z`` of a model in ``v``, with the kinks."""
        s = self.split
        cost = self.slopes * self.D
        linear = f + cost * self.signs
        if self._plain:
            return H, linear
        linear[s] = f[s] + cost[s]
        linear = np.concatenate([linear, cost[s] - f[s]])
        G = np.block([[H, -H[:, s]], [-H[s], H[np.ix_(s, s)]]])
        if self.ray is None:
            return G, linear
        strength, a = self.ray
        across = -strength * self._unit * self.D * a
        column = np.concatenate([across, -across[s]])[:, np.newaxis]
        G = np.block([[G, column], [column.T, np.ones((1, 1))]])
        # At t > 0 the scale is the best one, where the derivative vanishes.
        slope = max(0.0, -strength * float(a @ self.w)) * self._unit
        return G, np.append(linear, slope)

    def ridge(self, least: float) -> Floats:
        """Return what is added to the diagonal of the Hessian: `least`, or more on a far side."""
        s, w = self.split, self.w[self.split]
        own, far = np.full(len(self.w), least), np.full(len(s), least)
        if self._plain:
            return own
        crossing = max(least, CROSSING_RIDGE)
        own[s] = np.where(w < 0.0, crossing, least)
        far[w >= 0.0] = crossing
        return np.concatenate([own, far, [] if self.ray is None else [least]])

    def weights(self, z: Floats, region: Polyhedron) -> Floats:
        """Return the weights at ``z``, exactly on the bounds, and exactly zero, that `z` meets."""
        p, s = len(self.w), self.split
        lower, upper = self.bounds(region)
        target = self.w + self.D * z[:p]
        target = np.where(z[:p] <= lower[:p], region.lower, target)
        target = np.where(z[:p] >= upper[:p], region.upper, target)
        plus = np.maximum(self.w[s], 0.0) + self.D[s] * z[s]
        plus = np.where(z[s] <= lower[s], 0.0, np.where(z[s] >= upper[s], region.upper[s], plus))
        n = slice(p, p + len(s))
        minus = np.maximum(-self.w[s], 0.0) + self.D[s] * z[n]
        minus = np.where(z[n] <= lower[n], 0.0, np.where(z[n] >= upper[n], -region.lower[s], minus))
        target[s] = plus - minus
        return np.clip(target, region.lower, region.upper)

    def bound_multipliers(self, lam: Floats, target: Floats) -> Floats:
        """Return the multipliers of the bounds on weights from those of the bounds on ``z``.

        Where a weight is zero, its kink bears what it can before the bound does, so the multiplier
        is the price of the bound alone.
        """
        p, s = len(self.w), self.split
        mu = lam[:p] / self.D
        mu[s] = (np.maximum(lam[s], 0.0) - np.maximum(lam[p : p + len(s)], 0.0)) / self.D[s]
        kinked = (target == 0.0) & (self.slopes > 0.0)
        kinked[s] = False
        whole = mu + self.slopes * self.signs
        left = np.sign(whole) * np.maximum(np.abs(whole) - self.slopes, 0.0)
        multipliers: Floats = np.where(kinked, left, mu)
        return multipliers

    @property
    def _scale(self) -> float:
        return 0.0 if self.ray is None else self.ray.scale(self.w)

    @property
    def _unit(self) -> float:
        """The unit of the scale, in which its own curvature is 1."""
        if self.ray is None:
            return 1.0
        strength, a = self.ray
        return 1.0 / float(np.sqrt(strength * (a @ a)))
