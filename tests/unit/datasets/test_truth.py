"""The outcomes follow the stated truth, by counts that are taken here in another way."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from ces_ml.datasets import EventHistory, TaskTruth, make_event_history
from ces_ml.errors import SpecError

TRANSFORMS = {"log1p": np.log1p, "sqrt": np.sqrt, "identity": lambda n: n}
ONE_DAY = pd.Timedelta(days=1)


def days(duration: str) -> pd.Timedelta:
    assert duration.endswith("d")
    return int(duration[:-1]) * ONE_DAY


def rows(
    history: EventHistory, truth: TaskTruth, *, shift: pd.Timedelta = 0 * ONE_DAY
) -> tuple[pd.DataFrame, pd.Series]:
    """Return counts and outcomes of the sample of a task, from its truth's own words."""
    events = history.events
    after, anchor = truth.as_of.split(" after ")
    as_of = events[events["event_type"] == anchor].groupby("customer_id")["timestamp"].min()
    as_of = as_of + days(after) + shift
    as_of = as_of[as_of + days(truth.horizon) <= events["timestamp"].max()]
    outcome = events[events["event_type"] == truth.outcome_event]
    happened = outcome.groupby("customer_id")["timestamp"].min().reindex(as_of.index)
    eligible = ~(happened < as_of)
    as_of, happened = as_of[eligible], happened[eligible]
    y = (happened >= as_of) & (happened < as_of + days(truth.horizon))
    y = ~y if truth.task == "churn" else y

    age = events["customer_id"].map(as_of) - events["timestamp"]
    inside = (age > pd.Timedelta(0)) & (age <= days(truth.window))
    counted, age = events[inside], age[inside]
    once = np.ones(len(age)) if not truth.half_life else 0.5 ** (age / days(truth.half_life))
    counts = pd.Series(np.asarray(once)).groupby(
        [counted["customer_id"].to_numpy(), counted["event_type"].to_numpy()]
    )
    table = counts.sum().unstack(fill_value=0.0).reindex(as_of.index, fill_value=0.0)
    return table[list(truth.weights)], y.astype(int)


def features(counts: pd.DataFrame, truth: TaskTruth) -> pd.DataFrame:
    return TRANSFORMS[truth.transform](counts.clip(upper=truth.cap))


def fitted(counts: pd.DataFrame, y: pd.Series, truth: TaskTruth) -> np.ndarray:
    model = LogisticRegression(C=1e4, max_iter=2_000).fit(features(counts, truth), y)
    return np.append(model.coef_[0], model.intercept_)


def standard_errors(counts: pd.DataFrame, truth: TaskTruth) -> np.ndarray:
    p = truth.probability(counts)
    X = np.column_stack([features(counts, truth), np.ones(len(counts))])
    return np.sqrt(np.diag(np.linalg.inv((X.T * (p * (1 - p))) @ X)))


def true_of(truth: TaskTruth) -> np.ndarray:
    return np.array([*truth.weights.values(), truth.intercept])


def correlation(w: np.ndarray, truth: TaskTruth) -> float:
    return float(np.corrcoef(w[:-1], true_of(truth)[:-1])[0, 1])


def agree(w: np.ndarray, se: np.ndarray, truth: TaskTruth) -> bool:
    """Whether the fit differs from the truth by no more than chance explains."""
    z = (w - true_of(truth)) / se
    return bool(np.abs(z).max() < 4.5 and np.mean(z**2) < 2.5)


@pytest.mark.parametrize(("task", "least"), [("conversion", 0.95), ("churn", 0.7), ("upsell", 0.8)])
def test_a_plain_logistic_regression_recovers_the_weights(history, task, least):
    truth = history.truth[task]
    counts, y = rows(history, truth)
    w = fitted(counts, y, truth)
    assert correlation(w, truth) > least
    assert agree(w, standard_errors(counts, truth), truth)


@pytest.mark.parametrize(
    ("task", "low", "high"), [("conversion", 0.15, 0.3), ("churn", 0.8, 0.9), ("upsell", 0.1, 0.2)]
)
def test_base_rates_are_those_of_a_real_product(history, task, low, high):
    _, y = rows(history, history.truth[task])
    assert low < y.mean() < high


def test_the_last_trials_are_censored(history):
    counts, _ = rows(history, history.truth.conversion)
    assert 4_500 < len(counts) < 5_000


