"""The model on many subsets of the weights: compared with the general quadratic program."""

from itertools import combinations

import numpy as np
import pytest

from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.constraints import compile_constraints
from ces_ml.linear.penalties import ElasticNet, Prior
from ces_ml.linear.solver import support
from ces_ml.linear.solver.drops import Drops
from ces_ml.linear.solver.lift import Kinks
from ces_ml.linear.solver.step import LEAST_STEP_RIDGE, STEP_RIDGE, Centred, model_minimiser
from ces_ml.linear.solver.subsets import Subsets

P = 7
ROWS = [["x0 >= x1"], ["* >= 0", "x2 >= 2 * x3"], ["-1 <= x0 <= 2"], ["sum(all) = 1"]]
SIGNS = [[], ["* >= 0"], ["* <= 0"], ["x0 >= 0", "x1 <= 0", "x4 >= 0"], ["x2 = 0", "x3 >= 0"]]


def model_with(signs, seed, lasso=0.0):
    """Return a random model, taken at weights that obey the signs."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, P)) * 10.0 ** rng.integers(-3, 3, P)
    X[:, 6] = X[:, 5] * (1.0 if seed % 2 else 2.0)  # a copy, in other units
    hessian = X.T @ X / 40.0
    scale = np.sqrt(hessian.diagonal())
    region = compile_constraints(signs, [f"x{j}" for j in range(P)])
    w = np.clip(rng.normal(size=P) / scale, region.lower, region.upper)
    gradient = X.T @ rng.normal(size=40) / 40.0 + 1e-9 * scale
    kinks = Kinks(np.full(P, lasso) * scale, None)
    return Centred(gradient, hessian, scale, np.zeros(P)), w, region, kinks


def cost(model, w, kinks, target):
    d = target - w
    change = model.gradient @ d + 0.5 * d @ model.hessian @ d
    return float(change) + kinks.change(w, target)


@pytest.mark.parametrize("signs", SIGNS, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_a_subset_has_the_minimum_of_the_quadratic_program(signs, seed):
    lasso = 0.1 if signs == ["* >= 0"] else 0.0
    model, w, region, kinks = model_with(signs, seed, lasso)
    assert Subsets.can_do(region, kinks)
    subsets = Subsets(model, w, region, kinks)
    for zeros in [(), (0,), (1, 2), (5,), (0, 3, 4, 6), tuple(range(P))]:
        part = region.with_zeros(zeros)
        found = subsets.minimum(zeros)
        same = model_minimiser(model, w, part, kinks, LEAST_STEP_RIDGE)
        assert (found >= part.lower).all()
        assert (found <= part.upper).all()
        assert not found[list(zeros)].any()
        assert cost(model, w, kinks, found) <= cost(model, w, kinks, same) + 1e-9


@pytest.mark.parametrize("rules", [*SIGNS, *ROWS], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_no_choice_costs_less_than_the_bound_on_its_members(rules, seed):
    model, w, region, kinks = model_with(rules, seed)
    drops = Drops(model, w, region)
    useful = 0

    def minimum(zeros):
        part = region.with_zeros(zeros)
        if (part.lower > part.upper).any():
            return None
        return model_minimiser(model, w, part, kinks, STEP_RIDGE)

    for zeros in [(), (1,), (2, 4)]:
        start = minimum(zeros)
        if start is None:
            continue
        value = cost(model, w, kinks, start)
        least = value + drops.least_increase(zeros, start, STEP_RIDGE)
        useful += np.count_nonzero(least > value + 1e-6)
        others = [j for j in range(P) if j not in zeros]
        for more in [*combinations(others, 1), *combinations(others, 2)]:
            other = minimum({*zeros, *more})
            if other is not None:
                reached = cost(model, w, kinks, other)
                assert reached >= least[list(more)].max() - 1e-11
                if not rules and len(more) == 1:
                    assert reached == pytest.approx(least[more[0]], abs=1e-5)
    assert useful


def test_a_column_without_variation_has_no_bound():
    model, w, region, _ = model_with([], 0)
    model.hessian[3], model.hessian[:, 3] = 0.0, 0.0
    least = Drops(model, w, region).least_increase((), w, STEP_RIDGE)
    assert w[3] != 0.0
    assert least[3] == 0.0
    assert least[0] > 0.0
    rows = compile_constraints(["x3 >= x0"], [f"x{j}" for j in range(P)])
    assert not Drops(model, w, rows).least_increase((), w, STEP_RIDGE).any()


@pytest.mark.parametrize(
    ("rules", "penalty"),
    [
        (["x0 >= x1"], ElasticNet(1e-3)),
        (["sum(all) = 1"], ElasticNet(1e-3)),
        (["0 <= x0 <= 2"], ElasticNet(1e-3)),
        (["x0 >= 0.5"], ElasticNet(1e-3)),
        ([], ElasticNet(1e-3, 0.5)),
        (["x0 >= 0"], ElasticNet(1e-3, 0.5)),
        (["* >= 0"], Prior(0.1, np.arange(1.0, P + 1))),
    ],
    ids=str,
)
def test_other_rules_and_penalties_are_left_to_the_quadratic_program(rules, penalty):
    region = compile_constraints(rules, [f"x{j}" for j in range(P)])
    assert not Subsets.can_do(region, Kinks(penalty.slopes(P), penalty.ray()))


@pytest.mark.parametrize("rules", [[], ["* >= 0"], ["x0 >= 0", "x3 <= 0"]], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_the_search_finds_what_it_finds_with_quadratic_programs(rules, seed, monkeypatch):
    rng = np.random.default_rng(seed)
    X = rng.poisson(rng.gamma(1.0, 1.0, 12) + 0.3, (600, 12)).astype(float)
    X[:, :5] += X[:, 5:10]
    X[:, 11] = X[:, 2]  # a copy: two choices are equally good
    y = rng.random(600) < 1.0 / (1.0 + np.exp(1.0 - X @ rng.normal(0.0, 0.3, 12)))
    found = {}
    for fast in (True, False):
        if not fast:
            monkeypatch.setattr(support.Subsets, "can_do", staticmethod(lambda *_: False))
            monkeypatch.setattr(support.Drops, "least_increase", lambda *_: np.zeros(12))
        model = ConstrainedLogisticRegression(1e-4, constraints=[*rules, "at most 4 events"])
        found[fast] = model.fit(X, y).solver_result_
    assert found[True].support_proved
    assert found[False].support_proved
    assert found[True].status == "optimal"
    assert found[True].objective == pytest.approx(found[False].objective, abs=1e-9)
    assert found[True].gap == pytest.approx(found[False].gap, abs=1e-9)
