"""Random problems with known structure, and an independent slow solver for them."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from ces_ml.linear import Bounds, ConstrainedLogisticRegression, Constraint, Order, Sign


@dataclass(frozen=True)
class Problem:
    """Data, penalty and rules; `scale` is the spread of each column."""

    X: np.ndarray
    y: np.ndarray
    s: np.ndarray
    alpha: float
    fit_intercept: bool
    rules: list[Constraint]
    scale: np.ndarray

    def fit(self) -> ConstrainedLogisticRegression:
        model = ConstrainedLogisticRegression(
            self.alpha, constraints=self.rules, fit_intercept=self.fit_intercept
        )
        return model.fit(self.X, self.y, self.s)


def random_problem(seed: int) -> Problem:
    """Return a problem with mixed rules, duplicated columns, odd weights and odd scales."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(60, 250)), int(rng.integers(2, 9))
    X = rng.poisson(rng.gamma(1.0, 1.5, p), size=(n, p)).astype(float)
    if seed % 3 == 0:
        X = np.log1p(X)
    if seed % 4 == 0:
        X[:, rng.integers(p)] = X[:, rng.integers(p)]  # often a duplicated column
    if seed % 5 == 0:
        X[:, rng.integers(p)] = rng.choice([0.0, 3.0])  # all zero, or constant
    scale = 10.0 ** rng.integers(-3, 4, p) if seed % 2 else np.ones(p)
    eta = np.clip(X @ rng.normal(0, 0.6, p), -3, 3)
    y = (rng.random(n) < 1 / (1 + np.exp(-(eta - eta.mean())))).astype(int)
    y[:2] = 0, 1
    s = rng.choice([0.25, 1.0, 3.0], n) if seed % 2 else np.ones(n)
    alpha = float(rng.choice([1e-4, 1e-2, 1.0]))
    rules = _rules(rng, p, scale)
    return Problem(X * scale, y, s, alpha, bool(rng.random() < 0.8), rules, scale)


def _rules(rng: np.random.Generator, p: int, scale: np.ndarray) -> list[Constraint]:
    rules: list[Constraint] = []
    for j in range(p):
        kind = rng.integers(6)
        name, unit = f"x{j}", 1.0 / scale[j]
        if kind == 0:
            rules.append(Sign(name, ">="))
        elif kind == 1:
            rules.append(Sign(name, "<="))
        elif kind == 2:
            rules.append(Bounds(name, -0.2 * unit, 0.3 * unit))
        elif kind == 3 and rng.random() < 0.5:
            rules.append(Bounds(name, 0.05 * unit, 0.05 * unit))
    for _ in range(rng.integers(0, p)):
        a, b = rng.choice(p, 2, replace=False)
        # The margin is negative, so that weights near zero obey every order.
        factor = float(rng.choice([1.0, 0.5])) * scale[b] / scale[a]
        rules.append(Order(f"x{a}", f"x{b}", factor, -float(rng.choice([0.06, 0.3])) / scale[a]))
    return rules


def loss_parts(problem: Problem, w: np.ndarray, c: float) -> tuple[float, np.ndarray, float]:
    """Return objective, gradient in `w` and gradient in `c`, written out naively."""
    eta = problem.X @ w + c
    s = problem.s / problem.s.sum()
    value = s @ (np.logaddexp(0, eta) - problem.y * eta) + 0.5 * problem.alpha * w @ w
    r = s * (expit(eta) - problem.y)
    return float(value), problem.X.T @ r + problem.alpha * w, float(r.sum())


def slow_optimum(problem: Problem, lower, upper, A, b, start: np.ndarray) -> np.ndarray:
    """Return SLSQP's answer from `start`, in columns of unit scale."""
    D = 1.0 / problem.scale
    fit_intercept = problem.fit_intercept

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        c = v[-1] if fit_intercept else 0.0
        value, g, gc = loss_parts(problem, v[:-1] * D, c)
        return value, np.append(g * D, gc if fit_intercept else 0.0)

    rows = np.column_stack([A * D, np.zeros(len(b))])
    size = np.abs(rows).max(axis=1, initial=1e-300)
    rows, limits = rows / size[:, None], b / size
    answer = minimize(
        objective,
        np.append(start / D, 0.0),
        jac=True,
        method="SLSQP",
        bounds=[*zip(lower / D, upper / D, strict=True), (None, None)],
        constraints={"type": "ineq", "fun": lambda v: limits - rows @ v, "jac": lambda v: -rows},
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    return np.append(answer.x[:-1] * D, answer.x[-1])


@pytest.fixture(scope="session")
def truth() -> SimpleNamespace:
    """Return the functions of this file: random problems, and what their answer must satisfy."""
    return SimpleNamespace(
        random_problem=random_problem, loss_parts=loss_parts, slow_optimum=slow_optimum
    )
