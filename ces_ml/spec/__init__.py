"""Values that say what is counted, as of when, and towards which outcome."""

from ces_ml.spec.as_of import AsOf, AsOfAnchor, AsOfDates, parse_as_of, parse_moment
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountRule, CountSpec
from ces_ml.spec.duration import Duration
from ces_ml.spec.outcome import OutcomeSpec
from ces_ml.spec.terms import MEASURES, TRANSFORMS, Term

__all__ = [
    "MEASURES",
    "TRANSFORMS",
    "AsOf",
    "AsOfAnchor",
    "AsOfDates",
    "CountRule",
    "CountSpec",
    "CountTable",
    "Duration",
    "OutcomeSpec",
    "Term",
    "parse_as_of",
    "parse_moment",
]
