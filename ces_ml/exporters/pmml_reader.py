"""A reader of the scorecards that ces-ml writes: enough of PMML to score what stands in them.

It knows the elements that `ces_ml.exporters.pmml` writes and refuses all others; it is no
evaluator of other people's PMML.
"""

from __future__ import annotations

import json
import math
import operator
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from ces_ml.errors import WeightSetError, show
from ces_ml.exporters.pmml import EXTENSION, xml_names

__all__ = ["PmmlCard"]

_HINT = "take the original file, or export it again"
Values = dict[str, Any]

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "+": operator.add,
    "*": operator.mul,
    "/": lambda a, b: 0.0 if math.isinf(b) else a / b,
    "min": min,
    "max": max,
    "abs": abs,
    "sqrt": math.sqrt,
    "ln1p": math.log1p,
    "exp": lambda z: math.inf if z > 700 else math.exp(z),
    "lessThan": operator.lt,
    "if": lambda test, yes, no: yes if test else no,
}


class PmmlCard:
    """A scorecard, ready to score.

    Parameters
    ----------
    data : bytes
        XML in UTF-8. A document type is refused, so that no entity is ever expanded.

    Raises
    ------
    WeightSetError
        If it is not a scorecard that ces-ml wrote.
    """

    def __init__(self, data: bytes) -> None:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise _refusal("the PMML file is not UTF-8", str(error), "XML in UTF-8") from error
        if "\0" in text:  # UTF-16, which expat would recognise whatever it is told
            raise _refusal("the PMML file is not UTF-8", "a NUL character", "XML in UTF-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise _refusal("the PMML file declares a document type", "<!DOCTYPE", "plain elements")
        try:
            root = ET.fromstring(text)  # noqa: S314 - no document type, so no entity, is let in
        except ET.ParseError as error:
            raise _refusal("the PMML file is not XML", str(error), "a whole document") from error
        for element in root.iter():
            element.tag = str(element.tag).rpartition("}")[2]
        self._card = self._part(root, "Scorecard")
        extension = self._part(root, f"Header/Extension[@name='{EXTENSION}']")
        try:
            exact = json.loads(extension.get("value", ""))
            self.fingerprint, self.terms = str(exact["fingerprint"]), list(exact["terms"])
        except (ValueError, KeyError, TypeError) as error:
            raise _refusal("the PMML file lost its names", show(error), "the extension") from error
        self.fields = [f.get("name", "") for f in root.findall("DataDictionary/DataField")]
        held = [f.get("displayName") for f in root.findall("DataDictionary/DataField")]
        reasons = [c.get("reasonCode") for c in self._card.iter("Characteristic")]
        if not held == reasons == xml_names(self.terms):
            raise _refusal(
                "the fields of the PMML file are not its terms",
                f"{len(held)} fields, {len(reasons)} characteristics",
                f"the {len(self.terms)} terms, in order",
            )

    def _part(self, parent: ET.Element, path: str) -> ET.Element:
        found = parent.find(path)
        if found is None:
            raise _refusal(f"the PMML file has no {path}", "nothing", "what ces-ml writes")
        return found

    def golden_rows(self) -> list[dict[str, Any]]:
        """Return the rows of ModelVerification: ``counts`` by name of term, and the scores."""
        table = self._part(self._card, "ModelVerification/InlineTable")
        rows = []
        for line in table.findall("row"):
            cells = {cell.tag: float(cell.text or "nan") for cell in line}
            counts = {t: cells.pop(f) for t, f in zip(self.terms, self.fields, strict=True)}
            rows.append({"counts": counts, **cells})
        return rows

    def score(self, counts: Mapping[str, float]) -> Values:
        """Return ``raw_score``, ``score``, ``probability`` and ``band`` (as XML holds its name)."""
        fields = zip(self.terms, self.fields, strict=True)
        values: Values = {field: float(counts.get(term, 0.0)) for term, field in fields}
        values["raw_score"] = math.fsum(
            _value(self._part(c, "Attribute/ComplexPartialScore")[0], values)
            for c in self._card.iter("Characteristic")
        )
        for output in self._card.findall("Output/OutputField[@feature='transformedValue']"):
            values[output.get("name", "")] = _value(output[0], values)
        return values


def _value(element: ET.Element, values: Values) -> Any:
    """Return what an expression gives."""
    if element.tag == "FieldRef":
        return values[element.get("field", "")]
    if element.tag == "Constant":
        return float(element.text or "nan")
    if element.tag == "NormContinuous":
        knots = [(float(n.get("orig", "")), float(n.get("norm", ""))) for n in element]
        return _line(values[element.get("field", "")], knots)
    if element.tag == "Discretize":
        return _bin(element, values[element.get("field", "")])
    function = element.get("function", "")
    if element.tag != "Apply" or function not in _FUNCTIONS:
        raise _refusal(
            "the PMML file holds an expression that ces-ml does not write",
            show(f"{element.tag} {function}".strip()),
            "Apply of " + ", ".join(_FUNCTIONS),
        )
    return _FUNCTIONS[function](*(_value(part, values) for part in element))


def _line(x: float, knots: list[tuple[float, float]]) -> float:
    if x <= knots[0][0]:
        return knots[0][1]
    for (x0, y0), (x1, y1) in pairwise(knots):
        if x < x1:
            return min(knots[-1][1], max(knots[0][1], y0 + (y1 - y0) / (x1 - x0) * (x - x0)))
    return knots[-1][1]


def _bin(element: ET.Element, x: float) -> str | None:
    for held in element.findall("DiscretizeBin"):
        ends = held[0]
        low = float(ends.get("leftMargin", "-inf"))
        if low <= x < float(ends.get("rightMargin", "inf")):
            return held.get("binValue")
    return None


def _refusal(problem: str, got: str, allowed: str) -> WeightSetError:
    return WeightSetError(problem, got=got, allowed=allowed, hint=_HINT)
