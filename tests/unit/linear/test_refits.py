"""Fits that begin at a neighbour's optimum are the fits from scratch, at fewer passes."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from ces_ml.errors import SpecError
from ces_ml.linear import (
    ConstrainedLogisticRegression,
    choose_alpha,
    price_of_rules,
    regularization_path,
)
from ces_ml.linear.kernels import RowBlocks
from ces_ml.linear.refits import Refits

RULES = ["x0 >= x1", "x2 <= 0.1", "x3 >= 0"]


def draw(n, seed=3):
    rng = np.random.default_rng(seed)
    X = np.log1p(rng.poisson(rng.gamma(0.7, 1.0, (n, 1)) * np.linspace(3, 0.3, 6)))
    return X, (rng.random(n) < expit(X @ [0.4, 0.6, 0.5, -0.3, 0.1, 0.0] - 1)).astype(int)


@pytest.fixture
def passes(monkeypatch):
    """What is asked of all rows: a list of (method, rows)."""
    calls = []
    for name in ("value", "slope", "evaluate", "moments"):
        plain = getattr(RowBlocks, name)

        def counted(self, *args, plain=plain, name=name):
            calls.append((name, self.n_rows))
            return plain(self, *args)

        monkeypatch.setattr(RowBlocks, name, counted)
    return calls


def scratch(X, y, **parameters):
    return ConstrainedLogisticRegression(**parameters).fit(X, y)


def of_all(calls, n):
    return sum(rows == n for _, rows in calls)


@pytest.mark.parametrize("n", [2_000, 60_000])
def test_a_path_has_the_weights_of_fits_from_scratch_at_fewer_passes(n, passes):
    X, y = draw(n)
    options = {"constraints": RULES, "l1_ratio": 0.3, "tol": 1e-10}
    alphas = np.geomspace(0.1, 1e-4, 8)
    path = regularization_path(ConstrainedLogisticRegression(**options), X, y, alphas=alphas)
    warm = of_all(passes, n)
    passes.clear()
    for k, alpha in enumerate(path.alphas):
        fit = scratch(X, y, alpha=float(alpha), **options)
        np.testing.assert_allclose(path.coefs[k], fit.coef_[0], atol=1e-8)
        assert path.objectives[k] == pytest.approx(fit.solver_result_.objective, rel=1e-13)
    assert set(path.status) == {"optimal"}
    assert warm < of_all(passes, n)


def test_prices_are_those_of_fits_from_scratch_at_fewer_passes(passes):
    X, y = draw(3_000)
    model = scratch(X, y, constraints=RULES, tol=1e-10)
    passes.clear()
    prices = price_of_rules(model, X, y)
    warm = of_all(passes, len(y))
    passes.clear()
    for price in prices:
        rest = [rule for rule in RULES if rule != price.rule]
        without = scratch(X, y, constraints=rest, tol=1e-10).solver_result_
        change = without.objective - model.solver_result_.objective
        assert price.objective_change == pytest.approx(change, abs=1e-13)
    assert len(prices) == 3
    assert warm < of_all(passes, len(y))


def test_the_choice_of_alpha_makes_fewer_passes_than_fits_from_scratch(passes):
    X, y = draw(3_000)
    folds = [(np.arange(k), np.arange(k, 3_000)) for k in (1_000, 2_000)]
    alphas = np.geomspace(0.1, 1e-4, 6)
    model = ConstrainedLogisticRegression(constraints=RULES)
    options = {"groups": None, "times": None, "reach": None, "cv": folds, "alphas": alphas}
    choice = choose_alpha(model, X, y, **options)
    warm = len(passes)
    passes.clear()
    for k, (train, test) in enumerate(folds):
        for a, alpha in enumerate(choice.alphas):
            fit = scratch(X[train], y[train], alpha=float(alpha), constraints=RULES)
            eta = fit.decision_function(X[test])
            loss = np.logaddexp(0, (1 - 2 * y[test]) * eta).mean()
            assert choice.fold_losses[k, a] == pytest.approx(loss, rel=1e-9)
    assert warm < len(passes)


def test_a_sample_and_moments_are_taken_once_for_all_fits(passes):
    X, y = draw(60_000)
    prior = {"prior": {"x0": 1.0, "x1": 0.5}, "prior_strength": 0.1}
    refits = Refits(ConstrainedLogisticRegression(constraints=RULES, tol=1e-10), X, y)
    first = refits.fit()
    second = refits.fit(near=first, **prior)
    assert [rows for name, rows in passes if name == "moments"].count(60_000) == 1
    assert second.solver_result_.n_passes < first.solver_result_.n_passes + 1
    plain = scratch(X, y, constraints=RULES, tol=1e-10, **prior)
    np.testing.assert_allclose(second.coef_, plain.coef_, atol=1e-8)
    assert second.prior_scale_ == pytest.approx(plain.prior_scale_, abs=1e-8)


@pytest.mark.parametrize("rules", [RULES, ["at most 3 events", "sum(all) = 1"]])
def test_columns_that_lie_far_away_and_frames_begin_at_the_right_intercept(rules):
    X, y = draw(2_000)
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(6)])
    frame["x5"] += 1e6
    refits = Refits(ConstrainedLogisticRegression(1e-3, constraints=rules), frame, y)
    first = refits.fit()
    again = refits.fit(near=first)
    assert again.solver_result_.n_iter <= first.solver_result_.n_iter
    np.testing.assert_allclose(again.coef_, first.coef_, atol=1e-7)
    np.testing.assert_array_equal(again.predict(frame), first.predict(frame))
    assert list(again.feature_names_in_) == list(frame.columns)


def test_changed_parameters_are_checked():
    refits = Refits(ConstrainedLogisticRegression(), *draw(100))
    with pytest.raises(SpecError, match="alpha is out of its range"):
        refits.fit(alpha=-1.0)
