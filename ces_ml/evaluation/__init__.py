"""Is the score any good? Splits, metrics, baselines and bands, all on held-out rows."""

from ces_ml.evaluation.bands import choose_bands
from ces_ml.evaluation.baselines import BASELINES, baseline_scores, calibrated
from ces_ml.evaluation.comparison import comparison
from ces_ml.evaluation.findings import FINDINGS, Finding, sorted_findings
from ces_ml.evaluation.metrics import METRICS, Metric, evaluate_scores
from ces_ml.evaluation.splits import TimeSplit, split_by_time

__all__ = [
    "BASELINES",
    "FINDINGS",
    "METRICS",
    "Finding",
    "Metric",
    "TimeSplit",
    "baseline_scores",
    "calibrated",
    "choose_bands",
    "comparison",
    "evaluate_scores",
    "sorted_findings",
    "split_by_time",
]
