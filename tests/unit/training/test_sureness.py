"""How sure the weights of a job are: in the weight set, in words, and where nothing can be said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.exceptions import ConvergenceWarning

from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.inference import weight_intervals
from ces_ml.tracking import Tracker
from ces_ml.training import TrainingConfig, TrainingResult, record, train
from ces_ml.training.counting import count_for_training
from ces_ml.weights import WeightSet


def changed(config: TrainingConfig, **sections: object) -> TrainingConfig:
    return TrainingConfig.parse(config.model_dump(mode="json") | sections)


def test_every_weight_has_an_interval_that_holds_it_and_obeys_its_sign(
    result: TrainingResult,
) -> None:
    for term in result.weight_set.terms:
        assert term.interval is not None
        assert term.interval.low <= term.weight <= term.interval.high
        assert term.interval.level == 0.9
        assert term.evidence in ("strong", "some", "none")
    terms = {t.name: t for t in result.weight_set.terms}
    assert terms["login"].interval.low >= 0
    assert terms["support_ticket"].interval.high <= 0
    assert WeightSet.from_json(result.weight_set.to_json()) == result.weight_set


def test_intervals_are_those_of_the_training_rows_by_customer(
    config: TrainingConfig, log: pd.DataFrame, result: TrainingResult
) -> None:
    table, _ = count_for_training(config, log)
    rows = table.take(result.split.train)
    X = rows.design().astype(np.float32)
    model = ConstrainedLogisticRegression(
        alpha=result.alpha, constraints=list(config.model.rules)
    ).fit(X, rows.outcomes, feature_names=rows.names)
    found = weight_intervals(model, X, rows.outcomes, groups=rows.customer.to_numpy())
    ends = [(t.interval.low, t.interval.high) for t in result.weight_set.terms]
    np.testing.assert_allclose(ends, np.column_stack([found.low, found.high]), 1e-5, 1e-8)


def test_the_result_tells_how_sure_an_order_is(result: TrainingResult) -> None:
    order = result.intervals.difference("demo_booked", "support_ticket")
    w = result.weight_set.weights
    assert order.estimate == pytest.approx(w["demo_booked"] - w["support_ticket"])
    assert order.probability > 0.99
    assert order.low > 0


def test_the_level_is_that_of_the_configuration(
    config: TrainingConfig, log: pd.DataFrame, result: TrainingResult
) -> None:
    narrow = train(changed(config, evaluation={"ceiling": False, "level": 0.5}), log)
    for term, wide in zip(narrow.weight_set.terms, result.weight_set.terms, strict=True):
        assert term.interval.level == 0.5
        assert term.interval.high - term.interval.low < wide.interval.high - wide.interval.low
    assert narrow.sure.words.startswith("50 % intervals by ")


def test_a_job_without_intervals_says_why_and_goes_on(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    # Who signs converts and nobody else does: without a penalty that weight grows without end.
    starts = log[log["event_type"] == "trial_started"]
    some = starts.iloc[::3]
    signed = some.assign(event_type="signed", timestamp=some["timestamp"] + pd.Timedelta(days=1))
    paid = some.assign(
        event_type="subscription_started", timestamp=some["timestamp"] + pd.Timedelta(days=20)
    )
    others = log[~log["event_type"].str.startswith("subscription_")]
    asked = changed(
        config,
        counts=[{"events": ["login", "signed"], "window": "28d"}],
        model={"rules": ["login >= 0"], "alpha": 0.0, "price_of_rules": False},
        audit={"allow": ["decides_outcome", "late_power", "begins_with_outcome"]},
    )
    with pytest.warns(ConvergenceWarning, match="separated"):
        result = train(asked, pd.concat([others, signed, paid]))
    assert result.intervals is None
    assert result.sure.words.startswith("No intervals: without the rules the weights have no fini")
    assert all(t.interval is None and t.evidence is None for t in result.weight_set.terms)


@pytest.mark.slow
def test_the_run_keeps_intervals_in_its_table_its_card_and_as_metrics(
    result: TrainingResult, tmp_path: Path
) -> None:
    tracker = Tracker(f"sqlite:///{tmp_path / 'm.db'}")
    run_id = record(result, tracker).run_id
    store = MlflowClient(f"sqlite:///{tmp_path / 'm.db'}")
    path = store.download_artifacts(run_id, "weights_table.json")
    table = json.loads(Path(path).read_text(encoding="utf-8"))
    frame = pd.DataFrame(table["data"], columns=table["columns"])
    assert frame["evidence"].tolist() == [t.evidence for t in result.weight_set.terms]
    assert frame["low"].tolist() == [t.interval.low for t in result.weight_set.terms]
    card = Path(store.download_artifacts(run_id, "weight_card.md")).read_text(encoding="utf-8")
    assert result.sure.words.split(";")[0] in card
    metrics = store.get_run(run_id).data.metrics
    for term in result.weight_set.terms:
        ends = metrics[f"weight_low/{term.name}"], metrics[f"weight_high/{term.name}"]
        assert ends == (term.interval.low, term.interval.high)
