"""A start from a sample changes the number of passes, and nothing else."""

import numpy as np
import pytest
import scipy.sparse as sp

from ces_ml.linear import compile_constraints
from ces_ml.linear.kernels import RowBlocks
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.penalties import Ridge
from ces_ml.linear.solver import Survey, WarmStart, problem, solve, warm_start

LOSS = LogisticLoss()
P = 8
RULES = ["x0 >= x1", "x2 <= 0.1", "x3 >= 0", "x5 >= 0"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = np.log1p(rng.poisson(rng.gamma(0.7, 1.0, (60_000, 1)) * np.linspace(2, 0.1, P)))
    w = np.array([0.3, 0.5, 0.4, -0.3, 0.0, 0.2, -0.2, 0.1])
    y = rng.random(len(X)) < 1 / (1 + np.exp(1.0 - X @ w))
    return X, y.astype(np.int8)


def both(blocks, rules=RULES, tol=1e-11, alpha=1e-4, **options):
    region = compile_constraints(rules, [f"x{j}" for j in range(P)])
    start = warm_start(Survey(blocks), Ridge(alpha), region, **options)
    cold = solve(blocks, Ridge(alpha), region, tol=tol, **options)
    return start, cold, solve(blocks, Ridge(alpha), region, tol=tol, start=start, **options)


@pytest.mark.parametrize("convert", [sp.csr_matrix, np.asarray], ids=["csr", "dense"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_optimum_is_that_of_the_cold_start(rows, convert, fit_intercept):
    X, y = rows
    blocks = RowBlocks(convert(X), y, None, LOSS)
    start, cold, warm = both(blocks, fit_intercept=fit_intercept)
    assert start is not None
    assert warm.status == cold.status == "optimal"
    np.testing.assert_allclose(warm.coef, cold.coef, atol=1e-10)
    assert warm.intercept == pytest.approx(cold.intercept, abs=1e-10)
    assert warm.objective == pytest.approx(cold.objective, abs=1e-14)
    assert warm.active == cold.active
    assert warm.n_iter <= cold.n_iter
    assert warm.n_passes == warm.trace[-1].n_passes


def test_the_residual_is_in_the_units_of_all_rows(rows):
    X, y = rows
    blocks = RowBlocks(X, y, None, LOSS)
    region = compile_constraints(None, [f"x{j}" for j in range(P)])
    start = warm_start(Survey(blocks), Ridge(1e-4), region)
    step = solve(blocks, Ridge(1e-4), region, max_iter=1, start=start)
    eta = X @ step.coef + step.intercept
    q = 1 / (1 + np.exp(-eta))
    g = X.T @ (q - y) / len(y) + 1e-4 * step.coef - X.mean(axis=0) * (q - y).mean()
    expected = np.abs(g / np.sqrt(X.var(axis=0) + 4e-4)).max()
    assert step.kkt_residual == pytest.approx(max(expected, abs((q - y).mean())), rel=1e-3)


def test_weights_count_in_the_sample_too(rows):
    X, y = rows
    s = np.where(y, 3.0, 0.5)
    start, cold, warm = both(RowBlocks(X, y, s, LOSS))
    assert start is not None
    np.testing.assert_allclose(warm.coef, cold.coef, atol=1e-10)


def test_rows_that_are_sorted_by_outcome_are_sampled_from_both(rows):
    X, y = rows
    order = np.argsort(y, kind="stable")
    blocks = RowBlocks(X[order], y[order], None, LOSS)
    assert blocks.every(6).rarer_outcome() == pytest.approx(blocks.rarer_outcome() / 6, abs=1)
    start, cold, warm = both(blocks)
    assert start is not None
    np.testing.assert_allclose(warm.coef, cold.coef, atol=1e-10)


def test_a_sample_that_misleads_costs_passes_and_no_accuracy(rows):
    X, y = rows
    y = y.copy()
    y[::6] = 1 - y[::6]  # the sampled rows say the opposite
    start, cold, warm = both(RowBlocks(X, y, None, LOSS))
    assert start is not None
    np.testing.assert_allclose(warm.coef, cold.coef, atol=1e-10)


def test_there_is_no_warm_start_from_few_rows_or_from_one_outcome(rows):
    X, y = rows
    region = compile_constraints(None, [f"x{j}" for j in range(P)])
    assert (
        warm_start(Survey(RowBlocks(X[:5000], y[:5000], None, LOSS)), Ridge(1e-4), region) is None
    )
    rare = np.zeros_like(y)
    rare[1::1000] = 1
    assert warm_start(Survey(RowBlocks(X, rare, None, LOSS)), Ridge(1e-4), region) is None


def test_there_is_no_warm_start_from_a_sample_that_is_separated(rows):
    X, _ = rows
    separated = (X[:, 0] > 1.0).astype(np.int8)
    region = compile_constraints(None, [f"x{j}" for j in range(P)])
    start = warm_start(Survey(RowBlocks(X, separated, None, LOSS)), Ridge(0.0), region)
    assert start is None


class Counted:
    """A block sum that counts its passes."""

    def __init__(self, blocks):
        self.blocks, self.calls = blocks, []

    def __getattr__(self, name):
        if name in ("value", "slope", "evaluate"):
            self.calls.append(name)
        return getattr(self.blocks, name)


def test_from_a_sample_one_hessian_of_all_rows_is_enough(rows):
    X, y = rows
    blocks = Counted(RowBlocks(sp.csr_matrix(X), y, None, LOSS))
    region = compile_constraints(RULES, [f"x{j}" for j in range(P)])
    start = warm_start(Survey(blocks), Ridge(1e-4), region)
    found = solve(blocks, Ridge(1e-4), region, start=start)
    assert found.status == "optimal"
    assert blocks.calls == ["evaluate", *["slope"] * (found.n_passes - 2)]
    assert found.n_passes <= 5  # the moments and the first Hessian among them


def test_without_a_sample_the_last_pass_needs_no_hessian(rows):
    X, y = rows
    blocks = Counted(RowBlocks(X[:3000], y[:3000], None, LOSS))
    found = solve(blocks, Ridge(1e-4), compile_constraints(RULES, [f"x{j}" for j in range(P)]))
    assert found.status == "optimal"
    assert blocks.calls == [*["evaluate"] * (found.n_passes - 1), "slope"]


def test_where_the_sample_does_not_follow_every_step_is_a_newton_step(rows):
    X, y = rows
    y = y.copy()
    y[::6] = 1 - y[::6]
    region = compile_constraints(RULES, [f"x{j}" for j in range(P)])
    blocks = Counted(RowBlocks(X, y, None, LOSS))
    found = solve(
        blocks,
        Ridge(1e-4),
        region,
        start=warm_start(Survey(blocks), Ridge(1e-4), region),
        tol=1e-10,
    )
    assert found.status == "optimal"
    assert blocks.calls.count("evaluate") >= 3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("alpha", [0.0, 1e-6, 1e-3])
def test_almost_collinear_columns_cost_at_most_two_gradients_more(seed, alpha, monkeypatch):
    rng = np.random.default_rng(seed)
    X = rng.poisson(rng.gamma(0.7, 1.0, (60_000, 1)) * np.linspace(2, 0.01, P)).astype(float)
    X[:, 3] = X[:, 0] + (rng.random(len(X)) < 1e-3)
    X[:, 5] *= 1e4
    y = (rng.random(len(X)) < 1 / (1 + np.exp(1.0 - X[:, 0] + X[:, 1]))).astype(np.int8)
    blocks = RowBlocks(sp.csr_matrix(X), y, None, LOSS)
    _, _, found = both(blocks, rules=["x1 <= 0.1"], tol=1e-9, alpha=alpha)
    monkeypatch.setattr(problem, "MOST_DRIFT", 0.0)
    _, _, newton = both(blocks, rules=["x1 <= 0.1"], tol=1e-9, alpha=alpha)
    assert found.status == newton.status == "optimal"
    assert found.objective == pytest.approx(newton.objective, rel=1e-13)
    assert found.n_passes <= newton.n_passes + 2


@pytest.mark.parametrize("factor", [20.0, -20.0, 0.0])
def test_a_sample_that_expects_the_wrong_change_is_dropped(rows, factor):
    X, y = rows

    class Liar:
        def evaluate(self, w, c):
            found = blocks.evaluate(w, c)
            return found._replace(gradient=factor * found.gradient)

    blocks = RowBlocks(X[:5000], y[:5000], None, LOSS)
    region = compile_constraints(None, [f"x{j}" for j in range(P)])
    cold = solve(blocks, Ridge(1e-4), region, tol=1e-11)
    z = np.append(cold.coef, cold.intercept) + 0.01
    start = WarmStart(z, blocks.moments(), Liar())
    found = solve(blocks, Ridge(1e-4), region, tol=1e-11, start=start)
    assert found.status == "optimal"
    np.testing.assert_allclose(found.coef, cold.coef, atol=1e-10)
