"""Scorer: applies a weight set to counts."""

from ces_ml.scoring.scorer import Scorer

__all__ = ["Scorer"]
