"""How sure weights are that obey rules: intervals, evidence, draws.

``fitted → intervals → profile │ spread │ draws → relaxed → rows │ rules``: from a fitted estimator
to the estimate without the rules, its covariance by customer, and back under the rules.
"""

from ces_ml.linear.inference.fitted import weight_intervals
from ces_ml.linear.inference.intervals import (
    Evidence,
    IntervalRow,
    NumberInterval,
    ScoreIntervals,
    WeightIntervals,
)

__all__ = [
    "Evidence",
    "IntervalRow",
    "NumberInterval",
    "ScoreIntervals",
    "WeightIntervals",
    "weight_intervals",
]
