"""Whether a probability means what it says: Cox's line, the reliability curve, and the ECE."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ces_ml.errors import EventLogError, SpecError, show

__all__ = ["Calibration", "CoxLine", "ReliabilityBin", "calibration", "cox_line"]

Floats = NDArray[np.float64]

#: Probabilities are kept this far from 0 and 1 where their log-odds are taken.
_EDGE = 1e-12
#: Standardised slopes above this are taken for a line that does not exist: the classes separate.
_STEEPEST = 30.0


class CoxLine(NamedTuple):
    """The line ``logit P(y = 1) = intercept + slope · logit p`` that outcomes follow.

    Parameters
    ----------
    slope : float
        1 where the probabilities spread rightly; below 1 they are too extreme, as of weights that
        fit noise; above 1 too cautious, as under a strong penalty. nan where no line exists: the
        probability is constant, or separates the outcomes.
    intercept : float
        0 where, at a probability of one half, half of the outcomes are good. nan with the slope.
    """

    slope: float
    intercept: float


class ReliabilityBin(NamedTuple):
    """Rows of similar probability, and what happened to them.

    Parameters
    ----------
    rows : int
    probability : float
        Mean probability.
    rate : float
        Share with the good outcome.
    low, high : float
        Wilson's 90 % interval of the rate; too narrow where customers have several rows.
    """

    rows: int
    probability: float
    rate: float
    low: float
    high: float


class Calibration(NamedTuple):
    """How true probabilities are on rows that they were not fitted to.

    Parameters
    ----------
    slope, intercept : float
        See `CoxLine`.
    in_the_large : float
        Outcome rate less mean probability.
    ece : float
        Expected calibration error: the mean over the rows of ``|rate − mean probability|`` of
        their bin, bins of equal mass. It can't be negative, so noise alone makes it positive.
    ece_by_chance : float
        What `ece` would be, about, in a sample of this size if every probability were true. An
        ECE near it shows nothing.
    bins : tuple of ReliabilityBin
        From the lowest probability up.
    """

    slope: float
    intercept: float
    in_the_large: float
    ece: float
    ece_by_chance: float
    bins: tuple[ReliabilityBin, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """The finite numbers, by name."""
        found = {k: float(getattr(self, k)) for k in self._fields if k != "bins"}
        return {k: v for k, v in found.items() if math.isfinite(v)}

    @property
    def table(self) -> list[dict[str, float]]:
        """The reliability curve, a row a bin."""
        return [b._asdict() for b in self.bins]


def calibration(
    y: NDArray[Any],
    probability: Floats,
    sample_weight: Floats | None = None,
    *,
    n_bins: int = 10,
) -> Calibration:
    """Measure how true probabilities are.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Outcomes, 0 or 1; both must occur.
    probability : ndarray of shape (n_rows,)
        From 0 to 1, given by something that did not learn from these rows.
    sample_weight : ndarray of shape (n_rows,), optional
        Above 0.
    n_bins : int, default=10
        Bins of about equally much weight; equal probabilities share a bin, so there may be fewer.

    Returns
    -------
    Calibration

    Raises
    ------
    EventLogError
        If only one outcome occurs.
    SpecError
        If a probability is outside 0 to 1, shapes differ, or `n_bins` is below 1.

    References
    ----------
    Cox, D. R. (1958). Two further applications of a model for binary regression. Biometrika 45.
    doi:10.1093/biomet/45.3-4.562

    Examples
    --------
    >>> found = calibration(np.array([0, 0, 0, 1]), np.array([0.1, 0.1, 0.5, 0.5]), n_bins=2)
    >>> [(b.rows, round(b.probability, 2), b.rate) for b in found.bins], round(found.ece, 2)
    ([(2, 0.1, 0.0), (2, 0.5, 0.5)], 0.05)
    """
    y, p = np.asarray(y, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    s = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    _check(y, p, s, n_bins)
    share = s / s.sum()
    bins, ece, chance = [], 0.0, 0.0
    for rows in _equal_mass(p, share, n_bins):
        mass = share[rows].sum()
        inside = share[rows] / mass
        # Shares sum to 1 but for rounding, which no rate may show.
        mean, rate = (min(float(inside @ of[rows]), 1.0) for of in (p, y))
        bins.append(ReliabilityBin(len(rows), mean, rate, *_wilson(rate, inside)))
        ece += mass * abs(rate - mean)
        # E|N(0, v)| = √(2v/π): the rate of a bin whose probabilities are true is off by this.
        chance += mass * math.sqrt(2.0 / math.pi * float(inside**2 @ (p[rows] * (1.0 - p[rows]))))
    line = cox_line(y, log_odds(p), s)
    large = float(share @ (y - p))
    return Calibration(line.slope, line.intercept, large, float(ece), float(chance), tuple(bins))


def cox_line(y: NDArray[Any], z: Floats, sample_weight: Floats | None = None) -> CoxLine:
    """Fit ``logit P(y = 1) = intercept + slope · z`` by maximum likelihood, without a penalty.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Outcomes, 0 or 1; both must occur.
    z : ndarray of shape (n_rows,)
        Log-odds, finite.
    sample_weight : ndarray of shape (n_rows,), optional

    Returns
    -------
    CoxLine

    Examples
    --------
    >>> y, z = np.array([0, 1, 0, 1, 1, 0]), np.array([-1.0, -1.0, -1.0, 1.0, 1.0, 1.0])
    >>> line = cox_line(y, z)
    >>> round(line.slope, 4), round(abs(line.intercept), 4)
    (0.6931, 0.0)
    """
    y = np.asarray(y, dtype=np.float64)
    s = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    s = s / s.sum()
    centre = float(s @ z)
    spread = math.sqrt(max(float(s @ (z - centre) ** 2), 0.0))
    if spread <= 1e-12 * max(1.0, abs(centre)):
        return CoxLine(math.nan, math.nan)
    B = np.column_stack([np.ones(len(y)), (z - centre) / spread])
    rate = float(s @ y)
    beta = np.array([math.log(rate / (1.0 - rate)), 0.0])
    loss = _loss(B @ beta, y, s)
    for _ in range(100):
        p = 0.5 + 0.5 * np.tanh(0.5 * (B @ beta))
        gradient = B.T @ (s * (p - y))
        if float(np.abs(gradient).max()) < 1e-13:
            break
        curvature = (B * (s * p * (1.0 - p))[:, None]).T @ B
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        size = 1.0
        while size > 1e-8 and _loss(B @ (beta - size * step), y, s) > loss:
            size /= 2.0
        beta = beta - size * step
        loss = _loss(B @ beta, y, s)
        if abs(float(beta[1])) > _STEEPEST:
            return CoxLine(math.nan, math.nan)
    slope = float(beta[1]) / spread
    return CoxLine(slope, float(beta[0]) - slope * centre)


def log_odds(probability: Floats) -> Floats:
    """Return ``log(p / (1 − p))``, finite also at 0 and 1."""
    p = np.clip(probability, _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(p) - np.log1p(-p), dtype=np.float64)


def _loss(score: Floats, y: Floats, s: Floats) -> float:
    return float(s @ np.logaddexp(0.0, (1.0 - 2.0 * y) * score))


def _equal_mass(p: Floats, share: Floats, n_bins: int) -> list[NDArray[np.intp]]:
    """Return the rows of each bin; equal probabilities stay together."""
    values, place = np.unique(p, return_inverse=True)
    mass = np.bincount(place, share, minlength=len(values))
    middle = np.cumsum(mass) - 0.5 * mass
    of_value = np.minimum((middle * n_bins).astype(np.intp), n_bins - 1)
    number = of_value[place]
    order = np.argsort(number, kind="stable")
    cuts = np.flatnonzero(np.diff(number[order])) + 1
    return [np.asarray(rows, dtype=np.intp) for rows in np.split(order, cuts)]


def _wilson(rate: float, share: Floats) -> tuple[float, float]:
    """Return Wilson's 90 % interval, with the number of rows that the weights are worth."""
    z, n = 1.6448536269514722, 1.0 / float(share @ share)
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # At a rate of 0 or 1 an end is the rate itself, but for rounding.
    return min(max(centre - half, 0.0), rate), max(min(centre + half, 1.0), rate)


def _check(y: Floats, p: Floats, s: Floats, n_bins: int) -> None:
    if y.ndim != 1 or p.shape != y.shape or s.shape != y.shape:
        raise SpecError(
            "outcomes, probabilities and sample weights do not stand row by row",
            got=f"shapes {y.shape}, {p.shape} and {s.shape}",
            allowed="arrays of the same shape (n_rows,)",
            hint="give the probabilities of the rows that the outcomes belong to",
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise SpecError(
            "probabilities lie outside 0 to 1",
            got=show(float(p[~((p >= 0) & (p <= 1))][0])),
            allowed="0 to 1",
            hint="give probabilities, not scores",
        )
    if n_bins < 1:
        raise SpecError(
            "there are no bins",
            got=f"n_bins {n_bins}",
            allowed="at least 1",
            hint="write for example n_bins=10",
        )
    good = int((y == 1).sum())
    if good in (0, y.size):
        raise EventLogError(
            "calibration can't be judged when only one outcome occurs",
            got=f"{good} good and {y.size - good} bad outcomes",
            allowed="some of both",
            hint="evaluate on more rows, or on a longer horizon",
        )
