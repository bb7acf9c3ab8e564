from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import OutputError, WeightSetError
from ces_ml.spec import CountSpec, Term
from ces_ml.weights import (
    Band,
    GoldenRow,
    Scale,
    WeightedTerm,
    WeightSet,
    band_names,
    raw_scores,
    scores,
)

Make = Callable[..., WeightSet]
GOLDEN = Path(__file__).parents[2] / "golden" / "weight_set.v1.json"
#: Written once, with the first release of version 1. It never changes.
GOLDEN_FINGERPRINT = "sha256:e5da0bb3005a331cdce059e4c946df94ad0355ad221e098f32f2658795cb6374"


def edited(weight_set: WeightSet, edit: Callable[[dict[str, Any]], object]) -> str:
    body = json.loads(weight_set.to_json())
    edit(body)
    return json.dumps(body)


def test_the_golden_file_of_version_1_stays_readable(
    request: pytest.FixtureRequest, weight_set: WeightSet
) -> None:
    if request.config.getoption("--overwrite") and not GOLDEN.exists():
        weight_set.save(GOLDEN)
    golden = WeightSet.load(GOLDEN)
    assert golden.fingerprint == GOLDEN_FINGERPRINT
    assert len(golden.golden_rows) == 2
    assert golden.weights == {
        "login 30d": 0.75,
        "login 90d": 0.25,
        'it\'s <b>"bought"</b>; 🎉': -0.125,
    }


def test_a_saved_weight_set_comes_back_equal(weight_set: WeightSet, tmp_path: Path) -> None:
    path = weight_set.save(tmp_path / "folder" / "weights.json")
    back = WeightSet.load(path)
    assert back == weight_set
    assert back.to_json() == path.read_text(encoding="utf-8")


@given(
    terms=st.lists(
        st.builds(
            Term,
            event=st.text(max_size=8),
            window=st.sampled_from(["7d", "36h"]),
            cap=st.none() | st.floats(1e-6, 1e6),
            transform=st.sampled_from(["identity", "log1p", "sqrt"]),
        ),
        min_size=1,
        max_size=5,
    ),
    weights=st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=5),
    intercept=st.floats(-50, 50),
    rule=st.text(max_size=8),
)
def test_whatever_the_events_are_called_a_weight_set_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory,
    terms: list[Term],
    weights: list[float],
    intercept: float,
    rule: str,
) -> None:
    spec = CountSpec(terms=tuple(terms))
    weight_set = WeightSet(
        name="any",
        terms=tuple(
            WeightedTerm(**t.model_dump(), weight=w)
            for t, w in zip(spec.terms, weights, strict=False)
        ),
        intercept=intercept,
        rules=(rule,),
        scale=Scale.fit(np.array(weights)),
        bands=(Band(name="low", from_score=0), Band(name="high", from_score=50)),
    )
    counts = np.arange(1.0, len(terms) + 1)
    raw = raw_scores(weight_set, counts[None, :])
    score = scores(weight_set, raw)
    row = GoldenRow(
        counts=dict(zip(weight_set.names, counts.tolist(), strict=True)),
        raw_score=raw[0],
        score=score[0],
        band=band_names(weight_set, score)[0],
    )
    weight_set = WeightSet(**{**dict(weight_set), "golden_rows": (row,)})
    path = tmp_path_factory.getbasetemp() / "any.json"
    back = WeightSet.load(weight_set.save(path))
    assert back == weight_set
    assert back.fingerprint == weight_set.fingerprint


def test_hostile_names_survive_the_file(make_weight_set: Make, hostile: str) -> None:
    terms = (WeightedTerm(name=hostile, event=hostile, window="7d", weight=1.0),)
    weight_set = make_weight_set(terms=terms, golden_rows=(), rules=(hostile,))
    assert WeightSet.from_json(weight_set.to_json()) == weight_set


