"""All formats a weight set can be handed on in: those that scorers read, and cards for people."""

from __future__ import annotations

import os
from pathlib import Path

from ces_ml.exporters import EXPORTERS, Exporter, write
from ces_ml.report.card import weight_card
from ces_ml.report.card_page import weight_card_page
from ces_ml.weights.weight_set import WeightSet

__all__ = ["FORMATS", "export"]

#: Exporters by format.
FORMATS: dict[str, Exporter] = {
    **EXPORTERS,
    "card_md": Exporter("people: one page of Markdown", weight_card),
    "card_html": Exporter("people: one page of HTML", weight_card_page),
}


def export(
    weight_set: WeightSet,
    path: str | os.PathLike[str],
    format: str = "json",
    **options: object,
) -> Path:
    """Write a weight set in a format that another scorer, or a person, reads.

    The file is written whole or not at all.

    Parameters
    ----------
    weight_set : WeightSet
    path : path-like
        Where to write.
    format : str, default="json"
        A key of `FORMATS`.
    **options
        Options of the format.

    Returns
    -------
    pathlib.Path
        The path written.

    Raises
    ------
    SpecError
        If there is no such format or option.
    OutputError
        If the path can't be written.
    """
    return write(weight_set, path, format, FORMATS, options)
