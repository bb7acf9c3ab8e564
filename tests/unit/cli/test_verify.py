"""``ces-ml verify`` and ``ces-ml schema``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ces_ml.cli.main import app
from ces_ml.exporters import export
from ces_ml.formats import FORMATS
from ces_ml.weights import WeightSet

GOLDEN = Path(__file__).parents[2] / "golden" / "weight_set.v1.json"


def call(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_the_golden_weight_set_verifies() -> None:
    result = call("verify", str(GOLDEN))
    assert result.exit_code == 0, result.output
    assert WeightSet.load(GOLDEN).fingerprint in result.output.replace("\n", "").replace(
        "│", ""
    ).replace(" ", "")
    assert "golden rows, run by ces-ml" in result.output


@pytest.mark.parametrize(("format", "name"), [("python", "s.py"), ("pmml", "s.pmml")])
def test_an_export_verifies_against_its_weights_and_exits_2_when_it_was_changed(
    format: str, name: str, tmp_path: Path
) -> None:
    path = export(WeightSet.load(GOLDEN), tmp_path / name, format)
    assert call("verify", str(path), "--against", str(GOLDEN)).exit_code == 0
    path.write_text(path.read_text("utf-8").replace("0.75", "0.76", 1), "utf-8")
    changed = call("verify", str(path), "--against", str(GOLDEN))
    assert changed.exit_code == 2
    assert "wrong" in changed.output
    assert "next:" in changed.output


def test_a_file_that_is_not_there_exits_2(tmp_path: Path) -> None:
    result = call("verify", str(tmp_path / "w.json"))
    assert result.exit_code == 2
    assert "the export can't be read" in result.output


@pytest.mark.parametrize(
    ("name", "format", "words"),
    [
        ("s.sql", "sql", "--shape check_events"),
        ("card.md", "card_md", "there are no scores in it to check"),
        ("card.HTML", "card_html", "there are no scores in it to check"),
    ],
)
def test_what_has_another_proof_or_none_says_so(
    name: str, format: str, words: str, tmp_path: Path
) -> None:
    path = str(tmp_path / name)
    assert call("export", str(GOLDEN), "--format", format, "-o", path).exit_code == 0
    result = call("verify", path)
    assert result.exit_code == 2
    assert words in result.output


def test_the_help_of_export_lists_each_format_with_the_options_it_takes() -> None:
    shown = " ".join(call("export", "--help").output.replace("│", " ").split())
    for name, format in FORMATS.items():
        assert f"--format {name}: {format.consumer}" in shown
        for option, words in format.options.items():
            assert f"{option}: {words}" in shown
    assert f"With --format sql: {FORMATS['sql'].options['shape']}." in shown
    assert "Where to write." in shown


def test_an_option_of_another_format_says_whose_it_is(tmp_path: Path) -> None:
    path = str(tmp_path / "w.onnx")
    result = call("export", str(GOLDEN), "--format", "onnx", "--dialect", "duckdb", "-o", path)
    assert result.exit_code == 2
    assert "the format onnx does not take it" in result.output
    assert "with the format sql" in result.output


def test_the_schema_that_is_printed_is_the_published_one() -> None:
    printed = json.loads(call("schema").output)
    assert printed["$id"] == "urn:ces-ml:schema:weight-set:v1"
    assert "fingerprint" in printed["required"]


def test_a_path_that_reads_like_markup_is_printed_as_it_is(tmp_path: Path) -> None:
    for name in ("a[/b].json", "[red].json"):
        path = tmp_path / name
        result = call("export", str(GOLDEN), "-o", str(path))
        assert result.exit_code == 0, result.output
        assert path.exists()
        assert name in result.output.replace("\n", "")
