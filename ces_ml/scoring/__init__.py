"""Scorer: applies a weight set to counts, or to events as they come, and splits changes."""

from ces_ml.scoring.change import PARTS, ChangeCounts, ScoreChange, split_change
from ces_ml.scoring.distributed import score_spark
from ces_ml.scoring.online import OnlineScorer
from ces_ml.scoring.scorer import Scorer

__all__ = [
    "PARTS",
    "ChangeCounts",
    "OnlineScorer",
    "ScoreChange",
    "Scorer",
    "score_spark",
    "split_change",
]
