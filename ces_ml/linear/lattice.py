"""Integer points under linear rules: which scales they obey, and a local search among them.

Points ``m`` stand for the weights ``w = σ·m`` of a scale ``σ > 0``. Each rule ``gᵀw ≤ h`` is
``σ·gᵀm ≤ h``, so the scales at which given points obey all rules form an interval; and with
``κ = 1/σ`` the rules ``Gm ≤ κh`` are linear in points and ``κ`` together, so feasible points near
given weights are the answer of a mixed-integer linear program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import Bounds as Box
from scipy.optimize import LinearConstraint, milp

__all__ = ["Lattice", "Neighbour", "QuadraticModel"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUND_OFF = 1e-12
"""A rule holds when it is violated by at most this, relative to its largest term."""

CHUNK = 256

MILP: dict[str, float | bool] = {"mip_rel_gap": 0.5, "presolve": False}
"""Any feasible points near the weights will do: the search goes on from there."""


class Neighbour(NamedTuple):
    """Points one move away, with the loss and the scale that the model expects of them."""

    value: float
    scale: float
    points: Ints


@dataclass(frozen=True, eq=False)
class Lattice:
    """The points ``low ≤ m ≤ high`` for which some scale obeys ``G σm ≤ h``.

    Parameters
    ----------
    low, high : ndarray of int, of shape (n_features,)
        The range of each point; equal numbers fix it.
    G : ndarray of shape (n_rules, n_features)
        Every bound and row as an inequality on the weights; an equation is two of them.
    h : ndarray of shape (n_rules,)
        Right-hand sides.
    """

    low: Ints
    high: Ints
    G: Floats
    h: Floats

    @classmethod
    def of(cls, region: Any, low: Ints, high: Ints) -> Lattice:
        """Collect the rules of a `ces_ml.linear.LinearConstraints`."""
        eye, p = np.eye(len(low)), len(low)
        above, below = np.isfinite(region.upper), np.isfinite(region.lower)
        A_eq, b_eq = getattr(region, "A_eq", None), getattr(region, "b_eq", None)
        A_eq = np.zeros((0, p)) if A_eq is None else np.asarray(A_eq).reshape(-1, p)
        b_eq = np.zeros(0) if b_eq is None else np.asarray(b_eq)
        G = np.vstack([eye[above], -eye[below], region.A, A_eq, -A_eq])
        h = [region.upper[above], -region.lower[below], region.b, b_eq, -b_eq]
        return cls(low, high, G, np.concatenate(h))

    @property
    def size(self) -> Floats:
        """The largest that each rule's left side can be for any points in the range."""
        largest = np.maximum(np.abs(self.low), np.abs(self.high)).astype(np.float64)
        size: Floats = np.abs(self.G) @ np.maximum(largest, 1.0)
        return size

    def scales(self, left: Floats) -> tuple[Floats, Floats]:
        """Return the interval of scales for each row of ``left = M Gᵀ``; empty: ``high < low``."""
        left = np.where(np.abs(left) <= ROUND_OFF * self.size, 0.0, left)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.h / left
        high = np.where(left > 0.0, ratio, np.inf).min(axis=1, initial=np.inf)
        low = np.where(left < 0.0, ratio, 0.0).max(axis=1, initial=0.0)
        touching = (low > high) & (low <= high * (1.0 + ROUND_OFF))
        low = np.where(touching, high, low)
        impossible = ((left == 0.0) & (self.h < 0.0)).any(axis=1) | (high <= 0.0)
        return low, np.where(impossible, -1.0, high)

    def nearest(
        self, w: Floats, spread: Floats, kappa: tuple[float, float], nodes: int = 100
    ) -> Ints | None:
        """Return feasible points near to ``κw`` over an interval of ``κ``; None if none is found.

        Near in the sum of the distances, each times the `spread` of its column. At most so many
        `nodes` of the search tree are looked at; with fewer than that, None means there are none.
        """
        p, (ka, kb) = len(w), kappa
        s = np.maximum(spread / max(spread.max(initial=0.0), 1e-300), 1e-6)
        target = s * w * kb
        S, eye = sp.diags_array(s), sp.eye_array(p)
        rows = sp.block_array(
            [
                [sp.csr_array(self.G), sp.csr_array(-(self.h * kb)[:, None]), None],
                [S, sp.csr_array(-target[:, None]), -eye],
                [-S, sp.csr_array(target[:, None]), -eye],
            ]
        )
        answer = milp(
            np.concatenate([np.zeros(p + 1), np.ones(p)]),
            integrality=np.concatenate([np.ones(p), np.zeros(p + 1)]),
            bounds=Box(
                np.concatenate([self.low, [ka / kb], np.zeros(p)]),
                np.concatenate([self.high, [1.0], np.full(p, np.inf)]),
            ),
            constraints=LinearConstraint(rows, -np.inf, 0.0),
            options={**MILP, "node_limit": nodes},
        )
        if answer.x is None:
            return None
        m = np.rint(answer.x[:p]).astype(np.int64)
        low, high = self.scales((self.G @ m)[None])
        return m if low[0] <= high[0] else None


