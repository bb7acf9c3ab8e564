"""Prices of rules: against fits without them and finite differences, however they are stated."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from ces_ml.errors import SpecError
from ces_ml.linear import Bounds, ConstrainedLogisticRegression, Order, Sign
from ces_ml.linear.prices import MOST_CHANGED, price_of_rules, prices_table
from ces_ml.linear.rows import LabelledRows

TRUE_WEIGHTS = [0.8, 0.3, -0.6, 0.5, 0.1]


def draw(seed, n=700):
    rng = np.random.default_rng(seed)
    X = rng.poisson(1.3, size=(n, 5)).astype(float)
    return X, (rng.random(n) < expit(X @ TRUE_WEIGHTS - 1)).astype(int)


@pytest.fixture(scope="module")
def counts():
    return draw(1)


def fit(counts, rules, alpha=0.0, **options):
    return ConstrainedLogisticRegression(alpha, constraints=rules, **options).fit(*counts)


def test_a_price_is_what_a_fit_without_the_rule_gains(counts):
    X, y = counts
    rules = ["x2 >= 0", "x1 >= x0", "x4 <= 0.05", "x3 >= -1"]
    model = fit(counts, rules)
    prices = price_of_rules(model, X, y)
    assert [price.rule for price in prices] == rules[:3]
    for price in prices:
        without = fit(counts, [rule for rule in rules if rule != price.rule])
        with_and_without = (
            (model.solver_result_, without.solver_result_),
            (model.decision_function(X), without.decision_function(X)),
        )
        (before, after), (score, other) = with_and_without
        assert price.objective_change == pytest.approx(after.objective - before.objective)
        aucs = [roc_auc_score(y, raw.round(9)) for raw in (other, score)]  # round-off is a tie
        assert price.auc_change == pytest.approx(aucs[0] - aucs[1])
        assert price.multiplier == before.multipliers[price.rule] > 0
        assert not price.held_out
        for name, (w, w_without) in price.weights_changed.items():
            j = int(name[1:])
            assert w == model.coef_[0, j]
            assert w_without == pytest.approx(without.coef_[0, j])
        assert 1 <= len(price.weights_changed) <= MOST_CHANGED


@pytest.mark.parametrize("seed", range(10))
def test_without_a_penalty_no_rule_has_a_negative_price_on_training_rows(seed):
    X, y = draw(seed, n=200)
    rng = np.random.default_rng(seed)
    rules = [f"x{j} {rng.choice(['<= 0', '>= 0', '<= 0.2', '>= 0.7'])}" for j in range(1, 5)]
    rules.append("x0 <= 0.1")
    prices = price_of_rules(fit((X, y), rules), X, y)
    assert prices
    for price in prices:
        assert price.log_loss_change <= 1e-12
        assert price.log_loss_change == pytest.approx(price.objective_change, abs=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.01, 1.0])
def test_the_objective_never_rises_when_a_rule_is_dropped(counts, alpha):
    prices = price_of_rules(fit(counts, ["x0 >= 2", "x1 <= 0", "x3 >= x0 + 0.1"], alpha), *counts)
    assert prices
    assert all(price.objective_change <= 1e-12 for price in prices)


@pytest.mark.parametrize(
    "rule", ["x0 <= {}", "x2 >= {}", "x1 >= x0 + {}"], ids=["upper", "lower", "order"]
)
def test_the_multiplier_predicts_what_a_small_relaxation_gains(counts, rule):
    h, loosen = 1e-4, 1 if "<=" in rule else -1
    model = fit(counts, rule.format(0.1), alpha=1e-3, tol=1e-12)
    relaxed = fit(counts, rule.format(0.1 + loosen * h), alpha=1e-3, tol=1e-12)
    (price,) = price_of_rules(model, *counts)
    gained = model.solver_result_.objective - relaxed.solver_result_.objective
    assert price.multiplier > 0
    assert gained == pytest.approx(price.multiplier * h, rel=5e-3)
    assert -price.objective_change >= gained  # dropping is the largest relaxation


def test_held_out_rows_judge_when_they_are_given(counts):
    X_test, y_test = draw(99)
    model = fit(counts, ["x2 >= 0", "x0 <= 0.1"])
    for price in price_of_rules(model, *counts, X_test=X_test, y_test=y_test):
        other = "x0 <= 0.1" if price.rule == "x2 >= 0" else "x2 >= 0"
        without = fit(counts, other)
        sign = 1 - 2 * y_test
        losses = [
            np.logaddexp(0, sign * m.decision_function(X_test)).mean() for m in (without, model)
        ]
        assert price.held_out
        assert price.log_loss_change == pytest.approx(losses[0] - losses[1])
        scores = [m.decision_function(X_test).round(9) for m in (without, model)]
        aucs = [roc_auc_score(y_test, raw) for raw in scores]
        assert price.auc_change == pytest.approx(aucs[0] - aucs[1])


def test_no_rules_and_no_active_rules_have_no_prices(counts):
    assert price_of_rules(fit(counts, None), *counts) == []
    assert price_of_rules(fit(counts, ["x0 >= -9", "x0 >= x2"]), *counts) == []
    assert prices_table([]) == []


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("x2 >= 0", ["x2 >= 0"]),
        (Sign("x2", ">="), ["x2 >= 0"]),
        (("  x2 >= 0 ", Bounds("x0", high=0.1)), ["x2 >= 0", "x0 <= 0.1"]),
        ([Order("x1", "x0"), "x? >= 0"], ["x1 >= x0", "x? >= 0"]),
        (["x0 <= x1 <= x2"], ["x0 <= x1 <= x2"]),
    ],
    ids=["text", "object", "mixed", "glob", "chain"],
)
def test_every_way_of_stating_rules_is_priced_rule_by_rule(counts, rules, words):
    prices = price_of_rules(fit(counts, rules), *counts)
    assert [price.rule for price in prices] == words
    if len(words) == 1:
        free = fit(counts, None).solver_result_.objective
        change = free - fit(counts, rules).solver_result_.objective
        assert prices[0].objective_change == pytest.approx(change)


def test_a_rule_that_is_stated_twice_costs_nothing_alone(counts):
    prices = price_of_rules(fit(counts, ["x2 >= 0", "x2 >= 0"]), *counts)
    assert [price.objective_change for price in prices] == pytest.approx([0.0, 0.0], abs=1e-12)
    assert all(price.weights_changed == {} for price in prices)


def test_sample_weights_names_and_data_frames_are_carried_over(counts):
    X, y = counts
    twice = np.random.default_rng(0).integers(1, 4, len(y))
    names = ["log in", "b", "refund", "d", "e"]
    frame = pd.DataFrame(X, columns=names)
    model = ConstrainedLogisticRegression(0.0, constraints=["refund >= 0", '"log in" <= 0.1'])
    weighted = price_of_rules(model.fit(frame, y, twice), frame, y, twice)
    rows = np.repeat(X, twice, axis=0), np.repeat(y, twice)
    repeated = price_of_rules(model.fit(*rows, feature_names=names), *rows)
    for a, b in zip(weighted, repeated, strict=True):
        assert a.rule == b.rule
        assert a.log_loss_change == pytest.approx(b.log_loss_change)
        assert a.auc_change == pytest.approx(b.auc_change)
        assert list(a.weights_changed) == list(b.weights_changed)


def test_a_rule_that_others_need_to_be_read_has_no_price_and_says_why(counts):
    prices = price_of_rules(fit(counts, ["* >= 0", "x0 <= 30%"]), *counts)
    needed, share = prices
    assert (needed.rule, share.rule) == ("* >= 0", "x0 <= 30%")
    assert np.isnan([needed.objective_change, needed.log_loss_change, needed.auc_change]).all()
    assert "can't be read without it: a share is read only where" in needed.note
    assert share.objective_change < 0
    assert share.note == ""
    assert [row["rule"] for row in prices_table(prices)] == ["x0 <= 30%", "* >= 0"]


def test_limits_on_the_number_of_events_are_priced_though_they_have_no_multiplier(counts):
    model = fit(counts, ["at most 2 events", "include x4", "x1 >= -9"])
    limit, include = price_of_rules(model, *counts)
    assert (limit.rule, include.rule) == ("at most 2 events", "include x4")
    assert limit.objective_change < include.objective_change < 0
    free = fit(counts, "x1 >= -9").solver_result_.objective
    assert limit.objective_change == pytest.approx(free - model.solver_result_.objective)


def test_a_sum_and_excluded_events_are_priced(counts):
    prices = price_of_rules(fit(counts, ["sum(all) = 1", "exclude x0, x1"]), *counts)
    assert [price.rule for price in prices] == ["sum(all) = 1", "exclude x0, x1"]
    assert all(price.objective_change < 0 for price in prices)


def test_the_estimator_is_not_changed(counts):
    model = fit(counts, ["x2 >= 0"])
    coef, rules = model.coef_.copy(), model.constraints
    price_of_rules(model, *counts)
    np.testing.assert_array_equal(model.coef_, coef)
    assert model.constraints is rules


def test_the_table_is_flat_and_begins_with_the_most_expensive_rule(counts):
    prices = price_of_rules(fit(counts, ["x4 <= 0.05", "x2 >= 0", "x0 <= 0.1"]), *counts)
    table = pd.DataFrame(prices_table(prices))
    assert table["objective_change"].is_monotonic_increasing
    assert set(table["rule"]) == {price.rule for price in prices}
    assert table["rows"].unique().tolist() == ["training"]
    assert "x2 0 → -0." in table.set_index("rule").loc["x2 >= 0", "weights_changed"]


@pytest.mark.parametrize("given", [{"X_test": [[0.0] * 5]}, {"y_test": [1]}])
def test_held_out_rows_without_outcomes_are_refused(counts, given):
    with pytest.raises(SpecError, match=r"held-out rows need their outcomes(.|\n)*both or neither"):
        price_of_rules(fit(counts, "x2 >= 0"), *counts, **given)


def test_rows_of_equal_worth_are_ties_whatever_the_round_off():
    rows = LabelledRows(np.zeros((4, 1)), np.array([0.0, 1, 0, 1]), np.full(4, 0.25), np.zeros(4))
    assert rows.auc(np.array([1.0, 1.0 - 1e-15, 3.0, 3.0 + 1e-15])) == 0.5
    assert rows.auc(np.array([1.0, 1.0 + 1e-7, 3.0, 3.0 + 1e-7])) == 0.75
