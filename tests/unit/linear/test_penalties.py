"""Lasso, elastic net and hand-set priors: by formula, by scikit-learn, and by what they promise."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.penalties import ElasticNet, Penalties, Prior, Ridge

NAN = np.nan
PENALTIES = {
    "ridge": Ridge(0.7),
    "elastic net": ElasticNet(0.7, 0.3),
    "lasso": ElasticNet(0.7, 1.0),
    "prior": Prior(0.4, np.array([1.0, NAN, -2.0, 0.0])),
    "prior of zeros": Prior(0.4, np.array([0.0, NAN, 0.0, NAN])),
    "sum": Penalties((ElasticNet(0.7, 0.3), Prior(0.4, np.array([1.0, NAN, -2.0, 0.0])))),
}
POINTS = [[0.3, -2.0, 0.4, 1.0], [-0.3, 0.5, 1.4, -1.0], [2.0, 1.0, -3.0, 0.1]]


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(5)
    X = rng.poisson(1.5, size=(500, 6)).astype(float)
    y = rng.random(500) < 1 / (1 + np.exp(1.5 - X @ [0.8, -0.3, 0.4, 0.0, 0.02, 0.3]))
    return X, y.astype(int)


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("w", POINTS)
def test_the_derivatives_are_the_finite_differences_of_the_value(name, w):
    penalty, w, h = PENALTIES[name], np.array(w), 1e-6
    slopes = penalty.slopes(4)
    for j in range(4):
        e = np.eye(4)[j] * h
        slope = (penalty.value(w + e) - penalty.value(w - e)) / (2 * h)
        assert slope == pytest.approx(penalty.gradient(w)[j] + slopes[j] * np.sign(w[j]), abs=1e-8)


@pytest.mark.parametrize("name", ["prior", "sum"])
def test_the_curvature_is_that_of_a_fixed_scale_and_the_ray_has_the_rest(name):
    penalty, w = PENALTIES[name], np.array(POINTS[2])
    ray = penalty.ray()
    assert ray.scale(w) > 0
    a = ray.direction
    expected = np.diag(penalty.curvature(w)) - ray.strength * np.outer(a, a) / (a @ a)
    for j in range(4):
        e = np.eye(4)[j] * 1e-6
        column = (penalty.gradient(w + e) - penalty.gradient(w - e)) / 2e-6
        np.testing.assert_allclose(column, expected[j], atol=1e-8)


def test_penalties_without_a_prior_have_no_ray():
    for name in ("ridge", "elastic net", "lasso", "prior of zeros"):
        assert PENALTIES[name].ray() is None
    assert Prior(0.0, np.ones(2)).ray() is None


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("alpha", [1e-3, 2e-2])
@pytest.mark.parametrize("rules", [None, ["* >= -90", "sum(all) <= 500"]])
def test_with_slack_rules_it_equals_the_elastic_net_of_scikit_learn(counts, l1_ratio, alpha, rules):
    X, y = counts
    model = ConstrainedLogisticRegression(alpha, constraints=rules, l1_ratio=l1_ratio).fit(X, y)
    peer = LogisticRegression(
        C=1 / (alpha * len(y)), l1_ratio=l1_ratio, solver="saga", tol=1e-10, max_iter=20_000
    )
    if LogisticRegression().penalty == "l2":
        peer.set_params(penalty="elasticnet")
    peer.fit(X, y)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-5)
    np.testing.assert_allclose(model.intercept_, peer.intercept_, atol=1e-5)


def test_the_lasso_makes_weights_exactly_zero_and_more_of_them_as_it_grows(counts):
    zeros = [
        (ConstrainedLogisticRegression(alpha, l1_ratio=1.0).fit(*counts).coef_ == 0).sum()
        for alpha in (1e-3, 2e-2, 1e-1, 10.0)
    ]
    assert zeros == sorted(zeros)
    assert zeros[0] < zeros[1] < zeros[-1] == 6


def test_a_kink_takes_the_price_of_a_sign_rule_that_it_makes_needless(counts):
    X, y = counts
    free = ConstrainedLogisticRegression(5e-2, l1_ratio=1.0).fit(X, y)
    zero = np.flatnonzero(free.coef_[0] == 0)
    assert len(zero)
    model = ConstrainedLogisticRegression(
        5e-2, l1_ratio=1.0, constraints=[f"x{j} >= 0" for j in zero]
    ).fit(X, y)
    np.testing.assert_allclose(model.coef_, free.coef_, atol=1e-8)
    assert model.solver_result_.multipliers == {}


def test_a_strong_prior_gives_its_proportions_at_the_best_scale(counts):
    X, y = counts
    w0 = {"x0": 4.0, "x1": -1.0, "x2": 2.0}
    model = ConstrainedLogisticRegression(0.0, prior=w0, prior_strength=1e4).fit(X, y)
    w = model.coef_[0]
    np.testing.assert_allclose(w[:3] / model.prior_scale_, [4, -1, 2], rtol=1e-3)
    score = X[:, :3] @ [4.0, -1.0, 2.0]
    by_hand = ConstrainedLogisticRegression(0.0).fit(np.column_stack([score, X[:, 3:]]), y)
    assert model.prior_scale_ == pytest.approx(by_hand.coef_[0, 0], rel=1e-3)
    np.testing.assert_allclose(w[3:], by_hand.coef_[0, 1:], atol=1e-3)


def test_the_size_of_the_prior_does_not_matter_and_a_wrong_one_is_scaled_to_zero(counts):
    X, y = counts
    small, large = (
        ConstrainedLogisticRegression(prior={"x0": a, "x2": 2 * a}, prior_strength=0.1).fit(X, y)
        for a in (1e-3, 1e3)
    )
    np.testing.assert_allclose(small.coef_, large.coef_, atol=1e-7)
    assert small.prior_scale_ == pytest.approx(1e6 * large.prior_scale_, rel=1e-5)
    wrong = ConstrainedLogisticRegression(prior={"x0": -1.0, "x2": -1}, prior_strength=0.1)
    zero = ConstrainedLogisticRegression(prior={"x0": 0.0, "x2": 0}, prior_strength=0.1)
    np.testing.assert_allclose(wrong.fit(X, y).coef_, zero.fit(X, y).coef_, atol=1e-8)
    assert wrong.prior_scale_ == zero.prior_scale_ == 0.0
    assert wrong.set_params(prior=None).fit(X, y).prior_scale_ is None


def test_features_that_the_prior_does_not_name_are_left_alone(counts):
    X, y = counts
    rest = ["x1", "x2", "x3", "x4", "x5"]
    alone = ConstrainedLogisticRegression(0.0, prior={"x0": 1.0}, prior_strength=1e3).fit(X, y)
    free = ConstrainedLogisticRegression(0.0).fit(X, y)
    # One named weight is always on its own half-line, so it costs nothing.
    np.testing.assert_allclose(alone.coef_, free.coef_, atol=1e-7)
    drawn = ConstrainedLogisticRegression(
        0.0, prior=dict.fromkeys(rest, 0.0), prior_strength=1e3
    ).fit(X, y)
    assert np.abs(drawn.coef_[0, 1:]).max() < 1e-3 < drawn.coef_[0, 0]


@pytest.mark.parametrize("seed", range(8))
def test_a_weight_of_two_is_the_row_twice_with_every_penalty(counts, seed):
    X, y = counts
    twice = np.random.default_rng(seed).integers(0, 3, len(y))
    rules = ["* >= -1", "sum(x0, x1) = 0.5"] if seed % 2 else ["* >= 0", "x0 <= 40%"]
    make = lambda: ConstrainedLogisticRegression(  # noqa: E731
        1e-2, constraints=rules, l1_ratio=0.5, prior={"x2": 1, "x5": 2}, tol=1e-11
    )
    weighted = make().fit(X, y, twice)
    repeated = make().fit(np.repeat(X, twice, axis=0), np.repeat(y, twice))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-8)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_all_zero_constant_and_duplicated_columns_converge_with_the_lasso(counts, l1_ratio):
    X, y = counts
    X = np.column_stack([X, X[:, 0], np.zeros(len(y)), np.full(len(y), 5.0)])
    for rules in (None, ["x6 >= 0", "x7 <= 2"], ["x7 >= x0", "sum(x6, x0) <= 0.3"]):
        model = ConstrainedLogisticRegression(1e-3, constraints=rules, l1_ratio=l1_ratio).fit(X, y)
        assert model.solver_result_.status == "optimal"
        assert model.coef_[0, 8] == 0.0


@pytest.mark.parametrize("alpha", [1e-8, 0.0])
def test_a_prior_alone_does_not_end_the_growth_along_its_own_line(counts, alpha):
    X, _ = counts
    y = (X[:, 0] > 1).astype(int)
    names = {f"x{j}": float(j == 0) for j in range(6)}
    model = ConstrainedLogisticRegression(alpha, prior=names, prior_strength=1.0)
    if alpha:
        assert model.fit(X, y).solver_result_.status == "optimal"
    else:
        with pytest.warns(ConvergenceWarning, match="separated by some of the counts"):
            model.fit(X, y)


def test_the_lasso_makes_separated_outcomes_an_ordinary_problem(counts):
    X, _ = counts
    y = (X[:, 0] > 1).astype(int)
    model = ConstrainedLogisticRegression(1e-3, l1_ratio=1.0).fit(X, y)
    assert model.solver_result_.status == "optimal"
