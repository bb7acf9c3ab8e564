from __future__ import annotations

import json

import pytest

from ces_ml.errors import SpecError
from ces_ml.spec import OutcomeSpec

CONVERSION = {"task": "conversion", "event": "subscribed", "horizon": "14d"}
CHURN = {"task": "churn", "silence_of": "*", "horizon": "28d", "active_within": "90d"}


@pytest.mark.parametrize(
    "data",
    [
        CONVERSION,
        CONVERSION | {"task": "upsell", "gap": "7d", "repeatable": True},
        CONVERSION | {"event": ["a", "b*"]},
        {"task": "churn", "event": "cancelled", "horizon": "30d"},
        CHURN,
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
    ],
)
def test_an_outcome_that_says_nothing_or_two_things_is_refused(data: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        OutcomeSpec.parse(data)
