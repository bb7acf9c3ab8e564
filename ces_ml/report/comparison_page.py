"""Weight sets side by side as one HTML page that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ces_ml.report.pages import rendered
from ces_ml.report.plain_text import visible

__all__ = ["comparison_page"]

#: Terms shown at once; the others unfold.
SHOWN = 60
#: Okabe and Ito (2008), without yellow, which is faint on white; further sets begin anew.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_WIDTH, _LINE = 220.0, 9
#: Metrics in words, how a difference is read, and digits.
_METRICS = {
    "roc_auc": ("ROC AUC", "higher is better"),
    "average_precision": ("average precision", "higher is better"),
    "lift_at_10": ("lift at 10 %", "higher is better"),
    "log_loss": ("log loss", "lower is better"),
    "brier": ("Brier score", "lower is better"),
}
_LOWER = ("log_loss", "brier")


def comparison_page(body: Mapping[str, Any], title: str = "Weight sets compared") -> str:
    """Return a comparison as HTML: style and drawings inside, no script, nothing loaded.

    Names of terms, bands and weight sets may hold any text; it is shown, never run.

    Parameters
    ----------
    body : mapping
        As `WeightSetComparison.as_dict` returns it.
    title : str, default="Weight sets compared"

    Returns
    -------
    str
        HTML 5.
    """
    sets = [{**one, "colour": _COLOURS[k % len(_COLOURS)]} for k, one in enumerate(body["sets"])]
    return rendered(
        "comparison",
        title=visible(title),
        body=body,
        sets=sets,
        level=_percent(body["level"]),
        changes=[_change(change, sets) for change in body["changes"]],
        metrics=_metrics(body),
        recorded=not body["rows"],
        calibration=_calibration(sets),
        rows=_rows(body["weights"], sets),
        shown=SHOWN,
    )


def _change(change: Mapping[str, Any], sets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = next(one for one in sets if one["name"] == change["name"])
    flips, found, same = change["sign_flips"], change["migration"], change["agreement"]
    auc = next((d for d in change["differences"] if d["metric"] == "roc_auc"), None)
    tiles = []
    if auc is not None:
        sure = auc["low"] is not None and auc["low"] * auc["high"] > 0
        words = f"ROC AUC ({_number(auc['low'])} to {_number(auc['high'])})"
        tiles.append(_tile(_number(auc["value"]), words, sure and auc["value"] < 0))
    if found is not None:
        tiles.append(_tile(_percent(found["changed"]), "of customers change band"))
    if same is not None:
        pearson = _plain(same["pearson"])
        tiles.append(_tile(_plain(same["spearman"]), f"rank correlation (linear {pearson})"))
    words = "weight changes sign" if len(flips) == 1 else "weights change sign"
    tiles.append(_tile(f"{len(flips):,}", words, bool(flips)))
    words = f"of {change['pairs']:,} pairs of terms change rank"
    tiles.append(_tile(f"{change['swapped']:,}", words))
    return {
        **change,
        "colour": own["colour"],
        "tiles": tiles,
        "flips": [{**f, "was": _number(f["before"]), "is": _number(f["after"])} for f in flips],
        "ranks": [
            {**f, "was": list(map(_percent, f["before"])), "is": list(map(_percent, f["after"]))}
            for f in change["rank_flips"]
        ],
        "matrix": None if found is None else _matrix(found),
    }


def _tile(value: str, words: str, odd: bool = False) -> dict[str, Any]:
    return {"value": value, "words": words, "odd": odd}


def _matrix(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the migration matrix, the highest band first."""
    total = sum(map(sum, found["counts"])) or 1
    rows = []
    for band, counts in zip(found["before"], found["counts"], strict=True):
        cells = [
            {
                "count": count,
                "share": _percent(count / total),
                "stays": band == to,
                "shade": round(count / total, 3),
            }
            for to, count in zip(found["after"], counts, strict=True)
        ]
        rows.append({"band": band, "cells": cells[::-1], "total": sum(counts)})
    return rows[::-1]


def _metrics(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    key = "metrics" if body["rows"] else "recorded"
    found = []
    for metric, (words, better) in _METRICS.items():
        values = [one[key].get(metric) for one in body["sets"]]
        if all(v is None for v in values):
            continue
        differences = []
        for change in body["changes"]:
            d = next((d for d in change["differences"] if d["metric"] == metric), None)
            differences.append(None if d is None else _difference(d, metric))
        found.append(
            {
                "words": words,
                "better": better,
                "values": ["–" if v is None else f"{v:.4f}" for v in values],
                "differences": differences,
            }
        )
    return found


def _difference(d: Mapping[str, Any], metric: str) -> dict[str, Any]:
    sign = -1 if metric in _LOWER else 1
    known = d["low"] is not None and d["high"] is not None
    kind = ""
    if known and d["low"] * d["high"] > 0:
        kind = "good" if sign * d["value"] > 0 else "bad"
    ends = f"{_number(d['low'])} to {_number(d['high'])}" if known else "no interval"
    return {"value": _number(d["value"]), "ends": ends, "kind": kind}


def _calibration(sets: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    names = ("slope", "intercept", "in_the_large", "ece", "ece_by_chance")
    return [
        {"name": one["name"], **{k: _plain(one["calibration"].get(k)) for k in names}}
        for one in sets
        if one["calibration"]
    ]


def _rows(rows: Sequence[Mapping[str, Any]], sets: Sequence[Mapping[str, Any]]) -> list[Any]:
    ends = [0.0]
    for row in rows:
        ends += [w for w in row["weights"] if w is not None]
        ends += [end for interval in row["intervals"] if interval for end in interval]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return round(4 + (_WIDTH - 8) * (value - low) / span, 1)

    found = []
    for row in rows:
        marks = [
            {
                "y": _LINE * k + 6,
                "x": x(w),
                "ends": [x(end) for end in interval] if interval else None,
                "colour": one["colour"],
            }
            for k, (w, interval, one) in enumerate(
                zip(row["weights"], row["intervals"], sets, strict=True)
            )
            if w is not None
        ]
        cells = [
            {
                "weight": "–" if w is None else _number(w),
                "ends": "" if not interval else " to ".join(map(_number, interval)),
                "rank": rank,
                "share": "" if share is None else _percent(share),
            }
            for w, interval, rank, share in zip(
                row["weights"], row["intervals"], row["ranks"], row["shares"], strict=True
            )
        ]
        found.append({**row, "cells": cells, "marks": marks, "zero": x(0.0)})
    return found


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:+#.3g}".rstrip(".").replace("-", "−") if value else "0"


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}".replace("-", "−")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %".replace(".0 %", " %")
