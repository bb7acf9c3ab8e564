"""A file to be verified may be made by an enemy: nothing of it runs, and nothing of it is a bug."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import onnx
import pytest

from ces_ml.exporters import export, verify_file
from ces_ml.exporters.formula import ascii_json, formula
from ces_ml.weights import WeightSet

Make = Callable[..., WeightSet]
Body = dict[str, Any]


def module_of(body: Body, path: Path) -> Path:
    """Write a module as the exporters do, of any body."""
    kind = path.suffix[1:]
    text = ascii_json(body) if kind == "py" else json.dumps(ascii_json(body, indent=None))
    template = files("ces_ml.exporters").joinpath(f"templates/scorer.{kind}.tmpl")
    made = template.read_text("utf-8").replace("__FINGERPRINT__", body["fingerprint"])
    path.write_text(made.replace("__MODEL__", text))
    return path


@pytest.mark.parametrize("name", ["s.py", "s.js"])
def test_a_fingerprint_is_never_run(name: str, make: Make, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = {
        "s.py": f'"""\nopen({str(ran)!r}, "w")\n"""',
        "s.js": f'*/ import {{ writeFileSync }} from "node:fs"; writeFileSync("{ran}", ""); /*',
    }
    body = formula(make({"event": "a"})) | {"fingerprint": code[name]}
    (check,) = verify_file(module_of(body, tmp_path / name))
    assert "was changed, or another version of ces-ml wrote it, and is not run" in check.found
    assert not ran.exists()


DAMAGES: dict[str, Callable[[Body], object]] = {
    "no golden rows": lambda b: b.pop("golden_rows"),
    "golden rows that are none": lambda b: b.update(golden_rows=5),
    "a row without counts": lambda b: b["golden_rows"][1].pop("counts"),
    "a row whose counts have no names": lambda b: b["golden_rows"][1].update(counts=[1]),
    "a count that is text": lambda b: b["golden_rows"][1]["counts"].update(a="x"),
    "a score that is text": lambda b: b["golden_rows"][1].update(score="x"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["s.py", "s.js", "s.onnx"])
def test_what_can_not_be_scored_is_told_and_no_traceback(
    name: str, damage: str, make: Make, tmp_path: Path
) -> None:
    weight_set = make({"event": "a"})
    body = formula(weight_set)
    DAMAGES[damage](body)
    if name == "s.onnx":
        path = export(weight_set, tmp_path / name, "onnx")
        model = onnx.load(path)
        (rows,) = (p for p in model.metadata_props if p.key == "ces_ml.golden_rows")
        rows.value = json.dumps(body.get("golden_rows"))
        path.write_bytes(model.SerializeToString())
    else:
        path = module_of(body, tmp_path / name)
    checks = verify_file(path)
    wrong = [check for check in checks if not check.ok]
    assert len(wrong) == 1
    assert wrong[0].hint


def test_a_module_whose_weight_is_gone_is_told(make: Make, tmp_path: Path) -> None:
    body = formula(make({"event": "a"}))
    del body["terms"][0]["weight"]
    (check,) = verify_file(module_of(body, tmp_path / "s.py"))
    assert not check.ok
    assert "the golden rows inside can't be scored: KeyError" in check.found


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le"])
def test_a_document_type_is_refused_in_every_coding(
    coding: str, make: Make, tmp_path: Path
) -> None:
    path = export(make({"event": "a"}), tmp_path / "s.pmml", "pmml")
    text = path.read_text().partition("?>")[2]
    text = text.replace('name="ces-ml"', 'name="&x;"')
    head = '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE PMML [<!ENTITY x "ces-ml">]>'
    path.write_bytes((head + text).encode(coding))
    (check,) = verify_file(path)
    assert not check.ok
    assert "the PMML file is not UTF-8" in check.found
