"""Figure of weights and metrics over time, as PNG bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ces_ml.report.figures import FAINT, INK, NEGATIVE, POSITIVE
from ces_ml.report.weight_lines import draw_weight_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["backtest_figure"]


def backtest_figure(
    folds: Sequence[Mapping[str, Any]], weights: Mapping[str, Sequence[float]]
) -> bytes:
    """Draw how a score held up and how its weights moved, fold after fold.

    From the top: ROC AUC on each block beside that of the total count; the slope and intercept of
    calibration beside what they should be; the weights that each block was scored with. The seven
    weights with the largest magnitude are named, the others are grey.

    Parameters
    ----------
    folds : sequence of dict
        In order of time: ``test_from`` (text), ``roc_auc``, ``total_count_roc_auc``, ``slope``,
        ``intercept``; a missing or endless number leaves a gap.
    weights : mapping of str to sequence of float
        By term, one a fold.

    Returns
    -------
    bytes
        A PNG image.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    at = range(len(folds))
    # The user's own matplotlib settings would change the bytes.
    with style.context("default"):
        figure = Figure(figsize=(8.4, 8.0), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[1.0, 1.0, 1.6])
        _draw_lines(top, folds, {"roc_auc": "learned", "total_count_roc_auc": "total count"})
        top.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
        top.set_ylabel("ROC AUC", fontsize=9)
        _draw_lines(middle, folds, {"slope": "slope (true: 1)", "intercept": "intercept (true: 0)"})
        for level in (0.0, 1.0):
            middle.axhline(level, color=INK, linewidth=0.8, linestyle=":")
        middle.set_ylabel("calibration", fontsize=9)
        size = {name: max(map(abs, values), default=0.0) for name, values in weights.items()}
        draw_weight_lines(bottom, at, weights, size, "o-", markersize=3.5)
        for axes in (top, middle, bottom):
            axes.grid(color=FAINT, linewidth=0.6, zorder=0)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=9)
        days = [str(fold["test_from"])[:10] for fold in folds]
        turned = {"rotation": 30, "ha": "right"} if len(days) > 8 else {}
        bottom.set_xticks(at, labels=days, **turned)
        bottom.set_xlabel("first day that was tested", fontsize=9)
        top.set_title(
            f"{len(folds)} fits, each on the past of the rows it is tested on",
            fontsize=12,
            loc="left",
        )
        image = io.BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _draw_lines(axes: Axes, folds: Sequence[Mapping[str, Any]], lines: Mapping[str, str]) -> None:
    for (key, label), colour in zip(lines.items(), (POSITIVE, NEGATIVE), strict=True):
        values = [fold.get(key) for fold in folds]
        shown = [math.nan if v is None or not math.isfinite(v) else v for v in values]
        axes.plot(range(len(folds)), shown, "o-", color=colour, markersize=4, label=label)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
