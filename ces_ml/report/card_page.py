"""The weight card as one HTML page that needs nothing beside itself."""

from __future__ import annotations

from typing import Any

from ces_ml.report.pages import rendered
from ces_ml.report.plain_text import visible
from ces_ml.spec.words import measured_as
from ces_ml.weights import Band, WeightedTerm, WeightSet

__all__ = ["weight_card_page"]

#: Width of a bar in pixels, and the longest name shown.
_WIDTH, _LONGEST_NAME = 150, 120


def weight_card_page(weight_set: WeightSet) -> str:
    """Return the weight card as HTML: style and bars inside, no script, nothing loaded.

    Names and rules may hold any text; it is shown, never run. The card prints on one page where
    there are about twenty terms or fewer.

    Parameters
    ----------
    weight_set : WeightSet

    Returns
    -------
    str
        HTML 5.
    """
    terms = sorted(weight_set.terms, key=lambda t: (-abs(t.weight), t.name))
    levels = sorted({f"{t.interval.level:.0%}" for t in terms if t.interval is not None})
    outcome, verdict = weight_set.outcome, weight_set.verdict
    learned = ""
    if outcome is not None:
        learned = f"Learned from {outcome.task}: {outcome.window_text}"
    zero, scale = _axis(terms)
    return rendered(
        "card",
        title=f"Weight card: {_short(weight_set.name)}",
        learned=visible(learned) if learned else "",
        verdict="" if verdict is None else visible(verdict.words) + ".",
        rows=[_row(t, weight_set, zero, scale) for t in terms],
        zero=f"{zero:.1f}",
        sure=", ".join(levels),
        points=weight_set.points is not None,
        intercept=f"{weight_set.intercept:+.4g}",
        bands=[_band(k, weight_set.bands) for k in range(len(weight_set.bands))],
        scale=weight_set.scale.method,
        rules=[visible(rule) for rule in weight_set.rules],
        source=[(name, visible(value)) for name, value in _source(weight_set)],
    )


def _source(weight_set: WeightSet) -> list[tuple[str, str]]:
    """Return where the weights come from, a line a kind."""
    rows, source = [("fingerprint", weight_set.fingerprint)], weight_set.provenance
    if source is None:
        return rows
    metrics = ", ".join(f"{k} {v:.4g}" for k, v in sorted(source.metrics.items()))
    versions = ", ".join(f"{k} {v}" for k, v in sorted(source.versions.items()))
    return [
        *rows,
        ("data digest", source.data_digest),
        ("config digest", source.config_digest),
        ("as of", " … ".join(source.as_of) or "–"),
        ("rows", f"{source.rows:,}, of {source.customers:,} customers"),
        ("good outcomes", f"{source.positives:,}"),
        ("on held-out rows", metrics or "–"),
        ("versions", versions or "–"),
    ]


def _short(name: str) -> str:
    return visible(name, _LONGEST_NAME)


def _axis(terms: list[WeightedTerm]) -> tuple[float, float]:
    """Return where 0 lies, and how many pixels a unit of weight is wide."""
    ends = [t.weight for t in terms]
    for term in terms:
        if term.interval is not None:
            ends += [term.interval.low, term.interval.high]
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = (_WIDTH - 2) / (high - low) if high > low else 0.0
    return 1 - low * scale, scale


def _row(term: WeightedTerm, weight_set: WeightSet, zero: float, scale: float) -> dict[str, Any]:
    at, interval = zero + term.weight * scale, term.interval
    low = high = None
    words = "–"
    if interval is not None:
        low, high = (f"{zero + end * scale:.1f}" for end in (interval.low, interval.high))
        words = f"{interval.low:+.3g} … {interval.high:+.3g}"
    return {
        "name": _short(term.name),
        "weight": f"{term.weight:+.4g}" if term.weight else "0",
        "interval": words,
        "points": _points(term, weight_set),
        "how": ", ".join(visible(phrase, _LONGEST_NAME) for phrase in measured_as(term)),
        "x": f"{min(zero, at):.1f}",
        "width": f"{abs(at - zero):.1f}",
        "up": term.weight >= 0,
        "low": low,
        "high": high,
    }


def _points(term: WeightedTerm, weight_set: WeightSet) -> str:
    points = 0 if weight_set.points is None else weight_set.points.values[term.name]
    return f"{points:+d}" if points else "0"


def _band(k: int, bands: tuple[Band, ...]) -> dict[str, Any]:
    band, end = bands[k], bands[k + 1].from_score if k + 1 < len(bands) else 100
    known = band.low is not None and band.high is not None
    return {
        "name": _short(band.name),
        "range": f"{band.from_score:.4g} to {end:.4g}",
        "rate": "–" if band.rate is None else f"{band.rate:.1%}",
        "width": f"{_WIDTH * (band.rate or 0):.1f}",
        "interval": f"{band.low:.1%} … {band.high:.1%}" if known else "–",
        "rows": "–" if band.rows is None else f"{band.rows:,}",
    }
