"""Verdicts on planted signals, and their words."""

from __future__ import annotations

import numpy as np
import pytest

from ces_ml.errors import SpecError
from ces_ml.evaluation import Difference, paired_differences, reach_verdict

Y, WHO = np.arange(200) % 2, np.arange(200)


def gain(value: float, low: float, high: float, against: str = "total_count") -> Difference:
    return Difference(against, "roc_auc", value, low, high, 0.9)


@pytest.mark.parametrize(
    ("difference", "kind", "words"),
    [
        (gain(0.06, 0.04, 0.08), "better", "beats counting by 0.06 AUC (90 % interval 0.04 to 0."),
        (gain(0.012, 0.009, 0.014), "better", "by 0.012 AUC (90 % interval 0.009 to 0.014)"),
        (gain(0.01, -0.02, 0.04), "no_better", "no better than counting (0.01 AUC, 90 % interval"),
        (gain(-0.05, -0.08, -0.02), "worse", "no better than counting: worse by 0.05 AUC (90 %"),
    ],
)
def test_a_verdict_follows_the_interval(difference: Difference, kind: str, words: str) -> None:
    verdict = reach_verdict(Y, WHO, [difference])
    assert verdict.kind == kind
    assert words in verdict.words
    assert verdict.worth_promoting == (kind == "better")


def test_the_bar_is_the_way_of_counting_that_did_best() -> None:
    found = [
        gain(0.1, 0.08, 0.12),
        gain(0.02, -0.01, 0.04, "equal_weights"),
        gain(0.05, 0.03, 0.07, "decayed_count"),
        gain(-0.3, -0.4, -0.2, "boosting"),
        Difference("total_count", "log_loss", -1.0, -2.0, -0.5, 0.9),
    ]
    verdict = reach_verdict(Y, WHO, found, reversed_scores=["equal_weights"])
    assert (verdict.against, verdict.kind) == ("equal_weights", "no_better")
    assert verdict.reversed


def test_each_way_of_counting_must_be_beaten_with_its_whole_interval() -> None:
    wide = gain(0.08, -0.01, 0.17, "equal_weights")
    verdict = reach_verdict(Y, WHO, [gain(0.05, 0.03, 0.07), wide])
    assert (verdict.kind, verdict.against) == ("no_better", "equal_weights")


@pytest.mark.parametrize(("loss", "kind"), [(0.004, "no_better"), (0.0, "better"), (-1, "better")])
def test_a_gain_that_costs_log_loss_is_none(loss: float, kind: str) -> None:
    lost = Difference("total_count", "log_loss", loss, loss - 0.001, loss + 0.001, 0.9)
    verdict = reach_verdict(Y, WHO, [gain(0.06, 0.04, 0.08), lost])
    assert verdict.kind == kind
    assert ("but log loss rises by 0.004" in verdict.words) == (kind == "no_better")


@pytest.mark.parametrize(("rarer", "words"), [(1, "positives"), (0, "negatives")])
def test_few_customers_with_one_outcome_give_no_verdict(rarer: int, words: str) -> None:
    y = np.full(200, 1 - rarer)
    y[:40] = rarer
    who = np.arange(200)
    who[:40] = np.arange(40) % 17  # forty rows, seventeen customers
    verdict = reach_verdict(y, who, [gain(0.3, 0.2, 0.4)])
    assert verdict.kind == "too_few"
    assert verdict.words == f"too few {words} to tell (17)"
    assert verdict.rarer == 17
    assert not verdict.worth_promoting


def test_an_interval_that_could_not_be_made_gives_no_verdict() -> None:
    assert reach_verdict(Y, WHO, [gain(0.3, np.nan, np.nan)]).kind == "too_few"


def test_simpler_weights_that_do_better_for_certain_are_told_of() -> None:
    found = [
        gain(0.06, 0.04, 0.08),
        gain(-0.02, -0.03, -0.01, "univariate_lift"),
        gain(-0.01, -0.03, 0.01, "hand_set"),
        gain(-0.3, -0.4, -0.2, "boosting"),
    ]
    verdict = reach_verdict(Y, WHO, found)
    assert verdict.kind == "better"
    assert verdict.words == (
        "beats counting by 0.06 AUC (90 % interval 0.04 to 0.08); but weights learned one event at "
        "a time do better by 0.020 AUC (0.010 to 0.030)"
    )
    both = reach_verdict(Y, WHO, [*found[:2], gain(-0.1, -0.2, -0.05, "hand_set")])
    assert both.words.endswith("and the hand-set weights do better by 0.10 AUC (0.05 to 0.20)")


def test_without_a_score_that_counts_there_is_no_verdict() -> None:
    with pytest.raises(SpecError, match="there is no verdict without a score that counts"):
        reach_verdict(Y, WHO, [gain(0.1, 0.0, 0.2, "boosting")])


@pytest.mark.parametrize(("strength", "least", "most"), [(1.0, 20, 20), (0.0, 0, 4)])
def test_a_planted_signal_is_found_and_none_is_not(strength: float, least: int, most: int) -> None:
    better = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y = (rng.random(2000) < 0.2).astype(int)
        ours, counted = strength * y + rng.normal(size=2000), rng.poisson(3, 2000).astype(float)
        pairs = {"total_count": (counted, None)}
        who = rng.integers(0, 900, 2000)
        found = paired_differences(y, (ours, None), pairs, who, replicates=200, seed=seed)
        better += reach_verdict(y, who, found).kind == "better"
    assert least <= better <= most
