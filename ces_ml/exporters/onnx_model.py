"""A weight set as an ONNX model: counts in; score, probability and contributions out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ces_ml.errors import MissingDependencyError
from ces_ml.exporters.formula import ascii_json, golden_rows
from ces_ml.weights.weight_set import WeightSet

__all__ = ["METADATA", "OUTPUTS", "onnx_model"]

#: Outputs of the model; ``contributions`` has one column a term, ``band`` is an index into
#: the metadata's bands.
OUTPUTS = ("score", "probability", "raw_score", "contributions", "band")
#: Beginning of the keys of the metadata: fingerprint, name, terms, weights, bands, golden_rows.
METADATA = "ces_ml."
#: Versions that runtimes of the last years read.
_OPSET, _IR_VERSION = 17, 8


def onnx_model(weight_set: WeightSet) -> bytes:
    """Return a model whose arithmetic is float64 throughout.

    Its input ``counts``, of shape (N, n_terms), holds counts before cap and transform, columns in
    the order of the metadata's ``ces_ml.terms``. Names stand in the metadata only, as JSON, so
    that they may hold anything.

    Parameters
    ----------
    weight_set : WeightSet

    Returns
    -------
    bytes
        A serialised ``ModelProto``.

    Raises
    ------
    MissingDependencyError
        If onnx is not installed.
    """
    try:
        from onnx import TensorProto, checker, helper
    except ImportError as error:
        raise MissingDependencyError(
            "the export to ONNX needs a package that is not installed",
            got=str(error),
            allowed="onnx",
            hint="pip install 'ces-ml[export]'",
        ) from error
    graph = _Graph()
    raw = _raw_score(graph, weight_set)
    _map(graph, weight_set, raw)
    n_terms, double = len(weight_set.terms), TensorProto.DOUBLE
    outputs = [
        helper.make_tensor_value_info(
            name,
            TensorProto.INT64 if name == "band" else double,
            ["N", n_terms] if name == "contributions" else ["N"],
        )
        for name in OUTPUTS
    ]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "ces_ml_score",
            [helper.make_tensor_value_info("counts", double, ["N", n_terms])],
            outputs,
            graph.constants,
        ),
        producer_name="ces-ml",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    helper.set_model_props(model, _metadata(weight_set))
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _metadata(weight_set: WeightSet) -> dict[str, str]:
    body = {
        "name": weight_set.name,
        "terms": weight_set.names,
        "weights": [t.weight for t in weight_set.terms],
        "bands": [b.name for b in weight_set.bands],
        "golden_rows": golden_rows(weight_set),
    }
    texts = {METADATA + key: ascii_json(value, indent=None) for key, value in body.items()}
    return {METADATA + "fingerprint": weight_set.fingerprint, **texts}


class _Graph:
    """Nodes and constants of a graph that is being written."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output


def _raw_score(graph: _Graph, weight_set: WeightSet) -> str:
    """Add cap, transform, weights and their sum."""
    terms = weight_set.terms
    caps = np.array([np.inf if t.cap is None else t.cap for t in terms])
    n = graph.add("Max", "counts", graph.constant(-caps))
    n = graph.add("Min", n, graph.constant(caps))
    size, sign = graph.add("Abs", n), graph.add("Sign", n)
    shapes = {
        "identity": size,
        "log1p": graph.add("Log", graph.add("Add", size, graph.constant(1.0))),
        "sqrt": graph.add("Sqrt", size),
    }
    total = ""
    for transform, shape in shapes.items():
        # Weights of the other terms are 0: one product picks the terms of a transform.
        weights = [t.weight if t.transform == transform else 0.0 for t in terms]
        if any(t.transform == transform for t in terms):
            part = graph.add("Mul", shape, graph.constant(weights))
            total = graph.add("Add", total, part) if total else part
    graph.add("Mul", total, sign, output="contributions")
    axis = graph.constant([1], np.int64)
    return graph.add("ReduceSum", "contributions", axis, output="raw_score", keepdims=0)


def _map(graph: _Graph, weight_set: WeightSet, raw: str) -> None:
    """Add probability, score and band."""
    z = graph.add("Add", raw, graph.constant(weight_set.intercept))
    calibration = weight_set.calibration
    if calibration is not None and calibration.method == "isotonic":
        _line(graph, z, calibration.knots, "probability")
    else:
        if calibration is not None:
            z = graph.add("Mul", z, graph.constant(calibration.slope))
            z = graph.add("Add", z, graph.constant(calibration.intercept))
        half = graph.constant(0.5)
        bent = graph.add("Tanh", graph.add("Mul", z, half))
        graph.add("Add", graph.add("Mul", bent, half), half, output="probability")
    if weight_set.scale.method == "probability":
        graph.add("Mul", "probability", graph.constant(100.0), output="score")
    else:
        _line(graph, raw, weight_set.scale.knots, "score")
    starts = [b.from_score for b in weight_set.bands[1:]]
    if starts:
        _passed(graph, "score", starts, "band")
    else:
        graph.add("Cast", graph.add("Mul", "score", graph.constant(0.0)), output="band", to=7)


def _passed(graph: _Graph, x: str, starts: Sequence[float], output: str = "") -> str:
    """Add how many of the rising `starts` are at most `x`, as int64."""
    column = graph.add("Unsqueeze", x, graph.constant([1], np.int64))
    reached = graph.add("GreaterOrEqual", column, graph.constant(starts))
    whole = graph.add("Cast", reached, to=7)  # 7: int64
    axis = graph.constant([1], np.int64)
    return graph.add("ReduceSum", whole, axis, output=output, keepdims=0)


def _line(graph: _Graph, x: str, knots: Sequence[tuple[float, float]], output: str) -> None:
    """Add straight lines between knots, flat outside."""
    at, height = np.array(knots).T
    slopes = np.concatenate([[0.0], np.diff(height) / np.diff(at), [0.0]])
    # Piece k begins at knot k − 1; the piece before the first knot is flat.
    place = _passed(graph, x, at.tolist())
    begin = graph.add("Gather", graph.constant(np.concatenate([at[:1], at])), place)
    base = graph.add("Gather", graph.constant(np.concatenate([height[:1], height])), place)
    slope = graph.add("Gather", graph.constant(slopes), place)
    rise = graph.add("Mul", slope, graph.add("Sub", x, begin))
    bounds = graph.constant(height[0]), graph.constant(height[-1])
    graph.add("Clip", graph.add("Add", base, rise), *bounds, output=output)
