"""Integer points beside the weights: an optional key of version 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator

from ces_ml.errors import WeightSetError
from ces_ml.weights import IntegerPoints, WeightSet

Make = Callable[..., WeightSet]


def points(**changes: object) -> IntegerPoints:
    fields = {
        "values": {"login 30d": 3, "login 90d": 1, 'it\'s <b>"bought"</b>; 🎉': -1},
        "scale": 0.25,
        "intercept": -1.5,
        "log_loss_given_up": 0.001,
        "metrics": {"roc_auc": 0.7},
    }
    return IntegerPoints(**{**fields, **changes})


def test_a_weight_set_with_points_survives_its_file_and_the_published_schema(
    make_weight_set: Make,
) -> None:
    weight_set = make_weight_set(points=points())
    body = json.loads(weight_set.to_json())
    assert body["points"]["values"]["login 30d"] == 3
    assert WeightSet.from_json(weight_set.to_json()) == weight_set
    published = files("ces_ml.weights") / "schemas" / "weight_set.v1.json"
    Draft202012Validator(json.loads(published.read_text(encoding="utf-8"))).validate(body)


def test_without_points_the_fingerprint_is_what_it_was_before_there_were_any(
    make_weight_set: Make,
) -> None:
    weight_set = make_weight_set()
    body = json.loads(weight_set.to_json())
    del body["points"]
    assert WeightSet.from_json(json.dumps(body)).fingerprint == weight_set.fingerprint
    assert make_weight_set(points=points()).fingerprint != weight_set.fingerprint


def test_points_stand_for_weights_in_their_proportions() -> None:
    assert points().weights == {
        "login 30d": 0.75,
        "login 90d": 0.25,
        'it\'s <b>"bought"</b>; 🎉': -0.25,
    }


def test_edited_points_are_noticed(make_weight_set: Make) -> None:
    body = json.loads(make_weight_set(points=points()).to_json())
    body["points"]["values"]["login 30d"] = 4
    with pytest.raises(WeightSetError, match="was changed after it was written"):
        WeightSet.from_json(json.dumps(body))


@pytest.mark.parametrize("values", [{"login 30d": 3}, {"login 30d": 3, "login 90d": 1, "other": 1}])
def test_points_of_other_terms_are_refused(make_weight_set: Make, values: dict[str, int]) -> None:
    with pytest.raises(WeightSetError, match="the points do not belong to the terms") as caught:
        make_weight_set(points=points(values=values))
    assert caught.value.got
    assert caught.value.allowed
    assert caught.value.hint


@pytest.mark.parametrize(
    "change", [{"scale": 0.0}, {"scale": -1.0}, {"values": {"login 30d": 1.5}}]
)
def test_points_that_are_none_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(WeightSetError, match="has a value that is not allowed"):
        points(**change)
