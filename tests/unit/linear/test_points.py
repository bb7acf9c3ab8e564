"""Integer points: against the whole lattice, under rules, at the edges of what can be asked."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from ces_ml.errors import InfeasibleConstraintsError, SpecError
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.points import to_points

SEEDS = range(18)


def small_problem(seed):
    """Return rows, rules with margins, factors, bounds and fixed weights, and the fit."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(50, 110)), 2 + seed % 3
    X = rng.poisson(rng.gamma(1.0, 1.5, p), size=(n, p)).astype(float)
    X = np.log1p(X) if seed % 2 else X
    eta = np.clip(X @ rng.normal(0, 0.7, p), -3, 3)
    y = (rng.random(n) < expit(eta - eta.mean())).astype(int)
    y[:2] = 0, 1
    s = rng.choice([0.5, 1.0, 2.0], n) if seed % 3 == 0 else np.ones(n)
    kinds = ["x0 >= 0", "x1 <= 0", "x0 >= 2 * x1", "x1 >= x0 + 0.1", "0.1 <= x0 <= 0.6"]
    kinds += ["sum(x0, x1) = 0.5", "sum(all) = 1", "0.2 <= sum(all) <= 0.4"]
    kinds += ["x0 = 0.3", "x1 >= 0.5 * x0 - 0.2", "-0.5 <= x1 <= 0.2", "x0 >= x1"]
    picked = rng.choice(len(kinds), size=int(rng.integers(0, 3)), replace=False)
    rules = [kinds[k] for k in picked]
    model = ConstrainedLogisticRegression(1e-3, constraints=rules, fit_intercept=seed % 5 != 0)
    try:
        return SimpleNamespace(X=X, y=y, s=s, model=model.fit(X, y, s), rules=rules)
    except InfeasibleConstraintsError:
        return small_problem(seed + 1000)


def rows_of(region):
    p = len(region.lower)
    rows = [(np.eye(p)[j], region.upper[j]) for j in range(p) if np.isfinite(region.upper[j])]
    rows += [(-np.eye(p)[j], -region.lower[j]) for j in range(p) if np.isfinite(region.lower[j])]
    rows += list(zip(region.A, region.b, strict=True))
    for a, b in zip(getattr(region, "A_eq", []), getattr(region, "b_eq", []), strict=True):
        rows += [(a, b), (-a, -b)]
    return rows


def allowed_scales(m, region):
    low, high = 0.0, np.inf
    for a, b in rows_of(region):
        left = float(a @ m)
        if abs(left) < 1e-13:
            if b < 0:
                return None
        elif left > 0:
            high = min(high, b / left)
        else:
            low = max(low, b / left)
    return (low, high) if high > 0 and low <= high * (1 + 1e-12) else None


def least_losses(M, scales, problem):
    """Return the least loss of each row of points over scale and intercept: Newton, all at once."""
    T, y, s = problem.X @ M.T, problem.y[:, None], problem.s[:, None] / problem.s.sum()
    unit = np.where(T.std(axis=0) > 0, T.std(axis=0), 1.0)
    T, intercept = T / unit, problem.model.fit_intercept

    def loss(scale, c):
        return (s * np.logaddexp(0, (1 - 2 * y) * (scale * T + c))).sum(axis=0)

    def minimise(scale, c, free):
        for _ in range(60):
            q = expit(scale * T + c)
            r, d = s * (q - y), s * q * (1 - q)
            g0, g1 = (r * T).sum(axis=0), r.sum(axis=0)
            h00, h01, h11 = (d * T * T).sum(axis=0), (d * T).sum(axis=0), d.sum(axis=0)
            own = h00 - (h01**2 / h11 if intercept else 0.0)
            slope = g0 - (h01 * g1 / h11 if intercept else 0.0)
            d0 = np.where(free & (own > 1e-12), -slope / np.maximum(own, 1e-12), 0.0)
            d1 = -(g1 + h01 * d0) / h11 if intercept else 0.0 * g1
            step, before = np.ones(len(M)), loss(scale, c)
            for _ in range(30):
                after = loss(scale + step * d0, c + step * d1)
                worse = after > before
                if not worse.any():
                    break
                step[worse] *= 0.5
            scale, c = scale + step * d0 * ~worse, c + step * d1 * ~worse
            if (before - after).max() < 1e-14:
                break
        return scale, c

    zero = np.zeros(len(M))
    scale, c = minimise(zero, zero, np.ones(len(M), bool))
    held = np.clip(scale, scales[:, 0] * unit, scales[:, 1] * unit)
    held, c = minimise(held, c, np.zeros(len(M), bool))
    return np.where((held > 0) | ~M.any(axis=1), loss(held, c), np.inf)


