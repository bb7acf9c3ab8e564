"""Weight sets on the same held-out rows, against the pieces put together by hand."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from ces_ml.errors import CesWarning, ConfigError, EventLogError, SpecError
from ces_ml.evaluation import evaluate_scores, paired_differences, split_by_time
from ces_ml.features import build_counts
from ces_ml.spec.counts import CountSpec
from ces_ml.training import TrainingConfig, TrainingResult, compare_weight_sets, train
from ces_ml.weights import (
    Scale,
    WeightedTerm,
    WeightSet,
    band_names,
    probabilities,
    raw_scores,
    scores,
)

OTHER = {
    "counts": [{"events": ["login", "page_view", "demo_booked"], "window": "14d"}],
    "model": {"rules": ["login >= 0"]},
}


@pytest.fixture(scope="module")
def other(config: TrainingConfig, log) -> WeightSet:
    """Weights that count fewer events, over another window, in another way."""
    body = config.model_dump(mode="json", exclude_defaults=True) | OTHER
    return train(TrainingConfig.parse(body), log).weight_set


@pytest.fixture(scope="module")
def found(other: WeightSet, config: TrainingConfig, log, result: TrainingResult):
    return compare_weight_sets({"old": other, "new": result.weight_set}, config, log)


def by_hand(weight_set: WeightSet, config: TrainingConfig, log):
    """The held-out rows, counted with the weight set's own specification and nothing else."""
    table = build_counts(
        log, weight_set.spec, as_of=config.as_of_rule, outcome=config.outcome,
        schema=config.events.event_schema,
    )  # fmt: skip
    rows = table.take(split_by_time(table, config.outcome, seed=config.seed).test)
    raw = raw_scores(weight_set, rows.X)
    return rows, raw, probabilities(weight_set, raw)


def test_metrics_and_paired_intervals_are_those_of_the_evaluation(
    found, other, config, log, result
) -> None:
    rows, old, p_old = by_hand(other, config, log)
    again, new, p_new = by_hand(result.weight_set, config, log)
    assert rows.keys.equals(again.keys)
    assert (found.rows, found.good) == (len(rows), int(rows.outcomes.sum()))
    assert found.customers == rows.customer.nunique()
    for one, raw, p in zip(found.sets, (old, new), (p_old, p_new), strict=True):
        assert one.metrics == pytest.approx(evaluate_scores(rows.outcomes, raw, p), abs=1e-12)
    expected = paired_differences(
        rows.outcomes,
        (new, p_new),
        {"old": (old, p_old)},
        rows.customer.to_numpy(),
        seed=0,
        brier=True,
    )
    for ours, theirs in zip(found.changes[0].differences, expected, strict=True):
        assert (ours.against, ours.metric, ours.level) == ("old", theirs.metric, 0.9)
        assert [ours.value, ours.low, ours.high] == pytest.approx(
            [theirs.value, theirs.low, theirs.high], abs=1e-12
        )


def test_the_metrics_are_those_that_training_noted(found, result) -> None:
    noted = result.weight_set.provenance.metrics
    assert found.sets[1].metrics == pytest.approx(noted, rel=1e-8)
    assert [one.seen for one in found.sets] == [0, 0]


def test_every_customer_is_in_the_matrix_once_with_both_bands(
    found, other, config, log, result
) -> None:
    bands = []
    for weight_set in (other, result.weight_set):
        rows, raw, _ = by_hand(weight_set, config, log)
        bands.append(band_names(weight_set, scores(weight_set, raw)))
    latest = {c: k for k, c in enumerate(rows.customer)}  # rows stand in the order of as_of
    migration = found.changes[0].migration
    assert migration.customers == len(latest)
    for i, before in enumerate(migration.before):
        for j, after in enumerate(migration.after):
            held = sum(bands[0][k] == before and bands[1][k] == after for k in latest.values())
            assert migration.counts[i][j] == held
    assert 0 < migration.changed < 1
    one, two = (scores(ws, by_hand(ws, config, log)[1]) for ws in (other, result.weight_set))
    assert found.changes[0].agreement.pearson == pytest.approx(np.corrcoef(one, two)[0, 1])


def test_terms_are_side_by_side_and_what_differs_is_named(found, other, result) -> None:
    rows = {row.term: row for row in found.weights}
    assert set(rows) == set(other.names) | set(result.weight_set.names)
    assert rows["login"].weights == (other.weights["login"], result.weight_set.weights["login"])
    assert rows["login"].otherwise.startswith("window 14d → 28d, half life none → 14d")
    assert rows["webinar_attended"].weights[0] is None
    change = found.changes[0]
    assert change.only_before == ()
    assert set(change.only_after) == {"webinar_attended", "support_ticket", "error_seen"}
    assert set(change.otherwise) == set(other.names)
    shares = [row.shares[1] for row in found.weights if row.shares[1] is not None]
    assert sum(shares) == pytest.approx(1.0)


def test_rows_that_a_weight_set_may_have_learned_from_are_warned_of_with_numbers(
    config, log, result, other
) -> None:
    earlier = config.model_dump(mode="json", exclude_defaults=True)
    earlier["split"] = {"test_share": 0.6}
    with pytest.warns(CesWarning, match=r"'new' may have learned from [\d,]+ of the [\d,]+ held"):
        found = compare_weight_sets(
            {"new": result.weight_set, "bare": other.model_copy(update={"provenance": None})},
            TrainingConfig.parse(earlier),
            log,
        )
    seen = found.sets[0].seen
    assert 0 < seen < found.rows
    assert any(f"{seen:,} of the {found.rows:,}" in note for note in found.notes)
    assert found.sets[1].seen is None
    assert "'bare' does not say what it learned from" in found.notes


