"""Penalties on the weights; the intercept is never penalised.

A penalty is a smooth convex part plus ``Σ_j slopes_j·|w_j|``. The solver takes the kinks of the
second part, and the fitted scale of a prior, exactly into its steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ElasticNet", "Penalties", "Penalty", "Prior", "Ray", "Ridge"]

Floats = NDArray[np.float64]


class Ray(NamedTuple):
    """The half-line ``{t·direction : t ≥ 0}`` from which weights are drawn back to it.

    Parameters
    ----------
    strength : float
        Curvature along each named weight.
    direction : ndarray of shape (n_features,)
        Not all zero; zero for features that the prior does not name.
    """

    strength: float
    direction: Floats

    def scale(self, w: Floats) -> float:
        """Return the `t` of the point of the half-line that is nearest to `w`."""
        a = self.direction
        return max(0.0, float(w @ a) / float(a @ a))


class Penalty(Protocol):
    """A convex penalty on the weights.

    The law: `value` is ``q(w) + Σ_j slopes_j·|w_j|`` with `gradient` the first derivative of the
    smooth part ``q``. ``q`` is quadratic once the scale ``t`` of its `ray` is a variable as well:
    its Hessian is then `curvature` on the diagonal of the weights, and
    ``strength·[[0, −direction], [−directionᵀ, direction·direction]]`` more if there is a `ray`.
    """

    def value(self, w: Floats) -> float:
        """Return the penalty."""
        ...

    def gradient(self, w: Floats) -> Floats:
        """Return the gradient of its smooth part, of shape (n_features,)."""
        ...

    def curvature(self, w: Floats) -> Floats:
        """Return the diagonal of its Hessian for a fixed scale, of shape (n_features,)."""
        ...

    def slopes(self, n_features: int) -> Floats:
        """Return the weight of each absolute value, not negative, of shape (n_features,)."""
        ...

    def ray(self) -> Ray | None:
        """Return the half-line whose scale is fitted, if there is one."""
        ...


@dataclass(frozen=True)
class Ridge:
    """Ridge penalty ``(alpha/2)·‖w‖²``.

    Parameters
    ----------
    alpha : float
        Strength, not negative, on the scale of the mean loss of a row.

    Examples
    --------
    >>> import numpy as np
    >>> Ridge(0.5).value(np.array([2.0, 0.0]))
    1.0
    """

    alpha: float

    def value(self, w: Floats) -> float:
        """Return the penalty of the weights."""
        return 0.5 * self.alpha * float(w @ w)

    def gradient(self, w: Floats) -> Floats:
        """Return ``alpha·w``, of shape (n_features,)."""
        return self.alpha * w

    def curvature(self, w: Floats) -> Floats:
        """Return the diagonal of the Hessian, of shape (n_features,); the rest of it is zero."""
        return np.full(len(w), float(self.alpha))

    def slopes(self, n_features: int) -> Floats:
        """Return zeros: there are no absolute values."""
        return np.zeros(n_features)

    def ray(self) -> Ray | None:
        """Return None: there is no prior."""
        return None


@dataclass(frozen=True)
class ElasticNet:
    """Elastic net ``alpha·(l1_ratio·‖w‖₁ + (1 − l1_ratio)/2·‖w‖²)``.

    Parameters
    ----------
    alpha : float
        Strength, not negative, on the scale of the mean loss of a row.
    l1_ratio : float, default=0.0
        From 0, ridge alone, to 1, lasso alone.

    Examples
    --------
    >>> import numpy as np
    >>> ElasticNet(0.5, 0.5).value(np.array([-2.0, 0.0]))
    1.0
    """

    alpha: float
    l1_ratio: float = 0.0

    def value(self, w: Floats) -> float:
        """Return the penalty of the weights."""
        lasso = self.alpha * self.l1_ratio * float(np.abs(w).sum())
        return lasso + self._ridge.value(w)

    def gradient(self, w: Floats) -> Floats:
        """Return the gradient of the ridge part, of shape (n_features,)."""
        return self._ridge.gradient(w)

    def curvature(self, w: Floats) -> Floats:
        """Return the diagonal of the Hessian of the ridge part, of shape (n_features,)."""
        return self._ridge.curvature(w)

    def slopes(self, n_features: int) -> Floats:
        """Return ``alpha·l1_ratio`` for each weight."""
        return np.full(n_features, self.alpha * self.l1_ratio)

    def ray(self) -> Ray | None:
        """Return None: there is no prior."""
        return None

    @property
    def _ridge(self) -> Ridge:
        return Ridge(self.alpha * (1.0 - self.l1_ratio))


@dataclass(frozen=True, eq=False)
class Prior:
    """Shrinkage to hand-set weights, ``(strength/2)·min_{t ≥ 0} Σ_named (w_j − t·w0_j)²``.

    Their scale `t` is fitted, so only the proportions of the hand-set weights matter, and their
    signs. Weights that are not named are left alone.

    Parameters
    ----------
    strength : float
        Not negative, on the scale of the mean loss of a row.
    weights : ndarray of shape (n_features,)
        Hand-set weights `w0`; NaN for a feature that is not named.

    Examples
    --------
    >>> import numpy as np
    >>> prior = Prior(2.0, np.array([1.0, 2.0, np.nan]))
    >>> prior.value(np.array([3.0, 6.0, 5.0])), prior.value(np.array([2.0, -1.0, 5.0]))
    (0.0, 5.0)
    """

    strength: float
    weights: Floats

    def value(self, w: Floats) -> float:
        """Return the penalty of the weights."""
        away = self._away(w)
        return 0.5 * self.strength * float(away @ away)

    def gradient(self, w: Floats) -> Floats:
        """Return ``strength·(w − t·w0)`` at the best `t`, of shape (n_features,)."""
        return self.strength * self._away(w)

    def curvature(self, w: Floats) -> Floats:
        """Return `strength` for each named weight, of shape (n_features,)."""
        return np.where(np.isnan(self.weights), 0.0, float(self.strength))

    def slopes(self, n_features: int) -> Floats:
        """Return zeros: there are no absolute values."""
        return np.zeros(n_features)

    def ray(self) -> Ray | None:
        """Return the half-line of the hand-set weights; None if they or `strength` are zero."""
        direction = np.nan_to_num(self.weights)
        if self.strength == 0.0 or not direction.any():
            return None
        return Ray(float(self.strength), direction)

    def _away(self, w: Floats) -> Floats:
        named = np.where(np.isnan(self.weights), 0.0, w)
        ray = self.ray()
        return named if ray is None else named - ray.scale(named) * ray.direction


@dataclass(frozen=True)
class Penalties:
    """The sum of penalties, of which at most one has a ray."""

    parts: tuple[Penalty, ...]

    def value(self, w: Floats) -> float:
        """Return the sum of the penalties."""
        return sum(part.value(w) for part in self.parts)

    def gradient(self, w: Floats) -> Floats:
        """Return the sum of the gradients, of shape (n_features,)."""
        total = np.zeros(len(w))
        for part in self.parts:
            total += part.gradient(w)
        return total

    def curvature(self, w: Floats) -> Floats:
        """Return the sum of the curvatures, of shape (n_features,)."""
        total = np.zeros(len(w))
        for part in self.parts:
            total += part.curvature(w)
        return total

    def slopes(self, n_features: int) -> Floats:
        """Return the sum of the slopes, of shape (n_features,)."""
        total = np.zeros(n_features)
        for part in self.parts:
            total += part.slopes(n_features)
        return total

    def ray(self) -> Ray | None:
        """Return the ray of the first part that has one."""
        return next((ray for part in self.parts if (ray := part.ray()) is not None), None)
