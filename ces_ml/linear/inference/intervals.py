"""Intervals of weights, differences, shares and scores, under the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm, t

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.linear.inference.draws import project
from ces_ml.linear.inference.profile import PARALLEL, profile_intervals
from ces_ml.linear.inference.relaxed import Relaxed
from ces_ml.linear.inference.rules import RuleRows
from ces_ml.linear.inference.spread import Spread

__all__ = ["Evidence", "IntervalRow", "NumberInterval", "ScoreIntervals", "WeightIntervals"]

Floats = NDArray[np.float64]
Evidence = Literal["strong", "some", "none", "rule"]

SOME, STRONG = 0.90, 0.99
"""Levels at which the interval of the data alone must exclude zero."""

SHARES = 400
"""Steps of the grid on which a share is tested."""

SCORES = 4096
"""Customers whose scores are taken at a time."""


class NumberInterval(NamedTuple):
    """An estimate under the rules and its interval.

    Parameters
    ----------
    estimate : float
        From the fitted weights.
    low, high : float
        Ends of the interval; infinite where neither data nor rules say anything.
    probability : float
        How sure the data are that the number is positive: the confidence level of the one-sided
        interval that begins at zero. It says nothing of what a rule says. NaN for a share.
    rule : str
        The rule that narrowed the interval or fixed the number; empty if none did.
    """

    estimate: float
    low: float
    high: float
    probability: float
    rule: str


class IntervalRow(NamedTuple):
    """One weight of `WeightIntervals.table`."""

    name: str
    weight: float
    low: float
    high: float
    std_error: float
    evidence: Evidence
    rule: str


class ScoreIntervals(NamedTuple):
    """Scores of customers and their intervals, each of shape (n_customers,)."""

    score: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class WeightIntervals:
    """How sure the weights are, from `weight_intervals`.

    Parameters
    ----------
    feature_names : tuple of str
        What the weights are called.
    coef : ndarray of shape (n_features,)
        The fitted weights.
    level : float
        Nominal coverage.
    n_customers : int
        Customers that the data are of.
    relaxed : ndarray of shape (n_features,)
        The weights without the rules, as the data alone have them.
    std_error : ndarray of shape (n_features,)
        Their standard errors; zero for fixed weights, infinite where the data say nothing.
    broken : tuple of str
        Rules that the data clearly break; they are taken as equations, and the intervals are about
        the best weights under the rules, not about the best weights.
    """

    feature_names: tuple[str, ...]
    coef: Floats
    level: float
    n_customers: int
    broken: tuple[str, ...]
    _intercept: float
    _shift: Floats
    _estimate: Relaxed
    _spread: Spread
    _equations: RuleRows
    _inequalities: RuleRows
    _all_rules: tuple[RuleRows, RuleRows]
    _range: tuple[Floats, Floats]
    _draws: tuple[int, int | None]

    @property
    def relaxed(self) -> Floats:
        """The weights without the rules, of shape (n_features,)."""
        return self._estimate.theta[:-1]

    @cached_property
    def std_error(self) -> Floats:
        """Standard errors of `relaxed`, of shape (n_features,)."""
        return np.where(self._blind(self._units), np.inf, self._spread.deviation(self._units))

    @cached_property
    def _weights(self) -> tuple[Floats, Floats, tuple[str, ...]]:
        return self._intervals(self._units, self.coef, *self._range)

    @property
    def low(self) -> Floats:
        """Lower ends, of shape (n_features,)."""
        return self._weights[0]

    @property
    def high(self) -> Floats:
        """Upper ends, of shape (n_features,)."""
        return self._weights[1]

    @property
    def rules(self) -> tuple[str, ...]:
        """For each weight the rule that narrowed its interval or fixed it; empty if none did."""
        return self._weights[2]

    @cached_property
    def evidence(self) -> tuple[Evidence, ...]:
        """How sure the data alone are of each weight's sign.

        ``"strong"``: the interval of the data alone excludes zero at 99 %, and the fitted weight
        is on the same side; ``"some"``: at 90 %; ``"none"``: neither; ``"rule"``: a rule says what
        the weight is, and the data were not asked or were overruled.
        """
        deviation = self._spread.deviation(self._units)
        strong = self._spread.quantile(self._units, STRONG)
        some = self._spread.quantile(self._units, SOME)
        blind = self._blind(self._units)
        found: list[Evidence] = []
        for j, weight in enumerate(self.coef):
            centre = float(self.relaxed[j])
            if self._fixed[j]:
                found.append("rule")
            elif blind[j] or weight * centre <= 0.0:
                found.append("none")
            elif abs(centre) > strong[j] * deviation[j]:
                found.append("strong")
            else:
                found.append("some" if abs(centre) > some[j] * deviation[j] else "none")
        return tuple(found)

    def at_level(self, level: float) -> WeightIntervals:
        """Return the same at another nominal coverage."""
        return replace(self, level=checked_level(level))

    def table(self) -> list[IntervalRow]:
        """Return one row a weight; ``pandas.DataFrame(intervals.table())`` shows it."""
        return [
            IntervalRow(
                name,
                float(self.coef[j]),
                float(self.low[j]),
                float(self.high[j]),
                float(self.std_error[j]),
                self.evidence[j],
                self.rules[j],
            )
            for j, name in enumerate(self.feature_names)
        ]

    def combination(self, contrast: Mapping[str, float]) -> NumberInterval:
        """Return the interval of a sum of weights times numbers: ``{"demo": 1, "webinar": -1}``.

        Raises
        ------
        SpecError
            If a feature is not there.
        """
        row = np.zeros((1, len(self.coef) + 1))
        for name, factor in contrast.items():
            row[0, self._place(name)] = float(factor)
        some = np.flatnonzero(row[0, :-1])
        ends = np.array([side[some] * row[0, some] for side in self._range])
        lower, upper = np.array([ends.min(axis=0).sum()]), np.array([ends.max(axis=0).sum()])
        estimate = row[:, :-1] @ self.coef
        low, high, rules = self._intervals(row, estimate, lower, upper)
        return NumberInterval(
            float(estimate[0]), float(low[0]), float(high[0]), self._positive(row), rules[0]
        )

    def difference(self, greater: str, lesser: str) -> NumberInterval:
        """Return the interval of ``w[greater] − w[lesser]``; `probability` is that of the order.

        Raises
        ------
        SpecError
            If a feature is not there.
        """
        return self.combination({greater: 1.0, lesser: -1.0})

    def share(self, name: str) -> NumberInterval:
        """Return the interval of ``|w[name]| / Σ|w|``.

        All shares are held that the data don't reject: a share τ says that a weight less τ times
        the total is zero, which is linear (E. C. Fieller, 1954). Signs are those of the fitted
        weights, or of the data alone where these are zero; where they are not sure, shares are
        rough.

        Raises
        ------
        SpecError
            If the feature is not there.
        """
        j = self._place(name)
        signs = np.where(self.coef != 0.0, np.sign(self.coef), np.sign(self.relaxed))
        low, high = self._range
        signs = np.where(low >= 0.0, 1.0, np.where(high <= 0.0, -1.0, signs))
        grid = np.linspace(0.0, 1.0, SHARES + 1)
        rows = np.zeros((len(grid), len(self.coef) + 1))
        rows[:, :-1] = -grid[:, np.newaxis] * signs
        rows[:, j] += signs[j]
        endless = np.full(len(grid), np.inf)
        least, most, rules = self._intervals(rows, rows[:, :-1] @ self.coef, -endless, endless)
        total = float(np.abs(self.coef).sum())
        estimate = float(abs(self.coef[j])) / total if total > 0.0 else float("nan")
        held = (least <= 0.0) & (most >= 0.0)
        ends = _crossings(grid, least, most, held)
        if not np.isnan(estimate):
            ends = min(ends[0], estimate), max(ends[1], estimate)
        rule = next((text for text, kept in zip(rules, held, strict=True) if kept and text), "")
        return NumberInterval(estimate, *ends, float("nan"), rule)

    def score(self, X: Any, *, scale: Literal["raw", "probability"] = "raw") -> ScoreIntervals:
        """Return the score of each customer with its interval.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_customers, n_features)
            Counts.
        scale : {"raw", "probability"}, default="raw"
            ``x·w + c``, or the chance of the good outcome.

        Raises
        ------
        SpecError
            If `scale` is something else, or the columns are not as many as the weights.
        """
        if scale not in ("raw", "probability"):
            raise SpecError(
                "scale is not one of the two scales of a score",
                got=show(scale),
                allowed="'raw' or 'probability'",
                hint="write scale='probability' for the chance of the good outcome",
            )
        matrix = sp.csr_array(X) if sp.issparse(X) else np.asarray(X, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.coef):
            raise SpecError(
                "X does not fit the weights",
                got=f"an array of shape {matrix.shape}",
                allowed=f"{len(self.coef)} columns",
                hint="give the counts of the features that the weights were fitted on, in order",
            )
        parts = []
        for first in range(0, max(matrix.shape[0], 1), SCORES):
            block = matrix[first : first + SCORES]
            dense = block.toarray() if sp.issparse(block) else block
            rows = np.column_stack([dense - self._shift, np.ones(len(dense))])
            raw = rows @ np.append(self.coef, self._intercept)
            endless = np.full(len(raw), np.inf)
            low, high, _ = self._intervals(rows, raw, -endless, endless)
            parts.append((raw, low, high))
        score, low, high = (np.concatenate(column) for column in zip(*parts, strict=True))
        if scale == "probability":
            return ScoreIntervals(expit(score), expit(low), expit(high))
        return ScoreIntervals(score, low, high)

    @cached_property
    def draws(self) -> Floats:
        """Weights as other customers would have given them, of shape (n_replicates, n_features).

        Each is a draw of the weights without the rules, taken to the nearest that obey them as
        the curvature of the objective measures it. For what is not a sum of weights (ranks, the
        band of a customer). Percentiles of draws are *not* intervals: where rules hold with
        equality in truth they miss it too often.
        """
        n, seed = self._draws
        rng = np.random.default_rng(seed)
        values, vectors = np.linalg.eigh(self._spread.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        points = self._estimate.theta + rng.standard_normal((n, len(values))) @ root.T
        drawn = project(points, self._estimate.hessian, *self._all_rules)
        return drawn[:, :-1]

    @property
    def _units(self) -> Floats:
        return np.eye(len(self.coef), len(self.coef) + 1)

    @cached_property
    def _fixed(self) -> NDArray[np.bool_]:
        """Which weights follow from equations alone."""
        deviation = self._spread.deviation(self._units)
        free = np.abs(self._estimate.bread.factor[:-1]).max(axis=1, initial=0.0)
        return (deviation == 0.0) & (free == 0.0) & ~self._blind(self._units)

    def _place(self, name: str) -> int:
        if name not in self.feature_names:
            raise SpecError(
                "there is no weight of this name",
                got=show(name),
                allowed=did_you_mean(str(name), self.feature_names),
                hint="correct the name",
            )
        return self.feature_names.index(name)

    def _blind(self, rows: Floats) -> NDArray[np.bool_]:
        """Return which of the combinations depend on directions of which nothing is known."""
        seen = np.abs(rows @ self._estimate.bread.blind).max(axis=1, initial=0.0)
        blind: NDArray[np.bool_] = seen > 1e-8 * np.abs(rows).max(axis=1, initial=0.0)
        return blind

    def _positive(self, row: Floats) -> float:
        deviation = float(self._spread.deviation(row)[0])
        centre = float((row @ self._estimate.theta)[0])
        if self._blind(row)[0] or deviation == 0.0:
            return 0.5 if self._blind(row)[0] or centre == 0.0 else float(centre > 0.0)
        freedom = float(self._spread.freedom(row)[0])
        law = norm if not np.isfinite(freedom) else t(freedom)
        return float(law.cdf(centre / deviation))

    def _intervals(
        self, rows: Floats, estimate: Floats, lower: Floats, upper: Floats
    ) -> tuple[Floats, Floats, tuple[str, ...]]:
        """Return the ends for several combinations of weights, and the rule that each used."""
        theta, C = self._estimate.theta, self._spread.covariance
        deviation = self._spread.deviation(rows)
        blind = self._blind(rows)
        point = ~blind & (deviation <= 1e-13 * np.abs(rows * theta).max(axis=1, initial=0.0))
        use = ~blind & ~point
        low, high = np.where(point, estimate, lower), np.where(point, estimate, upper)
        texts = [self._fixing(row) if fixed else "" for row, fixed in zip(rows, point, strict=True)]
        if not use.any():
            return low, high, tuple(texts)
        some, inequalities = rows[use], self._inequalities
        centre, spread = some @ theta, deviation[use]
        noise = self._spread.deviation(inequalities.A)
        says = ~self._blind(inequalities.A) & (noise > 0.0)
        noise = np.where(says, noise, 1.0)
        slack = (inequalities.A @ theta - inequalities.b) / noise
        rho = np.where(says, some @ C @ inequalities.A.T / np.outer(spread, noise), 0.0)
        rho = np.clip(rho, -1.0, 1.0)
        own_low, own_high = _parallel(centre, spread, slack, rho)
        own_low, own_high = np.maximum(lower[use], own_low), np.minimum(upper[use], own_high)
        found = profile_intervals(
            centre,
            spread,
            self._spread.quantile(some, self.level),
            own_low,
            np.maximum(own_low, own_high),
            slack,
            rho,
            near_rules(self.n_customers),
        )
        low[use] = np.minimum(found.low, estimate[use])
        high[use] = np.maximum(found.high, estimate[use])
        for k, row in zip(np.flatnonzero(use), found.row, strict=True):
            texts[k] = inequalities.rules[row] if row >= 0 else ""
        return low, high, tuple(texts)

    def _fixing(self, row: Floats) -> str:
        """Return the equation that fixes a combination, the first that shares a weight with it."""
        touching = np.flatnonzero((np.abs(self._equations.A) * np.abs(row)).sum(axis=1) > 0.0)
        return self._equations.rules[touching[0]] if len(touching) else ""


def _parallel(
    centre: Floats, spread: Floats, slack: Floats, rho: Floats
) -> tuple[Floats, Floats]:
    """Return the bounds on each number by rules that speak of it alone."""
    if not slack.size:
        return np.full(len(centre), -np.inf), np.full(len(centre), np.inf)
    reach = centre[:, np.newaxis] - spread[:, np.newaxis] * np.sign(rho) * slack
    above = np.where(rho >= PARALLEL, reach, np.inf).min(axis=1)
    below = np.where(rho <= -PARALLEL, reach, -np.inf).max(axis=1)
    return below, above


def _crossings(
    grid: Floats, least: Floats, most: Floats, held: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return where zero enters and leaves the intervals along the grid, between its points."""
    places = np.flatnonzero(held)
    if not len(places):
        return float("inf"), float("-inf")
    first, last = int(places[0]), int(places[-1])
    low, high = float(grid[first]), float(grid[last])
    if first > 0:
        edge = least if least[first - 1] > 0.0 else most
        low = _zero(grid[first - 1 : first + 1], edge[first - 1 : first + 1])
    if last + 1 < len(grid):
        edge = most if most[last + 1] < 0.0 else least
        high = _zero(grid[last : last + 2], edge[last : last + 2])
    return low, high


def _zero(x: Floats, y: Floats) -> float:
    step = float(y[1] - y[0])
    return float(x[0] - y[0] * (x[1] - x[0]) / step) if step else float(x[0])


def near_rules(n_customers: int) -> float:
    """Return from how many standard errors a rule counts as far away, or as clearly broken."""
    return float(np.sqrt(np.log(max(n_customers, 8))))


def checked_level(level: object) -> float:
    """Return the nominal coverage as a number.

    Raises
    ------
    SpecError
        If it is not between 0 and 1.
    """
    if isinstance(level, bool) or not isinstance(level, float) or not 0.0 < level < 1.0:
        raise SpecError(
            "level is no probability",
            got=show(level),
            allowed="a number between 0 and 1, without them",
            hint="write level=0.9 for 90 % intervals",
        )
    return float(level)
