"""A weight set as a PMML 4.4 Scorecard with reason codes and rows to verify it with."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from ces_ml.errors import SpecError
from ces_ml.exporters.formula import ascii_json, golden_rows
from ces_ml.weights.weight_set import WeightSet
from ces_ml.weights.weighted_term import WeightedTerm

__all__ = ["EXTENSION", "pmml", "xml_names"]

_NAMESPACE = "http://www.dmg.org/PMML-4_4"
#: Name of the extension that holds fingerprint and exact names, as JSON.
EXTENSION = "ces-ml"
#: What XML 1.0 can't hold, in no spelling.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ALGORITHMS = {"above": "pointsAbove", "below": "pointsBelow"}


def pmml(weight_set: WeightSet, reasons: object = "above", n_reasons: object = 3) -> str:
    """Return a Scorecard: one characteristic a term, its partial score ``w · g(n)``.

    Fields are ``n0, n1, …``: counts before cap and transform, in the order of the terms; a missing
    one is 0. Outputs are ``raw_score``, ``score``, ``probability``, ``band`` and ``reason_1, …``:
    names of terms. ModelVerification holds the golden rows, with a precision of 1e-9.

    Parameters
    ----------
    weight_set : WeightSet
    reasons : {"above", "below"}, default="above"
        Which terms come first as reasons: those that add most, or those that take most. PMML has
        no order by magnitude.
    n_reasons : int, default=3
        How many reasons are given.

    Returns
    -------
    str
        XML.

    Raises
    ------
    SpecError
        If an option has a value that is not allowed.
    """
    n = int(str(n_reasons)) if str(n_reasons).isdecimal() else -1
    if reasons not in _ALGORITHMS or n < 0:
        raise SpecError(
            "the reasons of the scorecard can't be ordered so",
            got=f"reasons {reasons!r}, n_reasons {n_reasons!r}",
            allowed="reasons 'above' or 'below'; n_reasons of 0 or more",
            hint="correct the option",
        )
    names = xml_names(weight_set.names)
    root = ET.Element("PMML", {"version": "4.4", "xmlns": _NAMESPACE})
    header = _add(root, "Header", description=xml_names([weight_set.name])[0])
    exact = {"fingerprint": weight_set.fingerprint, "terms": weight_set.names}
    _add(header, "Extension", name=EXTENSION, value=ascii_json(exact, indent=None))
    _add(header, "Application", name="ces-ml")
    fields = [f"n{k}" for k in range(len(names))]
    dictionary = _add(root, "DataDictionary", numberOfFields=str(len(fields)))
    for field, name in zip(fields, names, strict=True):
        kind = {"optype": "continuous", "dataType": "double"}
        _add(dictionary, "DataField", name=field, displayName=name, **kind)
    card = _add(
        root,
        "Scorecard",
        modelName="ces_ml_score",
        functionName="regression",
        initialScore="0.0",
        useReasonCodes="true" if n else "false",
        **({"reasonCodeAlgorithm": _ALGORITHMS[str(reasons)], "baselineScore": "0.0"} if n else {}),
    )
    schema = _add(card, "MiningSchema")
    for field in fields:
        _add(schema, "MiningField", name=field, missingValueReplacement="0.0")
    _outputs(card, weight_set, min(n, len(fields)))
    _characteristics(card, weight_set.terms, fields, names)
    _verification(card, weight_set, fields)
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def xml_names(names: Sequence[str]) -> list[str]:
    r"""Return names that XML can hold, one a name.

    A character that XML can't hold is written as an escape; the empty name as two quotes; a name
    that another one has already gets a number.

    Examples
    --------
    >>> print(*xml_names(["a<b", "nul\0", ""]))
    a<b nul\u0000 ""
    """
    found: list[str] = []
    for name in names:
        base = _ILLEGAL.sub(lambda m: f"\\u{ord(m[0]):04x}", name) or '""'
        legal, number = base, 2
        while legal in found or (legal != name and legal in names):
            legal, number = f"{base} #{number}", number + 1
        found.append(legal)
    return found


def _add(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, tag, attributes)


def _apply(parent: ET.Element, function: str, *parts: float | str | ET.Element) -> ET.Element:
    """Add a function of constants, fields (by name) and other expressions."""
    made = _add(parent, "Apply", function=function)
    for part in parts:
        if isinstance(part, ET.Element):
            made.append(part)
        elif isinstance(part, str):
            _add(made, "FieldRef", field=part)
        else:
            _constant(made, part)
    return made


def _constant(parent: ET.Element, value: float) -> None:
    _add(parent, "Constant", dataType="double").text = repr(float(value))


def _loose(function: str, *parts: float | str | ET.Element) -> ET.Element:
    """Return a function that is not in the document yet."""
    return _apply(ET.Element("loose"), function, *parts)


def _characteristics(
    card: ET.Element, terms: Sequence[WeightedTerm], fields: Sequence[str], names: Sequence[str]
) -> None:
    held = _add(card, "Characteristics")
    for term, field, name in zip(terms, fields, names, strict=True):
        made = _add(held, "Characteristic", name=field, reasonCode=name, baselineScore="0.0")
        attribute = _add(made, "Attribute", reasonCode=name)
        _add(attribute, "True")
        _apply(_add(attribute, "ComplexPartialScore"), "*", term.weight, _saturated(term, field))


def _saturated(term: WeightedTerm, field: str) -> ET.Element:
    """Return ``g(n)``: cap, then a transform that keeps the sign."""
    n: str | ET.Element = field
    if term.cap is not None:
        n = _loose("max", -term.cap, _loose("min", term.cap, field))
    if term.transform == "identity":
        return _loose("+", n, 0.0)
    size = _loose("abs", n)
    bent = _loose("sqrt", size) if term.transform == "sqrt" else _loose("ln1p", size)
    sign = _loose("if", _loose("lessThan", field, 0.0), -1.0, 1.0)
    return _loose("*", sign, bent)


def _outputs(card: ET.Element, weight_set: WeightSet, n_reasons: int) -> None:
    output = _add(card, "Output")

    def field(name: str, feature: str, **more: str) -> ET.Element:
        kind = {"optype": "continuous", "dataType": "double"}
        return _add(output, "OutputField", name=name, feature=feature, **{**kind, **more})

    text = {"optype": "categorical", "dataType": "string"}
    field("raw_score", "predictedValue")
    field("log_odds", "transformedValue").append(
        _loose("+", "raw_score", float(weight_set.intercept))
    )
    calibration = weight_set.calibration
    made = field("probability", "transformedValue")
    if calibration is not None and calibration.method == "isotonic":
        _line(made, "log_odds", calibration.knots)
    else:
        slope, shift = (
            (1.0, 0.0) if calibration is None else (calibration.slope, calibration.intercept)
        )
        z = _loose("+", _loose("*", slope, "log_odds"), shift)
        _apply(made, "/", 1.0, _loose("+", 1.0, _loose("exp", _loose("*", -1.0, z))))
    made = field("score", "transformedValue")
    if weight_set.scale.method == "probability":
        _apply(made, "*", 100.0, "probability")
    else:
        _line(made, "raw_score", weight_set.scale.knots)
    _band(field("band", "transformedValue", **text), weight_set)
    for k in range(1, n_reasons + 1):
        field(f"reason_{k}", "reasonCode", rank=str(k), **text)


def _line(parent: ET.Element, field: str, knots: Sequence[tuple[float, float]]) -> None:
    """Add straight lines between knots, flat outside."""
    if len(knots) == 1:
        _constant(parent, knots[0][1])
        return
    made = _add(parent, "NormContinuous", field=field, outliers="asExtremeValues")
    for x, y in knots:
        _add(made, "LinearNorm", orig=repr(x), norm=repr(y))


def _band(parent: ET.Element, weight_set: WeightSet) -> None:
    """Add the band that the score falls into.

    Names stand in attributes: PMML4S loses a part of a text that holds ``&`` or a line break.
    """
    names = xml_names([b.name for b in weight_set.bands])
    starts = [b.from_score for b in weight_set.bands]
    made = _add(parent, "Discretize", field="score", dataType="string")
    for k, name in enumerate(names):
        held = _add(made, "DiscretizeBin", binValue=name)
        margins = {"leftMargin": repr(starts[k])} if k else {}
        if k + 1 < len(starts):
            margins["rightMargin"] = repr(starts[k + 1])
        else:
            margins = margins or {"leftMargin": "0.0"}
        _add(held, "Interval", closure="closedOpen", **margins)


def _verification(card: ET.Element, weight_set: WeightSet, fields: Sequence[str]) -> None:
    """Add the golden rows: an evaluator that verifies models scores them when it loads one."""
    rows = golden_rows(weight_set)
    outputs = ("raw_score", "probability", "score")
    made = _add(
        card,
        "ModelVerification",
        recordCount=str(len(rows)),
        fieldCount=str(len(fields) + len(outputs)),
    )
    held = _add(made, "VerificationFields")
    for name in fields:
        _add(held, "VerificationField", field=name, column=name)
    for name in outputs:
        tolerance = {"precision": "1e-9", "zeroThreshold": "1e-9"}
        _add(held, "VerificationField", field=name, column=name, **tolerance)
    table = _add(made, "InlineTable")
    for row in rows:
        line = _add(table, "row")
        for field, name in zip(fields, weight_set.names, strict=True):
            _add(line, field).text = repr(float(row["counts"].get(name, 0.0)))
        for name in outputs:
            _add(line, name).text = repr(float(row[name]))
