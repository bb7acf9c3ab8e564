"""Reading exports back by their consumers: what each gives on the golden rows inside the file."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ces_ml.errors import MissingDependencyError, WeightSetError
from ces_ml.exporters.formula import ascii_json, golden_rows
from ces_ml.exporters.onnx_model import METADATA
from ces_ml.exporters.pmml import xml_names
from ces_ml.exporters.pmml_reader import PmmlCard
from ces_ml.weights.apply import band_names, probabilities, raw_scores, scores
from ces_ml.weights.weight_set import WeightSet

__all__ = ["READERS", "Reader", "Readout", "in_xml"]

Row = Mapping[str, Any]
#: What a fingerprint looks like; it stands in comments of modules, where other text could end them.
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")
_NODE = """
import { readFileSync } from "node:fs";
const { source, rows } = JSON.parse(readFileSync(0, "utf8"));
const m = await import("data:text/javascript;base64," + source);
const found = rows.map((row) => m.scoreCounts(new Map(row)));
console.log(JSON.stringify(found.map(({ contributions, reasons, ...rest }) => rest)));
"""


@dataclass(frozen=True)
class Readout:
    """What a consumer gives on the golden rows of an export.

    Parameters
    ----------
    fingerprint : str
        Of the weight set, as the export states it.
    golden : sequence of mapping
        Rows inside the export: ``counts`` and what they must give.
    found : sequence of mapping
        What the consumer gives: ``raw_score``, ``score``, ``probability``, ``band``.
    """

    fingerprint: str
    golden: Sequence[Row]
    found: Sequence[Row]


@dataclass(frozen=True)
class Reader:
    """Runs the consumer of a format.

    Parameters
    ----------
    consumer : str
        Who reads, in words.
    read : callable
        Takes the bytes of an export, returns its `Readout`; raises a `WeightSetError` if the
        export is damaged, `MissingDependencyError` if the consumer is not there.
    in_process : bool
        Whether nothing but this process is needed.
    """

    consumer: str
    read: Callable[[bytes], Readout]
    in_process: bool = True


def _json(data: bytes) -> Readout:
    try:
        weight_set = WeightSet.from_json(data.decode("utf-8"), source="the export")
    except UnicodeDecodeError as error:
        raise _damaged("the weight set is not UTF-8", str(error)) from error
    rows = golden_rows(weight_set)
    names = weight_set.names
    n = np.array([[row["counts"].get(name, 0.0) for name in names] for row in rows])
    raw = raw_scores(weight_set, n)
    score = scores(weight_set, raw)
    columns = {
        "raw_score": raw.tolist(),
        "score": score.tolist(),
        "probability": probabilities(weight_set, raw).tolist(),
        "band": band_names(weight_set, score).tolist(),
    }
    found = [{key: column[k] for key, column in columns.items()} for k in range(len(rows))]
    stated = [row.model_dump() for row in weight_set.golden_rows]
    return Readout(weight_set.fingerprint, [*stated, *rows[len(stated) :]], found)


def _python(data: bytes) -> Readout:
    body = _body(data, "scorer.py.tmpl", lambda text: text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scorer.py"
        path.write_bytes(data)
        score = runpy.run_path(str(path))["score_counts"]
    rows = body["golden_rows"]
    return Readout(body["fingerprint"], rows, [score(row["counts"]) for row in rows])


def _javascript(data: bytes) -> Readout:
    body = _body(data, "scorer.js.tmpl", json.loads)
    node = shutil.which("node")
    if node is None:
        raise MissingDependencyError(
            "a JavaScript module can't be run here",
            got="no program called node",
            allowed="Node 18 or later on the PATH",
            hint="install Node, or call selfCheck() where the module is used",
        )
    import base64

    rows = body["golden_rows"]
    asked = {
        "source": base64.b64encode(data).decode(),
        "rows": [list(row["counts"].items()) for row in rows],
    }
    ran = subprocess.run(  # noqa: S603 - our own program; the module equals our template
        [node, "--input-type=module", "-e", _NODE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    if ran.returncode:
        raise _damaged("the JavaScript module does not run", ran.stderr.strip()[-300:])
    return Readout(body["fingerprint"], rows, json.loads(ran.stdout))


def _body(data: bytes, template: str, unquoted: Callable[[str], Any]) -> dict[str, Any]:
    """Return the weights inside a module after making sure that all else is our own code."""
    whole = files("ces_ml.exporters").joinpath(f"templates/{template}").read_text("utf-8")
    head, tail = whole.split("__MODEL__")
    text = data.decode("utf-8", "replace")
    at = text.find(head[-40:])
    if at >= 0:
        inside = text[at + 40 : len(text) - len(tail)]
        try:
            body = json.loads(unquoted(inside))
            again = ascii_json(body, indent=1 if unquoted is not json.loads else None)
            quoted = json.dumps(again) if unquoted is json.loads else again
            stated = body["fingerprint"]
            made = whole.replace("__FINGERPRINT__", stated).replace("__MODEL__", quoted)
            if _FINGERPRINT.fullmatch(stated) and made == text:
                return dict(body)
        except (ValueError, TypeError, KeyError):
            pass
    raise _damaged(
        "the module was changed, or another version of ces-ml wrote it, and is not run",
        "code that differs from that of this version",
    )


def _onnx(data: bytes) -> Readout:
    if find_spec("onnxruntime") is None:
        raise MissingDependencyError(
            "an ONNX model can't be run here",
            got="no package onnxruntime",
            allowed="onnxruntime",
            hint="pip install onnxruntime",
        )
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        held = session.get_modelmeta().custom_metadata_map
        rows = json.loads(held[METADATA + "golden_rows"])
        terms = json.loads(held[METADATA + "terms"])
        bands = json.loads(held[METADATA + "bands"])
        fingerprint = held[METADATA + "fingerprint"]
    except Exception as error:  # onnxruntime has an error class for every reason
        raise _damaged("the ONNX model can't be read", str(error)[:300]) from error
    counts = np.array([[float(row["counts"].get(t, 0.0)) for t in terms] for row in rows])
    names = [o.name for o in session.get_outputs()]
    given = dict(zip(names, session.run(None, {"counts": counts}), strict=True))
    found = [
        {
            **{key: float(given[key][k]) for key in ("raw_score", "score", "probability")},
            "band": bands[int(given["band"][k])],
        }
        for k in range(len(rows))
    ]
    return Readout(fingerprint, rows, found)


def _pmml(data: bytes) -> Readout:
    card = PmmlCard(data)
    rows = card.golden_rows()
    return Readout(card.fingerprint, rows, [card.score(row["counts"]) for row in rows])


def _damaged(problem: str, got: str) -> WeightSetError:
    return WeightSetError(
        problem,
        got=got,
        allowed="a file as ces-ml exported it",
        hint="take the original file, or export it again",
    )


#: Readers by format.
READERS: dict[str, Reader] = {
    "json": Reader("ces-ml", _json),
    "python": Reader("Python", _python),
    "javascript": Reader("Node", _javascript, in_process=False),
    "onnx": Reader("onnxruntime", _onnx),
    "pmml": Reader("ces-ml's reader of its own PMML", _pmml),
}


def in_xml(rows: Sequence[Row], weight_set: WeightSet) -> list[Row]:
    """Return rows with their bands named as XML names them."""
    bands = [b.name for b in weight_set.bands]
    named = dict(zip(bands, xml_names(bands), strict=True))
    return [{**row, "band": named[row["band"]]} for row in rows]
