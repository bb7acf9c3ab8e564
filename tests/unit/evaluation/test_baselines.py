from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from ces_ml.errors import EventLogError, SpecError
from ces_ml.evaluation import BASELINES, COUNTING, baseline_scores, calibrated
from ces_ml.spec import CountSpec, CountTable, Term

COUNTS = np.array([[1.0, 4.0, 9.0, -2.0], [0.0, 1.0, 0.0, 50.0], [0.0, 0.0, 0.0, 0.0]])


def make_table(*terms: Term, counts: np.ndarray = COUNTS) -> CountTable:
    keys = pd.DataFrame(
        {"customer": range(len(counts)), "as_of": pd.to_datetime(["2024-01-01"] * len(counts))}
    )
    return CountTable(keys, sp.csr_array(counts), CountSpec(terms=terms))


@pytest.fixture
def table() -> CountTable:
    return make_table(
        Term(event="login", window="7d"),
        Term(name="logins", event="login", window="30d", cap=2),
        Term(event="refund", window="30d", transform="sqrt"),
        Term(event="spent", measure="sum", property="amount", window="30d", cap=10),
    )


def test_the_total_counts_each_event_once_over_its_longest_window(table: CountTable) -> None:
    assert baseline_scores(table)["total_count"].tolist() == [4 + 9, 1, 0]


def test_the_total_takes_the_count_that_does_not_decay() -> None:
    terms = (
        Term(event="a", window="30d", half_life="7d"),
        Term(event="a", window="30d"),
        Term(event="a", window="30d", half_life="14d"),
        Term(event="a", window="7d"),
    )
    assert baseline_scores(make_table(*terms))["total_count"].tolist() == [4, 1, 0]


def test_the_total_of_decaying_counts_takes_the_slowest_decay() -> None:
    terms = [Term(event="a", window="30d", half_life=h) for h in ("3d", "9d", "5d", "2d")]
    assert baseline_scores(make_table(*terms))["total_count"].tolist() == [4, 1, 0]


def test_without_any_count_the_total_is_the_sum_of_all_columns() -> None:
    terms = [Term(event=e, window="7d", measure="active_days") for e in "abcd"]
    assert baseline_scores(make_table(*terms))["total_count"].tolist() == [12, 51, 0]


def test_equal_weights_add_transformed_counts_with_their_signs(table: CountTable) -> None:
    signs = {"refund": -1, "spent": 0}
    expected = [1 + 2 - 3, 0 + 1 - 0, 0]
    np.testing.assert_allclose(baseline_scores(table, signs=signs)["equal_weights"], expected)


def test_hand_set_weights_multiply_transformed_counts(table: CountTable) -> None:
    weights = {"logins": 0.5, "spent": 0.1}
    expected = [0.5 * 2 - 0.1 * 2, 0.5 * 1 + 0.1 * 10, 0]
    np.testing.assert_allclose(baseline_scores(table, hand_set=weights)["hand_set"], expected)


@pytest.mark.parametrize("hand_set", [None, {}])
def test_without_hand_set_weights_there_is_no_such_baseline(table: CountTable, hand_set) -> None:
    assert list(baseline_scores(table, signs={}, hand_set=hand_set)) == [
        "total_count",
        "equal_weights",
    ]


def test_every_baseline_is_described(table: CountTable) -> None:
    total = np.arange(3.0)
    assert list(baseline_scores(table, hand_set={"refund": 1.0}, total=total)) == list(BASELINES)
    assert set(COUNTING) < set(BASELINES)


def test_a_total_without_decay_may_be_given_where_the_counts_decay() -> None:
    terms = (
        Term(event="a", window="30d", half_life="7d"),
        Term(event="b", window="30d"),
        Term(event="a", window="60d", half_life="3d"),
        Term(event="b", window="60d"),
    )
    found = baseline_scores(make_table(*terms), total=np.array([20.0, 60.0, 0.0]))
    assert found["total_count"].tolist() == [20, 60, 0]
    assert found["decayed_count"].tolist() == [9 - 2, 50, 0]  # each over its longest window


def test_the_decayed_count_stands_beside_a_total_only_where_it_differs() -> None:
    both = (
        Term(event="a", window="30d", half_life="7d"),
        Term(event="a", window="30d"),
        Term(event="b", window="30d"),
        Term(event="c", window="30d"),
    )
    found = baseline_scores(make_table(*both))
    assert found["total_count"].tolist() == [4 + 9 - 2, 1 + 50, 0]
    assert found["decayed_count"].tolist() == [1 + 9 - 2, 50, 0]


@pytest.mark.parametrize("what", ["signs", "hand_set"])
def test_a_name_that_is_not_counted_is_answered_with_the_nearest(
    table: CountTable, what: str
) -> None:
    with pytest.raises(SpecError, match=r"not counted\n.*'refnd'\n.*did you mean 'refund'\?"):
        baseline_scores(table, **{what: {"refnd": 1}})


def test_a_sign_that_is_a_size_is_refused(table: CountTable) -> None:
    with pytest.raises(SpecError, match=r"a stated sign is not a sign\n.*'refund': -2"):
        baseline_scores(table, signs={"refund": -2, "spent": 1})


def test_a_hand_set_weight_that_is_not_finite_is_refused(table: CountTable) -> None:
    with pytest.raises(SpecError, match="a hand-set weight is not a finite number"):
        baseline_scores(table, hand_set={"refund": float("nan")})


def logistic(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = rng.gamma(2.0, 10.0, n)
    p = 1 / (1 + np.exp(-(0.1 * score - 3)))
    return score, (rng.random(n) < p).astype(int), p


def test_calibration_finds_the_true_probabilities() -> None:
    score, y, p = logistic(100_000)
    assert np.abs(calibrated(score, y, score) - p).max() < 0.02


def test_calibrated_probabilities_keep_the_rate_of_the_training_rows() -> None:
    # The score equation of the intercept, which the weak ridge on the slope leaves alone.
    score, y, _ = logistic(2_000)
    assert calibrated(score, y, score).mean() == pytest.approx(y.mean(), abs=1e-6)


def test_calibration_does_not_depend_on_the_unit_of_the_score() -> None:
    score, y, _ = logistic(2_000)
    expected = calibrated(score, y, score[:50])
    moved = calibrated(1e4 * score - 7e5, y, 1e4 * score[:50] - 7e5)
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_calibration_keeps_the_order_of_the_scores() -> None:
    score, y, _ = logistic(2_000)
    assert (np.diff(calibrated(score, y, np.linspace(-50, 200, 99))) >= 0).all()


def test_a_score_that_separates_gets_finite_probabilities_inside_0_and_1() -> None:
    p = calibrated(np.array([1.0, 2.0, 8.0, 9.0]), np.array([0, 0, 1, 1]), np.array([0.0, 10.0]))
    assert 0 < p[0] < 0.01
    assert 0.99 < p[1] < 1


@pytest.mark.parametrize("value", [0.0, 3.0, 1e9 + 0.1])
def test_a_constant_score_gets_the_rate(value: float) -> None:
    p = calibrated(np.full(4, value), np.array([0, 0, 0, 1]), np.array([value, value + 5]))
    assert p.tolist() == [0.25, 0.25]


@pytest.mark.parametrize(("y", "counts"), [([1, 1], "2 good and 0 bad"), ([0, 0], "0 good and 2")])
def test_one_outcome_only_can_not_be_calibrated(y: list[int], counts: str) -> None:
    with pytest.raises(EventLogError, match=rf"can't be calibrated.*\n.*{counts}"):
        calibrated(np.array([0.0, 1.0]), np.array(y), np.array([0.5]))
