"""Figures of a log inspection, as PNG bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.report.figures import FAINT, INK, NEGATIVE, POSITIVE, drawable
from ces_ml.report.plain_text import visible
from ces_ml.spec.log_inspection import LogInspection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MAX_TYPES", "days_figure", "hours_figure", "types_figure"]

#: Event types that the map of types and days shows.
MAX_TYPES = 40
_MOST_COLUMNS = 240
_LONGEST_NAME = 34
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def days_figure(log: LogInspection) -> bytes:
    """Draw events per day; bursts of the whole log are marked, days without events shaded."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        days: Any = np.array(log.days, dtype="datetime64[D]")
        per_day = log.per_day
        step = np.r_[per_day, per_day[-1]]
        edges: Any = np.r_[days, days[-1] + np.timedelta64(1, "D")]
        axes.fill_between(edges, step, step="post", color=POSITIVE, alpha=0.85, linewidth=0)
        for first, last in log.gaps:
            end = np.datetime64(last) + np.timedelta64(1, "D")
            axes.axvspan(np.datetime64(first), end, color=NEGATIVE, alpha=0.25, linewidth=0)  # type: ignore[arg-type]
        marked = [b for b in log.bursts if b.event is None]
        if marked:
            at: Any = np.array([b.day for b in marked], dtype="datetime64[h]") + 12
            axes.plot(at, [b.rows for b in marked], "v", color=NEGATIVE, markersize=6)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, max(1, int(per_day.max())) * 1.06)
        _tidy(axes)

    return _drawn(draw, height=2.4)


def types_figure(log: LogInspection) -> bytes:
    """Draw how often each event type happens over time, each on a scale of its own."""
    types = log.types[:MAX_TYPES]
    rest = log.types[MAX_TYPES:]
    rows = [t.per_day for t in types]
    names = [drawable(visible(t.event, _LONGEST_NAME), _LONGEST_NAME) for t in types]
    if rest:
        rows.append(np.sum([t.per_day for t in rest], axis=0))
        names.append(f"({len(rest):,} other types)")
    table, width = _binned(np.array(rows, dtype=np.float64))

    def draw(figure: Figure) -> None:
        import matplotlib.dates as dates

        axes = figure.add_subplot()
        # A root: a single burst must not make all other days look empty.
        scaled = np.sqrt(table / np.maximum(table.max(axis=1, keepdims=True), 1e-12))
        shown = np.ma.masked_where(table == 0, scaled)
        start = dates.date2num(log.days[0])  # type: ignore[no-untyped-call]
        extent = (start, start + table.shape[1] * width, len(rows), 0)
        axes.set_facecolor("#F2F4F6")
        axes.imshow(shown, aspect="auto", extent=extent, cmap="Blues", vmin=-0.25, vmax=1.0,
                    interpolation="nearest")  # fmt: skip
        axes.xaxis_date()
        axes.set_yticks(np.arange(len(rows)) + 0.5, labels=names, fontsize=8.5)
        axes.hlines(range(1, len(rows)), *axes.get_xlim(), color="white", linewidth=1.0)
        axes.tick_params(axis="y", length=0)
        for text in axes.get_yticklabels():
            text.set_parse_math(False)
        axes.tick_params(axis="x", labelsize=9)
        axes.spines[:].set_visible(False)

    return _drawn(draw, height=0.7 + 0.21 * len(rows))


def hours_figure(log: LogInspection) -> bytes:
    """Draw events by UTC weekday and hour."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.imshow(log.by_hour, aspect="auto", cmap="Blues", vmin=0, extent=(0, 24, 7, 0),
                    interpolation="nearest")  # fmt: skip
        axes.set_yticks(np.arange(7) + 0.5, labels=_WEEKDAYS, fontsize=9)
        axes.set_xticks(range(0, 25, 3), labels=[f"{h:02d}:00" for h in range(0, 25, 3)])
        axes.tick_params(axis="x", labelsize=9)
        axes.tick_params(axis="y", length=0)
        axes.hlines(range(1, 7), 0, 24, color="white", linewidth=1.0)
        axes.vlines(range(1, 24), 0, 7, color="white", linewidth=0.5)
        axes.spines[:].set_visible(False)

    return _drawn(draw, height=2.0)


def _binned(table: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Return days added up to at most 240 columns, and how many days a column is."""
    n_days = table.shape[1]
    width = -(-n_days // _MOST_COLUMNS)
    padded = np.pad(table, ((0, 0), (0, -n_days % width)))
    return padded.reshape(len(table), -1, width).sum(axis=2), width


def _tidy(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.locator_params(axis="y", nbins=5)
    axes.tick_params(labelsize=9, color=FAINT, labelcolor=INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _drawn(draw: Any, height: float) -> bytes:
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context("default"):
        figure = Figure(figsize=(10.8, height), dpi=160, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        image = io.BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()
