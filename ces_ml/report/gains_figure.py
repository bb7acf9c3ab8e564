"""Figure of how a score concentrates outcomes, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from ces_ml.report.figures import FAINT, INK, NEGATIVE, POSITIVE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["gains_figure"]


def gains_figure(
    table: Sequence[Mapping[str, float]], *, flags: Literal["high", "low"] = "high"
) -> bytes:
    """Draw cumulative gains and lift: what is found by working through customers by score.

    At the left the share of the outcomes that the first customers hold, between what chance finds
    and the most that any score can find; at the right how many times more than chance that is.

    Parameters
    ----------
    table : sequence of dict
        By growing share of the customers: ``share``, ``found``, ``lift``, ``best``.
    flags : {"high", "low"}, default="high"
        Whether good outcomes are looked for among the highest scores, or bad ones among the lowest.

    Returns
    -------
    bytes
        A PNG image.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    which, what = ("highest", "good") if flags == "high" else ("lowest", "bad")
    # The user's own matplotlib settings would change the bytes.
    with style.context("default"):
        figure = Figure(figsize=(9.6, 4.4), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        gains, lift = figure.subplots(1, 2)
        share = [100 * row["share"] for row in table]
        ends = ([0.0, *share], [0.0, *(100 * row["found"] for row in table)])
        gains.plot(*ends, "o-", color=POSITIVE, markersize=3.5, label="this score", zorder=3)
        best = [0.0, *(100 * row["best"] for row in table)]
        gains.plot([0.0, *share], best, color=NEGATIVE, linewidth=1.0, label="the most possible")
        gains.plot([0, 100], [0, 100], "--", color=INK, linewidth=1.0, label="chance")
        gains.set_ylim(0, 102)
        gains.set_ylabel(f"% of the {what} outcomes found", fontsize=9)
        gains.legend(loc="lower right", frameon=False, fontsize=9)
        gains.set_title("Cumulative gains", fontsize=11, loc="left")
        times = [row["lift"] for row in table]
        lift.plot(share, times, "o-", color=POSITIVE, markersize=3.5, zorder=3)
        lift.axhline(1.0, color=INK, linewidth=1.0, linestyle="--")
        lift.set_ylim(0, 1.08 * max([*times, 1.0]))
        lift.set_ylabel("times as many as by chance", fontsize=9)
        lift.set_title("Lift", fontsize=11, loc="left")
        for axes in (gains, lift):
            _tidy(axes, f"% of the held-out rows, {which} scores first")
        image = io.BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _tidy(axes: Axes, label: str) -> None:
    axes.set_xlim(0, 100)
    axes.set_xlabel(label, fontsize=9)
    axes.grid(color=FAINT, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
