from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ces_ml.errors import EventLogError, SpecError
from ces_ml.evaluation import TimeSplit, split_by_time
from ces_ml.spec import CountSpec, CountTable, OutcomeSpec

DAY = pd.Timedelta(days=1)
OUTCOME = OutcomeSpec(task="conversion", event="buy", gap="7d", horizon="14d")  # reaches 21 d
REACH = 21 * DAY


def make_table(customers, days, y=None) -> CountTable:
    """One row a customer and day (days since 2024-01-01)."""
    as_of = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.asarray(days), unit="D")
    keys = pd.DataFrame({"customer": list(customers), "as_of": as_of})
    y = np.arange(len(keys)) % 2 if y is None else np.asarray(y)
    spec = CountSpec.of(["login"], window="30d")
    return CountTable(keys, sp.csr_array((len(keys), 1)), spec, y.astype(np.int8))


def calendar(n_customers: int, days: list[int]) -> CountTable:
    customers = [f"c{k}" for _ in days for k in range(n_customers)]
    return make_table(customers, np.repeat(days, n_customers))


def check_laws(table: CountTable, split: TimeSplit) -> None:
    assert not (split.train & split.test).any()
    assert split.train.any()
    assert split.test.any()
    used = int(split.train.sum() + split.test.sum())
    assert used + split.purged + split.set_aside == len(table)
    if split.test_from is not None:
        first = table.as_of[split.test].min()
        assert first >= split.test_from
        assert (table.as_of[split.train] + REACH <= first).all()


def test_training_outcomes_have_ended_when_the_test_begins() -> None:
    table = calendar(4, [0, 20, 21, 42, 43])
    split = split_by_time(table, OUTCOME, test_from="2024-02-12")  # day 42
    np.testing.assert_array_equal(split.test, np.repeat([0, 0, 0, 1, 1], 4).astype(bool))
    np.testing.assert_array_equal(split.train, np.repeat([1, 1, 1, 0, 0], 4).astype(bool))
    assert split.purged == 0
    later = split_by_time(table, OUTCOME, test_from="2024-02-12T00:00:01Z")  # from day 43 on
    np.testing.assert_array_equal(later.train, np.repeat([1, 1, 1, 0, 0], 4).astype(bool))
    assert later.purged == 4


def test_a_row_one_microsecond_too_late_is_purged() -> None:
    table = make_table("abcdef", [0, 0, 0, 0, 21, 21])
    moments = table.as_of + pd.to_timedelta([0, 0, 1, 1, 0, 0], unit="us")
    moved = CountTable(table.keys.assign(as_of=moments), table.X, table.spec, table.y)
    found = split_by_time(moved, OUTCOME, test_from="2024-01-22")
    assert found.train.tolist() == [True, True, False, False, False, False]
    assert found.purged == 2


@given(
    days=st.lists(st.integers(0, 120), min_size=4, max_size=40),
    seed=st.integers(0, 99),
    customers=st.sampled_from(["shared", "disjoint"]),
    share=st.sampled_from([0.2, 0.3, 0.5]),
    n_customers=st.integers(2, 12),
)
@settings(max_examples=200, deadline=None)
def test_nothing_crosses_from_test_to_training(
    days: list[int], seed: int, customers: str, share: float, n_customers: int
) -> None:
    rng = np.random.default_rng(seed)
    names = [f"c{k}" for k in rng.integers(0, n_customers, len(days))]
    table = make_table(names, days, rng.integers(0, 2, len(days)))
    try:
        split = split_by_time(table, OUTCOME, customers=customers, test_share=share, seed=seed)
    except EventLogError:
        assume(False)
    check_laws(table, split)
    if customers == "disjoint" or split.test_from is None:
        assert not set(table.customer[split.train]) & set(table.customer[split.test])


@pytest.mark.parametrize("customers", ["shared", "disjoint"])
def test_the_order_of_the_rows_does_not_matter(customers: str) -> None:
    table = calendar(60, [0, 10, 21, 30, 42, 60])
    order = np.random.default_rng(0).permutation(len(table))
    split = split_by_time(table, OUTCOME, customers=customers)
    moved = split_by_time(table.take(order), OUTCOME, customers=customers)
    np.testing.assert_array_equal(moved.train, split.train[order])
    np.testing.assert_array_equal(moved.test, split.test[order])
    assert moved.description == split.description


