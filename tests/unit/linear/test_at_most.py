"""At most k events: the choice, compared with every other one, and what is said about it."""

from itertools import combinations

import numpy as np
import pytest

from ces_ml.errors import InfeasibleConstraintsError
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.solver import support

RULES = [["* >= 0"], [], ["x0 >= x1"], ["sum(all) = 1"]]


def problem(seed, n=250):
    rng = np.random.default_rng(seed)
    p = int(rng.integers(4, 7))
    k = int(rng.integers(1, p))
    X = rng.poisson(rng.gamma(1, 1, p) + 0.2, (n, p)).astype(float)
    X[:, 0] = X[:, 1] + rng.poisson(0.3, n)  # almost the same column: the choice is hard
    y = (rng.random(n) < 1 / (1 + np.exp(1 - X @ rng.normal(0, 0.5, p)))).astype(int)
    parameters = {
        "alpha": 1e-3,
        "l1_ratio": [0.0, 0.5][seed % 2],
        "prior": [None, {"x0": 1, "x1": 2}][seed // 2 % 2],
    }
    return X, y, k, RULES[seed % 4], parameters


@pytest.mark.parametrize("seed", range(24))
def test_no_other_choice_of_events_is_better(seed):
    X, y, k, rules, parameters = problem(seed)
    kept = ["include x2"] if seed % 3 == 0 else []
    model = ConstrainedLogisticRegression(
        constraints=[*rules, f"at most {k} events", *kept], **parameters
    ).fit(X, y)
    result = model.solver_result_
    assert np.count_nonzero(model.coef_) <= k
    assert set(np.flatnonzero(model.coef_[0])) <= set(result.support)
    assert len(result.support) <= k
    assert 2 in result.support or not kept
    assert result.support_proved
    best = np.inf
    for chosen in combinations(range(X.shape[1]), k):
        others = [f"x{j}" for j in range(X.shape[1]) if j not in chosen]
        if kept and 2 not in chosen:
            continue
        try:
            other = ConstrainedLogisticRegression(
                constraints=[*rules, "exclude " + ", ".join(others)], **parameters
            ).fit(X, y)
        except InfeasibleConstraintsError:
            continue
        best = min(best, other.solver_result_.objective)
    assert result.objective <= best + 1e-8
    assert result.objective - best <= result.gap + 1e-12


def test_a_limit_on_a_group_leaves_the_others_free():
    X, y, *_ = problem(3)
    model = ConstrainedLogisticRegression(constraints="at most 1 of x0, x1, x2").fit(X, y)
    assert np.count_nonzero(model.coef_[0, :3]) == 1
    assert np.count_nonzero(model.coef_[0, 3:]) == X.shape[1] - 3
    assert "at most 1 of x0, x1, x2" in model.solver_result_.active
    assert model.solver_result_.max_violation == 0.0


def test_two_limits_hold_together():
    X, y, *_ = problem(5)
    rules = ["at most 1 of x0, x1, x2", "at most 2 events", "include x1"]
    model = ConstrainedLogisticRegression(constraints=rules).fit(X, y)
    assert np.count_nonzero(model.coef_[0, [0, 2]]) == 0
    assert np.count_nonzero(model.coef_) == 2


def test_a_limit_that_holds_anyway_changes_nothing():
    X, y, *_ = problem(2)
    free = ConstrainedLogisticRegression().fit(X, y)
    model = ConstrainedLogisticRegression(constraints=f"at most {X.shape[1]} events").fit(X, y)
    np.testing.assert_array_equal(model.coef_, free.coef_)
    assert model.solver_result_.gap == 0.0
    assert model.solver_result_.support_proved


def test_without_branch_and_bound_the_message_says_that_the_choice_is_not_proved(monkeypatch):
    X, y, k, *_ = problem(1)
    proved = ConstrainedLogisticRegression(constraints=f"at most {k} events").fit(X, y)
    monkeypatch.setattr(support, "MAX_NODES", -1)
    model = ConstrainedLogisticRegression(constraints=f"at most {k} events").fit(X, y)
    assert not model.solver_result_.support_proved
    assert "found by exchange; no other choice is lower by" in model.solver_result_.message
    assert "proved best on the quadratic model" in proved.solver_result_.message
    np.testing.assert_allclose(model.coef_, proved.coef_, atol=1e-8)


def test_include_alone_changes_nothing():
    X, y, *_ = problem(4)
    free = ConstrainedLogisticRegression().fit(X, y)
    model = ConstrainedLogisticRegression(constraints="include x0").fit(X, y)
    np.testing.assert_array_equal(model.coef_, free.coef_)
    assert model.solver_result_.support == ()


def test_rows_that_no_small_choice_obeys_are_an_error():
    X, y, *_ = problem(0)
    rules = ["sum(x0, x1) >= 1", "sum(x2, x3) >= 1", "at most 1 events"]
    with pytest.raises(InfeasibleConstraintsError, match="no choice of so few events") as caught:
        ConstrainedLogisticRegression(constraints=rules).fit(X, y)
    assert caught.value.got == "; ".join(f"`{rule}`" for rule in rules)


def test_on_many_rows_a_start_from_a_sample_gives_the_same_choice():
    rng = np.random.default_rng(8)
    X = rng.poisson(0.7, (60_000, 6)).astype(float)
    y = (rng.random(60_000) < 1 / (1 + np.exp(1 - X @ [0.5, 0.4, 0.3, 0.02, 0.0, -0.5]))).astype(
        int
    )
    model = ConstrainedLogisticRegression(constraints="at most 4 events").fit(X, y)
    assert model.solver_result_.support == (0, 1, 2, 5)
    same = ConstrainedLogisticRegression(constraints="exclude x3, x4").fit(X, y)
    np.testing.assert_allclose(model.coef_, same.coef_, atol=1e-7)


def test_many_correlated_events_are_chosen_within_the_limit():
    rng = np.random.default_rng(40)
    X = rng.poisson(rng.gamma(1, 1, 30) + 0.2, (1500, 30)).astype(float)
    X[:, :15] += X[:, 15:]
    y = (rng.random(1500) < 1 / (1 + np.exp(1 - X @ rng.normal(0, 0.2, 30)))).astype(int)
    model = ConstrainedLogisticRegression(constraints=["* >= -5", "at most 6 events"]).fit(X, y)
    result = model.solver_result_
    assert result.status == "optimal"
    assert np.count_nonzero(model.coef_) == len(result.support) == 6
    assert 0 < result.gap < 0.1
