"""The contract between the solver and the data, wherever the data is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["SAMPLE_STEP", "BlockObjective", "Evaluation", "Moments", "PointwiseLoss", "Slope"]

Floats = NDArray[np.float64]

SAMPLE_STEP = 21
"""A sample is every so-manieth row: about 5 %. Odd, so that a two-day rhythm does not alias."""


class Evaluation(NamedTuple):
    """Value, gradient and Hessian of the mean loss; the last coordinate is the intercept's.

    Parameters
    ----------
    value : float
        Mean loss, in nats.
    gradient : ndarray of shape (n_features + 1,)
    hessian : ndarray of shape (n_features + 1, n_features + 1)
        Symmetric and positive semi-definite.
    """

    value: float
    gradient: Floats
    hessian: Floats


class Slope(NamedTuple):
    """Value and gradient of the mean loss, as in `Evaluation`."""

    value: float
    gradient: Floats


class Moments(NamedTuple):
    """Weighted mean of each column and of its square, both of shape (n_features,)."""

    mean: Floats
    square: Floats


class BlockObjective(Protocol):
    """The weighted mean loss as a sum over blocks of rows.

    The law, with ``η_i = x_iᵀw + c``, ``x̃_i = (x_i, 1)`` and ``S = Σ_i s_i``::

        value(w, c)             = (1/S) Σ_blocks Σ_{i in block} s_i ℓ(y_i, η_i)
        evaluate(w, c).gradient = (1/S) Σ_blocks Σ_{i in block} s_i ℓ'(y_i, η_i) x̃_i
        evaluate(w, c).hessian  = (1/S) Σ_blocks Σ_{i in block} s_i ℓ''(y_i, η_i) x̃_i x̃_iᵀ
        evaluate(w, c).value    = value(w, c)
        slope(w, c)             = (value(w, c), evaluate(w, c).gradient)

    in float64, the same numbers for the same arguments at every call. How the rows are cut into
    blocks, where the blocks are, and in which type the data is held is the implementation's
    business; it may change a result by round-off only. `slope` is called near the optimum, where it
    spares the Hessian; where a pass costs the same with it, ``Slope(*evaluate(w, c)[:2])`` is as
    good.
    """

    @property
    def n_features(self) -> int:
        """Number of weights."""
        ...

    def value(self, w: Floats, c: float) -> float:
        """Return the mean loss alone (for the line search)."""
        ...

    def slope(self, w: Floats, c: float) -> Slope:
        """Return mean loss and gradient in one pass."""
        ...

    def evaluate(self, w: Floats, c: float) -> Evaluation:
        """Return mean loss, gradient and Hessian in one pass."""
        ...


class PointwiseLoss(Protocol):
    """A convex loss of one row, twice differentiable in the raw score `eta`.

    The law: ``derivatives(y, eta) == (ℓ, ∂ℓ/∂eta, ∂²ℓ/∂eta²)`` and its first part is `value`.
    A loss may also have a `name`, by which the compiled pass recognises it; sums of a loss that
    the compiled pass does not know are computed by numpy.
    """

    def value(self, y: Floats, eta: Floats) -> Floats:
        """Return the loss of each row."""
        ...

    def derivatives(self, y: Floats, eta: Floats) -> tuple[Floats, Floats, Floats]:
        """Return loss, slope and curvature of each row."""
        ...
