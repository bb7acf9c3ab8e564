"""Figure of the scores of either outcome, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from ces_ml.report.figures import FAINT, INK, NEGATIVE, POSITIVE, drawable
from ces_ml.report.plain_text import visible
from ces_ml.weights import Band

__all__ = ["distribution_figure"]

_LONGEST_NAME = 18


def distribution_figure(table: Sequence[Mapping[str, float]], bands: Sequence[Band] = ()) -> bytes:
    """Draw how the scores of good and of bad outcomes are distributed, and where bands begin.

    Each outcome's bars add up to 100 %, so a rare outcome is as visible as a common one; the
    further the two are apart, the better the score tells them from each other.

    Parameters
    ----------
    table : sequence of dict
        One row a bin: ``from_score``, ``to_score``, ``good``, ``bad``.
    bands : sequence of Band, optional
        From the lowest.

    Returns
    -------
    bytes
        A PNG image.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    edges = [row["from_score"] for row in table] + [row["to_score"] for row in table[-1:]]
    # The user's own matplotlib settings would change the bytes.
    with style.context("default"):
        figure = Figure(figsize=(8.0, 4.2), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for name, colour in (("bad", NEGATIVE), ("good", POSITIVE)):
            shares = [100 * row[name] for row in table]
            axes.stairs(shares, edges, color=colour, fill=True, alpha=0.35, zorder=2)
            axes.stairs(shares, edges, color=colour, linewidth=1.4, label=f"{name} outcomes")
        for band in bands:
            axes.axvline(band.from_score, color=INK, linewidth=0.8, linestyle=":", zorder=3)
            name = drawable(visible(band.name, _LONGEST_NAME), _LONGEST_NAME)
            words = axes.annotate(
                name,
                xy=(band.from_score, 1.0),
                xycoords=axes.get_xaxis_transform(),
                xytext=(3, -3),
                textcoords="offset points",
                va="top",
                fontsize=8,
                rotation=90,
            )
            words.set_parse_math(False)  # `$` in a name is a dollar, not mathematics
        axes.set_xlim(0, 100)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("score", fontsize=9)
        axes.set_ylabel("% of the outcome's held-out rows", fontsize=9)
        axes.set_title("Scores by outcome", fontsize=11, loc="left")
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=9
        )
        axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
        image = io.BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()