def test_a_file_without_the_keys_of_later_releases_is_the_same_weight_set(
    weight_set: WeightSet,
) -> None:
    later = ("members", "until", "unit", "neutral", "where", "cap_per_day", "per")
    text = edited(weight_set, lambda b: [t.pop(key) for t in b["terms"] for key in later])
    assert WeightSet.from_json(text) == weight_set


def test_terms_of_every_kind_survive_the_file(make_weight_set: Make) -> None:
    common = {"window": "7d", "weight": 0.5}
    terms = (
        WeightedTerm(name="a", event="x", measure="mean", property="p", neutral=3, **common),
        WeightedTerm(name="b", event="x", until="y", measure="duration", unit="1min", **common),
        WeightedTerm(name="c", event="f", members=("x", "it's"), cap_per_day=2, **common),
        WeightedTerm(name="d", event="x", where="a in ('it''s') or not \"b c\"", **common),
        WeightedTerm(name="e", event="x", measure="distinct", property="p", **common),
        WeightedTerm(name="f", event="x", per="day", **common),
    )
    weight_set = make_weight_set(terms=terms, golden_rows=(), rules=())
    back = WeightSet.from_json(weight_set.to_json())
    assert back == weight_set
    assert back.spec == weight_set.spec


def test_the_order_of_keys_and_the_white_space_do_not_matter(weight_set: WeightSet) -> None:
    body = json.loads(weight_set.to_json())
    text = json.dumps(dict(reversed(body.items())), indent=7)
    assert WeightSet.from_json(text) == weight_set


def test_a_whole_number_may_be_written_without_its_point(weight_set: WeightSet) -> None:
    text = edited(weight_set, lambda b: b["bands"][1].update(from_score=40))
    assert WeightSet.from_json(text) == weight_set


@pytest.mark.parametrize("keep", [0, 1, 0.5, -3])
def test_a_truncated_file_is_refused(weight_set: WeightSet, tmp_path: Path, keep: float) -> None:
    text = weight_set.to_json()
    cut = int(len(text) * keep) if isinstance(keep, float) else keep
    path = tmp_path / "cut.json"
    path.write_text(text[:cut], encoding="utf-8")
    with pytest.raises(WeightSetError, match=r"cut\.json' is truncated or not JSON\n.*characters"):
        WeightSet.load(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda b: b["terms"][0].update(weight=0.76),
        lambda b: b.update(intercept=0.0),
        lambda b: b.update(name="another"),
        lambda b: b["bands"][1].update(from_score=41),
        lambda b: b["rules"].pop(),
        lambda b: b.pop("provenance"),
        lambda b: b["provenance"]["metrics"].update(roc_auc=0.99),
        lambda b: b["golden_rows"].clear(),
        lambda b: b["outcome"].update(gap="8d"),
        lambda b: b.update(fingerprint="sha256:" + "0" * 64),
        lambda b: b.pop("fingerprint"),
    ],
)
def test_an_edited_file_is_refused(weight_set: WeightSet, edit) -> None:
    with pytest.raises(WeightSetError, match=r"was changed after it was written\n.*fingerprint"):
        WeightSet.from_json(edited(weight_set, edit))


