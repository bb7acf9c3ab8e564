"""The formats a weight set can be exported to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from ces_ml.errors import SpecError
from ces_ml.files import write_text
from ces_ml.weights.weight_set import WeightSet

__all__ = ["EXPORTERS", "Exporter", "export"]


class Exporter(Protocol):
    """Renders a weight set for a consumer.

    Law: the consumer gives every golden row of the weight set the score that the row states, to
    1e-9.
    """

    def __call__(self, weight_set: WeightSet) -> str:
        """Return the text of the exported file."""
        ...


def _json(weight_set: WeightSet) -> str:
    return weight_set.to_json()


#: Exporters by format.
EXPORTERS: dict[str, Exporter] = {"json": _json}


def export(weight_set: WeightSet, path: str | os.PathLike[str], format: str = "json") -> Path:
    """Write a weight set in a format that another scorer reads, whole or not at all.

    Parameters
    ----------
    weight_set : WeightSet
    path : path-like
        Where to write.
    format : {"json"}, default="json"

    Returns
    -------
    pathlib.Path
        The path written.

    Raises
    ------
    SpecError
        If there is no such format.
    OutputError
        If the path can't be written.
    """
    if format not in EXPORTERS:
        raise SpecError.unknown(
            "unknown export format", format, EXPORTERS, hint="correct the format"
        )
    return write_text(path, EXPORTERS[format](weight_set))
