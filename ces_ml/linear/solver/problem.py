"""Mean loss plus penalty at a point, with its Hessian or one that is near enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import BlockObjective, Evaluation
from ces_ml.linear.penalties import Penalty
from ces_ml.linear.solver.contract import Polyhedron
from ces_ml.linear.solver.lift import Kinks
from ces_ml.linear.solver.step import Centred, centre

__all__ = ["Point", "Problem"]

Floats = NDArray[np.float64]

MOST_DRIFT = 0.1
"""By how much the curvature may change, relative to its diagonal, and still be followed."""

SHORT = 0.2
"""A part of the way so short that the Hessian need not be followed again."""


@dataclass(frozen=True, eq=False)
class Point:
    """A feasible point with the objective there; the last coordinate is the intercept.

    Parameters
    ----------
    z, gradient : ndarray of shape (n_features + 1,)
    value : float
    hessian : ndarray of shape (n_features + 1, n_features + 1)
    loss : Evaluation
        The same without the penalty.
    exact : bool
        Whether `hessian` is that of this very point.
    """

    z: Floats
    value: float
    gradient: Floats
    hessian: Floats
    loss: Evaluation
    exact: bool

    @property
    def w(self) -> Floats:
        """The weights."""
        return self.z[:-1]


class Problem:
    """Mean loss plus penalty, counting the passes over the data.

    Parameters
    ----------
    objective : BlockObjective
        The mean loss.
    penalty : Penalty
        Added to it.
    fit_intercept : bool
        Whether the last coordinate is free; otherwise its derivatives are zero.
    sample : BlockObjective, optional
        The mean loss over a sample of the rows.
    """

    def __init__(
        self,
        objective: BlockObjective,
        penalty: Penalty,
        fit_intercept: bool,
        sample: BlockObjective | None = None,
    ) -> None:
        self.objective, self.penalty, self.fit_intercept = objective, penalty, fit_intercept
        self.kinks = Kinks(penalty.slopes(objective.n_features), penalty.ray())
        self.n_passes = 0
        self._curvature = _Curvature(sample)

    @property
    def follows(self) -> bool:
        """Whether a sample tells how the Hessian changes from point to point."""
        return self._curvature.sample is not None

    def value(self, z: Floats) -> float:
        """Return the objective alone."""
        self.n_passes += 1
        return self.objective.value(z[:-1], float(z[-1])) + self.penalty.value(z[:-1])

    def at(self, z: Floats) -> Point:
        """Return the point with its own Hessian."""
        self.n_passes += 1
        loss = self.objective.evaluate(z[:-1], float(z[-1]))
        self._curvature.know(z, loss)
        return self.with_penalty(z, loss)

    def near(self, z: Floats) -> Point | None:
        """Return the point with the last Hessian that was computed, as it has changed since.

        None where it has changed by too much, or none is known.
        """
        hessian = self._curvature.near(z)
        if hessian is None:
            return None
        self.n_passes += 1
        loss = self.objective.slope(z[:-1], float(z[-1]))
        return self.with_penalty(z, Evaluation(*loss, hessian), exact=False)

    def ahead(self, point: Point, z: Floats) -> Point | None:
        """Return what the sample expects at `z`, from an exact `point`: no pass over all rows.

        The value is that of `point`. None where there is no sample, or it expects too much change.
        """
        expected = self._curvature.ahead(point.loss, z)
        return None if expected is None else self.with_penalty(z, expected, exact=False)

    def with_penalty(self, z: Floats, loss: Evaluation, *, exact: bool = True) -> Point:
        """Return the point from what is known of the mean loss there."""
        w, p = z[:-1], len(z) - 1
        gradient, hessian = loss.gradient.copy(), loss.hessian.copy()
        gradient[:-1] += self.penalty.gradient(w)
        hessian[np.arange(p), np.arange(p)] += self.penalty.curvature(w)
        if not self.fit_intercept:
            gradient[-1], hessian[-1], hessian[:, -1] = 0.0, 0.0, 0.0
        value = loss.value + self.penalty.value(w)
        return Point(z, value, gradient, hessian, loss, exact)

    def centred(self, point: Point, region: Polyhedron) -> Centred:
        """Return the second-order model around the point, the intercept eliminated."""
        return centre(point.gradient, point.hessian, region, fit_intercept=self.fit_intercept)


class _Curvature:
    """The Hessian of the mean loss, near a point ``z₀`` at which it was computed.

    It is ``H(z₀) + H_s(z) − H_s(z₀)`` where the Hessian ``H_s`` of a sample is at hand: the change
    alone has a sampling error. Without a sample it is ``H(z₀)``.
    """

    def __init__(self, sample: BlockObjective | None) -> None:
        self.sample = sample
        self._z: Floats | None = None
        self._hessian = np.zeros((0, 0))
        self._sampled: Evaluation | None = None
        self._followed: tuple[Floats, Floats] | None = None

    def know(self, z: Floats, loss: Evaluation) -> None:
        """Take note of the Hessian at `z`."""
        self._z, self._hessian, self._sampled, self._followed = z, loss.hessian, None, None

    def near(self, z: Floats) -> Floats | None:
        """Return the Hessian expected at `z`; None where none is known near enough."""
        if self._z is None or self.sample is None:
            return None if self._z is None else self._hessian
        if self._followed is not None:  # what is left of the way changes next to nothing
            at, hessian = self._followed
            if self._distance(z, at) <= SHORT * self._distance(at, self._z):
                return hessian
        found = self._changes(z)
        return None if found is None else self._hessian + found.hessian

    def ahead(self, loss: Evaluation, z: Floats) -> Evaluation | None:
        """Return what is expected at `z` of the mean loss, which is `loss` at ``z₀``."""
        found = None if self._z is None or self.sample is None else self._changes(z)
        if found is None or self._z is None or self._sampled is None:
            return None
        d = z - self._z
        change = found.gradient + (self._hessian - self._sampled.hessian) @ d
        return Evaluation(loss.value, loss.gradient + change, self._hessian + found.hessian)

    def _changes(self, z: Floats) -> Evaluation | None:
        """Return how the sample's sums change from ``z₀`` to `z`; None where they do by much."""
        if self._z is None or self.sample is None:
            return None
        if self._sampled is None:
            self._sampled = self.sample.evaluate(self._z[:-1], float(self._z[-1]))
        found = self.sample.evaluate(z[:-1], float(z[-1]))
        before, hessian = self._sampled, found.hessian - self._sampled.hessian
        size = np.sqrt(np.diag(self._hessian))
        if (np.abs(hessian) > MOST_DRIFT * np.outer(size, size)).any():
            return None
        self._followed = (z, self._hessian + hessian)
        return Evaluation(found.value - before.value, found.gradient - before.gradient, hessian)

    def _distance(self, a: Floats, b: Floats) -> float:
        return float(np.linalg.norm(np.sqrt(np.diag(self._hessian)) * (a - b)))
