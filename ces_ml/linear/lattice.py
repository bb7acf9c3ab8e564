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


class Moves(NamedTuple):
    """Changes of points: add `si` at feature `i` and `sj` at feature `j`; arrays of one length."""

    i: Ints
    j: Ints
    si: Ints
    sj: Ints


class CountLimit(NamedTuple):
    """At most `k` of the members are not zero; those that are `kept` count even if they are."""

    member: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    k: int


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
    limits : tuple of CountLimit, default=()
        How many points may differ from zero.
    """

    low: Ints
    high: Ints
    G: Floats
    h: Floats
    limits: tuple[CountLimit, ...] = ()

    @classmethod
    def of(cls, region: Any, low: Ints, high: Ints) -> Lattice:
        """Collect the rules of a `ces_ml.linear.LinearConstraints`, but not its limits."""
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

    def with_limits(self, region: Any, low: Ints, high: Ints) -> Lattice:
        """Return the same rules with another range and the region's limits on the number."""
        kept = np.zeros(len(low), dtype=bool)
        kept[list(getattr(region, "kept", ()))] = True
        limits = []
        for limit in getattr(region, "limits", ()):
            member = np.zeros(len(low), dtype=bool)
            member[list(limit.members)] = True
            limits.append(CountLimit(member, kept & member, limit.k))
        return Lattice(low, high, self.G, self.h, tuple(limits))

    def allows(self, m: Ints, moves: Moves) -> NDArray[np.bool_]:
        """Return which moves from `m` stay in the range and within the limits on the number."""
        i, j, si, sj = moves
        a, b = m[i] + si, m[j] + sj
        good = (a >= self.low[i]) & (a <= self.high[i])
        good &= (sj == 0) | ((b >= self.low[j]) & (b <= self.high[j]))
        for limit in self.limits:
            used = (m != 0) | limit.kept
            loose = limit.member & ~limit.kept
            more = loose[i] * ((a != 0).astype(np.int64) - used[i])
            more += loose[j] * (sj != 0) * ((b != 0).astype(np.int64) - used[j])
            good &= int((used & limit.member).sum()) + more <= limit.k
        return good

    def exchanges(self, m: Ints) -> Moves:
        """Return the moves that take all points of one feature and give some to one without any.

        None where nothing limits how many features have points: moves by 1 then lead there too.
        """
        limited = np.zeros(len(m), dtype=bool)
        for limit in self.limits:
            limited |= limit.member
        out = np.flatnonzero((m != 0) & limited)
        into = np.flatnonzero((m == 0) & limited & (self.low < self.high))
        values = np.arange(self.low.min(initial=0), self.high.max(initial=0) + 1)
        grid = np.meshgrid(out, into, values[values != 0], indexing="ij")
        i, j, v = (part.ravel() for part in grid)
        fresh = (np.abs(m[i]) > 1) | (np.abs(v) > 1)  # the others are moves by 1 at two features
        return Moves(i[fresh], j[fresh], -m[i[fresh]], v[fresh])

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
        free = fit_intercept and at > 0.0
        self._slope: Floats = -hessian[-1, :-1] / at if free else np.zeros(len(w))
        self._shift = -(gradient[-1] / at if free else 0.0) - float(self._slope @ w)
        p = len(w)
        one, other = np.triu_indices(p, 1)
        signs = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
        self._moves = Moves(
            np.concatenate([np.repeat(np.arange(p), 2), np.repeat(one, 4)]),
            np.concatenate([np.repeat(np.arange(p), 2), np.repeat(other, 4)]),
            np.concatenate([np.tile([1, -1], p), np.tile(signs[:, 0], len(one))]),
            np.concatenate([np.zeros(2 * p, int), np.tile(signs[:, 1], len(one))]),
        )

    def best(self, q: Floats, linear: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Return the least ``f(σm)`` over ``low ≤ σ ≤ high`` and that σ; ``inf`` if empty."""
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(q > 0.0, linear / q, 1.0)
        scale = np.minimum(np.maximum(scale, low), high)
        value = self.constant - scale * linear + 0.5 * scale**2 * q
        return np.where(low <= high, value, np.inf), scale

    def shift(self, u: Floats) -> float:
        """Return by how much the intercept should move for weights `u`."""
        return self._shift + float(self._slope @ u)

    def of(self, M: Ints, lattice: Lattice) -> tuple[Floats, Floats]:
        """Return the least model value and its scale for each row of points."""
        low, high = lattice.scales(M @ lattice.G.T)
        return self.best(np.einsum("ij,ij->i", M @ self.H, M), M @ self.r, low, high)

    def neighbours(
        self, m: Ints, lattice: Lattice, count: int, below: float, *, pairs: bool = True
    ) -> list[Neighbour]:
        """Return the best feasible points one move from `m`, the best first.

        A move adds or subtracts 1 at one feature or, with `pairs`, at two; under a limit on their
        number, points may also go from one feature to another. Only those whose model value is
        less than `below` count; none of them is overlooked.
        """
        moves = self._moves if pairs else Moves(*(part[: 2 * len(m)] for part in self._moves))
        if pairs and lattice.limits:
            both = zip(moves, lattice.exchanges(m), strict=True)
            moves = Moves(*(np.concatenate(parts) for parts in both))
        moves = Moves(*(part[lattice.allows(m, moves)] for part in moves))
        i, j, si, sj = moves
        H, Hm, left = self.H, self.H @ m, lattice.G @ m
        q = H[i, i] * si**2 + H[j, j] * sj**2 + 2.0 * si * sj * H[i, j]
        q += float(m @ Hm) + 2.0 * (si * Hm[i] + sj * Hm[j])
        linear = float(m @ self.r) + self.r[i] * si + self.r[j] * sj
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where(q > 0.0, 0.5 * np.maximum(linear, 0.0) ** 2 / q, 0.0)
        bound = self.constant - gain  # the value if no rule limited the scale
        order = np.flatnonzero(bound < below)
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
        return [Neighbour(v, s, _moved(m, moves, k)) for v, k, s in found[:count]]

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


def _moved(m: Ints, moves: Moves, k: int) -> Ints:
    out = m.copy()
    out[moves.i[k]] += moves.si[k]
    out[moves.j[k]] += moves.sj[k]
    return out
