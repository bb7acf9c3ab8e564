import numpy as np
import pandas as pd
import pytest

from ces_ml.datasets import make_event_history
from ces_ml.datasets.behaviour import ACTIONS, EVENT_TYPES
from ces_ml.errors import SpecError

START, END = pd.Timestamp("2025-01-01"), pd.Timestamp("2025-06-30")


def first(events: pd.DataFrame, event_type: str) -> pd.Series:
    of_it = events[events["event_type"] == event_type]
    assert of_it["customer_id"].is_unique
    return of_it.set_index("customer_id")["timestamp"]


def test_the_columns_and_their_types_are_the_documented_ones(history):
    text = str(pd.Series(["text"]).dtype)
    assert {name: str(kind) for name, kind in history.events.dtypes.items()} == {
        "customer_id": text,
        "event_type": text,
        "timestamp": "datetime64[us]",
        "value": "float64",
    }
    assert sorted(history.events["event_type"].unique()) == list(EVENT_TYPES)
    assert history.events["customer_id"].nunique() == 5_000
    assert history.events["customer_id"].str.fullmatch(r"c\d{6}").all()


def test_events_are_sorted_and_inside_the_log(history):
    by = ["customer_id", "timestamp", "event_type"]
    pd.testing.assert_frame_equal(
        history.events[by], history.events[by].sort_values(by, ignore_index=True)
    )
    assert history.events["timestamp"].min() >= START
    assert history.events["timestamp"].max() < END


def test_values_belong_to_logins_and_plans(history):
    valued = history.events.dropna(subset="value")
    assert set(valued["event_type"]) == {"login", "subscription_started", "plan_upgraded"}
    assert (valued["value"] >= 0).all()
    priced = history.events["event_type"].isin(["login", "subscription_started", "plan_upgraded"])
    assert history.events.loc[priced, "value"].notna().all()


def test_the_same_seed_gives_the_same_history():
    one, other = make_event_history(300, seed=5), make_event_history(300, seed=5)
    pd.testing.assert_frame_equal(one.events, other.events)
    assert one.truth == other.truth


def test_another_seed_gives_another_history_with_the_same_weights():
    one, other = make_event_history(300, seed=5), make_event_history(300, seed=6)
    assert not one.events.equals(other.events)
    assert one.truth.conversion.weights == other.truth.conversion.weights


def test_everybody_starts_one_trial_and_has_a_whole_window_before_the_first_outcome(history):
    trial = first(history.events, "trial_started")
    assert len(trial) == 5_000
    assert (trial + pd.Timedelta(days=14) - pd.Timedelta(days=28) >= START).all()


def test_a_conversion_happens_at_most_once_and_inside_its_horizon(history):
    started = first(history.events, "subscription_started")
    as_of = first(history.events, "trial_started").loc[started.index] + pd.Timedelta(days=14)
    assert (started >= as_of).all()
    assert (started < as_of + pd.Timedelta(days=14)).all()


def test_an_upgrade_happens_in_the_second_period_of_a_subscription(history):
    upgraded = first(history.events, "plan_upgraded")
    paid_for = upgraded - first(history.events, "subscription_started").loc[upgraded.index]
    assert (paid_for >= pd.Timedelta(days=28)).all()
    assert (paid_for < pd.Timedelta(days=56)).all()


def test_nobody_cancels_before_the_first_period_is_over(history):
    cancelled = first(history.events, "subscription_cancelled")
    paid_for = cancelled - first(history.events, "subscription_started").loc[cancelled.index]
    assert (paid_for >= pd.Timedelta(days=28)).all()


def test_nothing_happens_after_a_cancellation(history):
    cancelled = first(history.events, "subscription_cancelled")
    assert len(cancelled) > 100
    last = history.events.groupby("customer_id")["timestamp"].max().loc[cancelled.index]
    assert (last == cancelled).all()


def test_customers_who_do_not_convert_leave_within_the_horizon(history):
    trial = first(history.events, "trial_started")
    never = trial.index.difference(first(history.events, "subscription_started").index)
    last = history.events.groupby("customer_id")["timestamp"].max().loc[never]
    assert (last < trial.loc[never] + pd.Timedelta(days=28)).all()


def test_customers_are_observed_for_unequal_lengths_of_time(history):
    span = history.events.groupby("customer_id")["timestamp"].agg(lambda t: t.max() - t.min())
    days = span / pd.Timedelta(days=1)
    assert days.quantile(0.9) > 3 * days.quantile(0.1)
    trial = first(history.events, "trial_started")
    before = history.events["timestamp"] < history.events["customer_id"].map(trial)
    assert 0.02 < before.mean() < 0.3