def test_by_default_the_share_of_the_test_is_the_closest_possible() -> None:
    split = split_by_time(calendar(5, list(range(0, 300, 30))), OUTCOME, test_share=0.3)
    assert split.test.mean() == pytest.approx(0.3)
    assert split.test_from == pd.Timestamp("2024-01-01", tz="UTC") + 210 * DAY


def test_of_two_shares_equally_close_the_later_start_is_taken() -> None:
    split = split_by_time(calendar(5, [0, 30, 60, 90, 120]), OUTCOME, test_share=0.3)
    assert split.test.mean() == pytest.approx(0.2)


def test_the_training_side_is_not_left_empty_to_reach_the_share() -> None:
    # Nine tenths of the rows lie on the first two days; only the last day leaves training rows.
    table = make_table([f"c{k}" for k in range(20)], [0] * 9 + [1] * 9 + [21, 22])
    split = split_by_time(table, OUTCOME, test_share=0.5)
    check_laws(table, split)
    assert split.test.sum() == 2


def test_a_start_with_both_outcomes_on_both_sides_is_preferred() -> None:
    days = [0, 0, 30, 30, 60, 60, 90, 90]
    table = make_table("abcdefgh", days, [0, 1, 0, 1, 0, 1, 1, 1])
    split = split_by_time(table, OUTCOME, test_share=0.25)  # day 90 alone would be one class
    assert split.test_from == pd.Timestamp("2024-01-01", tz="UTC") + 60 * DAY


def test_anchored_rows_are_split_in_time_too() -> None:
    rng = np.random.default_rng(1)
    table = make_table([f"c{k}" for k in range(500)], rng.uniform(0, 200, 500))
    split = split_by_time(table, OUTCOME)
    check_laws(table, split)
    assert split.test.mean() == pytest.approx(0.3, abs=0.005)
    assert split.purged > 0


def test_disjoint_customers_are_divided_by_about_the_share() -> None:
    table = calendar(2000, [0, 30])
    split = split_by_time(table, OUTCOME, customers="disjoint", test_share=0.3)
    check_laws(table, split)
    assert split.test.sum() / 2000 == pytest.approx(0.3, abs=0.03)
    assert split.train.sum() == 2000 - split.test.sum()
    assert split.set_aside == 2000
    assert "no customer stands on both sides (2,000 rows set aside)" in split.description


def test_the_side_of_a_customer_does_not_depend_on_the_others() -> None:
    table = calendar(300, [0, 30])
    fewer = table.take(table.customer.isin([f"c{k}" for k in range(0, 300, 3)]).to_numpy())
    sides = [
        set(t.customer[split_by_time(t, OUTCOME, customers="disjoint").test])
        for t in (table, fewer)
    ]
    assert sides[1] == sides[0] & set(fewer.customer)


