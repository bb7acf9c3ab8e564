"""The interval of one number under its own range and one rule, in closed form.

A number ``θ = a·w`` is estimated without the rules as `centre`, normally distributed with standard
deviation `spread`. A rule says ``r·w ≤ b``; its excess ``v`` is ``(r·ŵ − b)`` in standard
deviations, and ρ is the correlation of ``a·ŵ`` and ``r·ŵ``. With ``u = (centre − τ)/spread`` the
distance of the estimate from the weights that obey the rule and have ``θ = τ`` is

    g(τ) = u² + max(v − ρu, 0)² / (1 − ρ²),

and the interval holds every τ of the range of θ at which g exceeds its least value over that range
by no more than `width²`: the profile likelihood under the rule. Two properties carry the method:

- g is strongly convex with the curvature of the interval without the rule, so the interval is never
  wider than that one, whatever the data;
- where the truth obeys the rule, at any distance from it, coverage is nominal to within 0.01 (the
  least of a numerical integration over the distance: 0.900 for |ρ| ≤ 0.9, 0.891 at 0.99, for a
  nominal 0.90). With several rules at once neither the profile nor the percentiles of draws have
  this property, which is why only one is used: see experiments/coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PARALLEL", "Profiled", "profile_intervals"]

Floats = NDArray[np.float64]

PARALLEL = 0.9999
"""Correlation from which a rule speaks of the number itself and bounds its range."""

LEAST_CORRELATION = 0.05
"""Below it a rule says less than 0.3 % of the width."""


@dataclass(frozen=True, eq=False)
class Profiled:
    """Ends of intervals of shape (n_numbers,), and the row that each used, −1 for none."""

    low: Floats
    high: Floats
    row: NDArray[np.intp]


def profile_intervals(
    centre: Floats,
    spread: Floats,
    width: Floats,
    lower: Floats,
    upper: Floats,
    excess: Floats,
    correlation: Floats,
    near: float,
) -> Profiled:
    """Return the intervals of several numbers.

    Parameters
    ----------
    centre, spread : ndarray of shape (n_numbers,)
        Estimate without the rules and its standard deviation, positive and finite.
    width : ndarray of shape (n_numbers,)
        Half the width without rules, in standard deviations: a quantile.
    lower, upper : ndarray of shape (n_numbers,)
        What the rules allow for the number itself.
    excess : ndarray of shape (n_rules,)
        ``v`` of each rule.
    correlation : ndarray of shape (n_numbers, n_rules)
        ρ.
    near : float
        Rules with an excess below ``-near`` are far away and not used. Of the others each number
        uses the one with the largest |ρ|, which depends on the data hardly at all.
    """
    n = len(centre)
    v, rho = np.full(n, -np.inf), np.zeros(n)
    row = np.full(n, -1, dtype=np.intp)
    if excess.size:
        size = np.abs(correlation)
        usable = (excess > -near) & (size >= LEAST_CORRELATION) & (size < PARALLEL)
        best = np.argmax(np.where(usable, size, -1.0), axis=1)
        use = usable[np.arange(n), best]
        v = np.where(use, excess[best], -np.inf)
        rho = np.where(use, correlation[np.arange(n), best], 0.0)
        row = np.where(use, best, -1).astype(np.intp)
    nearest = np.clip(centre - spread * rho * np.maximum(v, 0.0), lower, upper)
    limit = width**2 + _distance((centre - nearest) / spread, v, rho)
    low, high = _ends(limit, v, rho)
    return Profiled(
        np.clip(centre - spread * high, lower, upper),
        np.clip(centre - spread * low, lower, upper),
        row,
    )


def _distance(u: Floats, v: Floats, rho: Floats) -> Floats:
    beyond = np.maximum(v - rho * u, 0.0)
    distance: Floats = u * u + beyond * beyond / (1.0 - rho * rho)
    return distance


def _ends(limit: Floats, v: Floats, rho: Floats) -> tuple[Floats, Floats]:
    """Return the least and the largest ``u`` with ``u² + max(v − ρu, 0)²/(1 − ρ²) ≤ limit``."""
    v = np.maximum(v, -1e150)  # its square is finite; so far away it says nothing
    free = np.sqrt(limit)
    held = np.sqrt(np.maximum((1.0 - rho * rho) * (limit - v * v), 0.0))
    low = np.where(v + rho * free > 0.0, rho * v - held, -free)
    high = np.where(v - rho * free > 0.0, rho * v + held, free)
    return low, high
