"""What stands in an ONNX model, beside the scores that other tests compare."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from ces_ml.errors import MissingDependencyError
from ces_ml.exporters import render
from ces_ml.weights import WeightSet, contributions, raw_scores, scores


def session_of(weight_set: WeightSet) -> Any:
    return onnxruntime.InferenceSession(render(weight_set, "onnx"))


def test_a_model_says_what_it_was_made_of(hostile: WeightSet) -> None:
    session = session_of(hostile)
    held = session.get_modelmeta().custom_metadata_map
    assert held["ces_ml.fingerprint"] == hostile.fingerprint
    assert json.loads(held["ces_ml.name"]) == hostile.name
    assert json.loads(held["ces_ml.terms"]) == list(hostile.names)
    assert json.loads(held["ces_ml.weights"]) == list(hostile.weights.values())
    assert json.loads(held["ces_ml.bands"]) == [b.name for b in hostile.bands]
    assert [i.name for i in session.get_inputs()] == ["counts"]
    assert session.get_inputs()[0].shape == ["N", len(hostile.terms)]


def test_a_model_counts_in_float64_throughout(hostile: WeightSet) -> None:
    model = onnx.shape_inference.infer_shapes(
        onnx.load_from_string(render(hostile, "onnx")), strict_mode=True, data_prop=True
    )
    kinds = {v.type.tensor_type.elem_type for v in model.graph.value_info}
    kinds |= {c.data_type for c in model.graph.initializer}
    T = onnx.TensorProto
    assert T.DOUBLE in kinds
    assert not kinds & {T.FLOAT, T.FLOAT16, T.BFLOAT16}


def test_a_model_scores_a_batch_and_an_empty_one(hostile: WeightSet) -> None:
    session = session_of(hostile)
    counts = np.random.default_rng(0).poisson(1.5, (5000, len(hostile.terms))).astype(float)
    for n in (counts, counts[:1], counts[:0]):
        score, points = session.run(["score", "contributions"], {"counts": n})
        np.testing.assert_allclose(score, scores(hostile, raw_scores(hostile, n)), atol=1e-9)
        np.testing.assert_allclose(points, contributions(hostile, n), atol=1e-9)


def test_without_onnx_the_extra_is_named(
    hostile: WeightSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"needs a package(.|\n)*ces-ml\[export\]"):
        render(hostile, "onnx")
