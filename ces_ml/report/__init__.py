"""A weight set for people: figures and cards."""

from ces_ml.report.alpha_figure import alpha_figure
from ces_ml.report.card import weight_card
from ces_ml.report.figures import weights_figure
from ces_ml.report.plain_text import visible

__all__ = ["alpha_figure", "visible", "weight_card", "weights_figure"]
