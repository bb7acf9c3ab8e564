"""Intervals against sandwiches written out by hand, leave-one-out fits, and invariances."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.special import expit
from scipy.stats import norm, t
from sklearn.exceptions import ConvergenceWarning

from ces_ml.errors import SpecError
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.inference import sampling, weight_intervals
from ces_ml.linear.inference.profile import profile_intervals

ALPHA = 1e-3
TRUE_WEIGHTS = np.array([0.8, 0.3, -0.6, 0.5])


def draw(seed, n=600, size=1):
    """Return counts, outcomes and customers with up to `size` rows each."""
    rng = np.random.default_rng(seed)
    customer = np.repeat(np.arange(n), rng.integers(1, size + 1, n))[:n]
    taste = rng.gamma(2.0, 0.5, (n, 4))[customer]
    X = rng.poisson(1.3 * taste).astype(float)
    luck = rng.normal(0, 0.8 if size > 1 else 0.0, n)[customer]
    return X, (rng.random(n) < expit(X @ TRUE_WEIGHTS - 1 + luck)).astype(int), customer


def fit(X, y, rules=None, s=None, alpha=ALPHA, **options):
    return ConstrainedLogisticRegression(alpha, constraints=rules, **options).fit(X, y, s)


def sandwich_by_hand(model, X, y, customer, alpha=ALPHA):
    """Return the estimate without each customer less the estimate, to one Newton step."""
    n = len(y)
    Z = np.column_stack([X, np.ones(n)])
    mu = expit(Z @ np.append(model.coef_[0], model.intercept_))
    ridge = np.diag([alpha] * X.shape[1] + [0.0])
    H = (Z * (mu * (1 - mu))[:, None]).T @ Z / n + ridge
    changes = []
    for c in np.unique(customer):
        own = customer == c
        g = Z[own].T @ (mu - y)[own] / n
        H_c = (Z[own] * (mu * (1 - mu))[own, None]).T @ Z[own] / n
        changes.append(np.linalg.solve(H - H_c, g))
    return np.array(changes)


@pytest.mark.parametrize("size", [1, 7])
def test_without_rules_it_is_the_jackknifed_sandwich_with_students_quantile(size):
    X, y, customer = draw(1, size=size)
    model = fit(X, y)
    found = weight_intervals(model, X, y, groups=customer, level=0.8)
    changes = sandwich_by_hand(model, X, y, customer)
    error = np.sqrt((changes**2).sum(axis=0))[:-1]
    freedom = 2 * (changes**2).sum(axis=0) ** 2 / (changes**4).sum(axis=0)
    half = t.ppf(0.9, freedom[:-1]) * error
    np.testing.assert_allclose(found.std_error, error, rtol=1e-6)
    np.testing.assert_allclose(found.low, model.coef_[0] - half, rtol=1e-6)
    np.testing.assert_allclose(found.high, model.coef_[0] + half, rtol=1e-6)


def test_standard_errors_are_those_of_leaving_customers_out_in_full():
    X, y, customer = draw(2, n=900, size=5)
    model = fit(X, y, alpha=0.0, tol=1e-10)
    left_out = []
    for c in np.unique(customer):
        kept = customer != c
        left_out.append(fit(X[kept], y[kept], alpha=0.0, tol=1e-10).coef_[0])
    jackknife = np.sqrt(((np.array(left_out) - model.coef_[0]) ** 2).sum(axis=0))
    found = weight_intervals(model, X, y, groups=customer)
    np.testing.assert_allclose(found.std_error, jackknife, rtol=0.05)


def test_a_customers_rows_may_be_split_or_merged_by_their_weight():
    X, y, customer = draw(3)
    s = np.random.default_rng(0).choice([1.0, 2.0, 3.0], len(y))
    twice = np.repeat(np.arange(len(y)), s.astype(int))
    rules = ["x0 >= x1", "x2 >= -0.5"]
    merged = weight_intervals(fit(X, y, rules, s), X, y, s)
    again = fit(X[twice], y[twice], rules)
    split = weight_intervals(again, X[twice], y[twice], groups=customer[twice])
    assert merged.n_customers == split.n_customers == len(y)
    for name in ("low", "high", "std_error", "relaxed"):
        np.testing.assert_allclose(getattr(merged, name), getattr(split, name), rtol=1e-5)


def test_rows_taken_for_independent_are_not_when_they_are_copies():
    X, y, customer = draw(4)
    copies = np.tile(np.arange(len(y)), 4)
    model = fit(X[copies], y[copies])
    once = weight_intervals(fit(X, y), X, y)
    known = weight_intervals(model, X[copies], y[copies], groups=customer[copies])
    unknown = weight_intervals(model, X[copies], y[copies])
    np.testing.assert_allclose(known.std_error, once.std_error, rtol=1e-5)
    np.testing.assert_allclose(unknown.std_error, once.std_error / 2, rtol=0.03)


def test_order_of_rows_names_of_customers_and_storage_do_not_matter():
    X, y, customer = draw(5, size=5)
    rules = ["x0 >= x1", "x2 <= 0"]
    model = fit(X, y, rules)
    base = weight_intervals(model, X, y, groups=customer)
    mixed = np.random.default_rng(0).permutation(len(y))
    names = np.array([f"c{9999 - c}" for c in customer], dtype=object)
    for other in (
        weight_intervals(model, X[mixed], y[mixed], groups=customer[mixed]),
        weight_intervals(model, sp.csr_array(X), y, groups=names),
        weight_intervals(model, X.astype(np.float32), y, groups=names),
    ):
        np.testing.assert_allclose(other.low, base.low, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(other.high, base.high, rtol=1e-6, atol=1e-9)


def test_rows_without_weight_are_no_rows():
    X, y, customer = draw(6, size=4)
    s = np.random.default_rng(1).choice([0.0, 1.0], len(y))
    kept = s > 0
    all_rows = weight_intervals(fit(X, y, s=s), X, y, s, groups=customer)
    few = weight_intervals(fit(X[kept], y[kept]), X[kept], y[kept], groups=customer[kept])
    assert all_rows.n_customers == few.n_customers
    np.testing.assert_allclose(all_rows.low, few.low, rtol=1e-5)


def test_a_data_frame_labels_and_a_distant_column_are_read_as_in_fit():
    X, y, _ = draw(7)
    shifted = X + np.array([0.0, 0.0, 1e7, 0.0])
    frame = pd.DataFrame(shifted, columns=["a", "b", "c", "d"])
    words = np.where(y == 1, "stays", "leaves")
    model = ConstrainedLogisticRegression(ALPHA).fit(frame, words)
    found = weight_intervals(model, frame, words)
    plain = weight_intervals(fit(X, y), X, y)
    assert found.feature_names == ("a", "b", "c", "d")
    np.testing.assert_allclose(found.low, plain.low, rtol=1e-5)
    np.testing.assert_allclose(found.score(shifted[:5]).low, plain.score(X[:5]).low, rtol=1e-5)


def test_units_of_a_column_scale_its_interval():
    X, y, _ = draw(8)
    unit = np.array([1e-4, 1.0, 1e3, 1.0])
    rules = ["x0 >= 0", "x3 >= x1"]
    plain = weight_intervals(fit(X, y, rules, alpha=0.0), X, y)
    scaled = weight_intervals(fit(X * unit, y, rules, alpha=0.0), X * unit, y)
    np.testing.assert_allclose(scaled.low * unit, plain.low, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(scaled.high * unit, plain.high, rtol=1e-5)


def test_a_sample_of_customers_gives_nearly_the_same_and_the_same_each_time(monkeypatch):
    X, y, customer = draw(9, n=20_000, size=6)
    X[:, 3] *= np.random.default_rng(0).random(len(y)) < 0.01  # a rare event
    model = fit(X, y, ["x0 >= x1"])
    whole = weight_intervals(model, X, y, groups=customer)
    for name, value in (("MOST_ROWS", 1000), ("SAMPLE", 4000), ("ENOUGH", 500)):
        monkeypatch.setattr(sampling, name, value)
    for matrix in (X, sp.csr_array(X)):
        some = weight_intervals(model, matrix, y, groups=customer)
        again = weight_intervals(model, matrix, y, groups=customer)
        assert (some.low == again.low).all()
        assert some.n_customers == pytest.approx(whole.n_customers, rel=0.1)
        np.testing.assert_allclose(some.std_error[:3], whole.std_error[:3], rtol=0.12)
        # The customers who have the rare event are all there.
        np.testing.assert_allclose(some.std_error[3], whole.std_error[3], rtol=0.02)


def test_a_rare_event_among_very_many_customers_is_jackknifed_too(monkeypatch):
    X, y, _ = draw(10, n=3000)
    X[:, 3] = 0.0
    X[:12, 3] = 1.0
    model = fit(X, y)
    exact = weight_intervals(model, X, y)
    from ces_ml.linear.inference import spread

    monkeypatch.setattr(spread, "ALL_CUSTOMERS", 100)
    monkeypatch.setattr(spread, "RARE", 100)
    large = weight_intervals(model, X, y)
    np.testing.assert_allclose(large.std_error, exact.std_error, rtol=0.01)
    np.testing.assert_allclose(large.high[3], exact.high[3], rtol=0.02)
    # Student's quantile of a dozen customers is wider than the normal one.
    assert large.high[3] - large.relaxed[3] > 1.05 * norm.ppf(0.95) * large.std_error[3]


def test_under_one_rule_the_interval_is_the_profile_found_by_search():
    rng = np.random.default_rng(0)
    taus = np.linspace(-8, 8, 160_001)
    for _ in range(40):
        m, v, rho = rng.normal(), rng.normal(0, 1.5), rng.uniform(-0.97, 0.97)
        low, high = sorted(rng.normal(0, 2, 2))
        u = m - taus
        g = u**2 + np.maximum(v - rho * u, 0) ** 2 / (1 - rho**2)
        inside = (taus >= low) & (taus <= high)
        held = taus[inside & (g <= g[inside].min() + 1.645**2)]
        found = profile_intervals(
            *map(np.array, ([m], [1.0], [1.645], [low], [high], [v], [[rho]])), near=9.0
        )
        np.testing.assert_allclose([found.low[0], found.high[0]], [held[0], held[-1]], atol=2e-4)
        assert found.high[0] - found.low[0] <= 2 * 1.645 + 1e-9  # never wider than without


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 1.0}, "level is no probability"),
        ({"level": "high"}, "level is no probability"),
        ({"n_replicates": 0}, "n_replicates is not a whole number of at least 1"),
        ({"random_state": 0.5}, "random_state is not a whole number of at least 0"),
        ({"groups": [1, 2]}, "groups and rows differ in number"),
        ({"groups": np.zeros(600)}, "all rows are of one customer"),
        ({"groups": np.full(600, np.nan)}, "a row has no customer"),
        ({"y": np.zeros(3)}, "outcomes and rows differ in number"),
        ({"y": np.full(600, 7)}, "an outcome is none of the labels"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    X, y, _ = draw(11)
    with pytest.raises(SpecError, match=message):
        weight_intervals(fit(X, y), X, **{"y": y, **arguments})


def test_separated_outcomes_without_a_penalty_have_no_interval():
    X, y, _ = draw(12)
    X[:, 0] = y
    with pytest.warns(ConvergenceWarning, match="separated"):
        model = fit(X, y, alpha=0.0)
    with pytest.raises(SpecError, match="no finite estimate"):
        weight_intervals(model, X, y)
