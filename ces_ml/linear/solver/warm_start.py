"""Begin near the optimum: solve on a sample of the rows first, so that few full passes remain.

The sample decides only where the full problem starts. Its optimum is certified on all rows, in
units that come from all rows, so a bad sample costs passes and never accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import BlockObjective, Moments
from ces_ml.linear.penalties import Penalty
from ces_ml.linear.solver.contract import Polyhedron
from ces_ml.linear.solver.newton import solve
from ces_ml.linear.solver.result import SolverResult

__all__ = ["WARM_FROM", "SampledObjective", "WarmStart", "warm_start"]

Floats = NDArray[np.float64]

WARM_FROM = 50_000
"""Rows from which a sample pays for itself."""

STEP = 21
"""The sample is every so-manieth row: about 5 %. Odd, so that a two-day rhythm does not alias."""

LEAST = 10_000
"""Rows that a sample holds at least."""

SAMPLE_TOL = 0.2
"""Over the square root of its rows, the residual of a sample's answer: below its own noise."""


class SampledObjective(BlockObjective, Protocol):
    """A block sum that can also be taken over a sample of its rows.

    The law: ``every(k)`` is the same mean loss over the rows 0, k, 2k, … (or over fewer of them,
    where these would not fit in memory); `moments` are ``(1/S) Σ_i s_i x_ij`` and
    ``(1/S) Σ_i s_i x_ij²`` over all rows.
    """

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        ...

    def every(self, step: int) -> SampledObjective:
        """Return the sum over every `step`-th row."""
        ...

    def rarer_outcome(self) -> int:
        """Return the number of rows with the rarer outcome."""
        ...

    def moments(self) -> Moments:
        """Return the means of the columns and of their squares."""
        ...


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


def warm_start(
    objective: SampledObjective,
    penalty: Penalty,
    region: Polyhedron,
    *,
    fit_intercept: bool = True,
    max_iter: int = 100,
) -> WarmStart | None:
    """Return the optimum on a sample of the rows, as a start for all of them.

    The sample is deterministic: every k-th row. A large sample is itself solved from a smaller
    one.

    Parameters
    ----------
    objective : SampledObjective
        The mean loss over all rows.
    penalty : Penalty
        Added to it.
    region : Polyhedron
        The feasible weights.
    fit_intercept : bool, default=True
        Whether there is an intercept.
    max_iter : int, default=100
        Largest number of Newton steps on the sample.

    Returns
    -------
    WarmStart or None
        None where a sample does not help: the rows are few, the sample has too few rows of one
        outcome, or it has no optimum of its own.
    """
    n, p = objective.n_rows, objective.n_features
    step = min(STEP, n // LEAST)
    if n < WARM_FROM or step < 2:
        return None
    sample = objective.every(step)
    if sample.rarer_outcome() < 5 * (p + 1):
        return None
    found = solve(
        sample,
        penalty,
        region,
        fit_intercept=fit_intercept,
        tol=SAMPLE_TOL / sample.n_rows**0.5,
        max_iter=max_iter,
        start=warm_start(sample, penalty, region, fit_intercept=fit_intercept, max_iter=max_iter),
    )
    if found.status != "optimal" or _creeps(found):
        return None
    z = np.append(found.coef, found.intercept)
    return WarmStart(z, objective.moments(), sample, n_passes=1)


def _creeps(found: SolverResult) -> bool:
    """Return whether the residual still fell slowly at the end, as it does under separation."""
    residuals = [row.kkt_residual for row in found.trace[-2:]]
    return len(residuals) == 2 and residuals[1] > 0.2 * residuals[0]
