"""The formats a weight set can be exported to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ces_ml.errors import SpecError, show
from ces_ml.exporters.javascript_module import javascript_module
from ces_ml.exporters.onnx_model import onnx_model
from ces_ml.exporters.pmml import pmml
from ces_ml.exporters.python_module import python_module
from ces_ml.exporters.sql import SQL_OPTIONS, sql_text
from ces_ml.files import replacing
from ces_ml.weights.given import check_weight_set
from ces_ml.weights.weight_set import WeightSet

__all__ = ["EXPORTERS", "Exporter", "export", "render", "write"]


@dataclass(frozen=True)
class Exporter:
    """Renders a weight set for a consumer.

    Law: the consumer gives every golden row of the weight set the score that the row states, to
    1e-9. Equal weight sets and options give equal bytes.

    Parameters
    ----------
    consumer : str
        Who reads the export, in words.
    renderer : callable
        Called with the weight set and options by name; returns the text of the file, or its bytes.
    options : mapping of str to str
        Options that `renderer` takes, by name, with what they do in words.
    """

    consumer: str
    renderer: Callable[..., str | bytes]
    options: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, weight_set: WeightSet, **options: object) -> str | bytes:
        """Return the exported file; `options` must be declared.

        Raises
        ------
        SpecError
            If there is no such option.
        """
        check_weight_set(weight_set)
        for name in options:
            if name not in self.options:
                raise SpecError.unknown(
                    "unknown option of the export",
                    name,
                    self.options,
                    hint="correct the option, or leave it out",
                )
        return self.renderer(weight_set, **options)


def _json(weight_set: WeightSet) -> str:
    return weight_set.to_json()


#: Exporters by format.
EXPORTERS: dict[str, Exporter] = {
    "json": Exporter("ces-ml, and anything that reads JSON", _json),
    "sql": Exporter("a database or warehouse, over raw events", sql_text, SQL_OPTIONS),
    "python": Exporter("Python 3.8 or later, nothing else", python_module),
    "javascript": Exporter("Node and browsers: an ES module", javascript_module),
    "onnx": Exporter("ONNX runtimes; counts in, float64 throughout", onnx_model),
    "pmml": Exporter(
        "PMML 4.4 evaluators: a Scorecard with reason codes",
        pmml,
        {"reasons": "above or below: which terms come first", "n_reasons": "how many are given"},
    ),
}


def render(weight_set: WeightSet, format: str = "json", **options: object) -> str | bytes:
    """Return a weight set in a format that another scorer reads.

    Parameters
    ----------
    weight_set : WeightSet
    format : str, default="json"
        A key of `EXPORTERS`.
    **options
        Options of the format.

    Returns
    -------
    str or bytes
        What `export` writes to a file.

    Raises
    ------
    SpecError
        If there is no such format or option.
    """
    return _found(format, EXPORTERS, options)(weight_set, **options)


def _found(format: str, exporters: Mapping[str, Exporter], options: Iterable[str]) -> Exporter:
    if format not in exporters:
        raise SpecError.unknown(
            "unknown export format", format, exporters, hint="correct the format"
        )
    for name in options:
        takers = [f for f, exporter in exporters.items() if name in exporter.options]
        if takers and format not in takers:
            raise SpecError(
                f"unknown option of the export: the format {format} does not take it",
                got=show(name),
                allowed=f"with the format {' or '.join(takers)}; {format} takes "
                + (", ".join(exporters[format].options) or "no options"),
                hint=f"leave the option out, or export with format {takers[0]}",
            )
    return exporters[format]


def export(
    weight_set: WeightSet,
    path: str | os.PathLike[str],
    format: str = "json",
    **options: object,
) -> Path:
    """Write a weight set in a format that another scorer reads, whole or not at all.

    Parameters
    ----------
    weight_set : WeightSet
    path : path-like
        Where to write.
    format : str, default="json"
        A key of `EXPORTERS`.
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
    return write(weight_set, path, format, EXPORTERS, options)


def write(
    weight_set: WeightSet,
    path: str | os.PathLike[str],
    format: str,
    exporters: Mapping[str, Exporter],
    options: Mapping[str, object],
) -> Path:
    """Write a weight set by one of `exporters`; otherwise as `export`."""
    made = _found(format, exporters, options)(weight_set, **options)
    with replacing(path) as temporary:
        temporary.write_bytes(made.encode("utf-8") if isinstance(made, str) else made)
    return Path(path)
