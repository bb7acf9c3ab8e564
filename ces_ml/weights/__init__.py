"""The weight set and the arithmetic of its score."""

from ces_ml.weights.apply import (
    band_names,
    contributions,
    probabilities,
    raw_scores,
    scores,
)
from ces_ml.weights.given import check_weight_set
from ces_ml.weights.points import IntegerPoints
from ces_ml.weights.recalibration import Recalibration
from ces_ml.weights.scale import BAND_NAMES, Band, Scale
from ces_ml.weights.verdict import Verdict
from ces_ml.weights.weight_set import GoldenRow, Provenance, WeightSet
from ces_ml.weights.weighted_term import Interval, WeightedTerm

__all__ = [
    "BAND_NAMES",
    "Band",
    "GoldenRow",
    "IntegerPoints",
    "Interval",
    "Provenance",
    "Recalibration",
    "Scale",
    "Verdict",
    "WeightSet",
    "WeightedTerm",
    "band_names",
    "check_weight_set",
    "contributions",
    "probabilities",
    "raw_scores",
    "scores",
]
