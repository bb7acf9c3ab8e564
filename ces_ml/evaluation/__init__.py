"""Is the score any good? Splits, metrics, baselines, verdicts and bands, all on held-out rows."""

from ces_ml.evaluation.agreement import Agreement, agreement
from ces_ml.evaluation.band_rates import honest_bands, rate_interval
from ces_ml.evaluation.bands import choose_bands
from ces_ml.evaluation.baselines import (
    BASELINES,
    COUNTING,
    baseline_scores,
    calibrated,
    halfway,
)
from ces_ml.evaluation.ceiling import CEILINGS, Columns, ceiling_probability
from ces_ml.evaluation.comparison import comparison
from ces_ml.evaluation.cross_validation import PurgedGroupTimeSeriesSplit
from ces_ml.evaluation.curves import gains_table, score_distribution
from ces_ml.evaluation.data_verdict import DataVerdict, OutcomeData, TermData, data_verdict
from ces_ml.evaluation.distributed import SparkMetrics, spark_metrics
from ces_ml.evaluation.findings import FINDINGS, Finding, sorted_findings
from ces_ml.evaluation.metric_intervals import (
    YARDSTICK,
    MetricInterval,
    metric_intervals,
    yardstick,
)
from ces_ml.evaluation.metrics import METRICS, Metric, evaluate_scores
from ces_ml.evaluation.migration import Migration, band_migration, latest_rows
from ces_ml.evaluation.noise import LossDifference, loss_difference
from ces_ml.evaluation.paired import Difference, paired_differences
from ces_ml.evaluation.recalibration import RECALIBRATIONS, recalibrate
from ces_ml.evaluation.reliability import (
    Calibration,
    CoxLine,
    ReliabilityBin,
    calibration,
    cox_line,
)
from ces_ml.evaluation.splits import TimeSplit, split_by_time
from ces_ml.evaluation.stability import weight_stability
from ces_ml.evaluation.univariate import univariate_weights
from ces_ml.evaluation.vendor_bar import VendorBar, vendor_bar
from ces_ml.evaluation.verdict import LEAST_CUSTOMERS, reach_verdict

__all__ = [
    "BASELINES",
    "CEILINGS",
    "COUNTING",
    "FINDINGS",
    "LEAST_CUSTOMERS",
    "METRICS",
    "RECALIBRATIONS",
    "YARDSTICK",
    "Agreement",
    "Calibration",
    "Columns",
    "CoxLine",
    "DataVerdict",
    "Difference",
    "Finding",
    "LossDifference",
    "Metric",
    "MetricInterval",
    "Migration",
    "OutcomeData",
    "PurgedGroupTimeSeriesSplit",
    "ReliabilityBin",
    "SparkMetrics",
    "TermData",
    "TimeSplit",
    "VendorBar",
    "agreement",
    "band_migration",
    "baseline_scores",
    "calibrated",
    "calibration",
    "ceiling_probability",
    "choose_bands",
    "comparison",
    "cox_line",
    "data_verdict",
    "evaluate_scores",
    "gains_table",
    "halfway",
    "honest_bands",
    "latest_rows",
    "loss_difference",
    "metric_intervals",
    "paired_differences",
    "rate_interval",
    "reach_verdict",
    "recalibrate",
    "score_distribution",
    "sorted_findings",
    "spark_metrics",
    "split_by_time",
    "univariate_weights",
    "vendor_bar",
    "weight_stability",
    "yardstick",
]