def test_another_seed_divides_the_customers_another_way() -> None:
    table = calendar(300, [0, 30])
    first, again, other = (
        split_by_time(table, OUTCOME, customers="disjoint", seed=s).test for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_customers_are_told_apart_by_their_text_whatever_it_is() -> None:
    hostile = ["", " ", "a'b", "a\nb", "🎉", "\x00"] * 30
    names = [f"{h}{k}" for k, h in enumerate(hostile)]
    as_text = make_table(names * 2, [0] * 180 + [30] * 180)
    check_laws(as_text, split_by_time(as_text, OUTCOME, customers="disjoint"))
    numbers = make_table(list(range(200)) * 2, [0] * 200 + [30] * 200)
    texts = make_table([str(k) for k in range(200)] * 2, [0] * 200 + [30] * 200)
    np.testing.assert_array_equal(
        split_by_time(numbers, OUTCOME, customers="disjoint").test,
        split_by_time(texts, OUTCOME, customers="disjoint").test,
    )


def test_a_single_date_is_divided_by_customer_and_says_so() -> None:
    table = calendar(1000, [0])
    split = split_by_time(table, OUTCOME)
    check_laws(table, split)
    assert split.test_from is None
    assert split.test.mean() == pytest.approx(0.3, abs=0.04)
    assert split.purged == 0
    assert "divided by customer, not by time" in split.description
    assert "all rows have the as_of 2024-01-01" in split.description


def test_rows_within_one_outcome_window_are_divided_by_customer_and_say_so() -> None:
    table = calendar(200, [0, 10, 20])
    split = split_by_time(table, OUTCOME)
    assert not set(table.customer[split.train]) & set(table.customer[split.test])
    assert "within one outcome window, 2024-01-01 to 2024-01-21" in split.description


def test_the_description_carries_the_numbers() -> None:
    split = split_by_time(calendar(4, [0, 30, 60, 70]), OUTCOME, test_from="2024-03-11")
    assert split.description == (
        "test: 4 rows from 2024-03-11 on; training: 8 rows whose outcome was known by then; "
        "4 rows between them purged; customers may stand on both sides, at different times"
    )


def test_a_split_is_frozen() -> None:
    split = split_by_time(calendar(4, [0, 30]), OUTCOME)
    with pytest.raises(FrozenInstanceError):
        split.purged = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        split.train[0] = False


@pytest.mark.parametrize(
    ("test_from", "side"), [("2024-01-01", "training"), ("2025-01-01", "test")]
)
def test_a_test_from_that_leaves_no_rows_on_a_side_is_refused(test_from: str, side: str) -> None:
    with pytest.raises(
        SpecError,
        match=rf"leaves no {side} rows\n.*2024-01-01 to 2024-03-01\n.*not after 2024-03-01",
    ):
        split_by_time(calendar(4, [0, 30, 60]), OUTCOME, test_from=test_from)


def test_the_allowed_test_from_in_the_error_is_allowed() -> None:
    table = calendar(4, [0, 15, 30])
    with pytest.raises(SpecError, match="a test_from after 2024-01-21T23:59:59") as caught:
        split_by_time(table, OUTCOME, test_from="2024-01-02")
    assert "not after 2024-01-31" in str(caught.value)
    check_laws(table, split_by_time(table, OUTCOME, test_from="2024-01-22"))


def test_a_test_from_that_no_row_can_train_for_says_how_far_apart_rows_must_be() -> None:
    with pytest.raises(SpecError, match=r"no training rows\n.*\n.*gap \+ horizon \(21d\) apart"):
        split_by_time(calendar(4, [0, 10]), OUTCOME, test_from="2024-01-11")


@pytest.mark.parametrize(
    ("y", "side", "counts"),
    [
        ([0, 0, 0, 1], "training", "0 good and 2 bad outcomes among 2 training rows"),
        ([1, 1, 0, 1], "training", "2 good and 0 bad"),
        ([0, 1, 1, 1], "test", "2 good and 0 bad outcomes among 2 test rows"),
    ],
)
def test_one_outcome_only_on_a_side_is_refused_with_counts(y, side: str, counts: str) -> None:
    table = make_table("abcd", [0, 0, 30, 30], y)
    for test_from in (None, "2024-01-31"):
        with pytest.raises(
            EventLogError, match=rf"the {side} rows have one outcome only\n.*{counts}"
        ):
            split_by_time(table, OUTCOME, test_from=test_from)


def test_one_customer_can_not_be_divided() -> None:
    with pytest.raises(EventLogError, match=r"dividing the customers leaves no \w+ rows"):
        split_by_time(make_table("aa", [0, 1]), OUTCOME)


def test_one_outcome_only_after_dividing_customers_is_refused() -> None:
    table = make_table([f"c{k}" for k in range(50)], [0] * 50, [0] * 50)
    with pytest.raises(EventLogError, match="the training rows have one outcome only"):
        split_by_time(table, OUTCOME)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(SpecError, match=r"test_share is not a share\n.*\n.*above 0 and below 1"):
        split_by_time(calendar(4, [0, 30]), OUTCOME, test_share=share)


def test_an_unknown_way_to_divide_customers_is_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"'disjiont'\n.*did you mean 'disjoint'\?"):
        split_by_time(calendar(4, [0, 30]), OUTCOME, customers="disjiont")


def test_a_test_from_that_is_no_moment_is_refused() -> None:
    with pytest.raises(SpecError, match="not a moment in time"):
        split_by_time(calendar(4, [0, 30]), OUTCOME, test_from="soon")


def test_a_table_without_rows_or_outcomes_is_refused() -> None:
    table = calendar(4, [0, 30])
    with pytest.raises(EventLogError, match=r"nothing to split\n.*no rows"):
        split_by_time(table.take(np.zeros(8, dtype=bool)), OUTCOME)
    with pytest.raises(EventLogError, match=r"nothing to split\n.*rows without outcomes"):
        split_by_time(CountTable(table.keys, table.X, table.spec), OUTCOME)
