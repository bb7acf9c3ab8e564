from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import EventLogError, SpecError
from ces_ml.evaluation import METRICS, comparison, evaluate_scores
from ces_ml.evaluation.metrics import lift_at_10

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=2, max_size=40).filter(
    lambda rows: {y for y, _ in rows} == {0, 1}
)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    y, score = np.array(rows).T
    return y, score.astype(float)


@given(ROWS)
def test_roc_auc_is_the_share_of_pairs_in_order(rows: list[tuple[int, int]]) -> None:
    y, score = columns(rows)
    pairs = score[y == 1][:, None] - score[y == 0][None, :]
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert evaluate_scores(y, score)["roc_auc"] == pytest.approx(expected, abs=1e-12)


def test_lift_is_the_mean_over_all_ways_to_break_ties() -> None:
    y = np.array([1, 0, 1, 0, 0, 1, 0])
    score = np.array([3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 0.0])
    # 21 rows: three copies, so that the top holds three rows and the tie straddles its edge.
    y, score = np.concatenate([y, [0] * 14]), np.concatenate([score, [-1.0] * 14])
    tied = [1, 2, 3]
    tops = [[0, *order[:2]] for order in permutations(tied)]
    expected = np.mean([y[top].mean() for top in tops]) / y.mean()
    assert lift_at_10(y, score) == pytest.approx(expected, rel=1e-12)


@given(ROWS, st.randoms())
def test_metrics_do_not_depend_on_the_order_of_rows(rows: list[tuple[int, int]], random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    first, second = (evaluate_scores(*columns(r)) for r in (rows, shuffled))
    assert first == pytest.approx(second, rel=1e-12)


@given(ROWS)
def test_only_the_order_of_scores_counts(rows: list[tuple[int, int]]) -> None:
    y, score = columns(rows)
    assert evaluate_scores(y, score) == evaluate_scores(y, 7 * score**3 - 2)


def test_a_score_that_says_nothing_is_worth_a_coin() -> None:
    y = np.array([1, 0, 0, 0] * 25)
    found = evaluate_scores(y, np.full(100, 3.0), np.full(100, 0.25))
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert found == pytest.approx(
        {
            "roc_auc": 0.5,
            "average_precision": 0.25,
            "lift_at_10": 1.0,
            "log_loss": entropy,
            "brier": 0.25 * 0.75,
        }
    )


def test_a_perfect_score_reaches_the_best_values() -> None:
    y = np.array([1] * 5 + [0] * 95)
    found = evaluate_scores(y, y * 1.0, y * 1.0)
    assert found == pytest.approx(
        {"roc_auc": 1, "average_precision": 1, "lift_at_10": 10, "log_loss": 0, "brier": 0},
        abs=1e-12,
    )


@pytest.mark.parametrize(("rows", "top"), [(10, 1), (11, 2), (19, 2), (20, 2), (30, 3), (70, 7)])
def test_the_top_holds_a_tenth_rounded_up(rows: int, top: int) -> None:
    y = np.zeros(rows)
    y[0] = 1
    assert lift_at_10(y, -np.arange(rows, dtype=float)) == pytest.approx(rows / top)


def test_without_probabilities_there_is_no_log_loss() -> None:
    assert list(evaluate_scores(np.array([0, 1]), np.array([0.0, 1.0]))) == [
        name for name, metric in METRICS.items() if metric.of == "score"
    ]


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_says_truly_whether_greater_is_better(name: str) -> None:
    y = np.array([0] * 15 + [1] * 5)
    good = np.linspace(0.05, 0.95, 20)
    better = evaluate_scores(y, good, good)[name]
    worse = evaluate_scores(y, good[::-1], good[::-1])[name]
    assert (better > worse) == METRICS[name].greater_is_better


def test_a_certain_mistake_has_a_finite_log_loss() -> None:
    found = evaluate_scores(np.array([0, 1]), np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    assert 30 < found["log_loss"] < 1000


@pytest.mark.parametrize(("y", "counts"), [([1, 1], "2 good and 0 bad"), ([0, 0], "0 good and 2")])
def test_one_outcome_only_is_refused_with_counts(y: list[int], counts: str) -> None:
    with pytest.raises(EventLogError, match=rf"only one outcome occurs\n.*{counts}"):
        evaluate_scores(np.array(y), np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    ("y", "score", "probability", "message"),
    [
        ([0, 1], [1.0], None, r"outcomes and score do not stand row by row\n.*\(2,\) and \(1,\)"),
        ([0, 1], [1.0, 2.0], [0.5], "outcomes and probability do not stand row by row"),
        ([0, 1], [1.0, np.nan], None, r"score is not finite everywhere\n.*1 of 2"),
        ([0, 1], [1.0, 2.0], [0.5, np.nan], r"probability is not finite everywhere\n.*1 of 2"),
        (
            [0, 1],
            [1.0, 2.0],
            [0.5, 1.5],
            r"probabilities lie outside 0 to 1\n.*1 of 2, such as 1.5",
        ),
        ([0, 2], [1.0, 2.0], None, r"outcomes are not 0 or 1\n.*1 other values among 2"),
        ([0.0, np.nan], [1.0, 2.0], None, "outcomes are not 0 or 1"),
        ([], [], None, "only one outcome occurs"),
    ],
)
def test_what_can_not_be_judged_is_refused(y, score, probability, message: str) -> None:
    with pytest.raises((SpecError, EventLogError), match=message):
        evaluate_scores(
            np.array(y),
            np.array(score),
            None if probability is None else np.array(probability),
        )


def test_the_comparison_has_a_row_a_score_in_the_order_given() -> None:
    y = np.array([0, 0, 1, 1])
    score, probability = np.arange(4.0), np.array([0.1, 0.2, 0.8, 0.9])
    rows = comparison(y, {"z": (score, probability), "a": (-score, None)})
    assert [row["name"] for row in rows] == ["z", "a"]
    assert rows[0] == {"name": "z", **evaluate_scores(y, score, probability)}
    assert "brier" not in rows[1]
    assert rows[1]["roc_auc"] == 0.0
