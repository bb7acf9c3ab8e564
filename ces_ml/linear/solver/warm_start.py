"""Begin near the optimum: solve on a sample of the rows first, so that few full passes remain.

The sample decides only where the full problem starts. Its optimum is certified on all rows, in
units that come from all rows, so a bad sample costs passes and never accuracy.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import SAMPLE_STEP, BlockObjective, Moments
from ces_ml.linear.penalties import Penalty
from ces_ml.linear.solver.contract import Polyhedron
from ces_ml.linear.solver.kept import LastKept
from ces_ml.linear.solver.newton import solve
from ces_ml.linear.solver.result import SolverResult
from ces_ml.linear.solver.start import WarmStart

__all__ = ["WARM_FROM", "SampledObjective", "Survey", "warm_start"]

Floats = NDArray[np.float64]

WARM_FROM = 50_000
"""Rows from which a sample pays for itself."""

LEAST = 10_000
"""Rows that a sample holds at least."""

SAMPLE_TOL = 0.5
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


class Survey:
    """What a start needs to know of the rows, found out once and kept for further fits to them.

    Parameters
    ----------
    rows : SampledObjective
        The mean loss over all rows.

    Attributes
    ----------
    n_passes : int
        Passes over the rows that this took so far.
    """

    def __init__(self, rows: SampledObjective) -> None:
        self.rows, self.n_passes = rows, 0

    @cached_property
    def moments(self) -> Moments:
        """Mean and mean square of the columns."""
        self.n_passes += 1
        return self.rows.moments()

    @cached_property
    def sample(self) -> Survey | None:
        """A sample of the rows; None where it would not help: few rows, or too few of one kind."""
        n, p = self.rows.n_rows, self.rows.n_features
        step = min(SAMPLE_STEP, n // LEAST)
        if n < WARM_FROM or step < 2:
            return None
        sample = self.rows.every(step)
        return None if sample.rarer_outcome() < 5 * (p + 1) else Survey(sample)


def warm_start(
    survey: Survey,
    penalty: Penalty,
    region: Polyhedron,
    *,
    fit_intercept: bool = True,
    max_iter: int = 100,
    near: Floats | None = None,
) -> WarmStart | None:
    """Return the optimum on a sample of the rows, as a start for all of them.

    The sample is deterministic: every k-th row. A large sample is itself solved from a smaller
    one.

    Parameters
    ----------
    survey : Survey
        Of all rows.
    penalty : Penalty
        Added to the mean loss.
    region : Polyhedron
        The feasible weights.
    fit_intercept : bool, default=True
        Whether there is an intercept.
    max_iter : int, default=100
        Largest number of Newton steps on the sample.
    near : ndarray of shape (n_features + 1,), optional
        Feasible weights and an intercept where the smallest sample, or the fit itself if there is
        none, may begin: the optimum of a problem that differs little.

    Returns
    -------
    WarmStart or None
        None where a sample does not help, or has no optimum of its own, and nothing is `near`.
    """
    passes, sample = survey.n_passes, survey.sample
    if sample is not None:
        begin = warm_start(
            sample, penalty, region, fit_intercept=fit_intercept, max_iter=max_iter, near=near
        )
        rows = LastKept(sample.rows)  # the descent on all rows begins where this one ends
        found = solve(
            rows,
            penalty,
            region,
            fit_intercept=fit_intercept,
            tol=SAMPLE_TOL / sample.rows.n_rows**0.5,
            max_iter=max_iter,
            start=begin,
        )
        if found.status == "optimal" and not _creeps(found):
            z = np.append(found.coef, found.intercept)
            return WarmStart(z, survey.moments, rows, survey.n_passes - passes)
    if near is None:
        return None
    return WarmStart(near, survey.moments, None, survey.n_passes - passes)


def _creeps(found: SolverResult) -> bool:
    """Return whether the residual still fell slowly at the end, as it does under separation."""
    residuals = [row.kkt_residual for row in found.trace[-2:]]
    return len(residuals) == 2 and residuals[1] > 0.2 * residuals[0]