def best_of_the_lattice(problem, low, high, allowed=lambda m: True):
    p = problem.X.shape[1]
    lattice = itertools.product(range(low, high + 1), repeat=p)
    M = np.array([m for m in lattice if math.gcd(*m) <= 1 and allowed(m)])
    scales = [allowed_scales(m, problem.model.constraints_) for m in M]
    keep = [k for k, interval in enumerate(scales) if interval is not None]
    if not keep:
        return np.inf
    return least_losses(M[keep], np.array([scales[k] for k in keep]), problem).min()


def assert_obeys(card, region):
    w = np.array([card.scale * card.points[name] for name in region.feature_names])
    for a, b in rows_of(region):
        assert a @ w <= b + 1e-12 * max(1.0, np.abs(a * w).max())
    assert card.max_violation <= 1e-12
    assert card.scale > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_no_points_of_the_whole_lattice_are_better(seed):
    problem = small_problem(seed)
    best = best_of_the_lattice(problem, -3, 3)
    if best == np.inf:
        with pytest.raises(InfeasibleConstraintsError, match="no points from -3 to 3"):
            to_points(problem.model, problem.X, problem.y, problem.s, low=-3, high=3)
        return
    card = to_points(problem.model, problem.X, problem.y, problem.s, low=-3, high=3)
    assert card.loss == pytest.approx(best, abs=1e-9)
    assert card.neighbour_gap >= 0
    assert_obeys(card, problem.model.constraints_)


@pytest.mark.parametrize("seed", SEEDS)
def test_points_are_never_worse_than_scale_and_round_at_any_multiplier(seed):
    problem = small_problem(seed)
    try:
        card = to_points(problem.model, problem.X, problem.y, problem.s)
    except InfeasibleConstraintsError:
        return
    w = problem.model.coef_[0]
    multipliers = np.geomspace(0.3, 30, 60) / max(np.abs(w).max(), 1e-9)
    M = np.unique(np.clip(np.rint(multipliers[:, None] * w), -5, 10).astype(int), axis=0)
    scales = [allowed_scales(m, problem.model.constraints_) for m in M]
    keep = [k for k, interval in enumerate(scales) if interval is not None]
    if keep:
        rounded = least_losses(M[keep], np.array([scales[k] for k in keep]), problem)
        assert card.loss <= rounded.min() + 1e-12
    assert card.loss <= card.rounded_loss
    assert_obeys(card, problem.model.constraints_)
    assert all(-5 <= value <= 10 for value in card.points.values())


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_the_reported_loss_is_that_of_the_rows(seed):
    problem = small_problem(seed)
    try:
        card = to_points(problem.model, problem.X, problem.y, problem.s)
    except InfeasibleConstraintsError:
        return
    y, s = problem.y, problem.s / problem.s.sum()
    eta = card.scale * (problem.X @ list(card.points.values())) + card.intercept
    assert card.loss == pytest.approx(s @ np.logaddexp(0, (1 - 2 * y) * eta), rel=1e-12)
    fitted = s @ np.logaddexp(0, (1 - 2 * y) * problem.model.decision_function(problem.X))
    assert card.loss_given_up == pytest.approx(card.loss - fitted, abs=1e-15)
    assert list(card.weights.values()) == [card.scale * m for m in card.points.values()]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(-6, 0), st.integers(1, 8))
def test_any_small_problem_gets_points_in_the_range_that_obey_the_rules(seed, low, high):
    problem = small_problem(seed)
    args = (problem.model, problem.X, problem.y, problem.s)
    try:
        card = to_points(*args, low=low, high=high)
    except InfeasibleConstraintsError:
        assert problem.rules
        return
    assert all(low <= value <= high for value in card.points.values())
    assert math.gcd(*card.points.values()) <= 1
    assert_obeys(card, problem.model.constraints_)
    assert card.loss <= card.rounded_loss
    assert to_points(*args, low=low, high=high) == card


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(3)
    X = rng.poisson(1.2, size=(500, 6)).astype(float)
    return X, (rng.random(500) < expit(X @ [0.7, 0.35, -0.4, 0.1, 0.5, 0.0] - 1)).astype(int)


