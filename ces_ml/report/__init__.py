"""Weight sets and logs for people: figures, cards and pages."""

from ces_ml.report.alpha_figure import alpha_figure
from ces_ml.report.backtest_figure import backtest_figure
from ces_ml.report.calibration_figure import calibration_figure
from ces_ml.report.card import weight_card
from ces_ml.report.card_page import weight_card_page
from ces_ml.report.comparison_page import comparison_page
from ces_ml.report.distribution_figure import distribution_figure
from ces_ml.report.figures import weights_figure
from ces_ml.report.gains_figure import gains_figure
from ces_ml.report.inspection_page import inspection_page
from ces_ml.report.judgement import score_in_words
from ces_ml.report.plain_text import visible
from ces_ml.report.sample import sample_in_words

__all__ = [
    "alpha_figure",
    "backtest_figure",
    "calibration_figure",
    "comparison_page",
    "distribution_figure",
    "gains_figure",
    "inspection_page",
    "sample_in_words",
    "score_in_words",
    "visible",
    "weight_card",
    "weight_card_page",
    "weights_figure",
]
