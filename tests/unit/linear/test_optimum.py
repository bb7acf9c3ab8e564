"""The solver's answer is the optimum: by certificate, by a slow solver, by degenerate cases."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from ces_ml.linear import ConstrainedLogisticRegression, compile_constraints
from ces_ml.linear.kernels import RowBlocks
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.penalties import Ridge
from ces_ml.linear.solver import solve
from ces_ml.linear.solver.step import nearest_feasible

SEEDS = range(200)


@pytest.fixture(scope="module")
def normal():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(1500, 4))
    return Z, (rng.random(1500) < 1 / (1 + np.exp(-Z @ [1, 0.5, -0.5, 0.2]))).astype(int)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_slow_solver_finds_a_better_objective_and_every_rule_holds(seed, truth):
    problem = truth.random_problem(seed)
    model = problem.fit()
    result, region = model.solver_result_, model.constraints_
    assert result.status == "optimal"
    w, c = model.coef_[0], model.intercept_[0]
    found = truth.loss_parts(problem, w, c)[0]
    assert result.objective == pytest.approx(found, rel=1e-12)
    start = nearest_feasible(problem.scale, region)
    z = truth.slow_optimum(problem, region.lower, region.upper, region.A, region.b, start)
    slow = truth.loss_parts(problem, z[:-1], z[-1])[0]
    assert found == pytest.approx(slow, rel=1e-8)
    assert (w >= region.lower).all()
    assert (w <= region.upper).all()
    assert (region.A @ w <= region.b + 1e-9).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_certificate_proves_the_optimum_when_it_is_computed_again(seed, truth):
    problem = truth.random_problem(seed)
    model = problem.fit()
    result, region, w = model.solver_result_, model.constraints_, model.coef_[0]
    _, g, gc = truth.loss_parts(problem, w, model.intercept_[0])
    mu, lam = result.bound_multipliers, result.row_multipliers
    size = np.sqrt(np.abs(problem.X).max(axis=0) ** 2 + 4 * problem.alpha)
    assert np.abs((g + mu + region.A.T @ lam) / size).max() < 1e-7
    assert abs(gc) < 1e-7 or not problem.fit_intercept
    assert (lam >= 0).all()
    assert (lam * (region.b - region.A @ w) < 1e-8).all()
    # A multiplier belongs to a bound that is met exactly, on the side that its sign says.
    np.testing.assert_array_equal(w[mu > 0], region.upper[mu > 0])
    np.testing.assert_array_equal(w[mu < 0], region.lower[mu < 0])
    assert sum(result.multipliers.values()) == pytest.approx(np.abs(mu).sum() + lam.sum())
    assert set(result.multipliers) <= set(result.active)
    assert result.kkt_residual <= model.tol
    assert result.max_violation <= 1e-9


def test_weights_at_an_active_sign_are_exactly_zero(normal):
    X, y = normal
    model = ConstrainedLogisticRegression(constraints=["x2 >= 0", "x1 <= 0.1"]).fit(X, y)
    assert model.coef_[0, 2] == 0.0
    assert model.coef_[0, 1] == 0.1
    assert model.solver_result_.active == ("x1 <= 0.1", "x2 >= 0")
    assert all(model.solver_result_.multipliers[rule] > 0 for rule in ("x1 <= 0.1", "x2 >= 0"))


def test_a_multiplier_is_the_price_of_its_rule(normal):
    X, y = normal
    fits = [
        ConstrainedLogisticRegression(constraints=f"x3 >= x0 + {m}").fit(X, y)
        for m in (0.1, 0.1 + 1e-5)
    ]
    low, high = (fit.solver_result_ for fit in fits)
    rise = (high.objective - low.objective) / 1e-5
    assert rise == pytest.approx(low.multipliers["x3 >= x0 + 0.1"], rel=1e-3)


def test_the_trace_falls_and_ends_at_the_reported_residual(normal):
    result = ConstrainedLogisticRegression(constraints="* >= 0").fit(*normal).solver_result_
    objectives = [row.objective for row in result.trace]
    assert objectives == sorted(objectives, reverse=True)
    assert result.trace[-1].kkt_residual == result.kkt_residual
    assert result.trace[-1].n_passes == result.n_passes
    assert len(result.trace) == result.n_iter <= 10


@pytest.mark.parametrize("alpha", [0.0, 1e-4])
@pytest.mark.parametrize("rules", [None, "* >= 0"])
def test_columns_of_any_scale_converge_to_the_same_scores(normal, alpha, rules):
    X, y = normal
    scale = np.array([1e-8, 1.0, 1e8, 1e4])
    plain = ConstrainedLogisticRegression(0.0, constraints=rules).fit(X, y)
    scaled = ConstrainedLogisticRegression(alpha, constraints=rules).fit(X * scale, y)
    assert scaled.solver_result_.status == "optimal"
    if alpha == 0.0:
        np.testing.assert_allclose(scaled.coef_ * scale, plain.coef_, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("shift", [1e2, 1e6, 1e9])
def test_columns_far_from_zero_converge_to_the_same_weights(normal, shift):
    X, y = normal
    plain = ConstrainedLogisticRegression(constraints="x2 >= 0").fit(X, y)
    far = ConstrainedLogisticRegression(constraints="x2 >= 0").fit(X + shift, y)
    assert far.solver_result_.status == "optimal"
    np.testing.assert_allclose(far.coef_, plain.coef_, atol=1e-6)
    np.testing.assert_allclose(
        far.decision_function(X + shift), plain.decision_function(X), atol=1e-3
    )


@pytest.mark.parametrize("alpha", [0.0, 1e-4])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_constant_zero_and_duplicated_columns_converge(normal, alpha, fit_intercept):
    X, y = normal
    X = np.column_stack([X, X[:, 0], np.zeros(len(y)), np.full(len(y), 5.0)])
    rules = ["x0 >= x4 + 0.1", "x5 >= 0", "x1 >= 0"]
    model = ConstrainedLogisticRegression(alpha, constraints=rules, fit_intercept=fit_intercept)
    model.fit(X, y)
    assert model.solver_result_.status == "optimal"
    assert model.coef_[0, 5] == 0.0
    assert model.coef_[0, 0] - model.coef_[0, 4] == pytest.approx(0.1, abs=1e-9)


def test_all_zero_counts_leave_the_log_odds_of_the_outcome():
    y = np.repeat([0, 1], [30, 10])
    model = ConstrainedLogisticRegression(0.0, constraints="x0 >= 0").fit(np.zeros((40, 2)), y)
    np.testing.assert_array_equal(model.coef_, [[0.0, 0.0]])
    assert model.intercept_[0] == pytest.approx(np.log(10 / 30), abs=1e-8)


@pytest.mark.parametrize("noise", [1e-3, 1e-4, 1e-6])
def test_almost_collinear_columns_converge(normal, noise):
    X, y = normal
    X = np.column_stack([X, X[:, 0] + noise * np.random.default_rng(1).normal(size=len(y))])
    model = ConstrainedLogisticRegression(0.0, max_iter=30).fit(X, y)
    assert model.solver_result_.status == "optimal"


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_separated_outcomes_without_penalty_stop_with_a_status_that_says_so(normal, scale):
    X, _ = normal
    y = (X[:, 0] > 0).astype(int)
    with pytest.warns(ConvergenceWarning, match="separated by some of the counts"):
        model = ConstrainedLogisticRegression(0.0).fit(X * scale, y)
    assert model.solver_result_.status == "separable"
    assert model.n_iter_ < 40


def test_a_rare_count_that_only_the_good_have_is_reported_as_separation(normal):
    X, y = normal
    rare = np.zeros(len(y))
    rare[np.flatnonzero(y)[:3]] = 1.0
    with pytest.warns(ConvergenceWarning, match="weights grow without end"):
        ConstrainedLogisticRegression(0.0).fit(np.column_stack([X, rare]), y)


@pytest.mark.parametrize("rules", ["-5 <= * <= 5", "x0 <= 0"])
def test_rules_that_stop_the_growth_make_separated_outcomes_an_ordinary_problem(normal, rules):
    X, _ = normal
    model = ConstrainedLogisticRegression(0.0, constraints=rules).fit(X, (X[:, 0] > 0).astype(int))
    assert model.solver_result_.status == "optimal"
    assert model.coef_[0, 0] in (5.0, 0.0)


@pytest.mark.parametrize("good", [3, 1497])
def test_rare_outcomes_converge_in_few_steps(normal, good):
    X, _ = normal
    y = (np.arange(len(X)) < good).astype(int)
    model = ConstrainedLogisticRegression(constraints="x0 >= 0").fit(X, y)
    assert model.solver_result_.status == "optimal"
    assert model.n_iter_ <= 8


def test_a_chain_closed_to_a_ring_makes_equal_weights(normal):
    rules = ["x0 <= x1 <= x2", "x2 <= x0"]
    model = ConstrainedLogisticRegression(constraints=rules).fit(*normal)
    np.testing.assert_allclose(model.coef_[0, :3], model.coef_[0, 0], atol=1e-12)
    assert model.solver_result_.active == tuple(rules)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("alpha", [0.0, 1e-4])
def test_a_hundred_rules_that_depend_on_each_other_are_solved(seed, alpha):
    rng = np.random.default_rng(seed)
    X = rng.poisson(rng.gamma(2.0, 0.5, 40) + 0.1, size=(1500, 40)).astype(float)
    X[:, rng.choice(40, 5)] = X[:, rng.choice(40, 5)]
    y = rng.random(1500) < 1 / (1 + np.exp(-(X @ rng.normal(0, 0.3, 40))))
    rules = [f"x{j} >= 0" for j in range(0, 40, 2)]
    for _ in range(80):
        a, b = rng.choice(40, 2, replace=False)
        rules.append(f"x{a} >= {rng.choice([0.5, 1, 2])} * x{b} - {rng.choice([0.0, 0.1])}")
    model = ConstrainedLogisticRegression(alpha, constraints=rules).fit(X, y)
    assert model.solver_result_.status == "optimal"
    assert model.solver_result_.max_violation <= 1e-9


@pytest.mark.parametrize("seed", range(3, 100, 12))
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_orders_between_columns_of_very_different_units_are_solved(seed, l1_ratio):
    rng = np.random.default_rng(seed)
    X = rng.poisson(rng.gamma(2.0, 0.5, 40) + 0.1, size=(500, 40)) * 10.0 ** rng.integers(-3, 4, 40)
    y = rng.random(500) < 0.4
    rules = [f"x{j} >= 0" for j in range(0, 40, 2)]
    for _ in range(40):
        a, b = rng.choice(40, 2, replace=False)
        rules.append(f"x{a} >= {rng.choice([0.5, 1, 2])} * x{b} - {rng.choice([0.0, 0.1])}")
    model = ConstrainedLogisticRegression(1e-3, constraints=rules, l1_ratio=l1_ratio).fit(X, y)
    assert model.solver_result_.status == "optimal"
    assert model.solver_result_.max_violation <= 1e-9


def test_equations_that_follow_from_others_are_no_obstacle(normal):
    rules = ["sum(x0, x1) = 0.5", "x2 = 0.1", "sum(x0, x1, x2) = 0.6", "sum(x2) = 0.1"]
    model = ConstrainedLogisticRegression(constraints=rules).fit(*normal)
    result = model.solver_result_
    assert result.status == "optimal"
    assert model.coef_[0, :2].sum() == pytest.approx(0.5, abs=1e-12)
    assert set(result.active) == set(rules[:3])  # the last says the same as the second
    assert result.eq_multipliers.shape == (2,)
    only = ConstrainedLogisticRegression(constraints=rules[:2]).fit(*normal)
    np.testing.assert_allclose(model.coef_, only.coef_, atol=1e-8)


def test_the_multiplier_of_an_equation_is_the_price_of_its_right_hand_side(normal):
    fits = [
        ConstrainedLogisticRegression(constraints=f"sum(all) = {total}").fit(*normal)
        for total in (3.0, 3.0 + 1e-5)
    ]
    low, high = (fit.solver_result_ for fit in fits)
    assert low.eq_multipliers[0] < 0  # a greater total is worse
    rise = (high.objective - low.objective) / 1e-5
    assert rise == pytest.approx(-low.eq_multipliers[0], rel=1e-3)
    assert low.multipliers == {"sum(all) = 3.0": -low.eq_multipliers[0]}


def test_columns_of_zeros_follow_the_rules_that_tie_them_to_others(normal):
    X, y = normal
    X = np.column_stack([X, np.zeros((len(y), 2))])
    rules = ["x4 >= 1000 * x0", "x5 <= x1", "x5 >= 0"]
    model = ConstrainedLogisticRegression(0.0, constraints=rules).fit(X, y)
    free = ConstrainedLogisticRegression(0.0).fit(X, y)
    assert model.solver_result_.status == "optimal"
    assert model.solver_result_.objective == pytest.approx(free.solver_result_.objective, rel=1e-8)
    assert model.coef_[0, 4] >= 1000 * model.coef_[0, 0] - 1e-9


def test_a_limit_of_iterations_is_reported_with_its_numbers(normal):
    with pytest.warns(ConvergenceWarning, match=r"limit of iterations.*after 1 iterations; KKT"):
        model = ConstrainedLogisticRegression(max_iter=1).fit(*normal)
    assert model.solver_result_.status == "max_iter"
    assert model.solver_result_.kkt_residual > 1e-8


def test_an_unreachable_tolerance_stops_at_round_off(normal):
    with pytest.warns(ConvergenceWarning, match="float64 admits no further decrease"):
        model = ConstrainedLogisticRegression(tol=0.0).fit(*normal)
    assert model.solver_result_.status == "stalled"
    assert model.solver_result_.kkt_residual < 1e-12
    assert model.n_iter_ < 20


def _region(lower, upper):
    region = compile_constraints(None, ["a"])
    object.__setattr__(region, "lower", np.array([lower]))
    object.__setattr__(region, "upper", np.array([upper]))
    return region


def test_the_solver_reports_an_empty_region_and_does_not_raise():
    X, y = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 0.0])
    blocks = RowBlocks(X, y, np.ones(3), LogisticLoss())
    result = solve(blocks, Ridge(0.1), _region(1.0, 0.5))
    assert result.status == "infeasible"
    assert result.message == "no weights obey all constraints"
    assert result.n_iter == 0


def test_a_failure_of_the_quadratic_program_is_reported_and_does_not_raise(monkeypatch):
    X, y = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 0.0])
    monkeypatch.setattr("daqp.solve", lambda *args, **kwargs: (None, None, -4, {}))
    blocks = RowBlocks(X, y, np.ones(3), LogisticLoss())
    result = solve(blocks, Ridge(0.1), compile_constraints(None, ["a"]))
    assert result.status == "qp_failed"
    assert "has no answer: stopped after 0 iterations" in result.message
