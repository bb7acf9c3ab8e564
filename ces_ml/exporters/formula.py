"""What a scorer of one file must know: a weight set as plain JSON, nothing left to look up."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ces_ml.spec.duration import UNITS
from ces_ml.spec.where import (
    All,
    Comparison,
    Condition,
    IsNull,
    IsTrue,
    Membership,
    Not,
    parse_where,
)
from ces_ml.weights.apply import band_names, probabilities, raw_scores, scores
from ces_ml.weights.weight_set import WeightSet
from ces_ml.weights.weighted_term import WeightedTerm

__all__ = ["ascii_json", "formula", "golden_rows"]


def golden_rows(weight_set: WeightSet) -> list[dict[str, Any]]:
    """Return rows that a consumer can check itself with: counts and what they must give.

    They are those of the weight set, in front, and one with three of every term that none of them
    counts: each weight has a part in some row. Where the weight set has none, they are made: no
    event at all, three of everything, and three of each term alone, up to twenty terms.

    Returns
    -------
    list of dict
        ``counts`` by name of term, ``raw_score``, ``score``, ``band``, ``probability``.
    """
    names = weight_set.names
    counts = [dict(row.counts) for row in weight_set.golden_rows]
    counted = {name for row in counts for name, n in row.items() if n}
    if not counts:
        counts = [{}, dict.fromkeys(names, 3.0), *({name: 3.0} for name in names[:20])]
    elif uncounted := [name for name in names if name not in counted]:
        counts.append(dict.fromkeys(uncounted, 3.0))
    n = np.array([[row.get(name, 0.0) for name in names] for row in counts])
    raw = raw_scores(weight_set, n)
    score = scores(weight_set, raw)
    columns = zip(
        counts,
        raw.tolist(),
        score.tolist(),
        band_names(weight_set, score).tolist(),
        probabilities(weight_set, raw).tolist(),
        strict=True,
    )
    keys = ("counts", "raw_score", "score", "band", "probability")
    return [dict(zip(keys, row, strict=True)) for row in columns]


def formula(weight_set: WeightSet) -> dict[str, Any]:
    """Return all that counting and scoring need, as values that JSON can hold.

    Lengths of time are microseconds, filters are trees, and every term names the column that it
    reads.
    """
    calibration = weight_set.calibration
    return {
        "format": "ces-ml/scorer",
        "format_version": 1,
        "name": weight_set.name,
        "fingerprint": weight_set.fingerprint,
        "events": weight_set.scored_events.model_dump(mode="json"),
        "account_col": weight_set.account_col,
        "intercept": weight_set.intercept,
        "terms": [_term(t, weight_set.events.value_col) for t in weight_set.terms],
        "scale": weight_set.scale.model_dump(mode="json"),
        "calibration": None if calibration is None else calibration.model_dump(mode="json"),
        "bands": [{"name": b.name, "from_score": b.from_score} for b in weight_set.bands],
        "golden_rows": golden_rows(weight_set),
    }


def ascii_json(value: Any, indent: int | None = 1) -> str:
    """Return JSON without ``<``, ``>``, ``&``, ``'`` and characters outside of ASCII.

    It can stand inside a script element of HTML, and inside single quotes.
    """
    text = json.dumps(value, ensure_ascii=True, indent=indent, allow_nan=False)
    # In JSON these stand inside strings only, where an escape means the same.
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _term(term: WeightedTerm, value_col: str | None) -> dict[str, Any]:
    reads = term.measure in ("sum", "mean", "duration", "distinct") and term.until is None
    column = (term.property or value_col) if reads else None
    refused = None
    if term.per == "seat":
        refused = "per: seat needs the members of an account"
    elif reads and column is None:
        refused = f"measure {term.measure} names no property, and the log has no value_col"
    return {
        "name": term.name,
        "weight": term.weight,
        "events": list(term.counted),
        "measure": term.measure,
        "property": column,
        "until": term.until,
        "where": None if term.where is None else _tree(parse_where(term.where)),
        "window_us": term.window.us,
        "half_life_us": None if term.half_life is None else term.half_life.us,
        "unit_us": UNITS["h"] if term.unit is None else term.unit.us,
        "neutral": term.neutral,
        "cap_per_day": term.cap_per_day,
        "per": term.per,
        "cap": term.cap,
        "transform": term.transform,
        "refused": refused,
    }


def _tree(condition: Condition) -> list[Any]:
    match condition:
        case Comparison(column, op, value):
            return ["compare", column, op, value]
        case Membership(column, values):
            return ["in", column, list(values)]
        case IsNull(column):
            return ["null", column]
        case IsTrue(column):
            return ["true", column]
        case Not(inner):
            return ["not", _tree(inner)]
        case _:
            kind = "all" if isinstance(condition, All) else "any"
            return [kind, [_tree(part) for part in condition.parts]]
