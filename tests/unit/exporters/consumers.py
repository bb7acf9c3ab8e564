"""What reads the exports: each is run as its users run it, and answers with plain numbers."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from ces_ml.exporters import render
from ces_ml.weights import WeightSet

Rows = Sequence[Mapping[str, float]]
SCORED = ("raw_score", "score", "probability")

_NODE = """
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  const { source, call, rows } = JSON.parse(line);
  let answer;
  try {
    const m = await import("data:text/javascript;base64," + source);
    const plain = (r) => ({ ...r, contributions: [...r.contributions] });
    if (call === "counts") answer = rows.map((r) => plain(m.scoreCounts(new Map(r), 100)));
    else if (call.startsWith("events")) {
      const unit = call === "events" ? "us" : null;
      answer = rows.map(([events, asOf]) =>
        [...m.countEvents(events.map((e) => new Map(e)), asOf, { unit })]);
    } else answer = m.selfCheck();
  } catch (error) {
    answer = { error: error.constructor.name + ": " + error.message };
  }
  console.log(JSON.stringify({ answer }));
}
"""


class Refused(Exception):  # noqa: N818
    """The consumer refuses; the text is its message."""


class Python:
    """The module of one file, loaded by Python itself."""

    numbers = itertools.count()

    def load(self, weight_set: WeightSet) -> ModuleType:
        module = ModuleType(f"scorer_{next(self.numbers)}")
        exec(compile(render(weight_set, "python"), module.__name__, "exec"), module.__dict__)
        return module

    def score(self, weight_set: WeightSet, rows: Rows) -> list[dict[str, Any]]:
        module = self.load(weight_set)
        return [module.score_counts(row, reasons=100) for row in rows]

    def count(self, weight_set: WeightSet, questions: Sequence[Any]) -> list[dict[str, float]]:
        module = self.load(weight_set)
        try:
            return [
                module.count_events([dict(e) for e in events], as_of, unit="us")
                for events, as_of in questions
            ]
        except module.ScoreError as error:
            raise Refused(str(error)) from error


class JavaScript:
    """The ES module, imported by Node."""

    def __init__(self) -> None:
        node = shutil.which("node")
        assert node is not None, "tests of the JavaScript export need Node"
        command = [node, "--input-type=module", "-e", _NODE]
        self.node = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def close(self) -> None:
        assert self.node.stdin is not None
        self.node.stdin.close()
        self.node.wait()

    def ask(self, weight_set: WeightSet, call: str, rows: Sequence[Any]) -> Any:
        source = base64.b64encode(str(render(weight_set, "javascript")).encode()).decode()
        assert self.node.stdin is not None
        assert self.node.stdout is not None
        self.node.stdin.write(json.dumps({"source": source, "call": call, "rows": rows}) + "\n")
        self.node.stdin.flush()
        answer = json.loads(self.node.stdout.readline())["answer"]
        if isinstance(answer, dict) and "error" in answer:
            raise Refused(answer["error"])
        return answer

    def score(self, weight_set: WeightSet, rows: Rows) -> list[dict[str, Any]]:
        found = self.ask(weight_set, "counts", [list(r.items()) for r in rows])
        return [{**r, "contributions": dict(r["contributions"])} for r in found]

    def count(self, weight_set: WeightSet, questions: Sequence[Any]) -> list[dict[str, float]]:
        return [dict(c) for c in self.ask(weight_set, "events", questions)]


class Onnx:
    """The model, run by onnxruntime."""

    def score(self, weight_set: WeightSet, rows: Rows) -> list[dict[str, Any]]:
        from onnxruntime import InferenceSession

        session = InferenceSession(render(weight_set, "onnx"), providers=["CPUExecutionProvider"])
        counts = np.array([[r.get(n, 0.0) for n in weight_set.names] for r in rows])
        outputs = [o.name for o in session.get_outputs()]
        found = dict(zip(outputs, session.run(None, {"counts": counts}), strict=True))
        bands = json.loads(session.get_modelmeta().custom_metadata_map["ces_ml.bands"])
        terms = json.loads(session.get_modelmeta().custom_metadata_map["ces_ml.terms"])
        return [
            {
                **{key: float(found[key][i]) for key in SCORED},
                "band": bands[found["band"][i]],
                "contributions": dict(zip(terms, found["contributions"][i].tolist(), strict=True)),
            }
            for i in range(len(rows))
        ]


class Pmml:
    """The scorecard, run by PMML4S on Java."""

    def model(self, weight_set: WeightSet, **options: object) -> Any:
        from pypmml import Model

        return Model.fromString(render(weight_set, "pmml", **options))

    def score(self, weight_set: WeightSet, rows: Rows) -> list[dict[str, Any]]:
        text = str(render(weight_set, "pmml"))
        model = self.model(weight_set)
        fields = {n: f"n{k}" for k, n in enumerate(weight_set.names)}
        inside = ET.fromstring(text).find(".//{*}Header/{*}Extension")
        assert inside is not None
        assert json.loads(inside.attrib["value"])["terms"] == list(weight_set.names)
        return [model.predict({fields[n]: v for n, v in row.items()}) for row in rows]
