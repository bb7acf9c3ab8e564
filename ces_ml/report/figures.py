"""Figures of a weight set, as PNG bytes: the same weight set gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ces_ml.report.plain_text import visible
from ces_ml.weights import WeightedTerm, WeightSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MAX_BARS", "drawable", "weights_figure"]

MAX_BARS = 40
#: Blue and vermillion of Okabe and Ito (2008): told apart with every kind of colour blindness.
POSITIVE, NEGATIVE = "#0072B2", "#D55E00"
INK, FAINT = "#222222", "#D9D9D9"
_LONGEST_NAME, _LONGEST_TITLE = 42, 60


def weights_figure(weight_set: WeightSet) -> bytes:
    """Draw the weights as horizontal bars, the largest magnitude on top.

    Intervals are drawn where the terms have them, and each weight is written at the right. At
    most 40 terms are drawn; a line below counts the others. The bars compare weights per unit of
    count: a term with a small weight and large counts may matter more than one with a large
    weight.

    Parameters
    ----------
    weight_set : WeightSet

    Returns
    -------
    bytes
        A PNG image.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    terms = sorted(weight_set.terms, key=lambda t: (-abs(t.weight), t.name))
    shown = terms[:MAX_BARS]
    # The user's own matplotlib settings would change the bytes.
    with style.context("default"):
        figure = Figure(figsize=(8.0, 1.5 + 0.27 * len(shown)), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _draw_bars(axes, shown)
        _draw_words(axes, weight_set.name, shown, hidden=len(terms) - len(shown))
        image = io.BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _draw_bars(axes: Axes, terms: Sequence[WeightedTerm]) -> None:
    places = range(len(terms))
    weights = [t.weight for t in terms]
    colours = [POSITIVE if w >= 0 else NEGATIVE for w in weights]
    axes.barh(places, weights, height=0.7, color=colours, zorder=2)
    for place, term in zip(places, terms, strict=True):
        if term.interval is not None:
            ends = (term.interval.low, term.interval.high)
            axes.plot(ends, (place, place), color=INK, linewidth=1.2, zorder=3)
            axes.plot(ends, (place, place), "|", color=INK, markersize=6, zorder=3)
    axes.axvline(0.0, color=INK, linewidth=0.8, zorder=4)
    axes.set_ylim(len(terms) - 0.4, -0.6)
    axes.margins(x=0.03)
    if not any(weights) and not any(t.interval for t in terms):
        axes.set_xlim(-1.0, 1.0)


def _draw_words(axes: Axes, title: str, terms: Sequence[WeightedTerm], hidden: int) -> None:
    names = [drawable(visible(t.name, _LONGEST_NAME), _LONGEST_NAME) for t in terms]
    axes.set_yticks(range(len(terms)), labels=names, fontsize=9)
    for place, term in enumerate(terms):
        axes.annotate(
            _signed(term.weight),
            xy=(1.0, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(56, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
    levels = sorted({t.interval.level for t in terms if t.interval is not None})
    label = "weight: log-odds per unit of the count after cap and transform"
    if levels:
        label += "\nlines: " + ", ".join(f"{level:.0%}" for level in levels) + " intervals"
    if hidden:
        label = f"… {hidden} more, each with a smaller weight\n{label}"
    axes.set_xlabel(label, fontsize=9)
    shown = drawable(visible(title, _LONGEST_TITLE), _LONGEST_TITLE)
    heading = axes.set_title(shown, fontsize=12, loc="left")
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=9)
    axes.locator_params(axis="x", nbins=6)
    axes.grid(axis="x", color=FAINT, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    for text in (*axes.get_yticklabels(), heading):
        text.set_parse_math(False)  # `$` in a name is a dollar, not mathematics


def _signed(weight: float) -> str:
    return f"{weight:+#.3g}".rstrip(".").replace("-", "−") if weight else "0"


def drawable(text: str, limit: int) -> str:
    """Write characters that the font can't draw as escapes, within `limit` characters."""
    known = _characters()
    drawn = "".join(c if ord(c) in known else c.encode("unicode_escape").decode() for c in text)
    return drawn if len(drawn) <= limit else drawn[: limit - 1] + "…"


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    """Return what the font that matplotlib brings along can draw."""
    from matplotlib import font_manager

    path: Any = font_manager.findfont("DejaVu Sans")
    return frozenset(font_manager.get_font(path).get_charmap())
