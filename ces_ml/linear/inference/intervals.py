"""Intervals of weights, differences, shares and scores, under the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.linear.inference.combinations import Combinations
from ces_ml.linear.inference.draws import project
from ces_ml.linear.inference.reach import within_rules
from ces_ml.linear.inference.results import Evidence, IntervalRow, NumberInterval, ScoreIntervals
from ces_ml.linear.inference.rules import RuleRows
from ces_ml.linear.inference.shares import crossings

__all__ = ["WeightIntervals", "checked_level"]

Floats = NDArray[np.float64]

SOME, STRONG = 0.90, 0.99
"""Levels at which the interval of the data alone must exclude zero."""

SHARES = 400
"""Steps of the grid on which a share is tested."""

SCORES = 4096
"""Customers whose scores are taken at a time."""


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
    _numbers: Combinations
    _rules: tuple[RuleRows, RuleRows]
    _range: tuple[Floats, Floats]
    _draws: tuple[int, int | None]

    @property
    def relaxed(self) -> Floats:
        """The weights without the rules, as the data alone have them, of shape (n_features,).

        Rules that the data clearly break are not left out.
        """
        return self._numbers.estimate.theta[:-1]

    @cached_property
    def std_error(self) -> Floats:
        """Standard errors of `relaxed`, of shape (n_features,).

        Zero for fixed weights, infinite where the data say nothing.
        """
        blind = self._numbers.estimate.bread.is_blind(self._units)
        return np.where(blind, np.inf, self._numbers.spread.deviation(self._units))

    @cached_property
    def _weights(self) -> tuple[Floats, Floats, tuple[str, ...]]:
        return self._bounded(self._units, self.coef, *self._range)

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
        spread, bread = self._numbers.spread, self._numbers.estimate.bread
        strong = spread.quantile(self._units, STRONG)
        some = spread.quantile(self._units, SOME)
        blind, fixed = bread.is_blind(self._units), bread.is_fixed(self._units)
        found: list[Evidence] = []
        for j, weight in enumerate(self.coef):
            distance = abs(float(self.relaxed[j])) / (self.std_error[j] or np.inf)
            if fixed[j]:
                found.append("rule")
            elif blind[j] or weight * self.relaxed[j] <= 0.0:
                found.append("none")
            else:
                weak: Evidence = "some" if distance > some[j] else "none"
                found.append("strong" if distance > strong[j] else weak)
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
        low, high, rules = self._bounded(row, estimate, lower, upper)
        return NumberInterval(
            float(estimate[0]), float(low[0]), float(high[0]), self._numbers.positive(row), rules[0]
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
        least, most, rules = self._numbers.intervals(
            rows, rows[:, :-1] @ self.coef, *_endless(len(grid)), self.level
        )
        total = float(np.abs(self.coef).sum())
        estimate = float(abs(self.coef[j])) / total if total > 0.0 else float("nan")
        held = (least <= 0.0) & (most >= 0.0)
        ends = crossings(grid, least, most, held)
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
        matrix: Any = sp.csr_array(X) if sp.issparse(X) else np.asarray(X, dtype=np.float64)
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
            dense = block.toarray() if isinstance(block, sp.csr_array) else block
            rows = np.column_stack([dense - self._shift, np.ones(len(dense))])
            raw = rows @ np.append(self.coef, self._intercept)
            low, high, _ = self._numbers.intervals(rows, raw, *_endless(len(raw)), self.level)
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
        values, vectors = np.linalg.eigh(self._numbers.spread.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        estimate = self._numbers.estimate
        points = estimate.theta + rng.standard_normal((n, len(values))) @ root.T
        return project(points, estimate.hessian, *self._rules)[:, :-1]

    @property
    def _units(self) -> Floats:
        return np.eye(len(self.coef), len(self.coef) + 1)

    def _bounded(
        self, rows: Floats, estimate: Floats, lower: Floats, upper: Floats
    ) -> tuple[Floats, Floats, tuple[str, ...]]:
        """Return intervals of combinations that no rules together forbid, and their rules."""
        numbers = self._numbers
        low, high, rules = numbers.intervals(rows, estimate, lower, upper, self.level)
        ends = np.array([low, high])
        low, high = within_rules(
            rows[:, :-1], ends, self.coef, numbers.equations, numbers.inequalities
        )
        return np.minimum(low, estimate), np.maximum(high, estimate), rules

    def _place(self, name: str) -> int:
        if name not in self.feature_names:
            raise SpecError(
                "there is no weight of this name",
                got=show(name),
                allowed=did_you_mean(str(name), self.feature_names),
                hint="correct the name",
            )
        return self.feature_names.index(name)


def _endless(n: int) -> tuple[Floats, Floats]:
    return np.full(n, -np.inf), np.full(n, np.inf)


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
