from __future__ import annotations

import json

import pytest

from ces_ml.errors import SpecError
from ces_ml.spec import OutcomeSpec

CONVERSION = {"task": "conversion", "event": "subscribed", "horizon": "14d"}
CHURN = {"task": "churn", "silence_of": "*", "horizon": "28d", "active_within": "90d"}

GROWTH = {"task": "upsell", "event": "buy", "horizon": "28d", "growth": {"property": "amount"}}


@pytest.mark.parametrize(
    "data",
    [
        CONVERSION,
        CONVERSION | {"task": "upsell", "gap": "7d", "repeatable": True},
        CONVERSION | {"event": ["a", "b*"]},
        {"task": "churn", "event": "cancelled", "horizon": "30d"},
        CHURN,
        {"task": "conversion", "event": "paid", "within": "30d after trial_started"},
        {"task": "churn", "event": "left", "within": '1w after "a \\"b\\" c"', "gap": "1d"},
        GROWTH,
        {"task": "cross_sell", "families": ["crm:*", "mail:*"], "horizon": "90d"},
        CONVERSION | {"treated": {"events": "campaign_*", "how": "weight", "weight": 0.5}},
        CONVERSION | {"treated": {"path": "t.csv", "to_col": "to"}},
        {"task": "churn", "labels": {"path": "l.csv", "unknown": "keep"}, "horizon": "90d"},
    ],
)
def test_every_kind_of_outcome_can_be_stated_and_survives_json(data: dict) -> None:
    outcome = OutcomeSpec.parse(data)
    assert OutcomeSpec.parse(json.loads(outcome.model_dump_json())) == outcome


def test_one_event_is_a_list_of_one() -> None:
    assert OutcomeSpec.parse(CONVERSION).event == ("subscribed",)


def test_the_events_of_the_outcome_stay_out_of_the_counts_unless_the_user_insists() -> None:
    assert OutcomeSpec.parse(CONVERSION).kept_out == ("subscribed",)
    assert OutcomeSpec.parse(CHURN).kept_out == ()
    assert OutcomeSpec.parse(CONVERSION | {"count_own_events": True}).kept_out == ()


def test_history_of_silence_growth_and_families_is_never_kept_out() -> None:
    assert OutcomeSpec.parse(GROWTH).kept_out == ()
    families = {"task": "cross_sell", "families": "crm:*", "horizon": "7d"}
    assert OutcomeSpec.parse(families).kept_out == ()
    told = {"task": "churn", "horizon": "7d", "labels": {}}
    assert OutcomeSpec.parse(told).kept_out == ()
    assert OutcomeSpec.parse(told | {"event": "cancelled"}).kept_out == ("cancelled",)


def test_a_window_that_ends_at_an_anchor_reaches_no_further_than_its_length() -> None:
    outcome = OutcomeSpec.parse(
        {"task": "conversion", "event": "paid", "within": " 2w  after trial", "gap": "1d"}
    )
    assert outcome.within == "14d after trial"
    assert outcome.reach == 14 * 86_400_000_000
    assert outcome.window_text == "within 14d after trial, gap 1d"
    assert OutcomeSpec.parse(CONVERSION).window_text == "horizon 14d, gap 0d"


def test_a_portable_outcome_names_no_file() -> None:
    tables = {"labels": {"path": "l.csv", "y_col": "left"}, "treated": {"path": "t.csv"}}
    outcome = OutcomeSpec.parse({"task": "churn", "horizon": "7d", **tables})
    portable = outcome.portable
    assert (portable.labels.path, portable.treated.path) == (None, None)
    assert portable.labels.y_col == "left"
    assert OutcomeSpec.parse(CONVERSION).portable == OutcomeSpec.parse(CONVERSION)


def test_optional_parts_at_their_defaults_leave_no_trace() -> None:
    told = OutcomeSpec.parse(CONVERSION).model_dump(mode="json", exclude_defaults=True)
    assert told == {**CONVERSION, "event": ["subscribed"]}


def test_the_reach_is_gap_plus_horizon() -> None:
    assert OutcomeSpec.parse(CONVERSION).reach == 14 * 86_400_000_000
    assert OutcomeSpec.parse(CONVERSION | {"gap": "7d"}).reach == 21 * 86_400_000_000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"task": "conversion", "horizon": "7d"}, "a conversion outcome needs the event"),
        (CONVERSION | {"silence_of": "*"}, "a conversion outcome needs the event"),
        ({"task": "upsell", "horizon": "7d"}, "an? upsell outcome needs the event"),
        ({"task": "churn", "horizon": "7d"}, "either its cancellation event or silence"),
        (CHURN | {"event": "cancelled"}, "either its cancellation event or silence"),
        ({"task": "churn", "silence_of": "*", "horizon": "7d"}, "does not say who is active"),
        (CONVERSION | {"task": "convert"}, r"task has a value.*\n.*\n.*mean 'conversion'\?"),
        (CONVERSION | {"horizon": "0d"}, "horizon: a length of time of zero"),
        (CONVERSION | {"horizon": 14}, r"horizon: not a duration\n(.*\n)+.*add the unit"),
        (CONVERSION | {"gap": "1 month"}, "gap: not a duration"),
        (CHURN | {"active_within": "0d"}, "active_within: a length of time of zero"),
        (CONVERSION | {"horizn": "7d"}, r"unknown key in OutcomeSpec\n.*\n.*mean 'horizon'\?"),
        ({"task": "conversion", "event": "x"}, "horizon is missing"),
        (CONVERSION | {"within": "30d after x"}, "horizon has no meaning with within"),
        (CONVERSION | {"within": "30d"}, r"within: not the end of an outcome window\n.*'30d'"),
        (CONVERSION | {"within": "0d after x"}, "within: not the end of an outcome window"),
        (CONVERSION | {"families": "x"}, "families has no meaning with task: conversion"),
        (CONVERSION | {"growth": {}}, "growth is an upsell"),
        (GROWTH | {"growth": {"factor": 0.5}}, "growth: factor has a value that is not allowed"),
        (GROWTH | {"repeatable": True}, "repeatable has no meaning with growth"),
        (GROWTH | {"event": []}, "an upsell outcome needs the event"),
        ({"task": "cross_sell", "horizon": "7d"}, "needs the families of events"),
        (
            {"task": "cross_sell", "families": "x", "event": "y", "horizon": "7d"},
            r"event has no meaning with task: cross_sell\n.*'y'",
        ),
        ({"task": "churn", "labels": {}}, "horizon is missing"),
        (CHURN | {"labels": {}}, "silence_of has no meaning with labels"),
        (
            {"task": "churn", "labels": {"y_col": "as_of"}, "horizon": "7d"},
            "labels: one column is given two roles",
        ),
        (
            CONVERSION | {"treated": {"events": "x", "path": "y"}},
            r"treated: treatments are given twice\n.*'x'.*'y'",
        ),
        (CONVERSION | {"treated": {"how": "weight"}}, "what treated rows weigh is not clear"),
        (CONVERSION | {"treated": {"weight": 0.5}}, r"not clear\n.*how: exclude, weight: 0.5"),
        (CONVERSION | {"treated": {"how": "drop"}}, "treated: how has a value that is not allowed"),
    ],
)
def test_an_outcome_that_says_nothing_or_two_things_is_refused(data: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        OutcomeSpec.parse(data)
