"""Weights as lines: the largest named, the others grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ces_ml.report.figures import INK, drawable
from ces_ml.report.plain_text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_weight_lines"]

#: Okabe and Ito (2008), without yellow, which is faint on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_LONGEST_NAME = 30


def draw_weight_lines(
    axes: Axes,
    places: Sequence[float],
    weights: Mapping[str, Sequence[float]],
    size: Mapping[str, float],
    marks: str,
    **options: Any,
) -> None:
    """Draw one line a term; the seven with the largest size have a colour and a name.

    Parameters
    ----------
    axes : Axes
    places : sequence of float
        Where the weights stand on the horizontal axis.
    weights : mapping of str to sequence of float
        By term, in the order of `places`.
    size : mapping of str to float
        What makes a term one of the largest.
    marks : str
        Format of the named lines, as matplotlib writes it.
    **options
        Further properties of the named lines.
    """
    order = sorted(weights, key=lambda name: (-size[name], name))
    named, others = order[: len(_COLOURS)], order[len(_COLOURS) :]
    for name in others:
        axes.plot(places, weights[name], color="#BBBBBB", linewidth=0.8)
    for name, colour in zip(named, _COLOURS, strict=False):
        shown = drawable(visible(name, _LONGEST_NAME), _LONGEST_NAME)
        # Matplotlib leaves labels out that begin with an underscore.
        label = f"\u200a{shown}" if shown.startswith("_") else shown
        axes.plot(places, weights[name], marks, color=colour, label=label, **options)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.set_ylabel("weight", fontsize=9)
    legend = axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=9,
        title=f"{len(others)} more in grey" if others else None,
        title_fontsize=9,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # `$` in a name is a dollar, not mathematics