def test_sparse_rows_and_data_frames_give_the_same_points(counts):
    X, y = counts
    names = [f"x{j}" for j in range(6)]
    model = ConstrainedLogisticRegression(constraints="x0 >= 2 * x1")
    plain = to_points(model.fit(X, y), X, y)
    frame = pd.DataFrame(X, columns=names)
    for rows in (sp.csr_array(X), frame):
        card = to_points(model.fit(rows, y), rows, y)
        assert card.points == plain.points
        assert card.loss == pytest.approx(plain.loss, rel=1e-12)
    labels = np.array(["lost", "won"])[y]
    assert to_points(model.fit(frame, labels), frame, labels).points == plain.points


def test_a_weight_of_two_is_the_row_twice(counts):
    X, y = counts
    twice = np.random.default_rng(0).integers(1, 4, len(y))
    model = ConstrainedLogisticRegression(constraints="* <= 0.4").fit(X, y, twice)
    card = to_points(model, X, y, twice)
    again = to_points(model, np.repeat(X, twice, axis=0), np.repeat(y, twice))
    assert card.points == again.points
    assert card.loss == pytest.approx(again.loss, rel=1e-12)


def test_rounding_that_breaks_a_factor_is_repaired(counts):
    X, y = counts
    rules = ["x0 >= 1.5 * x4", "x4 >= 1.5 * x1", "* >= 0"]
    model = ConstrainedLogisticRegression(constraints=rules).fit(X, y)
    card = to_points(model, X, y)
    assert_obeys(card, model.constraints_)
    assert card.points["x0"] > card.points["x1"] > 0
    assert card.loss_given_up < 1e-3


def test_bounds_limit_the_points_times_the_scale(counts):
    X, y = counts
    model = ConstrainedLogisticRegression(constraints=["x0 <= 0.2", "x2 = -0.3"]).fit(X, y)
    card = to_points(model, X, y)
    assert card.weights["x0"] <= 0.2 * (1 + 1e-12)
    assert card.weights["x2"] == pytest.approx(-0.3, rel=1e-12)


def at_most_three_hold(w):
    return np.count_nonzero(w) <= 3


@pytest.mark.parametrize(
    ("rules", "holds"),
    [
        (["* >= 0", "x0 <= 30%"], lambda w: w[0] <= 0.3 * w.sum() + 1e-12),
        (["sum(all) = 1"], lambda w: w.sum() == pytest.approx(1, rel=1e-12)),
        (["* >= 0", "sum(x0, x1) <= 30%"], lambda w: w[0] + w[1] <= 0.3 * w.sum() + 1e-12),
        (["exclude x1, x4"], lambda w: w[1] == w[4] == 0),
        (["at most 3 events"], at_most_three_hold),
        (["at most 3 events", "x0 <= 0.2"], lambda w: at_most_three_hold(w) and w[0] <= 0.2),
        (["sum(x0, x1) = 0.5", "x2 = -0.3"], lambda w: w[0] + w[1] == pytest.approx(0.5)),
    ],
)
def test_every_kind_of_rule_holds_for_the_points(counts, rules, holds):
    X, y = counts
    model = ConstrainedLogisticRegression(constraints=rules).fit(X, y)
    card = to_points(model, X, y)
    assert holds(np.array(list(card.weights.values())))
    assert_obeys(card, model.constraints_)
    assert -1e-9 < card.loss_given_up < 2e-3


def alike_columns(seed):
    """Return counts of one hidden activity, which may stand in for each other."""
    rng = np.random.default_rng(seed)
    activity = rng.gamma(1.0, 1.0, 200)
    X = np.log1p(rng.poisson(activity[:, None] * rng.uniform(0.3, 3.0, 6)))
    y = (rng.random(200) < expit(X @ rng.normal(0.2, 0.6, 6) - 0.5)).astype(int)
    return X, y


@pytest.mark.parametrize("seed", [0, 1, 5, 16, 22, 33, 39])
@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        (["at most 2 events"], lambda m: np.count_nonzero(m) <= 2),
        (["at most 2 events", "include x4"], lambda m: np.count_nonzero(np.delete(m, 4)) <= 1),
        (["at most 1 of x0, x1, x2", "x3 >= x4"], lambda m: np.count_nonzero(m[:3]) <= 1),
    ],
)
def test_under_a_limit_no_points_of_any_choice_of_features_are_better(seed, rules, allowed):
    X, y = alike_columns(seed)
    model = ConstrainedLogisticRegression(constraints=rules).fit(X, y)
    problem = SimpleNamespace(X=X, y=y, s=np.ones(len(y)), model=model)
    card = to_points(model, X, y, low=-1, high=1)
    assert allowed(list(card.points.values()))
    assert card.loss == pytest.approx(best_of_the_lattice(problem, -1, 1, allowed), abs=1e-9)


