"""The jobs that join the workers: train, record, score."""

from ces_ml.training.alternatives import (
    Alternative,
    Alternatives,
    alternative_stages,
    alternatives,
)
from ces_ml.training.auditing import Audit
from ces_ml.training.backtest_job import backtest, backtest_stages
from ces_ml.training.backtesting import BacktestFold, BacktestResult
from ces_ml.training.change_job import explain_change
from ces_ml.training.comparing import WeightSetComparison, compare_weight_sets
from ces_ml.training.comparing_runs import ComparedRuns, compare_runs
from ces_ml.training.config import TrainingConfig
from ces_ml.training.decline_job import Declines, declines
from ces_ml.training.job import TrainingResult, stages, train, train_many
from ces_ml.training.promoting import Judgement, Promotion, judge_promotion, promote
from ces_ml.training.recording import record
from ces_ml.training.run_files import penalty_in_words
from ces_ml.training.scoring_job import (
    ScoredFile,
    ScoringResult,
    score_events,
    score_to_file,
    write_scores,
)
from ces_ml.training.sureness import Sureness
from ces_ml.training.tried import record_tried

__all__ = [
    "Alternative",
    "Alternatives",
    "Audit",
    "BacktestFold",
    "BacktestResult",
    "ComparedRuns",
    "Declines",
    "Judgement",
    "Promotion",
    "ScoredFile",
    "ScoringResult",
    "Sureness",
    "TrainingConfig",
    "TrainingResult",
    "WeightSetComparison",
    "alternative_stages",
    "alternatives",
    "backtest",
    "backtest_stages",
    "compare_runs",
    "compare_weight_sets",
    "declines",
    "explain_change",
    "judge_promotion",
    "penalty_in_words",
    "promote",
    "record",
    "record_tried",
    "score_events",
    "score_to_file",
    "stages",
    "train",
    "train_many",
    "write_scores",
]
