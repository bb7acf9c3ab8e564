"""Every rule and every penalty together, against an independent solver: cvxpy with Clarabel.

The rules are stated twice: as text for the estimator, and as cvxpy expressions written down here,
so a wrong translation into matrices shows as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from ces_ml.linear import ConstrainedLogisticRegression

cp = pytest.importorskip("cvxpy")

FAST, SEEDS = 50, 240
ALL_SEEDS = [
    pytest.param(seed, marks=[] if seed < FAST else pytest.mark.slow) for seed in range(SEEDS)
]


@dataclass
class Problem:
    X: np.ndarray
    y: np.ndarray
    s: np.ndarray
    scale: np.ndarray
    parameters: dict
    truth: np.ndarray
    rules: list[str] = field(default_factory=list)
    # Each rule again, as a function of the cvxpy weights to a list of expressions that are <= 0
    # and a list of those that are = 0.
    limits: list = field(default_factory=list)
    equations: list = field(default_factory=list)

    def add(self, text, *, limits=(), equations=()):
        self.rules.append(text)
        self.limits += limits
        self.equations += equations

    def fit(self):
        model = ConstrainedLogisticRegression(constraints=self.rules, **self.parameters)
        return model.fit(self.X, self.y, self.s)

    def penalty(self, w):
        p = self.parameters
        a, r = p["alpha"], p["l1_ratio"]
        value = a * (r * np.abs(w).sum() + (1 - r) / 2 * w @ w)
        if p["prior"]:
            j = [int(name[1:]) for name in p["prior"]]
            w0 = np.array(list(p["prior"].values()))
            t = max(0.0, w[j] @ w0 / (w0 @ w0)) if w0.any() else 0.0
            value += p["prior_strength"] / 2 * ((w[j] - t * w0) ** 2).sum()
        return value

    def objective(self, w, c):
        eta = self.X @ w + c
        s = self.s / self.s.sum()
        return float(s @ (np.logaddexp(0, eta) - self.y * eta) + self.penalty(w))


def number(x):
    return repr(float(x))


def random_problem(seed):
    """Return a problem whose rules hold for known weights, so that they can hold together."""
    rng = np.random.default_rng(1000 + seed)
    n, p = int(rng.integers(50, 140)), int(rng.integers(3, 9))
    X = rng.poisson(rng.gamma(1.0, 1.5, p), size=(n, p)).astype(float)
    if seed % 3 == 0:
        X = np.log1p(X)
    if seed % 4 == 0:
        X[:, rng.integers(p)] = X[:, rng.integers(p)]
    if seed % 7 == 0:
        X[:, rng.integers(p)] = rng.choice([0.0, 2.0])
    shares = seed % 2 == 0
    # Counts of very different sizes; rules on totals compare weights as they are.
    scale = 10.0 ** rng.integers(-2, 5, p) if not shares and seed % 3 else np.ones(p)
    truth = rng.normal(0, 0.5, p) * (rng.random(p) < 0.8)
    eta = np.clip(X @ truth, -3, 3)
    y = (rng.random(n) < 1 / (1 + np.exp(-(eta - eta.mean())))).astype(int)
    y[:2] = 0, 1
    named = rng.choice(p, int(rng.integers(1, p + 1)), replace=False)
    parameters = {
        "alpha": float(rng.choice([1e-4, 1e-2, 5e-2])),
        "l1_ratio": float(rng.choice([0.0, 0.3, 1.0])),
        "prior": None,
        "prior_strength": float(rng.choice([1e-3, 0.05, 1.0])),
        "fit_intercept": bool(rng.random() < 0.8),
    }
    if rng.random() < 0.5:
        w0 = rng.integers(-2, 6, len(named))
        parameters["prior"] = {f"x{j}": float(v) for j, v in zip(named, w0, strict=True)}
    s = rng.choice([0.25, 1.0, 3.0], n) if seed % 5 else np.ones(n)
    problem = Problem(X * scale, y, s, scale, parameters, truth / scale)
    if shares:
        _signs(problem, rng)
        _shares(problem, rng)
    else:
        _bounds(problem, rng)
    _totals(problem, rng)
    return problem


def _signs(problem, rng):
    for j, value in enumerate(problem.truth):
        if value > 0 or (value == 0 and rng.random() < 0.5):
            problem.add(f"x{j} >= 0", limits=[lambda w, j=j: -w[j]])
        elif value < 0 or rng.random() < 0.5:
            problem.add(f"x{j} <= 0", limits=[lambda w, j=j: w[j]])
        else:
            problem.add(f"exclude x{j}", equations=[lambda w, j=j: w[j]])


def _shares(problem, rng):
    truth, p = problem.truth, len(problem.truth)
    sign = np.where([f"x{j} <= 0" in problem.rules for j in range(p)], -1.0, 1.0)
    total = np.abs(truth).sum() or 1.0

    def add(text, members, low, high):
        inside = np.isin(np.arange(p), members) * sign
        limits = []
        if high < 1:
            limits.append(lambda w: inside @ w - high * (sign @ w))
        if low > 0:
            limits.append(lambda w: low * (sign @ w) - inside @ w)
        problem.add(text, limits=limits)

    for j in rng.choice(p, min(p, 3), replace=False):
        share = abs(truth[j]) / total
        if share > 0.99:
            continue
        high = float(np.clip(np.ceil(100 * share) + rng.integers(0, 10), 1, 99))
        low = float(np.floor(100 * share * rng.choice([0.0, 0.5, 1.0])))
        if low > 0:
            add(f"{low:.0f}% <= x{j} <= {high:.0f}%", [j], low / 100, high / 100)
        else:
            add(f"x{j} <= {high:.0f}%", [j], 0.0, high / 100)
    group = sorted(rng.choice(p, int(rng.integers(2, p)), replace=False))
    share = np.abs(truth[group]).sum() / total
    high = float(np.clip(np.ceil(100 * share), 1, 99))
    if share * 100 <= high:
        names = ", ".join(f"x{j}" for j in group)
        add(f"sum({names}) <= {high:.0f}%", group, 0.0, high / 100)


def _bounds(problem, rng):
    truth, scale, p = problem.truth, problem.scale, len(problem.truth)
    for j in range(p):
        kind, unit = rng.integers(5), 1.0 / scale[j]
        low, high = (
            truth[j] - rng.choice([0.0, 0.2]) * unit,
            truth[j] + rng.choice([0.05, 0.3]) * unit,
        )
        if kind == 0 and truth[j] >= 0:
            problem.add(f"x{j} >= 0", limits=[lambda w, j=j: -w[j]])
        elif kind == 1:
            problem.add(
                f"{number(low)} <= x{j} <= {number(high)}",
                limits=[lambda w, j=j, a=low: a - w[j], lambda w, j=j, b=high: w[j] - b],
            )
        elif kind == 2 and rng.random() < 0.4:
            problem.add(
                f"x{j} = {number(truth[j])}", equations=[lambda w, j=j, v=truth[j]: w[j] - v]
            )
    for _ in range(rng.integers(0, p)):
        a, b = rng.choice(p, 2, replace=False)
        factor = float(rng.choice([1.0, 0.5])) * scale[b] / scale[a]
        margin = truth[a] - factor * truth[b] - rng.choice([0.0, 0.1]) / scale[a]
        problem.add(
            f"x{a} >= {number(factor)} * x{b} + {number(margin)}".replace("+ -", "- "),
            limits=[lambda w, a=a, b=b, f=factor, m=margin: f * w[b] + m - w[a]],
        )


def _totals(problem, rng):
    truth, p = problem.truth, len(problem.truth)
    if np.ptp(problem.scale) > 0:
        return  # the sum of weights in different units means nothing
    if rng.random() < 0.5:
        total = float(truth.sum())
        problem.add(
            f"sum(all) = {number(total)}", equations=[lambda w: sum(w[j] for j in range(p)) - total]
        )
    group = sorted(rng.choice(p, 2, replace=False))
    names = ", ".join(f"x{j}" for j in group)
    value = float(truth[group].sum())
    if rng.random() < 0.6:
        high = value + float(rng.choice([0.0, 0.1]))
        problem.add(
            f"sum({names}) <= {number(high)}", limits=[lambda w: w[group[0]] + w[group[1]] - high]
        )


def slow_optimum(problem):
    """Return weights and intercept by cvxpy, in columns of unit scale."""
    p, D = len(problem.scale), 1.0 / problem.scale
    v, c = cp.Variable(p), cp.Variable()
    w = [D[j] * v[j] for j in range(p)]
    stacked = cp.multiply(D, v)
    eta = (problem.X * D) @ v + c
    s = problem.s / problem.s.sum()
    q = problem.parameters
    objective = s @ (cp.logistic(eta) - cp.multiply(problem.y, eta))
    objective += q["alpha"] * q["l1_ratio"] * cp.norm1(stacked)
    objective += q["alpha"] * (1 - q["l1_ratio"]) / 2 * cp.sum_squares(stacked)
    if q["prior"]:
        t = cp.Variable(nonneg=True)
        away = [w[int(name[1:])] - t * value for name, value in q["prior"].items()]
        objective += q["prior_strength"] / 2 * cp.sum_squares(cp.hstack(away))
    view = _Weights(w)
    size = problem.scale.max()
    rules = [rule(view) * size <= 0 for rule in problem.limits]
    rules += [rule(view) * size == 0 for rule in problem.equations]
    if not q["fit_intercept"]:
        rules.append(c == 0)
    cp.Problem(cp.Minimize(objective), rules).solve(
        solver=cp.CLARABEL, tol_gap_abs=1e-13, tol_gap_rel=1e-13, tol_feas=1e-13, max_iter=400
    )
    return D * v.value, float(c.value)


class _Weights:
    """Weights in cvxpy, by index and in a dot product, as an array has them."""

    __array_ufunc__ = None

    def __init__(self, parts):
        self.parts = parts

    def __getitem__(self, j):
        return self.parts[j]

    def __rmatmul__(self, a):
        return sum(float(x) * part for x, part in zip(a, self.parts, strict=True))


@pytest.mark.parametrize("seed", ALL_SEEDS)
@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
def test_no_independent_solver_finds_a_better_objective_and_every_rule_holds(seed):
    problem = random_problem(seed)
    model = problem.fit()
    w, c = model.coef_[0], model.intercept_[0]
    assert model.solver_result_.status == "optimal"
    found = problem.objective(w, c)
    assert model.solver_result_.objective == pytest.approx(found, rel=1e-11)
    for rule in problem.limits:
        assert rule(w) <= 1e-9
    for rule in problem.equations:
        assert abs(rule(w)) <= 1e-9
    assert found == pytest.approx(problem.objective(*slow_optimum(problem)), rel=1e-8)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_certificate_holds_when_it_is_computed_again(seed):
    problem = random_problem(seed)
    model = problem.fit()
    result, region = model.solver_result_, model.constraints_
    w, c, q = model.coef_[0], model.intercept_[0], problem.parameters
    h = 1e-6 / problem.scale
    # The smooth part's gradient by its formula; the prior's by central differences.
    s = problem.s / problem.s.sum()
    r = s * (1 / (1 + np.exp(-(problem.X @ w + c))) - problem.y)
    g = problem.X.T @ r + q["alpha"] * (1 - q["l1_ratio"]) * w
    if q["prior"]:
        prior = Problem(*[None] * 4, {**q, "alpha": 0.0}, None)
        steps = np.diag(h)
        g += [(prior.penalty(w + e) - prior.penalty(w - e)) / (2 * e.sum()) for e in steps]
    mu, lam, nu = result.bound_multipliers, result.row_multipliers, result.eq_multipliers
    rest = g + mu + region.A.T @ lam + region.A_eq.T @ nu
    slope = q["alpha"] * q["l1_ratio"]
    rest = np.where(w == 0, np.maximum(np.abs(rest) - slope, 0), rest + slope * np.sign(w))
    assert np.abs(rest / np.sqrt(np.abs(problem.X).max(axis=0) ** 2 + 1)).max() < 1e-7
    assert abs(r.sum()) < 1e-7 or not q["fit_intercept"]
    assert (lam >= 0).all()
    assert (lam * np.abs(region.b - region.A @ w) < 1e-8).all()
    np.testing.assert_array_equal(w[mu > 0], region.upper[mu > 0])
    np.testing.assert_array_equal(w[mu < 0], region.lower[mu < 0])
