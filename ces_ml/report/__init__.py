"""A weight set for people: figures and cards."""

from ces_ml.report.alpha_figure import alpha_figure
from ces_ml.report.card import weight_card
from ces_ml.report.figures import weights_figure
from ces_ml.report.plain_text import visible
from ces_ml.report.sample import sample_in_words

__all__ = ["alpha_figure", "sample_in_words", "visible", "weight_card", "weights_figure"]
