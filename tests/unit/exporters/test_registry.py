import json

import numpy as np
import pytest

from ces_ml.errors import OutputError, SpecError
from ces_ml.exporters import EXPORTERS, Exporter, export, render
from ces_ml.spec import CountSpec
from ces_ml.weights import Band, GoldenRow, Scale, WeightedTerm, WeightSet

NAMES = ["login", 'it\'s "quoted"; DROP TABLE x', "</script>", "日本\n語", ""]


@pytest.fixture
def weight_set() -> WeightSet:
    terms = CountSpec.of(NAMES, window="30d", transform="log1p", cap=20).terms
    return WeightSet(
        name="hostile",
        terms=tuple(
            WeightedTerm(**t.model_dump(), weight=0.1 * (k + 1)) for k, t in enumerate(terms)
        ),
        intercept=-0.25,
        scale=Scale(method="min_max", knots=((0.0, 0.0), (4.0, 100.0))),
        bands=(Band(name="low", from_score=0), Band(name="high", from_score=30)),
        golden_rows=(
            GoldenRow(counts={"login": 3}, raw_score=0.1 * np.log(4), score=2.5 * np.log(4),
                      band="low"),
        ),
    )  # fmt: skip


def test_the_json_export_can_be_scored_by_hand_without_ces_ml(
    weight_set: WeightSet, tmp_path
) -> None:
    body = json.loads(export(weight_set, tmp_path / "weights.json").read_text(encoding="utf-8"))
    for row in body["golden_rows"]:
        raw = sum(
            t["weight"] * np.log1p(min(row["counts"].get(t["name"], 0), t["cap"]))
            for t in body["terms"]
        )
        (x0, y0), (x1, y1) = body["scale"]["knots"]
        score = y0 + (raw - x0) / (x1 - x0) * (y1 - y0)
        band = [b["name"] for b in body["bands"] if score >= b["from_score"]][-1]
        assert raw == pytest.approx(row["raw_score"], abs=1e-9)
        assert score == pytest.approx(row["score"], abs=1e-9)
        assert band == row["band"]


def test_the_json_export_reads_back_equal(weight_set: WeightSet, tmp_path) -> None:
    assert WeightSet.load(export(weight_set, tmp_path / "w.json")) == weight_set


def test_an_unknown_format_is_refused_with_the_nearest(weight_set: WeightSet, tmp_path) -> None:
    with pytest.raises(SpecError, match=r"unknown export format(.|\n)*did you mean 'json'"):
        export(weight_set, tmp_path / "w", format="jsn")
    assert not list(tmp_path.iterdir())


def test_an_unknown_option_is_refused_with_the_nearest(weight_set: WeightSet, tmp_path) -> None:
    exporter = Exporter("a test", lambda w, dialect="x": dialect, {"dialect": "which words"})
    assert exporter(weight_set, dialect="y") == "y"
    with pytest.raises(SpecError, match=r"unknown option of the export(.|\n)*mean 'dialect'"):
        exporter(weight_set, dialekt="y")
    with pytest.raises(SpecError, match="unknown option of the export"):
        export(weight_set, tmp_path / "w", format="json", indent=4)
    with pytest.raises(SpecError, match="the format onnx does not take it") as refused:
        export(weight_set, tmp_path / "w", format="onnx", dialect="duckdb")
    assert refused.value.allowed == "with the format sql; onnx takes no options"
    assert refused.value.hint == "leave the option out, or export with format sql"
    with pytest.raises(SpecError, match="the format pmml does not take it") as refused:
        render(weight_set, "pmml", shape="view")
    assert "pmml takes reasons, n_reasons" in refused.value.allowed
    assert not list(tmp_path.iterdir())


def test_an_output_that_cannot_be_written_is_refused(weight_set: WeightSet, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="can't be written"):
        export(weight_set, tmp_path / "file" / "w.json")


@pytest.mark.parametrize("format", EXPORTERS)
def test_every_export_is_deterministic(weight_set: WeightSet, format: str) -> None:
    assert EXPORTERS[format](weight_set) == EXPORTERS[format](weight_set)
