"""How sure is a metric of one score? Intervals from the draws that compare it with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.evaluation.paired import Difference

__all__ = ["YARDSTICK", "MetricInterval", "metric_intervals", "yardstick"]

#: Name of the score that `paired_differences` compares with, to get a metric itself.
YARDSTICK = "\0yardstick"
#: What each metric of the yardstick is, on whatever rows.
_KNOWN = {"roc_auc": 0.5, "log_loss": 0.0}


@dataclass(frozen=True)
class MetricInterval:
    """A metric of one score with its interval over resamples of the customers who are judged.

    Parameters
    ----------
    metric : {"roc_auc", "log_loss"}
    value : float
        On all rows.
    low, high : float
        The weights are held fixed: see `Difference`. NaN where too few resamples held both
        outcomes.
    level : float
        Nominal coverage.
    """

    metric: str
    value: float
    low: float
    high: float
    level: float


def yardstick(y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a score that ranks nobody and a probability that is always right.

    On any rows its ROC AUC is one half and its log loss nothing. So what a score lies above it
    is the metric of that score, and the interval of the difference that of the metric.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Outcomes, 0 or 1.
    """
    return np.zeros(len(y)), np.asarray(y, dtype=np.float64)


def metric_intervals(differences: Sequence[Difference]) -> list[MetricInterval]:
    """Return the metrics that differences from the `yardstick` stand for; others are passed over.

    Examples
    --------
    >>> metric_intervals([Difference(YARDSTICK, "roc_auc", 0.25, 0.2, 0.3, 0.9)])
    [MetricInterval(metric='roc_auc', value=0.75, low=0.7, high=0.8, level=0.9)]
    """
    return [
        MetricInterval(
            d.metric,
            d.value + _KNOWN[d.metric],
            d.low + _KNOWN[d.metric],
            d.high + _KNOWN[d.metric],
            d.level,
        )
        for d in differences
        if d.against == YARDSTICK
    ]
