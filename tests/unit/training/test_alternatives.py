"""Near-equal weight sets, on a log where two of eight event types are all there is."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from ces_ml.evaluation import loss_difference
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.training import (
    Alternatives,
    TrainingConfig,
    alternative_stages,
    alternatives,
    train,
)
from ces_ml.training.counting import count_for_training

NAMES = [f"noise_{k}" for k in range(6)]


def simulated(customers: int, seed: int) -> pd.DataFrame:
    """A log in which `demo` and `refund` alone decide who buys; the noise events do nothing."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 150, customers), unit="D")
    rows = [pd.DataFrame({"customer_id": range(customers), "event_type": "trial", "when": start})]
    counts = {}
    for name, rate in {"demo": 1.0, "refund": 0.8, **dict.fromkeys(NAMES, 1.2)}.items():
        n = counts[name] = rng.poisson(rate, customers)
        who = np.repeat(np.arange(customers), n)
        when = start[who] + pd.to_timedelta(rng.uniform(0.1, 13.9, len(who)), unit="D")
        rows.append(pd.DataFrame({"customer_id": who, "event_type": name, "when": when}))
    z = -0.8 + 1.0 * counts["demo"] - 0.9 * counts["refund"]
    bought = np.flatnonzero(rng.random(customers) < 1 / (1 + np.exp(-z)))
    when = start[bought] + pd.Timedelta(days=20)
    rows.append(pd.DataFrame({"customer_id": bought, "event_type": "paid", "when": when}))
    end = {"customer_id": -1, "event_type": "end", "when": [pd.Timestamp("2025-08-01")]}
    return pd.concat([*rows, pd.DataFrame(end)]).rename(columns={"when": "timestamp"})


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return simulated(2500, seed=3)


@pytest.fixture(scope="module")
def config() -> TrainingConfig:
    return TrainingConfig.parse(
        {
            "name": "paid",
            "outcome": {"task": "conversion", "event": "paid", "horizon": "14d"},
            "as_of": "14d after trial",
            "counts": [{"events": ["demo", "refund", "noise_*"], "window": "28d"}],
            "model": {"hand_set": {"demo": 1, "refund": -1}, "rules": ["demo >= 0"]},
            "backtest": {"folds": 3},
        }
    )


@pytest.fixture(scope="module")
def found(config: TrainingConfig, history: pd.DataFrame) -> Alternatives:
    return alternatives(config, history)


def kind(found: Alternatives, name: str):
    return next(one for one in found.found if one.name == name)


def test_the_two_terms_that_matter_are_found_to_be_enough(found: Alternatives) -> None:
    few = kind(found, "sparsest")
    assert {name for name, w in few.weights.items() if w} == {"demo", "refund"}
    assert few.low <= 0 <= few.high
    assert few.meaning == "2 of 8 terms"
    assert few.weights["demo"] == pytest.approx(1.0, abs=0.25)


def test_the_fitted_weights_come_first_and_are_those_of_training(
    config: TrainingConfig, history: pd.DataFrame, found: Alternatives
) -> None:
    first, trained = found.found[0], train(config, history)
    assert first.name == "fitted"
    assert first.weights == pytest.approx(trained.weight_set.weights, abs=1e-6)
    assert first.log_loss == pytest.approx(trained.metrics["log_loss"], abs=1e-6)
    assert (first.loss_difference, first.low, first.high) == (0, 0, 0)


def test_the_closest_to_the_hand_set_weights_has_their_proportions(found: Alternatives) -> None:
    near = kind(found, "closest_to_hand_set").weights
    fitted = found.found[0].weights
    assert near["refund"] / near["demo"] == pytest.approx(-1.0, abs=0.05)
    assert sum(abs(near[n]) for n in NAMES) < 0.3 * sum(abs(fitted[n]) for n in NAMES)


@pytest.mark.slow
def test_differences_and_intervals_are_those_of_the_held_out_rows(
    config: TrainingConfig, history: pd.DataFrame, found: Alternatives
) -> None:
    table, _ = count_for_training(config, history)
    rows = table.take(train(config, history).split.test)
    sign = 1.0 - 2.0 * rows.outcomes
    losses = {
        one.name: np.logaddexp(
            0, sign * (rows.design() @ np.array(list(one.weights.values())) + one.intercept)
        )
        for one in found.found
    }
    for one in found.found:
        expected = loss_difference(losses[one.name], losses["fitted"], rows.customer)
        assert (one.loss_difference, one.low, one.high) == pytest.approx(expected, abs=1e-6)
        assert one.log_loss == pytest.approx(losses[one.name].mean(), abs=1e-6)


def test_every_set_obeys_the_rules_and_the_sparse_one_is_a_fit_with_few_terms(
    config: TrainingConfig, history: pd.DataFrame, found: Alternatives
) -> None:
    assert all(one.weights["demo"] >= 0 for one in found.found)
    table, _ = count_for_training(config, history)
    past = table.take(train(config, history).split.train)
    model = ConstrainedLogisticRegression(constraints=("demo >= 0", "at most 2 events"))
    model.fit(past.design().astype(np.float32), past.outcomes, feature_names=past.names)
    by_hand = dict(zip(past.names, model.coef_[0], strict=True))
    assert kind(found, "sparsest").weights == pytest.approx(by_hand, abs=1e-5)


def test_a_steadier_set_moves_less_than_the_fitted_one(found: Alternatives) -> None:
    steady = [one for one in found.found if one.name == "most_stable"]
    if not steady:
        assert any("no stronger penalty" in note for note in found.notes)
        return
    moved, fitted = (int(n) for n in re.findall(r"(\d+) %", steady[0].meaning))
    assert moved <= fitted
    assert steady[0].low <= 0


def test_fewer_terms_are_not_claimed_where_every_term_matters(config: TrainingConfig) -> None:
    two = TrainingConfig.parse(
        config.model_dump(mode="json")
        | {"counts": [{"events": ["demo", "refund"], "window": "28d"}], "model": {}}
    )
    found = alternatives(two, simulated(2500, seed=3))
    assert "sparsest" not in {one.name for one in found.found}
    assert "no fewer than 2 terms are within noise of the fitted weights" in found.notes
    assert any("add `hand_set` to model" in note for note in found.notes)


def test_one_moment_says_nothing_of_stability(
    config: TrainingConfig, history: pd.DataFrame
) -> None:
    day = TrainingConfig.parse(config.model_dump(mode="json") | {"as_of": "2025-03-15"})
    found = alternatives(day, history)
    assert any("stability over time can't be judged" in note for note in found.notes)


def test_stages_are_reported_and_everything_is_json(
    config: TrainingConfig, history: pd.DataFrame, found: Alternatives
) -> None:
    seen: list[str] = []
    again = alternatives(config, history, progress=seen.append)
    assert tuple(seen) == alternative_stages()
    body = json.dumps(again.as_dict(), allow_nan=False)
    assert body == json.dumps(found.as_dict(), allow_nan=False)