def test_true_probabilities_are_calibrated(history):
    truth = history.truth.conversion
    counts, y = rows(history, truth)
    p = truth.probability(counts)
    for part in np.array_split(np.argsort(p), 5):
        spread = np.sqrt((p[part] * (1 - p[part])).sum()) / len(part)
        assert abs(y.to_numpy()[part].mean() - p[part].mean()) < 4 * spread


@pytest.mark.parametrize(
    "options",
    [
        {"half_life": None, "transform": "identity", "cap": 20.0},
        {"transform": "sqrt", "window": "21d"},
        {"transform": "log1p", "cap": 3.0, "half_life": "7d"},
    ],
)
def test_the_truth_holds_for_other_ways_of_counting(options):
    history = make_event_history(4_000, seed=4, **options)
    truth = history.truth.conversion
    assert {name: getattr(truth, name) for name in options} == options
    counts, y = rows(history, truth)
    assert agree(fitted(counts, y, truth), standard_errors(counts, truth), truth)


def test_given_weights_and_base_rates_replace_the_default_ones():
    history = make_event_history(
        4_000,
        seed=8,
        weights={"conversion": {"email_opened": 2.0, "login": 0.0}},
        base_rates={"conversion": 0.5},
    )
    truth = history.truth.conversion
    assert truth.weights["email_opened"] == 2.0
    assert truth.weights["invite_sent"] == 0.9
    counts, y = rows(history, truth)
    assert 0.45 < y.mean() < 0.55
    assert agree(fitted(counts, y, truth), standard_errors(counts, truth), truth)


def test_default_weights_of_another_transform_say_the_same_of_a_busy_customer():
    busy = {"feature_used": [10.0]}
    one = make_event_history(50).truth.churn
    other = make_event_history(50, transform="identity").truth.churn
    a = one.raw_score(busy) - one.intercept
    assert a == pytest.approx(other.raw_score(busy) - other.intercept)


def test_probability_uses_cap_transform_and_absent_events_as_zero(history):
    truth = make_event_history(50, cap=3.0).truth.conversion
    counts = {"login": [0.0, 3.0, 30.0], "not_an_event_type": [1.0, 1.0, 1.0]}
    expected = truth.intercept + truth.weights["login"] * np.log1p([0.0, 3.0, 3.0])
    np.testing.assert_allclose(truth.raw_score(counts), expected)
    np.testing.assert_allclose(truth.probability(counts), 1 / (1 + np.exp(-expected)))


def test_probabilities_stay_probabilities_for_huge_counts():
    truth = make_event_history(50, transform="identity").truth.conversion
    p = truth.probability({"login": [1e9, 0.0], "payment_failed": [0.0, 1e9]})
    np.testing.assert_array_equal(p, [1.0, 0.0])


def test_an_unknown_task_is_refused_with_the_closest_name(history):
    assert history.truth["upsell"] is history.truth.upsell
    with pytest.raises(SpecError, match="did you mean 'churn'"):
        history.truth["chur"]


@pytest.fixture(scope="module")
def large() -> EventHistory:
    return make_event_history(50_000, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "least"), [("conversion", 0.985), ("churn", 0.97), ("upsell", 0.97)]
)
def test_fifty_thousand_customers_give_the_weights_and_their_signs(large, task, least):
    truth = large.truth[task]
    counts, y = rows(large, truth)
    w = fitted(counts, y, truth)
    assert correlation(w, truth) >= least
    true = true_of(truth)[:-1]
    assert (np.sign(w[:-1]) == np.sign(true))[true != 0].all()
    assert agree(w, standard_errors(counts, truth), truth)


@pytest.mark.slow
def test_counts_that_are_wrong_do_not_agree_with_the_truth(large):
    truth = large.truth.conversion
    counts, y = rows(large, truth)
    wrong, _ = rows(large, truth, shift=-2 * ONE_DAY)
    wrong = wrong.reindex(counts.index, fill_value=0.0)
    assert not agree(fitted(wrong, y, truth), standard_errors(counts, truth), truth)


@pytest.mark.slow
@pytest.mark.parametrize("periods", [1, 2])
def test_retention_follows_the_same_truth_in_later_periods(large, periods):
    truth = large.truth.churn
    counts, y = rows(large, truth, shift=28 * periods * ONE_DAY)
    assert agree(fitted(counts, y, truth), standard_errors(counts, truth), truth)
