"""Figure of how the strength of the penalty was chosen, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ces_ml.report.figures import FAINT, INK, POSITIVE
from ces_ml.report.weight_lines import draw_weight_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["alpha_figure"]


def alpha_figure(
    tried: Sequence[Mapping[str, float]], weights: Mapping[str, Sequence[float]], chosen: float
) -> bytes:
    """Draw held-out log loss and weights against the strength of the penalty.

    Above, the mean over the folds with its standard error, and each fold as a thin line; below,
    the weights at every strength. The seven largest weights at the strength that was chosen
    are named, the others are grey.

    Parameters
    ----------
    tried : sequence of dict
        One row a strength: ``alpha`` (positive), ``log_loss``, ``standard_error``, and the loss
        of each fold under any other keys.
    weights : mapping of str to sequence of float
        By term, in the order of `tried`.
    chosen : float
        One of the strengths.

    Returns
    -------
    bytes
        A PNG image.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # The user's own matplotlib settings would change the bytes.
    with style.context("default"):
        figure = Figure(figsize=(8.0, 6.0), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        above, below = figure.subplots(2, 1, sharex=True)
        alphas = [row["alpha"] for row in tried]
        _draw_losses(above, alphas, tried)
        at = alphas.index(chosen)
        size = {name: abs(values[at]) for name, values in weights.items()}
        draw_weight_lines(below, alphas, weights, size, "-", linewidth=1.4)
        for axes in (above, below):
            axes.axvline(chosen, color=INK, linewidth=1.0, linestyle="--", zorder=4)
            axes.grid(color=FAINT, linewidth=0.6, zorder=0)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=9)
        above.set_xscale("log")
        above.set_title(f"alpha = {chosen:.3g} (dashed)", fontsize=12, loc="left")
        below.set_xlabel("alpha, strength of the penalty", fontsize=9)
        image = io.BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _draw_losses(axes: Axes, alphas: Sequence[float], tried: Sequence[Mapping[str, float]]) -> None:
    folds = [k for k in tried[0] if k not in ("alpha", "log_loss", "standard_error")]
    for k, fold in enumerate(folds):
        label = "each fold" if k == 0 else None
        axes.plot(alphas, [row[fold] for row in tried], color="#BBBBBB", linewidth=0.8, label=label)
    mean = [row["log_loss"] for row in tried]
    low = [row["log_loss"] - row["standard_error"] for row in tried]
    high = [row["log_loss"] + row["standard_error"] for row in tried]
    axes.fill_between(
        alphas, low, high, color=POSITIVE, alpha=0.15, linewidth=0, label="± standard error"
    )
    axes.plot(alphas, mean, "o-", color=POSITIVE, markersize=3.5, linewidth=1.4, label="mean")
    axes.set_ylabel("held-out log loss, nats", fontsize=9)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
