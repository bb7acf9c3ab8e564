from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from ces_ml.evaluation import (
    YARDSTICK,
    gains_table,
    metric_intervals,
    paired_differences,
    score_distribution,
    yardstick,
)

RNG = np.random.default_rng(0)
Y = (RNG.random(400) < 0.3).astype(int)
SCORE = np.clip(40 + 30 * Y + 25 * RNG.normal(size=400), 0, 100)


@pytest.mark.parametrize("flags", ["high", "low"])
def test_gains_count_the_outcomes_from_the_top_of_the_list(flags: str) -> None:
    rank, wanted = (SCORE, Y) if flags == "high" else (-SCORE, 1 - Y)
    score = RNG.permutation(400) + 0.0  # no ties
    score[np.argsort(rank)] = np.arange(400.0)
    score = score if flags == "high" else -score
    order = np.argsort(-rank, kind="stable")
    for row in gains_table(Y, score, flags=flags):
        first = order[: round(400 * row["share"])]
        assert row["found"] == pytest.approx(wanted[first].sum() / wanted.sum())
        assert row["lift"] == pytest.approx(wanted[first].mean() / wanted.mean())
        assert row["best"] == pytest.approx(min(1.0, len(first) / wanted.sum()))


def test_a_score_that_is_the_same_for_all_finds_what_chance_finds() -> None:
    assert all(r["lift"] == pytest.approx(1.0) for r in gains_table(Y, np.zeros(400)))


def test_a_weight_of_two_is_the_row_twice() -> None:
    weight = RNG.integers(1, 3, 400).astype(float)
    twice = np.repeat(np.arange(400), weight.astype(int))
    for of in (gains_table, score_distribution):
        weighted, repeated = of(Y, SCORE, weight), of(Y[twice], SCORE[twice])
        for a, b in zip(weighted, repeated, strict=True):
            assert a == pytest.approx(b)


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 100)), min_size=2, max_size=40).filter(
        lambda rows: len({y for y, _ in rows}) == 2
    )
)
def test_each_outcome_is_distributed_whole(rows: list[tuple[bool, float]]) -> None:
    y, score = (np.array(part) for part in zip(*rows, strict=True))
    table = score_distribution(y.astype(int), score)
    for name, wanted in (("good", y), ("bad", ~y)):
        assert sum(r[name] for r in table) == pytest.approx(1.0)
        first = np.mean(score[wanted] < 4.0)
        assert table[0][name] == pytest.approx(first)


def test_metrics_have_intervals_of_the_same_draws_as_the_differences() -> None:
    probability = np.clip(SCORE / 100, 0.01, 0.99)
    coin = RNG.random(400)
    who = np.arange(400) // 2
    given_ = {"coin": (coin, coin)}
    without = paired_differences(Y, (SCORE, probability), given_, who)
    found = paired_differences(Y, (SCORE, probability), {**given_, YARDSTICK: yardstick(Y)}, who)
    assert found[: len(without)] == without
    auc, loss = metric_intervals(found)
    assert (auc.metric, loss.metric) == ("roc_auc", "log_loss")
    assert auc.value == pytest.approx(roc_auc_score(Y, SCORE))
    assert loss.value == pytest.approx(log_loss(Y, probability), abs=1e-12)
    # An independent bootstrap by customer.
    draws = np.random.default_rng(7)
    aucs = []
    for _ in range(500):
        picked = draws.integers(0, 200, 200)
        rows = np.concatenate([2 * picked, 2 * picked + 1])
        aucs.append(roc_auc_score(Y[rows], SCORE[rows]))
    low, high = np.percentile(aucs, [5, 95])
    assert (auc.low, auc.high) == pytest.approx((low, high), abs=0.25 * (high - low))
    assert loss.low < loss.value < loss.high
