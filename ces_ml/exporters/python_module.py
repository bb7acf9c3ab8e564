"""A weight set as one file of Python that needs nothing but Python."""

from __future__ import annotations

from importlib.resources import files

from ces_ml.exporters.formula import ascii_json, formula
from ces_ml.weights.weight_set import WeightSet

__all__ = ["python_module"]


def python_module(weight_set: WeightSet) -> str:
    """Return a module with ``score_counts``, ``score_events``, ``count_events``, ``self_check``.

    It runs on Python 3.8 or later. The weight set stands in it as JSON inside a raw string that
    no name can end; nothing of it is ever evaluated.

    Parameters
    ----------
    weight_set : WeightSet

    Returns
    -------
    str
        Source text, in ASCII.
    """
    body = formula(weight_set)
    source = files("ces_ml.exporters").joinpath("templates/scorer.py.tmpl").read_text("utf-8")
    source = source.replace("__FINGERPRINT__", body["fingerprint"])
    return source.replace("__MODEL__", ascii_json(body))
