"""Enough data, weights of one event at a time, the ceiling, the bar, and rates of bands."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from ces_ml.evaluation import (
    Columns,
    calibrated,
    ceiling_probability,
    choose_bands,
    data_verdict,
    halfway,
    honest_bands,
    rate_interval,
    univariate_weights,
    vendor_bar,
)
from ces_ml.evaluation.ceiling import sample_customers
from ces_ml.evaluation.data_verdict import rows_for_shrinkage
from ces_ml.spec import CountSpec, CountTable
from ces_ml.weights import Band


def make_table(X: np.ndarray, y: np.ndarray, who: np.ndarray) -> CountTable:
    keys = pd.DataFrame({"customer": who, "as_of": pd.to_datetime(["2024-01-01"] * len(who))})
    spec = CountSpec.of([f"e{k}" for k in range(X.shape[1])], window="30d")
    return CountTable(keys, sp.csr_array(X.astype(float)), spec, y=y.astype(np.int8))


def test_customers_not_rows_are_counted_as_witnesses() -> None:
    # Two customers, twenty rows: one good at every moment, the other good once.
    who = np.repeat(["a", "b"], 10)
    y = (who == "a") | (np.arange(20) == 12)
    X = np.column_stack([np.ones(20), who == "a", np.zeros(20), np.arange(20) == 12])
    found = data_verdict(make_table(X, y, who))
    assert (found.outcome.rows, found.outcome.customers) == (20, 2)
    assert (found.outcome.positives, found.outcome.negatives) == (2, 1)
    counted = [(t.customers, t.positives, t.negatives) for t in found.terms]
    assert counted == [(2, 2, 1), (1, 1, 0), (0, 0, 0), (1, 1, 0)]
    assert found.outcome.terms == 3
    assert found.outcome.per_term == pytest.approx(1 / 3)
    assert found.terms[1].words == "one-sided: all 1 who did it have y = 1"
    assert found.terms[2].words == "nobody did it"
    assert found.terms[0].words.startswith("few: 2 with y = 1 and 1 with y = 0 did it")
    assert [t.name for t in found.lacking] == ["e1", "e2", "e3", "e0"]


def test_plenty_is_enough() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.poisson(1, (3000, 3)), rng.random(3000) < 0.3
    found = data_verdict(make_table(X, y, np.arange(3000)))
    assert found.outcome.enough
    assert found.outcome.words.startswith("enough? yes")
    assert not found.lacking


def test_rows_for_shrinkage_are_those_of_the_published_formula() -> None:
    rate, terms = 0.174, 24
    largest = 1 - (rate**rate * (1 - rate) ** (1 - rate)) ** 2
    expected = terms / ((0.9 - 1) * math.log(1 - 0.15 * largest / 0.9))
    assert rows_for_shrinkage(terms, rate) == math.ceil(expected)
    assert rows_for_shrinkage(terms, 0.0) == 0


def test_univariate_weights_are_log_odds_ratios_by_hand() -> None:
    X = np.array([[1, 0, 2], [3, 0, 1], [0, 0, 1], [0, 0, 1], [1, 0, 5]])
    y = np.array([1, 0, 1, 0, 1])
    found = univariate_weights(sp.csr_array(X), y)
    # Who did the first: 2 good, 1 bad; who did not: 1 good, 1 bad.
    assert found[0] == pytest.approx(math.log((2.5 / 1.5) / (1.5 / 1.5)))
    assert found[1:].tolist() == [0, 0]  # nobody, everybody


def test_univariate_weights_take_sample_weights_of_any_scale() -> None:
    X, y = sp.csr_array(np.array([[1], [1], [0], [0]])), np.array([1, 0, 1, 0])
    heavy = np.array([3.0, 1.0, 2.0, 2.0])
    found = univariate_weights(X, y, heavy)
    assert found[0] == pytest.approx(math.log((1.5 + 0.5) / (0.5 + 0.5)))
    np.testing.assert_allclose(univariate_weights(X, y, 10 * heavy), found)


def test_halfway_scales_hand_set_weights_to_log_odds_and_never_turns_them() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=4000)
    y = (rng.random(4000) < 1 / (1 + np.exp(-0.7 * score))).astype(int)
    assert halfway(score, y) == pytest.approx(0.7, abs=0.1)
    p = calibrated(score, y, np.array([0.0, 1.0]))
    slope = np.diff(np.log(p / (1 - p)))[0]
    assert halfway(score, y) == pytest.approx(slope)
    assert halfway(-score, y) == 0
    assert halfway(np.ones(4000), y) == 0


def bump(n: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    X, days = rng.poisson(2, (n, 2)).astype(float), rng.uniform(0, 60, n)
    y = (rng.random(n) < np.where(X[:, 0] == 2, 0.8, 0.1)).astype(int)
    return X, days, y


def test_the_ceiling_follows_what_no_weight_can_and_is_the_same_twice() -> None:
    X, _, y = bump()
    columns = Columns(sp.csr_array(X))
    who = np.arange(3000) // 2
    p = ceiling_probability(columns, y, who, columns, seed=3)
    assert p[X[:, 0] == 2].mean() == pytest.approx(0.8, abs=0.06)
    assert p[X[:, 0] != 2].mean() == pytest.approx(0.1, abs=0.06)
    np.testing.assert_array_equal(p, ceiling_probability(columns, y, who, columns, seed=3))


def test_the_ceiling_sees_ages_with_gaps() -> None:
    X, days, _ = bump()
    y = (days < 10).astype(int)
    days[::7] = np.nan
    p = ceiling_probability(
        Columns(sp.csr_array(X), days[:, None]),
        y,
        np.arange(3000),
        Columns(sp.csr_array(X), days[:, None]),
    )
    known = np.isfinite(days)
    assert p[known & (y == 1)].mean() > 0.98
    assert p[known & (y == 0)].mean() < 0.02


def test_a_sample_holds_whole_customers_and_no_more_rows_than_asked() -> None:
    who = np.random.default_rng(0).integers(0, 400, 3000)
    at = sample_customers(who, 1000, seed=1)
    assert 900 < at.size <= 1000
    assert not set(who[at]) & set(np.delete(who, at))
    np.testing.assert_array_equal(at, sample_customers(who, 1000, seed=1))
    assert sample_customers(who, 3000, seed=1).size == 3000


def test_the_bar_counts_what_flagged_customers_hold() -> None:
    score = np.arange(200.0)
    y = np.zeros(200, int)
    y[[199, 198, 170, 160, 100]] = 1
    bands = [Band(name="a", from_score=0, rate=0.01), Band(name="b", from_score=50, rate=0.12)]
    bar = vendor_bar(score, y, bands)
    # The top 30 rows hold two and row 170; the top 50 and 70 hold four.
    assert bar.held == pytest.approx((0.6, 0.8, 0.8))
    assert bar.share_needed == pytest.approx(0.15)
    assert bar.times == pytest.approx(12)
    assert "reached, 60 % take 15 %" in bar.words
    low = vendor_bar(-score, 1 - y, bands[::-1], flags="low")
    assert low.held == pytest.approx(bar.held)
    assert low.times == pytest.approx(0.88 / 0.99)
    assert "lowest scores" in low.words
    assert "bar: 10; not reached" in low.words


def test_rows_of_equal_scores_are_flagged_in_part() -> None:
    bar = vendor_bar(np.zeros(100), np.arange(100) < 10, [Band(name="all", from_score=0, rate=0.1)])
    assert bar.held == pytest.approx((0.15, 0.25, 0.35))
    assert bar.share_needed == pytest.approx(0.6)
    assert bar.times == pytest.approx(1)


def test_rates_come_from_customers_who_did_not_choose_the_cuts() -> None:
    """Outcomes have nothing to do with the score: chosen rates part, honest ones do not."""
    apart: dict[str, list[float]] = {"chosen": [], "honest": []}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        score, y = rng.uniform(0, 100, 400), (rng.random(400) < 0.3).astype(int)
        for name, bands in (
            ("chosen", choose_bands(score, y)),
            ("honest", honest_bands(score, y, np.arange(400), seed=seed)),
        ):
            apart[name].append(bands[-1].rate - bands[0].rate)
    assert np.mean(apart["chosen"]) > 0.05
    assert abs(np.mean(apart["honest"])) < 0.035


def test_no_customer_chooses_cuts_and_gives_rates() -> None:
    rng = np.random.default_rng(0)
    who = rng.integers(0, 50, 600)
    score, y = rng.uniform(0, 100, 600), (rng.random(600) < 0.3).astype(int)
    bands = honest_bands(score, y, who, seed=2)
    at = sample_customers(who, 300, 2)
    assert sum(b.rows for b in bands) == 600 - at.size
    assert [b.from_score for b in bands] == [b.from_score for b in choose_bands(score[at], y[at])]


def test_intervals_of_rates_cover_the_truth_with_repeated_customers() -> None:
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        p = rng.beta(2, 6, 80)  # mean 0.25, customers differ
        who = np.repeat(np.arange(80), 5)
        _, low, high = rate_interval((rng.random(400) < p[who]).astype(int), who)
        covered += low <= 0.25 <= high
    assert 0.85 <= covered / 300 <= 0.95


def test_a_rate_of_nothing_is_unknown_and_one_of_zero_has_an_interval() -> None:
    assert rate_interval(np.zeros(0), np.zeros(0)) == (None, None, None)
    rate, low, high = rate_interval(np.zeros(30), np.arange(30))
    assert (rate, low) == (0, 0)
    assert 0.05 < high < 0.12
