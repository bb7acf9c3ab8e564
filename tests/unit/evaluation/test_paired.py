"""The paired bootstrap, held against rows that are really repeated, and against theory."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from ces_ml.errors import SpecError
from ces_ml.evaluation import paired, paired_differences
from ces_ml.evaluation.paired import Difference


def make_rows(n: int = 300, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(int)
    ours, other = (np.round(y * gain + rng.normal(size=n), 1) for gain in (1.0, 0.4))
    return {
        "y": y,
        "ours": ours,
        "other": other,
        "p_ours": 1 / (1 + np.exp(-ours)),
        "p_other": 1 / (1 + np.exp(-other)),
        "who": rng.integers(0, n // 3, n),
        "weight": rng.uniform(0.5, 2.0, n),
    }


def compare(rows: dict[str, np.ndarray], **options: object) -> dict[str, Difference]:
    found = paired_differences(
        rows["y"],
        (rows["ours"], rows["p_ours"]),
        {"other": (rows["other"], rows["p_other"])},
        rows["who"],
        **options,
    )
    return {d.metric: d for d in found}


@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_are_those_of_rows_that_are_really_repeated(weighted: bool) -> None:
    rows = make_rows()
    y, weight = rows["y"], rows["weight"] if weighted else np.ones(300)
    names = np.unique(rows["who"].astype(str))
    of = {name: np.flatnonzero(rows["who"].astype(str) == name) for name in names}
    rng = np.random.default_rng(7)
    slow = {"roc_auc": [], "log_loss": [], "brier": []}
    for _ in range(60):
        drawn = names[rng.integers(0, len(names), len(names))]
        at = np.concatenate([of[name] for name in drawn])
        auc, loss, square = (
            [f(y[at], rows[s][at], sample_weight=weight[at]) for s in pair]
            for f, pair in (
                (roc_auc_score, ("ours", "other")),
                (log_loss, ("p_ours", "p_other")),
                (brier_score_loss, ("p_ours", "p_other")),
            )
        )
        slow["roc_auc"].append(auc[0] - auc[1])
        slow["log_loss"].append(loss[0] - loss[1])
        slow["brier"].append(square[0] - square[1])
    options = {"replicates": 60, "level": 0.8, "seed": 7, "sample_weight": weight}
    found = compare(rows, brier=True, **options)
    # What is asked beside changes no number.
    assert compare(rows, **options) == {k: v for k, v in found.items() if k != "brier"}
    for metric, values in slow.items():
        expected = np.percentile(values, [10, 90])
        np.testing.assert_allclose([found[metric].low, found[metric].high], expected, atol=1e-12)


def test_the_difference_is_that_of_the_metrics_on_all_rows() -> None:
    rows = make_rows()
    found = compare(rows, sample_weight=rows["weight"])
    y, w = rows["y"], rows["weight"]
    auc = [roc_auc_score(y, rows[s], sample_weight=w) for s in ("ours", "other")]
    loss = [log_loss(y, rows[s], sample_weight=w) for s in ("p_ours", "p_other")]
    assert found["roc_auc"].value == pytest.approx(auc[0] - auc[1], abs=1e-12)
    assert found["log_loss"].value == pytest.approx(loss[0] - loss[1], abs=1e-12)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    rows = make_rows()
    assert compare(rows, seed=1) == compare(rows, seed=1)
    assert compare(rows, seed=1) != compare(rows, seed=2)


def test_a_score_compared_with_itself_has_no_difference() -> None:
    rows = make_rows()
    rows["other"], rows["p_other"] = rows["ours"], rows["p_ours"]
    for d in compare(rows).values():
        assert d.value == d.low == d.high == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_influences_give_nearly_the_interval_of_resamples(
    weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(6000, seed=3)
    options = {"sample_weight": rows["weight"]} if weighted else {}
    resampled = compare(rows, replicates=2000, **options)
    monkeypatch.setattr(paired, "MOST_ROWS_RESAMPLED", 0)
    influenced = compare(rows, **options)
    for metric in ("roc_auc", "log_loss"):
        one, two = resampled[metric], influenced[metric]
        assert two.value == one.value
        width = one.high - one.low
        assert two.high - two.low == pytest.approx(width, rel=0.08)
        assert two.low == pytest.approx(one.low, abs=0.08 * width)


def test_rows_of_one_customer_that_agree_widen_the_interval() -> None:
    rows = make_rows(900)
    once = compare(rows | {"who": np.arange(900)})["roc_auc"]
    thrice = {k: np.repeat(v, 3) for k, v in rows.items()} | {"who": np.repeat(np.arange(900), 3)}
    by_customer = compare(thrice)["roc_auc"]
    assert by_customer.high - by_customer.low == pytest.approx(once.high - once.low, rel=1e-9)


def test_without_probabilities_there_is_no_log_loss() -> None:
    rows = make_rows()
    pairs = {"other": (rows["other"], None)}
    found = paired_differences(rows["y"], (rows["ours"], rows["p_ours"]), pairs, rows["who"])
    assert [d.metric for d in found] == ["roc_auc"]


def test_resamples_without_one_of_the_outcomes_give_no_interval() -> None:
    rows = make_rows()
    one = (np.arange(300) == 5).astype(int)
    d = compare(rows | {"y": one, "who": np.arange(300)})["roc_auc"]
    assert np.isfinite(d.value)
    assert np.isnan(d.low)


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        ({"who": np.arange(7)}, {}, "do not stand row by row"),
        ({"y": np.zeros(300, int)}, {}, "only one outcome occurs"),
        ({}, {"replicates": 10}, "no interval can be made of so few resamples"),
        ({}, {"level": 1.0}, "a level between 0 and 1"),
    ],
)
def test_what_can_not_be_compared_is_refused(change, options, match) -> None:
    with pytest.raises(SpecError, match=match):
        compare(make_rows() | change, **options)
