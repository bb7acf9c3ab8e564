"""Event logs to try ces-ml on: a grocery log, and a simulator whose true weights are known."""

from ces_ml.datasets.journey import complete_journey
from ces_ml.datasets.simulator import EventHistory, make_event_history
from ces_ml.datasets.traps import make_count_until_churn
from ces_ml.datasets.truth import TaskTruth, Truth

__all__ = [
    "EventHistory",
    "TaskTruth",
    "Truth",
    "complete_journey",
    "make_count_until_churn",
    "make_event_history",
]
