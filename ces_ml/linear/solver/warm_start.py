"""Begin near the optimum: solve on a sample of the rows first, so that few full passes remain.

The sample decides only where the full problem starts. Its optimum is certified on all rows, in
units that come from all rows, so a bad sample costs passes and never accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import BlockObjective, Evaluation, Moments
from ces_ml.linear.penalties import Penalty
from ces_ml.linear.solver.contract import Polyhedron
from ces_ml.linear.solver.newton import solve

__all__ = ["WARM_FROM", "SampledObjective", "WarmStart", "warm_start"]

Floats = NDArray[np.float64]

WARM_FROM = 50_000
"""Rows from which a sample pays for itself."""

STEP = 21
"""The sample is every so-manieth row: about 5 %. Odd, so that a two-day rhythm does not alias."""

LEAST = 10_000
"""Rows that a sample holds at least."""

SAMPLE_TOL = 1e-5
"""Far below the noise of a sample; a tighter answer would not be a better start."""


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
    """Where `ces_ml.linear.solver.solve` begins, with what it would else find out at zero.

    Parameters
    ----------
    z : ndarray of shape (n_features + 1,)
        Feasible weights, then the intercept.
    origin : Evaluation
        Of the sample, at zero: the curvature with which a run-away weight is recognised.
    moments : Moments
        Of all rows: the units of the KKT residual.
    n_passes : int
        Full passes over the data that this took.
    """

    z: Floats
    origin: Evaluation
    moments: Moments
    n_passes: int


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
        tol=SAMPLE_TOL,
        max_iter=max_iter,
        start=warm_start(sample, penalty, region, fit_intercept=fit_intercept, max_iter=max_iter),
    )
    if found.status != "optimal":
        return None
    origin = sample.evaluate(np.zeros(p), 0.0)
    z = np.append(found.coef, found.intercept)
    return WarmStart(z, origin, objective.moments(), n_passes=1)
