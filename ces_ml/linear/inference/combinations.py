"""Sums of weights times numbers, of which everything that has an interval is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from ces_ml.linear.inference.profile import PARALLEL, profile_intervals
from ces_ml.linear.inference.relaxed import Relaxed
from ces_ml.linear.inference.rules import RuleRows
from ces_ml.linear.inference.spread import Spread

__all__ = ["Combinations", "near_rules"]

Floats = NDArray[np.float64]


def near_rules(n_customers: int) -> float:
    """Return from how many standard errors a rule counts as far away, or as clearly broken."""
    return float(np.sqrt(np.log(max(n_customers, 8))))


@dataclass(frozen=True, eq=False)
class Combinations:
    """What data and rules say of any ``row·θ``, with ``θ`` the weights and then the intercept.

    Parameters
    ----------
    estimate : Relaxed
        The estimate without the rules.
    spread : Spread
        Its covariance.
    equations : RuleRows
        What holds with equality.
    inequalities : RuleRows
        The other rules.
    near : float
        From `near_rules`.
    """

    estimate: Relaxed
    spread: Spread
    equations: RuleRows
    inequalities: RuleRows
    near: float

    def positive(self, row: Floats) -> float:
        """Return how sure the data are that a combination, of shape (1, …), is positive."""
        deviation = float(self.spread.deviation(row)[0])
        centre = float((row @ self.estimate.theta)[0])
        if self.estimate.bread.is_blind(row)[0]:
            return 0.5
        if self.estimate.bread.is_fixed(row)[0] or deviation == 0.0:
            return 0.5 if abs(centre) < 1e-12 else float(centre > 0.0)
        freedom = float(self.spread.freedom(row)[0])
        law = norm if not np.isfinite(freedom) else t(freedom)
        return float(law.cdf(centre / deviation))

    def intervals(
        self, rows: Floats, estimate: Floats, lower: Floats, upper: Floats, level: float
    ) -> tuple[Floats, Floats, tuple[str, ...]]:
        """Return the ends for several combinations of weights, and the rule that each used."""
        theta, C = self.estimate.theta, self.spread.covariance
        deviation = self.spread.deviation(rows)
        blind = self.estimate.bread.is_blind(rows)
        point = self.estimate.bread.is_fixed(rows) | (~blind & (deviation == 0.0))
        use = ~blind & ~point
        low, high = np.where(point, estimate, lower), np.where(point, estimate, upper)
        texts = [self._fixing(row) if fixed else "" for row, fixed in zip(rows, point, strict=True)]
        if not use.any():
            return low, high, tuple(texts)
        some, inequalities = rows[use], self.inequalities
        centre, spread = some @ theta, deviation[use]
        noise = self.spread.deviation(inequalities.A)
        bread = self.estimate.bread
        says = ~bread.is_blind(inequalities.A) & ~bread.is_fixed(inequalities.A) & (noise > 0.0)
        noise = np.where(says, noise, 1.0)
        slack = (inequalities.A @ theta - inequalities.b) / noise
        rho = np.where(says, some @ C @ inequalities.A.T / np.outer(spread, noise), 0.0)
        rho = np.clip(rho, -1.0, 1.0)
        own_low, own_high = _parallel(centre, spread, slack, rho)
        own_low, own_high = np.maximum(lower[use], own_low), np.minimum(upper[use], own_high)
        found = profile_intervals(
            centre,
            spread,
            self.spread.quantile(some, level),
            own_low,
            np.maximum(own_low, own_high),
            slack,
            rho,
            self.near,
        )
        low[use] = np.minimum(found.low, estimate[use])
        high[use] = np.maximum(found.high, estimate[use])
        for k, row in zip(np.flatnonzero(use), found.row, strict=True):
            texts[k] = inequalities.rules[row] if row >= 0 else ""
        return low, high, tuple(texts)

    def _fixing(self, row: Floats) -> str:
        """Return the equation that fixes a combination, the first that shares a weight with it."""
        touching = np.flatnonzero((np.abs(self.equations.A) * np.abs(row)).sum(axis=1) > 0.0)
        return self.equations.rules[touching[0]] if len(touching) else ""


def _parallel(centre: Floats, spread: Floats, slack: Floats, rho: Floats) -> tuple[Floats, Floats]:
    """Return the bounds on each number by rules that speak of it alone."""
    if not slack.size:
        return np.full(len(centre), -np.inf), np.full(len(centre), np.inf)
    reach = centre[:, np.newaxis] - spread[:, np.newaxis] * np.sign(rho) * slack
    above = np.where(rho >= PARALLEL, reach, np.inf).min(axis=1)
    below = np.where(rho <= -PARALLEL, reach, -np.inf).max(axis=1)
    return below, above
