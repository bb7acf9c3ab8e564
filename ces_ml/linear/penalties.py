"""Penalties on the weights; the intercept is never penalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ridge"]

Floats = NDArray[np.float64]


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