@pytest.mark.parametrize("version", [0, 2, "1", 1.0, True, None, [1]])
def test_an_unknown_version_is_refused(weight_set: WeightSet, version: object) -> None:
    text = edited(weight_set, lambda b: b.update(schema_version=version))
    with pytest.raises(WeightSetError, match=r"has an unknown version\n(.*\n)+.*newer ces-ml"):
        WeightSet.from_json(text)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda b: b.update(colour="red"), r"unknown key in WeightSet\n.*'colour'"),
        (lambda b: b["terms"][2].update(wieght=1), r"terms\[2\]: unknown key.*\n.*\n.*'weight'\?"),
        (lambda b: b.update(self=1), "unknown key in WeightSet"),
        (lambda b: b["terms"][0].pop("weight"), r"terms\[0\]: weight is missing"),
        (lambda b: b.pop("scale"), "scale is missing"),
        (lambda b: b.update(terms=[]), "terms has a value that is not allowed"),
        (lambda b: b.update(terms={"0": b["terms"][0]}), "terms has a value that is not allowed"),
        (lambda b: b["terms"][0].update(window="3 months"), r"terms\[0\]: window: not a duration"),
        (lambda b: b["outcome"].update(active_within=None), "does not say who is active"),
        (lambda b: b["events"].update(customer_col="event_type"), "one column is given two roles"),
        (lambda b: b.update(intercept=float("nan")), "intercept has a value that is not allowed"),
        (lambda b: b.update(intercept=10**400), "intercept has a value that is not allowed"),
        (lambda b: b["terms"][0].update(event="\ud800"), "not valid Unicode"),
    ],
)
def test_a_file_that_does_not_fit_the_schema_is_refused(
    weight_set: WeightSet, edit, message: str
) -> None:
    with pytest.raises(WeightSetError, match=message):
        WeightSet.from_json(edited(weight_set, edit))


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (lambda b: b["terms"][0].update(weight="0.75"), r"terms\[0\]\.weight"),
        (lambda b: b["terms"][1].update(weight=False), r"terms\[1\]\.weight"),
        (lambda b: b["provenance"].update(rows="80"), r"provenance\.rows"),
        (lambda b: b["scale"]["knots"][0].__setitem__(0, "-2.0"), r"scale\.knots\[0\]\[0\]"),
        (lambda b: b["outcome"].update(repeatable=0), r"outcome\.repeatable"),
        (lambda b: b["outcome"].update(silence_of="*"), r"outcome\.silence_of"),
        (lambda b: b["terms"][0].update(window="720h"), r"terms\[0\]\.window"),
        (lambda b: b["terms"][0].update(where="a=1"), r"terms\[0\]\.where"),
        (lambda b: b["terms"][0].update(members=["b", "a"]), r"terms\[0\]\.members\[0\]"),
        (lambda b: b["terms"][0].update(neutral=False), r"terms\[0\]\.neutral"),
    ],
)
def test_values_that_python_would_quietly_convert_are_refused(
    weight_set: WeightSet, edit, where: str
) -> None:
    with pytest.raises(WeightSetError, match=where + " is not written as the schema"):
        WeightSet.from_json(edited(weight_set, edit))


@pytest.mark.parametrize(
    "text",
    ["", "not json", "{", "[" * 100_000, "1" * 5000, '{"format": "ces-ml/weight-set"', "\ufeff{}"],
    ids=["empty", "words", "brace", "nesting", "digits", "open", "mark"],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(WeightSetError, match=r"'the text' is truncated or not JSON"):
        WeightSet.from_json(text)


@pytest.mark.parametrize("text", ["{}", "[]", "3", "null", '"x"', '{"format": "other"}'])
def test_json_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(
        WeightSetError, match=r"'the text' is not a weight set\n.*\n.*ces-ml/weight"
    ):
        WeightSet.from_json(text)


def test_golden_rows_are_checked_when_a_file_is_read(make_weight_set: Make) -> None:
    row = GoldenRow(counts={}, raw_score=1.0, score=50.0, band="potential")
    text = make_weight_set(golden_rows=(row,)).to_json()  # its fingerprint is right
    with pytest.raises(WeightSetError, match="golden row 0 gives another score"):
        WeightSet.from_json(text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightSetError, match=r"can't be read\n.*nowhere\.json.*No such file"):
        WeightSet.load(tmp_path / "nowhere.json")


def test_a_folder_is_not_a_weight_set(tmp_path: Path) -> None:
    with pytest.raises(WeightSetError, match="the weight set can't be read"):
        WeightSet.load(tmp_path)


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04\x95\xff\xfe")
    with pytest.raises(WeightSetError, match="the weight set can't be read"):
        WeightSet.load(path)


def test_a_path_that_can_not_be_written_is_refused(weight_set: WeightSet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="the output can't be written"):
        weight_set.save(tmp_path / "file" / "weights.json")
