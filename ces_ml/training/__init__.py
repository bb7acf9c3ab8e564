"""The jobs that join the workers: train, record, score."""

from ces_ml.training.config import TrainingConfig
from ces_ml.training.job import TrainingResult, train, train_many
from ces_ml.training.recording import record
from ces_ml.training.scoring_job import ScoringResult, score_events, write_scores

__all__ = [
    "ScoringResult",
    "TrainingConfig",
    "TrainingResult",
    "record",
    "score_events",
    "train",
    "train_many",
    "write_scores",
]