def test_where_customers_are_divided_the_digest_shows_that_no_row_was_seen(config, log) -> None:
    body = config.model_dump(mode="json", exclude_defaults=True)
    body |= {"as_of": "2025-04-01", "outcome": {**body["outcome"], "repeatable": True}}
    one_date = TrainingConfig.parse(body)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CesWarning)
        fitted = train(one_date, log)
    assert fitted.split.test_from is None
    with warnings.catch_warnings():
        warnings.simplefilter("error", CesWarning)
        same = compare_weight_sets({"a": fitted.weight_set, "b": fitted.weight_set}, one_date, log)
    assert same.sets[0].seen == 0
    with pytest.warns(CesWarning, match="may have learned from"):  # the log has changed since
        compare_weight_sets(
            {"a": fitted.weight_set, "b": fitted.weight_set}, one_date, log.iloc[: len(log) - 1000]
        )


def test_without_a_log_weights_are_compared_and_that_is_said(other, result) -> None:
    found = compare_weight_sets({"old": other, "new": result.weight_set})
    assert found.rows == found.customers == 0
    assert "no held-out rows" in found.split
    assert found.sets[0].metrics == {}
    assert found.sets[0].recorded == other.provenance.metrics
    assert found.changes[0].differences == ()
    assert found.changes[0].migration is None
    assert "; because" in found.without_log("because").split


def test_a_weight_set_in_place_of_itself_changes_nothing(config, log, result) -> None:
    same = compare_weight_sets({"a": result.weight_set, "b": result.weight_set}, config, log)
    change = same.changes[0]
    assert [(d.value, d.low, d.high) for d in change.differences] == [(0.0, 0.0, 0.0)] * 3
    assert change.migration.changed == 0
    assert change.agreement.spearman == 1.0
    assert (change.sign_flips, change.swapped) == ((), 0)
    assert "two of the weight sets are the same" in same.notes


def test_several_challengers_are_each_compared_with_the_first(found, other, config, log, result):
    negated = tuple(t.model_copy(update={"weight": -t.weight}) for t in result.weight_set.terms)
    turned = result.weight_set.model_copy(
        update={"terms": negated, "golden_rows": (), "scale": Scale(method="probability")}
    )
    sets = {"old": other, "new": result.weight_set, "turned": turned}
    many = compare_weight_sets(sets, config, log)
    assert [c.name for c in many.changes] == ["new", "turned"]
    assert many.changes[0] == found.changes[0]
    assert many.changes[1].agreement.spearman < 0
    flipped = {f.term for f in many.changes[1].sign_flips}
    assert flipped == {n for n, w in other.weights.items() if w * turned.weights.get(n, 0) < 0}


def test_everything_can_be_written_as_json(found) -> None:
    body = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert body["changes"][0]["migration"]["changed"] == found.changes[0].migration.changed
    assert body["sets"][1]["calibration"]["slope"] == found.sets[1].calibration.slope


def test_weights_for_another_outcome_and_other_bands_are_named(config, log, result, other) -> None:
    bands = tuple(b.model_copy(update={"name": f"<{b.name}>"}) for b in other.bands)
    outcome = other.outcome.model_copy(update={"horizon": "7d"})
    odd = other.model_copy(update={"bands": bands, "outcome": outcome})
    found = compare_weight_sets({"new": result.weight_set, "odd": odd}, config, log)
    assert "'odd' was trained for another outcome than the one it is judged by" in found.notes
    assert "'odd' calls its bands otherwise than the first" in found.notes
    assert found.changes[0].migration.changed == 1.0
    alone = compare_weight_sets({"new": result.weight_set, "odd": odd})
    assert alone.notes[0] == "'odd' was trained for another outcome than the first"


def test_event_types_that_the_log_does_not_hold_count_zero(config, log, result) -> None:
    spec = CountSpec.of(["never', \"seen\n<b>"], window="30d")
    terms = tuple(WeightedTerm(**t.model_dump(), weight=1.0) for t in spec.terms)
    strange = result.weight_set.model_copy(
        update={"terms": terms, "golden_rows": (), "points": None, "provenance": None}
    )
    found = compare_weight_sets({"new": result.weight_set, "strange": strange}, config, log)
    assert found.sets[1].metrics["roc_auc"] == 0.5
    assert found.changes[0].agreement.pearson is None


def test_one_weight_set_or_no_log_is_refused(config, result) -> None:
    with pytest.raises(SpecError, match="there is nothing to compare"):
        compare_weight_sets({"new": result.weight_set}, config)
    sets = {"a": result.weight_set, "b": result.weight_set}
    nowhere = config.model_copy(update={"events": config.events.model_copy(update={"path": None})})
    with pytest.raises(ConfigError, match="no event log is named"):
        compare_weight_sets(sets, nowhere)


def test_a_log_that_is_a_table_of_spark_is_opened_as_in_training(
    config, result, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def opened(source: object, schema: object, **options: object) -> None:
        asked.append((source, options))
        raise EventLogError("stop", got="x", allowed="y", hint="z")

    place = "ces_ml.training.opening.open_engine"
    monkeypatch.setattr(place, opened, raising=False)
    update = {"path": None, "engine": "spark", "table": "logs.events"}
    spark = config.model_copy(update={"events": config.events.model_copy(update=update)})
    sets = {"a": result.weight_set, "b": result.weight_set}
    for count in (lambda: compare_weight_sets(sets, spark), lambda: train(spark)):
        with pytest.raises(EventLogError, match="stop"):
            count()
    assert asked == [(None, {"engine": "spark", "table": "logs.events"})] * 2
