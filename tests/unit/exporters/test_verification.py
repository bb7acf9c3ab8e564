"""Files that were exported are read back, and whatever was changed in them is found."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest

from ces_ml.errors import MissingDependencyError, WeightSetError
from ces_ml.exporters import check_parity, export, readout, render, verify_file
from ces_ml.exporters.parity import differences
from ces_ml.weights import GoldenRow, WeightSet

Make = Callable[..., WeightSet]
FILES = {
    "json": "w.json",
    "python": "s.py",
    "javascript": "s.mjs",
    "onnx": "s.onnx",
    "pmml": "s.pmml",
}


@pytest.mark.parametrize("format", FILES)
def test_a_file_as_it_was_exported_is_whole(
    format: str, hostile: WeightSet, tmp_path: Path
) -> None:
    path = export(hostile, tmp_path / FILES[format], format)
    checks = verify_file(path, against=hostile)
    assert [c.found for c in checks if not c.ok] == []
    assert len(checks) == 5
    assert hostile.fingerprint in checks[1].found
    assert re.fullmatch(r"22 agree to 1e-09; largest difference \d\.\de-\d\d", checks[2].found) or (
        checks[2].found.endswith("0.0e+00")
    )


@pytest.mark.parametrize("format", FILES)
def test_a_file_of_other_weights_is_told(format: str, make: Make, tmp_path: Path) -> None:
    mine, other = make({"event": "a"}), make({"event": "a", "cap": 2})
    path = export(mine, tmp_path / FILES[format], format)
    *own, same, scores = verify_file(path, against=other)
    assert all(check.ok for check in own)
    assert (same.ok, scores.ok) == (False, False)
    assert f"the weight set has {other.fingerprint}" in same.found
    assert "golden row 1: raw_score is 1.5, not 1" in scores.found
    assert "against the right one" in same.hint


def edit_onnx(data: bytes) -> bytes:
    model = onnx.load_from_string(data)
    double = onnx.TensorProto.DOUBLE
    found = [c for c in model.graph.initializer if list(c.dims) == [1] and c.data_type == double]
    weights = [c for c in found if onnx.numpy_helper.to_array(c)[0] == 0.5]
    for c in weights:
        c.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(c) * 2, c.name))
    return model.SerializeToString()


EDITS = {
    "json": (lambda d: d.replace(b'"weight": 0.5', b'"weight": 0.6'), "was changed after"),
    "python": (lambda d: d.replace(b'"weight": 0.5', b'"weight": 0.6'), "raw_score is 1.8, not"),
    "javascript": (
        lambda d: d.replace(rb"\"weight\": 0.5", rb"\"weight\": 0.6"),
        "raw_score is 1.8, not 1.5",
    ),
    "onnx": (edit_onnx, "golden row 1: raw_score is 3, not 1.5"),
    "pmml": (lambda d: d.replace(b">0.5<", b">0.6<", 1), "raw_score is 1.8, not 1.5"),
}


@pytest.mark.parametrize("format", FILES)
def test_a_changed_weight_is_found(format: str, make: Make, tmp_path: Path) -> None:
    path = export(make({"event": "a"}), tmp_path / FILES[format], format)
    change, words = EDITS[format]
    whole = path.read_bytes()
    path.write_bytes(change(whole))
    assert path.read_bytes() != whole
    wrong = [check for check in verify_file(path) if not check.ok]
    assert len(wrong) == 1
    assert words in wrong[0].found
    assert wrong[0].hint


@pytest.mark.parametrize("format", ["python", "javascript"])
@pytest.mark.parametrize("where", ["before", "inside", "after"])
def test_code_that_is_not_ours_is_never_run(
    format: str, where: str, make: Make, tmp_path: Path
) -> None:
    path = export(make({"event": "a"}), tmp_path / FILES[format], format)
    ran = tmp_path / "ran"
    evil = f"\nopen({str(ran)!r}, 'w')\n"
    if format == "javascript":
        evil = f'\nimport {{ writeFileSync }} from "node:fs"; writeFileSync("{ran}", "");\n'
    text = path.read_text()
    body = "'''" if format == "python" else "JSON.parse(\n"
    place = {"before": 0, "after": len(text), "inside": text.index(body)}[where]
    path.write_text(text[:place] + evil + text[place:])
    (check,) = verify_file(path)
    assert not check.ok
    assert "was changed, or another version of ces-ml wrote it, and is not run" in check.found
    assert not ran.exists()


def test_a_damaged_model_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"not a model")
    (check,) = verify_file(path)
    assert "the ONNX model can't be read" in check.found


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xff\xfe{}")
    (check,) = verify_file(path)
    assert "the weight set is not UTF-8" in check.found


def test_a_module_that_does_not_run_is_told(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = export(make({"event": "a"}), tmp_path / "s.js", "javascript")
    failed = SimpleNamespace(returncode=1, stderr="SyntaxError: odd", stdout="")
    monkeypatch.setattr(readout.subprocess, "run", lambda *a, **k: failed)
    (check,) = verify_file(path)
    assert "the JavaScript module does not run: SyntaxError: odd" in check.found


def test_a_file_of_no_format_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightSetError, match=r"no format that can be checked(.|\n)*mean '\.json'"):
        verify_file(tmp_path / "w.jsn")
    with pytest.raises(WeightSetError, match=r"the export can't be read(.|\n)*No such file"):
        verify_file(tmp_path / "w.json")


def test_without_its_consumer_a_file_cannot_be_checked(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = export(make({"event": "a"}), tmp_path / "s.js", "javascript")
    model = export(make({"event": "a"}), tmp_path / "s.onnx", "onnx")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(readout, "find_spec", lambda name: None)
    assert [c.found for c in verify_file(script)] == [
        "a JavaScript module can't be run here: no program called node"
    ]
    assert [c.found for c in verify_file(model)] == [
        "an ONNX model can't be run here: no package onnxruntime"
    ]
    with pytest.raises(MissingDependencyError, match="pip install onnxruntime"):
        readout.READERS["onnx"].read(model.read_bytes())


def test_every_export_of_this_process_is_at_par(hostile: WeightSet) -> None:
    results = check_parity(hostile)
    assert [r.format for r in results] == ["json", "python", "onnx", "pmml"]
    assert all(r.ok and r.rows == 22 and r.largest <= 1e-9 for r in results), results


def test_parity_without_onnx_says_that_it_was_not_asked(
    hostile: WeightSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    missing = [r for r in check_parity(hostile) if not r.ran]
    assert [r.format for r in missing] == ["onnx"]
    assert not missing[0].ok


def test_parity_tells_an_export_that_gives_other_scores(make: Make) -> None:
    # A weight set whose golden row states what its weights do not give.
    row = GoldenRow(counts={"a": 4.0}, raw_score=2.0, score=65.0, band="high")
    good = make({"event": "a"}, golden_rows=(row,))
    assert all(r.ok for r in check_parity(good))
    bad = make({"event": "a"}, golden_rows=(row.model_copy(update={"score": 66.0}),))
    results = {r.format: r for r in check_parity(bad)}
    assert "gives another score" in results["json"].problem
    assert not results["json"].ok


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "0 rows instead of 1"),
        ([{"raw_score": 1.0, "band": "low"}], ""),
        ([{"raw_score": 1.0 + 2e-9, "band": "low"}], "golden row 0: raw_score is 1.000000002"),
        ([{"raw_score": float("nan"), "band": "low"}], "golden row 0: raw_score is nan"),
        ([{"raw_score": 1.0, "band": "high"}], "golden row 0: band is 'high', not 'low'"),
    ],
)
def test_rows_that_differ_are_told(found: list[dict[str, object]], words: str) -> None:
    problem = differences([{"raw_score": 1.0, "band": "low"}], found)[1]
    assert problem.startswith(words)
    assert bool(problem) == bool(words)


def test_the_golden_rows_inside_are_those_of_the_weight_set(make: Make) -> None:
    row = GoldenRow(counts={"a": 4.0}, raw_score=2.0, score=65.0, band="high")
    weight_set = make({"event": "a"}, {"event": "b"}, golden_rows=(row,))
    text = str(render(weight_set, "python"))
    inside = json.loads(text.partition("r'''")[2].partition("'''")[0])["golden_rows"]
    assert [(r["counts"], r["raw_score"], r["score"], r["band"]) for r in inside] == [
        ({"a": 4.0}, 2.0, 65.0, "high"),
        ({"b": 3.0}, -0.75, 18.75, "low"),  # every weight has a part in some row
    ]
