"""How sure weights are that obey rules: intervals, evidence, draws.

``fitted → intervals → combinations → profile │ spread │ relaxed → rows │ rules``: from a fitted
estimator to the estimate without the rules, its covariance by customer, and back.
"""

from ces_ml.linear.inference.attach import with_intervals
from ces_ml.linear.inference.fitted import weight_intervals
from ces_ml.linear.inference.intervals import WeightIntervals
from ces_ml.linear.inference.results import (
    Evidence,
    IntervalRow,
    NumberInterval,
    ScoreIntervals,
)

__all__ = [
    "Evidence",
    "IntervalRow",
    "NumberInterval",
    "ScoreIntervals",
    "WeightIntervals",
    "weight_intervals",
    "with_intervals",
]
