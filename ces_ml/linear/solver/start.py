"""Where a descent may begin, other than at zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import BlockObjective, Moments

__all__ = ["WarmStart"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WarmStart:
    """Where to begin, and what else is known of the rows.

    Parameters
    ----------
    z : ndarray of shape (n_features + 1,)
        Feasible weights, and the intercept.
    moments : Moments
        Of all rows; they give the residual its units.
    sample : BlockObjective or None
        The mean loss over a sample of the rows, which follows the change of the Hessian.
    n_passes : int, default=0
        Passes over all rows that this has taken.
    """

    z: Floats
    moments: Moments
    sample: BlockObjective | None = None
    n_passes: int = 0
