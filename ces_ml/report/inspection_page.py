"""A log inspection as one HTML page that needs nothing beside itself."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.report.inspection_figures import days_figure, hours_figure, types_figure
from ces_ml.report.pages import rendered
from ces_ml.report.plain_text import visible
from ces_ml.spec.log_inspection import EventTypeSummary, LogInspection

__all__ = ["inspection_page"]

#: Event types shown at once; the others unfold.
SHOWN = 100
_POINTS = 60


def inspection_page(log: LogInspection, title: str = "Event log") -> str:
    """Return an inspection as HTML: figures and style inside, no script, nothing loaded.

    Event types, customers and the name of the source may hold any text; it is shown, never run.

    Parameters
    ----------
    log : LogInspection
    title : str, default="Event log"

    Returns
    -------
    str
        HTML 5.
    """
    return rendered(
        "inspection",
        title=visible(title),
        log=log,
        span=f"{log.first:%Y-%m-%d %H:%M} to {log.last:%Y-%m-%d %H:%M}",
        tiles=_tiles(log),
        figures=_figures(log),
        rows=[_row(t, log) for t in log.types],
        shown=SHOWN,
    )


def _tiles(log: LogInspection) -> list[dict[str, Any]]:
    def tile(value: str, words: str, odd: bool = False) -> dict[str, Any]:
        return {"value": value, "words": words, "odd": odd}

    dropped = sum(log.dropped.values())
    empty = sum((b - a).days + 1 for a, b in log.gaps)
    return [
        tile(f"{log.rows:,}", "rows"),
        tile(f"{log.customers:,}", "customers"),
        tile(f"{len(log.types):,}", "event types"),
        tile(f"{len(log.days):,}", "days"),
        tile(f"{dropped:,}", "rows with a null", dropped > 0),
        tile(f"{log.duplicates:,}", "exact duplicates", log.duplicates > 0),
        tile(f"{empty:,}", "days without events", empty > 0),
        tile(
            f"{log.out_of_order:,}",
            "rows out of order" if log.order == "none" else f"out of order; rows {log.order}",
            log.order == "none",
        ),
    ]


def _figures(log: LogInspection) -> list[dict[str, str]]:
    drawn = (
        (
            "Events a day",
            "Shaded: days without any event. Triangles: days far above what is usual.",
            days_figure(log),
        ),
        (
            "Event types over time",
            "Each row is dark where its event type is frequent, on a scale of its own; grey: none.",
            types_figure(log),
        ),
        (
            "Weekday and hour (UTC)",
            "A single dark hour at midnight means that only dates are known; a shifted day, "
            "another time zone.",
            hours_figure(log),
        ),
    )
    return [
        {"title": title, "how": how, "png": base64.b64encode(png).decode("ascii")}
        for title, how, png in drawn
    ]


def _row(t: EventTypeSummary, log: LogInspection) -> dict[str, Any]:
    flags = [
        words
        for held, words in (
            (t.begins_late, "begins late"),
            (t.stops_early, "stops early"),
            (t.silent_days, f"silent {t.silent_days:,} d"),
        )
        if held
    ]
    a_day = t.rows / len(log.days)
    return {
        "event": t.event,
        "rows": t.rows,
        "a_day": f"{a_day:,.0f}" if a_day >= 10 else f"{a_day:.2g}",
        "percent": f"{100 * t.share:.1f} %" if t.share >= 0.001 else "< 0.1 %",
        "width": round(100 * t.share, 1),
        "first": f"{t.first:%Y-%m-%d}",
        "last": f"{t.last:%Y-%m-%d}",
        "points": _points(t.per_day),
        "flags": ", ".join(flags),
    }


def _points(per_day: NDArray[np.int64]) -> str:
    """Return a line over 120 × 22 units through the days, added up to at most 60 points."""
    parts = np.array_split(per_day, min(_POINTS, len(per_day)))
    level = np.array([part.mean() for part in parts])
    high = float(level.max()) or 1.0
    x = np.linspace(1, 119, len(level)) if len(level) > 1 else np.array([60.0])
    y = 20.5 - 19 * level / high
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