def counts_in_trial(events: pd.DataFrame) -> pd.DataFrame:
    trial = events["customer_id"].map(first(events, "trial_started"))
    age = events["timestamp"] - trial
    inside = events[(age >= pd.Timedelta(0)) & (age < pd.Timedelta(days=14))]
    return pd.crosstab(inside["customer_id"], inside["event_type"])


def test_events_of_a_customer_go_together_but_not_completely(history):
    together = np.log1p(counts_in_trial(history.events)[list(ACTIONS)]).corr()
    assert 0.6 < together.loc["login", "page_view"] < 0.9
    assert together.loc["login", "feature_used"] > 0.5
    assert (together.to_numpy()[~np.eye(len(together), dtype=bool)] < 0.9).all()


def test_activity_declines_within_a_subscription(history):
    logins = history.events[history.events["event_type"] == "login"]
    # Those who are still subscribed late, so that leaving does not explain the decline.
    trial = first(history.events, "trial_started")
    cancelled = first(history.events, "subscription_cancelled")
    stay = first(history.events, "subscription_started").index.difference(cancelled.index)
    stay = stay[trial.loc[stay] < END - pd.Timedelta(days=120)]
    age = (logins["timestamp"] - logins["customer_id"].map(trial)) / pd.Timedelta(days=1)
    age = age[logins["customer_id"].isin(stay)]
    assert ((age > 30) & (age <= 60)).sum() > 1.1 * ((age > 90) & (age <= 120)).sum()


def test_a_count_to_the_end_of_the_log_gives_the_outcome_away(history):
    # The trap that the simulator sets on purpose: leaving customers stop counting.
    started = first(history.events, "subscription_started").index
    totals = history.events["customer_id"].value_counts()
    converted = totals.index.isin(started)
    assert totals[converted].median() > 3 * totals[~converted].median()


def test_start_moves_the_whole_log():
    early = make_event_history(50, seed=2)
    late = make_event_history(50, seed=2, start="2026-03-01T02:00:00+02:00").events
    shift = pd.Timestamp("2026-03-01") - START
    pd.testing.assert_series_equal(early.events["timestamp"] + shift, late["timestamp"])


def test_behaviour_before_an_outcome_does_not_depend_on_the_outcome():
    likely = make_event_history(400, seed=3, base_rates={"conversion": 0.9}).events
    rare = make_event_history(400, seed=3, base_rates={"conversion": 0.05}).events
    pd.testing.assert_frame_equal(counts_in_trial(likely), counts_in_trial(rare))


@pytest.mark.parametrize("n_customers", [1, 2, 7])
@pytest.mark.parametrize("days", [112, 200])
def test_a_handful_of_customers_is_enough(n_customers, days):
    history = make_event_history(n_customers, days=days, seed=n_customers)
    assert history.events["customer_id"].nunique() == n_customers
    assert np.isfinite([history.truth[task].intercept for task in ("conversion", "churn")]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_customers": 0}, "n_customers is not a whole number or is too small"),
        ({"n_customers": 2.5}, "n_customers is not a whole number or is too small"),
        ({"n_customers": True}, "n_customers is not a whole number or is too small"),
        ({"days": 111}, "allowed: +a whole number of at least 112"),
        ({"seed": -1}, "seed is not a whole number or is too small"),
        ({"start": "yesterday"}, "not a moment in time"),
        ({"window": "28"}, "not a duration"),
        ({"window": "0d"}, "the window is zero"),
        ({"half_life": "0h"}, "the half_life is zero"),
        ({"transform": "log"}, "did you mean 'log1p'"),
        ({"cap": 0}, "the cap is not positive"),
        ({"cap": float("nan")}, "the cap is not positive"),
        ({"weights": {"chrun": {}}}, "did you mean 'churn'"),
        ({"weights": {"churn": {"logins": 1.0}}}, "did you mean 'login'"),
        ({"weights": {"churn": {"login": float("inf")}}}, "a true weight is not finite"),
        ({"base_rates": {"upsel": 0.1}}, "did you mean 'upsell'"),
        ({"base_rates": {"upsell": 15}}, "a base rate is not between 0 and 1"),
    ],
)
def test_arguments_that_are_not_allowed_are_refused(arguments, message):
    with pytest.raises(SpecError, match=message) as caught:
        make_event_history(**arguments)
    assert all(part in str(caught.value) for part in ("got:", "allowed:", "next:"))
