"""The published JSON Schema: what other languages check a weight set with."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ces_ml.errors import WeightSetError
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

PUBLISHED = files("ces_ml.weights") / "schemas" / "weight_set.v1.json"
GOLDEN = Path(__file__).parents[2] / "golden" / "weight_set.v1.json"


def generated() -> dict[str, Any]:
    schema = WeightSet.model_json_schema()
    schema["properties"] = {
        "fingerprint": {
            "title": "Fingerprint",
            "description": "sha256 of the content.",
            "type": "string",
            "pattern": "^sha256:[0-9a-f]{64}$",
        },
        **schema["properties"],
    }
    schema["required"] = ["fingerprint", "format", "schema_version", *schema["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:ces-ml:schema:weight-set:v1",
        **schema,
    }


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(PUBLISHED.read_text(encoding="utf-8")))


def test_the_published_schema_is_what_the_code_says(request: pytest.FixtureRequest) -> None:
    text = json.dumps(generated(), indent=2, ensure_ascii=False) + "\n"
    if request.config.getoption("--overwrite"):
        Path(str(PUBLISHED)).write_text(text, encoding="utf-8")
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == generated(), (
        "run `pytest tests/unit/values --overwrite` and look at the diff: "
        "version 1 may gain optional keys and must lose none"
    )


def test_the_published_schema_is_itself_valid(validator: Draft202012Validator) -> None:
    Draft202012Validator.check_schema(validator.schema)


def test_real_weight_sets_pass(
    validator: Draft202012Validator, make_weight_set: Callable[..., WeightSet]
) -> None:
    smallest = WeightSet(
        name="x",
        terms=(WeightedTerm(name="", event="", window="90min", weight=0),),
        intercept=0,
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
    )
    for weight_set in (make_weight_set(), smallest):
        validator.validate(json.loads(weight_set.to_json()))
    validator.validate(json.loads(GOLDEN.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "edit",
    [
        lambda b: b.update(colour="red"),
        lambda b: b["terms"][0].update(colour="red"),
        lambda b: b["bands"][0].update(colour="red"),
        lambda b: b["outcome"].update(colour="red"),
        lambda b: b.pop("fingerprint"),
        lambda b: b.pop("format"),
        lambda b: b.pop("schema_version"),
        lambda b: b.pop("intercept"),
        lambda b: b["terms"][0].pop("weight"),
        lambda b: b["terms"][0].pop("event"),
        lambda b: b.update(fingerprint="sha256:ABC"),
        lambda b: b.update(format="other"),
        lambda b: b.update(schema_version=2),
        lambda b: b.update(terms=[]),
        lambda b: b.update(terms="login"),
        lambda b: b.update(intercept=None),
        lambda b: b["terms"][0].update(weight="0.75"),
        lambda b: b["terms"][0].update(weight=True),
        lambda b: b["terms"][0].update(measure="median"),
        lambda b: b["terms"][0].update(window=30),
        lambda b: b["terms"][0].update(window="3 months"),
        lambda b: b["terms"][0].update(cap=0),
        lambda b: b["terms"][0].update(cap_per_day=0),
        lambda b: b["terms"][0].update(per="week"),
        lambda b: b["terms"][0].update(members="login"),
        lambda b: b["terms"][0].update(neutral=None),
        lambda b: b["terms"][0].update(unit="1 hour"),
        lambda b: b["terms"][0].update(where=100),
        lambda b: b["bands"][0].update(from_score=101),
        lambda b: b["scale"].update(knots=[[0, 0, 0]]),
    ],
)
def test_what_the_schema_refuses_the_loader_refuses_too(
    validator: Draft202012Validator, weight_set: WeightSet, edit: Callable[[Any], object]
) -> None:
    body = json.loads(weight_set.to_json())
    edit(body)
    assert not validator.is_valid(body)
    with pytest.raises(WeightSetError):
        WeightSet.from_json(json.dumps(body))