def test_points_may_choose_other_features_than_the_weights_did():
    X, y = alike_columns(5)
    model = ConstrainedLogisticRegression(constraints="at most 2 events").fit(X, y)
    points = np.array(list(to_points(model, X, y, low=-1, high=1).points.values()))
    assert points[model.coef_[0] == 0].any()


def test_features_that_lasso_left_out_get_no_points(counts):
    X, y = counts
    model = ConstrainedLogisticRegression(0.05, l1_ratio=0.5).fit(X, y)
    card = to_points(model, X, y)
    left_out = model.coef_[0] == 0
    assert left_out.any()
    assert not np.array(list(card.points.values()))[left_out].any()
    assert card.loss_given_up < 0  # points are not shrunk


def test_weights_that_are_all_zero_get_no_points(counts):
    X, y = counts
    model = ConstrainedLogisticRegression(constraints="* = 0").fit(X, y)
    card = to_points(model, X, y)
    assert set(card.points.values()) == {0}
    assert card.scale == 1.0
    assert card.intercept == pytest.approx(np.log(y.mean() / (1 - y.mean())))
    assert card.neighbour_gap == np.inf
    assert card.loss_given_up == pytest.approx(0.0, abs=1e-12)


def test_a_range_that_ends_at_zero_gives_no_negative_points(counts):
    X, y = counts
    card = to_points(ConstrainedLogisticRegression().fit(X, y), X, y, low=0, high=3)
    assert min(card.points.values()) == 0
    assert card.points["x2"] == 0
    assert max(card.points.values()) > 0


def test_columns_without_variation_and_outcomes_that_counts_separate_are_no_obstacle():
    X = np.column_stack([np.arange(20.0), np.zeros(20), np.full(20, 3.0)])
    y = (X[:, 0] >= 10).astype(int)
    card = to_points(ConstrainedLogisticRegression(1e-3).fit(X, y), X, y)
    assert card.points == {"x0": 1, "x1": 0, "x2": 0}
    assert card.loss < 1e-3


def test_columns_of_any_scale_get_points_of_the_range(counts):
    X, y = counts
    model = ConstrainedLogisticRegression(0.0).fit(X * [1, 1, 1, 1, 1, 1e-4], y)
    card = to_points(model, X * [1, 1, 1, 1, 1, 1e-4], y)
    assert card.loss_given_up < 0.005
    assert card.loss <= card.rounded_loss


@pytest.mark.parametrize(
    ("low", "high"), [(3, 3), (4, 2), (1, 5), (-5, -1), (0, 0), (-1.5, 2), (True, 4), ("a", 2)]
)
def test_a_range_that_is_none_around_zero_is_refused(counts, low, high):
    X, y = counts
    model = ConstrainedLogisticRegression().fit(X, y)
    with pytest.raises(SpecError, match=r"not a range around 0\n  got: .*\n  allowed: .*\n  next:"):
        to_points(model, X, y, low=low, high=high)


def test_rules_that_no_points_of_the_range_obey_are_named(counts):
    X, y = counts
    model = ConstrainedLogisticRegression(constraints=["x0 = 0.5", "x1 = 0.1"]).fit(X, y)
    message = r"no points from -4 to 4 obey(.|\n)*`x0 = 0.5`; `x1 = 0.1`(.|\n)*high=8"
    with pytest.raises(InfeasibleConstraintsError, match=message):
        to_points(model, X, y, low=-4, high=4)
    assert to_points(model, X, y, low=-4, high=5).points["x0"] == 5


@pytest.mark.parametrize(
    ("outcomes", "weights", "message"),
    [
        (lambda y: y[:-1], None, "outcomes and rows differ in number"),
        (lambda y: y + 1, None, "an outcome is none of the labels"),
        (lambda y: y, -1.0, "sample_weight does not weigh the rows"),
    ],
)
def test_rows_that_do_not_fit_the_model_are_refused(counts, outcomes, weights, message):
    X, y = counts
    model = ConstrainedLogisticRegression().fit(X, y)
    with pytest.raises(SpecError, match=message):
        to_points(model, X, outcomes(y), weights)
