"""The scorecard in PMML: rows to verify it with, reasons, and names that XML can't hold."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import SpecError, WeightSetError
from ces_ml.exporters import render
from ces_ml.exporters.pmml import xml_names
from ces_ml.exporters.pmml_reader import PmmlCard
from ces_ml.weights import GoldenRow, WeightSet

from .weight_sets import HOSTILE

Make = Callable[..., WeightSet]
P = "{http://www.dmg.org/PMML-4_4}"
#: The order that the schema of PMML 4.4 asks of the parts of a Scorecard.
PARTS = ["MiningSchema", "Output", "Characteristics", "ModelVerification"]


def card_of(weight_set: WeightSet, **options: object) -> ET.Element:
    found = ET.fromstring(str(render(weight_set, "pmml", **options))).find(f"{P}Scorecard")
    assert found is not None
    return found


def test_pmml4s_gives_every_row_of_the_model_verification(
    hostile: WeightSet, consumers: dict[str, Any]
) -> None:
    model = consumers["pmml"].model(hostile)
    card = card_of(hostile)
    fields = {f.attrib["column"]: f.attrib for f in card.iter(f"{P}VerificationField")}
    rows = card.findall(f".//{P}row")
    assert len(rows) == int(card.find(f"{P}ModelVerification").attrib["recordCount"]) == 22
    for row in rows:
        cells = {c.tag.removeprefix(P): float(c.text or "") for c in row}
        assert cells.keys() == fields.keys()
        found = model.predict({k: v for k, v in cells.items() if k.startswith("n")})
        for name in ("raw_score", "probability", "score"):
            assert fields[name]["precision"] == fields[name]["zeroThreshold"] == "1e-9"
            assert found[name] == pytest.approx(cells[name], abs=1e-9, rel=0)


def test_the_golden_rows_of_the_weight_set_are_what_verifies(make: Make) -> None:
    row = GoldenRow(counts={"a": 4.0}, raw_score=2.0, score=65.0, band="high")
    weight_set = make({"event": "a"}, {"event": "b"}, golden_rows=(row,))
    line, made = card_of(weight_set).findall(f".//{P}row")
    assert [c.text for c in made][:2] == ["0.0", "3.0"]  # a row for what none of them counts
    assert [float(c.text or "") for c in line][:4:3] == [4.0, pytest.approx(0.8519528)]
    assert float(line.find(f"{P}score").text) == 65.0


def test_the_parts_stand_in_the_order_of_the_schema(hostile: WeightSet) -> None:
    assert [e.tag.removeprefix(P) for e in card_of(hostile)] == PARTS


@pytest.mark.parametrize(("reasons", "first"), [("above", "a"), ("below", "b")])
def test_reason_codes_name_the_terms_that_add_or_take_most(
    reasons: str, first: str, make: Make, consumers: dict[str, Any]
) -> None:
    weight_set = make({"event": "a"}, {"event": "b"}, {"event": "c"})  # 0.5, −0.25, 0.167
    model = consumers["pmml"].model(weight_set, reasons=reasons, n_reasons=2)
    found = model.predict({"n0": 2.0, "n1": 8.0, "n2": 1.0})
    assert found["reason_1"] == first
    assert "reason_3" not in found


@pytest.mark.parametrize("options", [{"reasons": "most"}, {"n_reasons": "-1"}, {"n_reasons": 1.5}])
def test_other_reasons_are_refused(options: dict[str, object], make: Make) -> None:
    with pytest.raises(SpecError, match=r"reasons of the scorecard(.|\n)*'above' or 'below'"):
        render(make({"event": "a"}), "pmml", **options)


def test_no_reasons_can_be_asked_for(make: Make, consumers: dict[str, Any]) -> None:
    weight_set = make({"event": "a"})
    assert card_of(weight_set, n_reasons="0").attrib["useReasonCodes"] == "false"
    found = consumers["pmml"].model(weight_set, n_reasons=0).predict({"n0": 4.0})
    assert found["raw_score"] == 2.0


def test_hostile_names_stay_text(hostile: WeightSet) -> None:
    text = str(render(hostile, "pmml"))
    root = ET.fromstring(text)
    shown = [f.attrib["displayName"] for f in root.iter(f"{P}DataField")]
    assert shown == xml_names(HOSTILE)
    assert "<!ENTITY" not in text
    assert not [e.tag for e in root.iter() if "script" in e.tag]


@given(names=st.lists(st.text(max_size=5) | st.sampled_from(HOSTILE), unique=True))
def test_every_name_becomes_one_name_that_xml_can_hold(names: list[str]) -> None:
    made = xml_names(names)
    assert len(set(made)) == len(names)
    for name in made:
        assert name
        element = ET.Element("a", {"name": name})
        assert ET.fromstring(ET.tostring(element)).attrib["name"] == name


DAMAGE = {
    "<!DOCTYPE": (lambda t: t.replace("<PMML", "<!DOCTYPE x [<!ENTITY a 'b'>]><PMML"), "document"),
    "cut": (lambda t: t[:-40], "is not XML"),
    "no card": (lambda t: t.replace("Scorecard", "Tree"), "has no Scorecard"),
    "no names": (lambda t: t.replace('value="{', 'value="'), "lost its names"),
    "a field less": (lambda t: t.replace('displayName="a"', 'displayName="z"'), "not its terms"),
    "another function": (
        lambda t: t.replace('function="ln1p"', 'function="erf"'),
        "an expression that ces-ml does not write",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_refused_by_the_reader(case: str, make: Make) -> None:
    change, words = DAMAGE[case]
    whole = str(render(make({"event": "a", "transform": "log1p"}), "pmml"))
    assert change(whole) != whole
    with pytest.raises(WeightSetError, match=words):
        PmmlCard(change(whole).encode()).score({"a": 1.0})
