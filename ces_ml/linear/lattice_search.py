"""The search for integer points on the rows themselves: measure, move, measure again."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.kernels import RowBlocks
from ces_ml.linear.lattice import Lattice, Neighbour, QuadraticModel
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.rows import LabelledRows

__all__ = ["LatticeSearch", "Measured", "lowest_terms"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WORK = 3e7
"""Numbers read for the neighbours of one point, which bounds how many are measured."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Points in lowest terms with their loss on the rows."""

    m: Ints
    scale: float
    intercept: float
    loss: float

    @property
    def rank(self) -> tuple[float, int]:
        """What candidates are sorted by: the loss but for round-off, then the smaller points."""
        return round(self.loss, 12), int(np.abs(self.m).sum())


@dataclass(eq=False)
class LatticeSearch:
    """The search on the rows; what was measured is remembered by points in lowest terms."""

    rows: LabelledRows
    lattice: Lattice
    fit_intercept: bool
    known: dict[bytes, Measured] = field(default_factory=dict)
    gaps: dict[bytes, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = self.rows
        self.blocks = RowBlocks(rows.X, rows.y, rows.share, LogisticLoss())
        good = min(max(float(rows.share @ rows.y), 1e-6), 1.0 - 1e-6)
        self.log_odds = float(np.log(good / (1.0 - good))) if self.fit_intercept else 0.0
        self.count = int(np.clip(WORK / max(rows.X.shape[0] * rows.X.shape[1], 1), 8, 32))

    def model(self, w: Floats, c: float) -> QuadraticModel:
        """Return the second-order model of the loss at some weights."""
        found = self.blocks.evaluate(np.asarray(w, dtype=np.float64), c)
        return QuadraticModel(found.value, found.gradient, found.hessian, w, self.fit_intercept)

    def measure(self, m: Ints, start: tuple[float, float] | None = None) -> Measured | None:
        """Return points with their loss on the rows; None if no scale obeys the rules."""
        m = lowest_terms(m)
        key = m.tobytes()
        if key in self.known:
            return self.known[key]
        (low,), (high,) = self.lattice.scales((self.lattice.G @ m)[None])
        if low > high:
            return None
        total = np.asarray(self.rows.X @ m.astype(np.float64))
        begin = (1.0 / max(float(total.std()), 1e-300), self.log_odds) if start is None else start
        line = Line(total, 2.0 * self.rows.y - 1.0, self.rows.share, self.fit_intercept)
        scale, c, loss = line.minimise(*begin, free_scale=bool(m.any()))
        if not low <= scale <= high:
            held = float(np.clip(scale, low, high))
            scale, c, loss = line.minimise(held, c, free_scale=False)
        if scale <= 0.0:  # worse than no points at all, which obey the rules if these do
            return None
        scale = scale if m.any() else 1.0
        self.known[key] = Measured(m, float(scale), float(c), loss)
        return self.known[key]

    def best(self) -> Measured:
        """Return the best points measured so far; of equal ones, those whose gap is known."""
        known = self.known.items()
        return min(known, key=lambda item: (*item[1].rank, item[0] not in self.gaps))[1]

    def improve(self) -> float:
        """Walk from the best few to their local optima; return the gap at the best."""
        ranked = sorted(self.known.values(), key=lambda found: found.rank)
        for start in ranked[: max(3, self.count // 8)]:
            at, gap = start, 0.0
            while at.m.tobytes() not in self.gaps:
                following, gap = self._step(at)
                self.gaps[at.m.tobytes()] = gap
                if following is None:
                    break
                at = following
        return self.gaps[self.best().m.tobytes()]

    def _step(self, at: Measured) -> tuple[Measured | None, float]:
        """Measure the most promising neighbours; return the best if it is better, and its gap."""
        model = self.model(at.scale * at.m.astype(np.float64), at.intercept)
        gap = np.inf
        for times in range(1, self._room(at.m) + 1):
            near = model.neighbours(at.m * times, self.lattice, self.count, np.inf)
            found = [self.measure(other.points, _expected(other, model, at)) for other in near]
            others = [other for other in found if other is not None and other is not at]
            if others:
                best = min(others, key=lambda other: other.rank)
                if best.rank < at.rank:
                    return best, 0.0
                gap = min(gap, max(best.loss - at.loss, 0.0))
        return None, float(gap)

    def _room(self, m: Ints) -> int:
        """Return how many times the points fit into the range."""
        ends = np.where(m > 0, self.lattice.high, -self.lattice.low)[m != 0]
        return int((ends // np.abs(m[m != 0])).min(initial=10)) if m.any() else 1


def _expected(other: Neighbour, model: QuadraticModel, at: Measured) -> tuple[float, float]:
    """Return the scale, in lowest terms, and the intercept that the model expects."""
    divisor = max(int(np.gcd.reduce(other.points)), 1)
    weights = other.scale * other.points.astype(np.float64)
    return other.scale * divisor, at.intercept + model.shift(weights)


@dataclass(frozen=True, eq=False)
class Line:
    """The loss as a function of scale and intercept alone."""

    total: Floats
    sign: Floats
    share: Floats
    fit_intercept: bool

    def minimise(self, scale: float, c: float, *, free_scale: bool) -> tuple[float, float, float]:
        """Return the best scale and intercept, and the loss there.

        Newton's method with halving; it stops after a step that gained less than 1e-9 nats:
        convergence is quadratic there, so another step would gain nothing that shows.
        """
        value, slopes, curves = self._at(scale, c)
        for _ in range(50):
            d0, d1 = self._direction(slopes, curves, free_scale)
            gain = -(slopes[0] * d0 + slopes[1] * d1)
            if not gain > 1e-15:
                break
            step = 1.0
            following = self._at(scale + d0, c + d1)
            while following[0] > value and step > 1e-6:
                step *= 0.5
                following = self._at(scale + step * d0, c + step * d1)
            if following[0] > value:
                break
            scale, c = scale + step * d0, c + step * d1
            value, slopes, curves = following
            if step == 1.0 and gain < 1e-9:
                break
        return scale, c, value

    def _at(
        self, scale: float, c: float
    ) -> tuple[float, tuple[float, float], tuple[float, float, float]]:
        """Return loss, slopes and curvatures in scale and intercept."""
        t, s = self.total, self.share
        m = self.sign * (scale * t + c)
        e = np.exp(-np.abs(m))
        other = 1.0 / (1.0 + e)
        value = float(s @ (np.log(1.0 + e) + np.maximum(-m, 0.0)))
        slope = -s * self.sign * np.where(m >= 0.0, e * other, other)
        curve = s * e * other * other
        ct = curve * t
        slopes = float(slope @ t), float(slope.sum())
        return value, slopes, (float(ct @ t), float(ct.sum()), float(curve.sum()))

    def _direction(
        self,
        slopes: tuple[float, float],
        curves: tuple[float, float, float],
        free_scale: bool,
    ) -> tuple[float, float]:
        (g0, g1), (h00, h01, h11) = slopes, curves
        free_c = self.fit_intercept and h11 > 0.0
        mean = h01 / h11 if free_c else 0.0
        own = h00 - mean * h01
        d0 = -(g0 - mean * g1) / own if free_scale and own > 1e-12 * h00 else 0.0
        return d0, -(g1 + h01 * d0) / h11 if free_c else 0.0


def lowest_terms(m: Ints) -> Ints:
    """Return the points divided by their greatest common divisor."""
    return m // max(int(np.gcd.reduce(m)), 1) if len(m) else m
