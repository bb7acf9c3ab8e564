"""Figure of how true probabilities are, as PNG bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ces_ml.report.figures import FAINT, INK, POSITIVE

__all__ = ["calibration_figure"]


def calibration_figure(
    bins: Sequence[Mapping[str, float]], metrics: Mapping[str, float] | None = None
) -> bytes:
    """Draw the outcome rate of held-out rows against the probability they were given.

    True probabilities lie on the dashed line. Points below it promise too much. Bars are 90 %
    intervals of the rates, so about one bar in ten misses the line by chance.

    Parameters
    ----------
    bins : sequence of dict
        One row a bin, from the lowest probability up: ``probability``, ``rate``, ``low``,
        ``high``, ``rows``.
    metrics : mapping of str to float, optional
        ``slope``, ``intercept``, ``ece``, ``ece_by_chance``: those that are there are written.

    Returns
    -------
    bytes
        A PNG image.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    at, rates = [b["probability"] for b in bins], [b["rate"] for b in bins]
    bars = ([b["rate"] - b["low"] for b in bins], [b["high"] - b["rate"] for b in bins])
    top = min(1.0, 1.08 * max([*at, *(b["high"] for b in bins), 0.01]))
    shape: dict[str, Any] = {"fmt": "o-", "markersize": 4.5, "linewidth": 1.2, "capsize": 2.5}
    # The user's own matplotlib settings would change the bytes.
    with style.context("default"):
        figure = Figure(figsize=(5.6, 5.6), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.plot([0, top], [0, top], "--", color=INK, linewidth=1.0, label="true probabilities")
        words = "held-out rows, 90 % intervals"
        axes.errorbar(at, rates, yerr=bars, color=POSITIVE, label=words, zorder=3, **shape)
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.set_aspect("equal")
        axes.set_xlabel("probability that was given (mean of a bin)", fontsize=9)
        axes.set_ylabel("share with the good outcome", fontsize=9)
        axes.set_title(_words(metrics or {}), fontsize=10, loc="left")
        axes.legend(loc="upper left", frameon=False, fontsize=9)
        axes.grid(color=FAINT, linewidth=0.6, zorder=0)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
        image = io.BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _words(metrics: Mapping[str, float]) -> str:
    known = {k: v for k, v in metrics.items() if math.isfinite(v)}
    parts = []
    if {"slope", "intercept"} <= set(known):
        parts.append(
            f"slope {known['slope']:.2f}, intercept {known['intercept']:+.2f} (true: 1, 0)"
        )
    if {"ece", "ece_by_chance"} <= set(known):
        parts.append(
            f"expected calibration error {known['ece']:.4f}, "
            f"by chance alone {known['ece_by_chance']:.4f}"
        )
    return "\n".join(parts) or "calibration"
