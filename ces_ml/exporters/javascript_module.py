"""A weight set as one ES module that needs nothing but a JavaScript engine."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from ces_ml.exporters.formula import ascii_json, formula
from ces_ml.weights.weight_set import WeightSet

__all__ = ["javascript_module"]

#: Largest whole number that JavaScript tells from its neighbours.
_SAFE = 2**53 - 1


def javascript_module(weight_set: WeightSet) -> str:
    """Return a module with ``scoreCounts``, ``scoreEvents``, ``countEvents`` and ``selfCheck``.

    It runs in Node and in browsers, also inside a script element: no name can end it. The weight
    set stands in it as JSON in a string and passes `JSON.parse`, which knows no ``__proto__``.

    Parameters
    ----------
    weight_set : WeightSet

    Returns
    -------
    str
        Source text, in ASCII.
    """
    body = formula(weight_set)
    for term in body["terms"]:
        if term["refused"] is None and _unsafe(term["where"]):
            term["refused"] = "its filter names a whole number beyond 2^53"
    source = files("ces_ml.exporters").joinpath("templates/scorer.js.tmpl").read_text("utf-8")
    source = source.replace("__FINGERPRINT__", body["fingerprint"])
    text = json.dumps(ascii_json(body, indent=None), ensure_ascii=True)
    return source.replace("__MODEL__", text)


def _unsafe(tree: Any) -> bool:
    """Return whether a filter names an integer that JavaScript can't hold."""
    if isinstance(tree, list):
        return any(_unsafe(part) for part in tree)
    return isinstance(tree, int) and abs(tree) > _SAFE
