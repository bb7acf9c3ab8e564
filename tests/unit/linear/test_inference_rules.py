"""Intervals and rules: inside them, points where they fix, about the best where they are broken."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from ces_ml.errors import SpecError
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.inference import weight_intervals

NAMES = ("x0", "x1", "x2", "x3")
TRUE_WEIGHTS = np.array([0.8, 0.6, -0.6, 0.1])


def draw(seed, n=800):
    rng = np.random.default_rng(seed)
    X = np.log1p(rng.poisson(1.5, size=(n, 4)))
    return X, (rng.random(n) < expit(X @ TRUE_WEIGHTS - 0.5)).astype(int)


def fit(X, y, rules, **options):
    return ConstrainedLogisticRegression(constraints=rules, **options).fit(X, y)


@pytest.mark.parametrize("seed", range(12))
def test_no_interval_leaves_the_rules_or_loses_the_fitted_weight(seed):
    X, y = draw(seed, n=200)
    rules = ["x0 >= 0", "x1 >= x0", "0 <= x2 <= 0.4", "x3 >= 0.1 ", "sum(all) <= 2"]
    model = fit(X, y, rules)
    found = weight_intervals(model, X, y)
    weights = model.coef_[0]
    assert (found.low >= [0.0, 0.0, 0.0, 0.1]).all()
    assert (found.high <= np.array([0.95, 1.9, 0.4, 2.0]) + 1e-9).all()  # what the sum leaves
    assert (found.low <= weights).all()
    assert (weights <= found.high).all()
    gap = found.difference("x1", "x0")
    assert -1e-12 <= gap.low <= gap.estimate <= gap.high
    assert np.isfinite([*found.low, *found.high]).all()


def test_intervals_are_no_wider_than_without_rules():
    for seed in range(25):
        X, y = draw(seed, n=300)
        ruled = weight_intervals(fit(X, y, ["x0 >= x1", "x3 <= 0.1", "x2 <= 0"]), X, y)
        free = weight_intervals(fit(X, y, None), X, y)
        if not ruled.broken:
            held = (free.relaxed - ruled.coef) / free.std_error
            wide = (ruled.high - ruled.low) > (free.high - free.low) * (1 + 1e-3)
            assert not (wide & (np.abs(held) < 1.6)).any()


def test_rules_that_say_nothing_change_nothing():
    X, y = draw(0, n=4000)
    ruled = weight_intervals(fit(X, y, ["x0 >= -9", "x0 >= x2", "sum(all) <= 50"]), X, y)
    free = weight_intervals(fit(X, y, None), X, y)
    np.testing.assert_allclose(ruled.low, free.low, atol=1e-6)
    np.testing.assert_allclose(ruled.high, free.high, atol=1e-6)
    assert ruled.rules == ("",) * 4


def test_fixed_weights_and_events_left_out_are_points():
    X, y = draw(1)
    fixed = weight_intervals(fit(X, y, ["x0 = 0.8", "exclude x3"]), X, y)
    assert (fixed.low[[0, 3]] == [0.8, 0.0]).all()
    assert (fixed.high[[0, 3]] == [0.8, 0.0]).all()
    assert fixed.evidence[0] == fixed.evidence[3] == "rule"
    assert fixed.rules[0] == "x0 = 0.8"
    chosen = weight_intervals(fit(X, y, ["at most 2 events"]), X, y)
    out = chosen.coef == 0.0
    assert out.sum() == 2
    assert (chosen.low[out] == 0.0).all()
    assert (chosen.high[out] == 0.0).all()
    assert {chosen.rules[j] for j in np.flatnonzero(out)} == {"at most 2 events"}


def test_an_equation_is_obeyed_by_the_interval_of_its_sum():
    X, y = draw(2)
    found = weight_intervals(fit(X, y, ["sum(x0, x1) = 1.5"]), X, y)
    total = found.combination({"x0": 1.0, "x1": 1.0})
    assert total.low == pytest.approx(1.5)
    assert total.high == pytest.approx(1.5)
    np.testing.assert_allclose(found.std_error[0], found.std_error[1], rtol=1e-8)
    np.testing.assert_allclose(found.low[0] + found.high[1], 1.5, atol=1e-9)


def test_a_rule_that_the_data_clearly_break_is_an_equation_of_what_is_estimated():
    X, y = draw(3, n=20_000)
    found = weight_intervals(fit(X, y, ["x2 >= x0", "x1 >= 0.1"]), X, y)
    assert found.broken == ("x2 >= x0",)
    gap = found.difference("x2", "x0")
    assert gap[:3] == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    free = weight_intervals(fit(X, y, None), X, y)
    assert (found.high - found.low)[0] < 0.8 * (free.high - free.low)[0]
    joint = ConstrainedLogisticRegression().fit(
        np.column_stack([X[:, 0] + X[:, 2], X[:, 1], X[:, 3]]), y
    )
    merged = weight_intervals(joint, np.column_stack([X[:, 0] + X[:, 2], X[:, 1], X[:, 3]]), y)
    np.testing.assert_allclose(found.low[[0, 1, 3]], merged.low, rtol=0.01)
    np.testing.assert_allclose(found.high[[2, 1, 3]], merged.high, rtol=0.01)


def test_a_weight_pinned_by_a_clearly_broken_bound_is_a_point_by_rule():
    X, y = draw(4, n=20_000)
    found = weight_intervals(fit(X, y, ["x2 >= 0"]), X, y)
    assert (found.coef[2], found.low[2], found.high[2]) == (0.0, 0.0, 0.0)
    assert found.evidence[2] == "rule"
    assert found.rules[2] == "x2 >= 0"


def test_evidence_is_what_the_interval_of_the_data_says():
    X, y = draw(5, n=700)
    found = weight_intervals(fit(X, y, ["x2 <= 0", "x3 >= 0"]), X, y)
    free = weight_intervals(fit(X, y, ["x2 <= 9", "x3 >= -9"]), X, y)
    at_99, at_90 = free.at_level(0.99), free.at_level(0.9)
    for j in range(4):
        beyond = [level.low[j] * level.high[j] > 0 for level in (at_99, at_90)]
        wanted = "strong" if beyond[0] else "some" if beyond[1] else "none"
        assert found.evidence[j] == wanted
    assert set(found.evidence) >= {"strong", "none"}


def test_a_difference_and_its_probability_are_those_of_the_contrast():
    X, y = draw(6)
    found = weight_intervals(fit(X, y, None), X, y)
    gap = found.difference("x0", "x1")
    turned = fit(np.column_stack([X[:, 0], X[:, 0] + X[:, 1], X[:, 2], X[:, 3]]), y, None, alpha=0)
    assert gap.estimate == pytest.approx(found.coef[0] - found.coef[1])
    # With columns (x0, x0 + x1) the first weight is the difference.
    direct = weight_intervals(
        turned, np.column_stack([X[:, 0], X[:, 0] + X[:, 1], X[:, 2], X[:, 3]]), y
    )
    assert gap.low == pytest.approx(direct.low[0], abs=5e-3)
    assert gap.high == pytest.approx(direct.high[0], abs=5e-3)
    assert gap.probability == pytest.approx(norm.cdf(gap.estimate / direct.std_error[0]), abs=0.01)
    back = found.difference("x1", "x0")
    assert (back.low, back.high) == pytest.approx((-gap.high, -gap.low))
    assert back.probability == pytest.approx(1 - gap.probability)


def test_a_share_holds_exactly_what_its_linear_rule_does():
    X, y = draw(7)
    found = weight_intervals(fit(X, y, ["x0 >= 0", "x1 >= 0", "x2 <= 0", "x3 >= 0"]), X, y)
    share = found.share("x0")
    size = np.abs(found.coef)
    assert share.estimate == pytest.approx(size[0] / size.sum())
    signs = {"x1": 1.0, "x2": -1.0, "x3": 1.0}
    for end in (share.low, share.high):
        contrast = {name: -end * sign for name, sign in signs.items()} | {"x0": 1.0 - end}
        line = found.combination(contrast)
        assert min(abs(line.low), abs(line.high)) < 2e-3
    assert 0.0 < share.low < share.estimate < share.high < 1.0
    capped = weight_intervals(fit(X, y, ["* >= 0", "x0 <= 40%"]), X, y).share("x0")
    assert capped.high <= 0.4 + 1e-9


def test_a_score_is_the_combination_of_its_counts_and_the_chance_is_on_its_scale():
    X, y = draw(8)
    model = fit(X, y, ["x0 >= x1", "x3 >= 0"])
    found = weight_intervals(model, X, y)
    raw, chance = found.score(X[:50]), found.score(X[:50], scale="probability")
    np.testing.assert_allclose(raw.score, model.decision_function(X[:50]))
    np.testing.assert_allclose(chance.score, model.predict_proba(X[:50])[:, 1])
    np.testing.assert_allclose(chance.low, expit(raw.low))
    assert (raw.low <= raw.score).all()
    assert (raw.score <= raw.high).all()
    free = weight_intervals(fit(X, y, None), X, y).score(X)
    bound = weight_intervals(model, X, y).score(X)
    assert (bound.high - bound.low).mean() < (free.high - free.low).mean()


def test_draws_obey_the_rules_and_spread_like_the_estimate():
    X, y = draw(9)
    rules = ["x0 >= x1", "x2 <= -0.2", "sum(all) = 1"]
    model = fit(X, y, rules)
    found = weight_intervals(model, X, y, n_replicates=400, random_state=3)
    drawn = found.draws
    assert drawn.shape == (400, 4)
    assert (drawn[:, 0] >= drawn[:, 1] - 1e-7).all()
    assert (drawn[:, 2] <= -0.2 + 1e-7).all()
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0, atol=1e-7)
    free = weight_intervals(fit(X, y, None), X, y, n_replicates=2000)
    np.testing.assert_allclose(free.draws.std(axis=0), free.std_error, rtol=0.07)
    np.testing.assert_allclose(free.draws.mean(axis=0), free.coef, atol=0.1 * free.std_error.max())


def test_everything_is_the_same_for_the_same_seed():
    X, y = draw(10)
    model = fit(X, y, ["x0 >= x1"])
    one, two = (weight_intervals(model, X, y, random_state=5) for _ in range(2))
    other = weight_intervals(model, X, y, random_state=6)
    assert (one.draws == two.draws).all()
    assert (one.low == two.low).all()
    assert (one.draws != other.draws).any()
    assert (one.low == other.low).all()


def test_of_what_the_data_do_not_show_nothing_is_claimed():
    X, y = draw(11)
    twins = np.column_stack([X[:, 0], X[:, 1], X[:, 1], np.full(len(y), 2.0)])
    found = weight_intervals(fit(twins, y, ["x3 >= 0"]), twins, y)
    assert np.isinf(found.std_error).tolist() == [False, True, True, True]
    assert np.isinf(found.low).tolist() == [False, True, True, False]
    assert found.evidence[1:] == ("none",) * 3
    assert found.low[3] == 0.0
    both = found.combination({"x1": 1.0, "x2": 1.0})
    free = weight_intervals(fit(X[:, :2], y, None), X[:, :2], y)
    assert (both.low, both.high) == pytest.approx((free.low[1], free.high[1]), abs=2e-3)
    assert np.isfinite(found.score(twins[:3]).high).all()
    assert found.difference("x1", "x2").probability == 0.5


def test_without_an_intercept_with_a_prior_and_with_a_lasso_there_are_intervals():
    X, y = draw(12, n=3000)
    free = weight_intervals(fit(X, y, None, alpha=1e-9), X, y)
    lasso = weight_intervals(fit(X, y, None, alpha=1e-2, l1_ratio=1.0), X, y)
    np.testing.assert_allclose(lasso.relaxed, free.relaxed, atol=1e-4)  # its kinks are dropped
    hand = {"x0": 4.0, "x1": 3.0}
    prior = weight_intervals(fit(X, y, None, prior=hand, prior_strength=10.0), X, y)
    assert prior.relaxed[0] / prior.relaxed[1] == pytest.approx(4 / 3, rel=0.01)
    assert prior.std_error[0] / prior.std_error[1] == pytest.approx(4 / 3, rel=0.05)
    plain = fit(X, y, ["x2 >= -0.5"], fit_intercept=False)
    found = weight_intervals(plain, X, y)
    np.testing.assert_allclose(found.score(X[:4]).score, plain.decision_function(X[:4]))
    assert found.low[2] >= -0.5


def test_names_and_scales_that_are_not_there_are_refused():
    X, y = draw(13)
    found = weight_intervals(fit(X, y, None), X, y)
    with pytest.raises(SpecError, match="there is no weight of this name"):
        found.difference("x0", "y")
    with pytest.raises(SpecError, match="X does not fit the weights"):
        found.score(X[:, :2])
    with pytest.raises(SpecError, match="scale is not one of the two scales"):
        found.score(X, scale="points")
