"""The path as a whole, held against truth."""

import json

import numpy as np
import pandas as pd
import pytest

from ces_ml.datasets import EventHistory, complete_journey, make_event_history
from ces_ml.training import TrainingConfig, train
from ces_ml.training.demo import DEMO_SCORES, DEMO_STAGES, run_demo


def config_of_truth(history: EventHistory, task: str) -> TrainingConfig:
    """The configuration that counts exactly what the simulator drew the outcome from."""
    truth = history.truth[task]
    rules = [f"{e} {'>=' if w > 0 else '<='} 0" for e, w in truth.weights.items() if w]
    return TrainingConfig.parse(
        {
            "name": task,
            "outcome": {
                "task": truth.task,
                "event": truth.outcome_event,
                "horizon": truth.horizon,
                "gap": truth.gap,
            },
            "as_of": truth.as_of,
            "counts": [
                {
                    "events": sorted(truth.weights),
                    "window": truth.window,
                    "half_life": truth.half_life,
                    "transform": truth.transform,
                    "cap": truth.cap,
                }
            ],
            # The signs that a product person would state for the negative events only.
            "model": {"alpha": 1e-5, "rules": [r for r in rules if "<=" in r]},
        }
    )


@pytest.mark.slow
def test_the_true_weights_are_recovered_from_50000_simulated_customers() -> None:
    history = make_event_history(50_000, seed=0)
    truth = history.truth["conversion"].weights
    learned = train(config_of_truth(history, "conversion"), history.events).weight_set.weights
    w = np.array([learned[e] for e in truth])
    true = np.array(list(truth.values()))
    assert np.corrcoef(w, true)[0, 1] >= 0.98
    stated = true != 0
    assert (np.sign(w[stated]) == np.sign(true[stated])).all()


@pytest.mark.slow
def test_the_true_weights_are_recovered_roughly_from_5000_simulated_customers() -> None:
    history = make_event_history(5_000, seed=0)
    truth = history.truth["conversion"].weights
    learned = train(config_of_truth(history, "conversion"), history.events).weight_set.weights
    w = np.array([learned[e] for e in truth])
    assert np.corrcoef(w, np.array(list(truth.values())))[0, 1] >= 0.9


@pytest.mark.slow
def test_the_demonstration_beats_counting_out_of_time_and_its_files_agree(tmp_path) -> None:
    stages: list[str] = []
    done = run_demo(tmp_path / "demo", progress=stages.append)
    assert [d.result.config.name for d in done] == list(DEMO_SCORES)
    assert len(stages) == DEMO_STAGES
    households = complete_journey()["customer_id"].nunique()
    for d in done:
        auc = {row["name"]: row["roc_auc"] for row in d.result.comparison}
        assert auc[d.result.config.name] > auc["total_count"]
        train_rows, test_rows = d.result.split.train, d.result.split.test
        assert not (train_rows & test_rows).any()
        scores = pd.read_parquet(d.scores_path)
        assert len(scores) == households
        assert scores["score"].between(0, 100).all()
        assert d.version == "1"
        body = json.loads(d.weights_path.read_text(encoding="utf-8"))
        assert body["fingerprint"] == d.result.weight_set.fingerprint
        rates = [band["rate"] for band in body["bands"]]
        assert rates == sorted(rates)


@pytest.mark.slow
def test_what_happens_in_the_test_period_does_not_reach_the_weights(tmp_path) -> None:
    rng = np.random.default_rng(0)
    done = run_demo(tmp_path / "demo")
    log = pd.read_parquet(tmp_path / "demo" / "events.parquet")
    for d in done:
        start = d.result.config.split.test_from.replace(tzinfo=None)
        early, later = log[log["timestamp"] < start], log[log["timestamp"] >= start]
        mixed_up = later.assign(customer_id=rng.permutation(later["customer_id"]))
        other = train(d.result.config, pd.concat([early, mixed_up]))
        assert other.weight_set.weights == d.result.weight_set.weights
        assert other.metrics != d.result.metrics  # the change was seen where it may be seen


@pytest.mark.slow
def test_the_demonstration_keeps_a_configuration_that_was_edited(tmp_path) -> None:
    run_demo(tmp_path)
    file = tmp_path / "churn.yaml"
    file.write_text(file.read_text().replace("horizon: 28d", "horizon: 14d"))
    again = run_demo(tmp_path)
    assert again[1].result.config.outcome.horizon == "14d"
    assert again[1].version == "2"