class QuadraticModel:
    """The second-order model of the mean loss at some weights, the intercept eliminated.

    ``f(u) = constant − rᵀu + ½ uᵀHu`` for weights ``u``; exact at the weights it was made at.

    Parameters
    ----------
    value : float
        The loss at `w` and its intercept.
    gradient : ndarray of shape (n_features + 1,)
    hessian : ndarray of shape (n_features + 1, n_features + 1)
        Both with the intercept last; where it is not fitted, only the rest is used.
    w : ndarray of shape (n_features,)
    fit_intercept : bool
    """

    def __init__(
        self, value: float, gradient: Floats, hessian: Floats, w: Floats, fit_intercept: bool
    ) -> None:
        g, H = gradient[:-1], hessian[:-1, :-1]
        at = hessian[-1, -1]
        if fit_intercept and at > 0.0:
            value = value - 0.5 * float(gradient[-1]) ** 2 / at
            g = g - hessian[-1, :-1] * (gradient[-1] / at)
            H = H - np.outer(hessian[-1, :-1], hessian[-1, :-1] / at)
        self.H, self.r = H, H @ w - g
        self.constant = value - float(g @ w) + 0.5 * float(w @ H @ w)
        p = len(w)
        one, other = np.triu_indices(p, 1)
        signs = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
        self._i = np.concatenate([np.repeat(np.arange(p), 2), np.repeat(one, 4)])
        self._j = np.concatenate([np.repeat(np.arange(p), 2), np.repeat(other, 4)])
        self._si = np.concatenate([np.tile([1, -1], p), np.tile(signs[:, 0], len(one))])
        self._sj = np.concatenate([np.zeros(2 * p, int), np.tile(signs[:, 1], len(one))])
        d = np.diag(H)
        self._q = d[self._i] * self._si**2 + d[self._j] * self._sj**2
        self._q += 2.0 * self._si * self._sj * H[self._i, self._j]
        self._l = self.r[self._i] * self._si + self.r[self._j] * self._sj

    def best(self, q: Floats, linear: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Return the least ``f(σm)`` over ``low ≤ σ ≤ high`` and that σ; ``inf`` if empty."""
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(q > 0.0, linear / q, 1.0)
        scale = np.minimum(np.maximum(scale, low), high)
        value = self.constant - scale * linear + 0.5 * scale**2 * q
        return np.where(low <= high, value, np.inf), scale

    def of(self, M: Ints, lattice: Lattice) -> tuple[Floats, Floats]:
        """Return the least model value and its scale for each row of points."""
        low, high = lattice.scales(M @ lattice.G.T)
        return self.best(np.einsum("ij,ij->i", M @ self.H, M), M @ self.r, low, high)

    def neighbours(
        self, m: Ints, lattice: Lattice, count: int, below: float, *, pairs: bool = True
    ) -> list[Neighbour]:
        """Return the best feasible points one move from `m`, the best first.

        A move adds or subtracts 1 at one feature or, with `pairs`, at two. Only those whose model
        value is less than `below` count; none of them is overlooked.
        """
        Hm, left = self.H @ m, lattice.G @ m
        moves = slice(None) if pairs else slice(2 * len(m))  # single moves come first
        i, j, si, sj = self._i[moves], self._j[moves], self._si[moves], self._sj[moves]
        q = float(m @ Hm) + 2.0 * (si * Hm[i] + sj * Hm[j]) + self._q[moves]
        linear = float(m @ self.r) + self._l[moves]
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where(q > 0.0, 0.5 * np.maximum(linear, 0.0) ** 2 / q, 0.0)
        bound = self.constant - gain  # the value if no rule limited the scale
        a, b = m[i] + si, m[j] + sj
        allowed = (a >= lattice.low[i]) & (a <= lattice.high[i]) & (bound < below)
        allowed &= (sj == 0) | ((b >= lattice.low[j]) & (b <= lattice.high[j]))
        order = np.flatnonzero(allowed)
        order = order[np.argsort(bound[order], kind="stable")]
        found: list[tuple[float, int, float]] = []
        for start in range(0, len(order), CHUNK):
            if len(found) >= count and found[count - 1][0] <= bound[order[start]]:
                break
            k = order[start : start + CHUNK]
            moved = left + si[k, None] * lattice.G.T[i[k]] + sj[k, None] * lattice.G.T[j[k]]
            value, scale = self.best(q[k], linear[k], *lattice.scales(moved))
            good = np.flatnonzero(value < below)
            found += zip(value[good].tolist(), k[good].tolist(), scale[good].tolist(), strict=True)
            found.sort()
        return [Neighbour(v, s, self._moved(m, k)) for v, k, s in found[:count]]

    def descend(self, m: Ints, lattice: Lattice) -> Ints:
        """Return points that no move improves in the model, by steepest descent from `m`."""
        value = float(self.of(m[None], lattice)[0][0])
        while True:
            least = value - 1e-12 * abs(value)
            better = self.neighbours(m, lattice, 1, least, pairs=False)
            better = better or self.neighbours(m, lattice, 1, least)
            if not better:
                return m
            value, m = better[0].value, better[0].points

    def _moved(self, m: Ints, k: int) -> Ints:
        out = m.copy()
        out[self._i[k]] += self._si[k]
        out[self._j[k]] += self._sj[k]
        return out
