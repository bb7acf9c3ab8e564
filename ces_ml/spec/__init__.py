"""Values that say what is counted, as of when, and towards which outcome."""

from ces_ml.spec.as_of import AsOf, AsOfAnchor, AsOfDates, AsOfTable, parse_as_of, parse_moment
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountRule, CountSpec
from ces_ml.spec.duration import Duration
from ces_ml.spec.measures import MEASURES
from ces_ml.spec.outcome import Growth, OutcomeSpec
from ces_ml.spec.outside import LabelSpec, TreatedSpec
from ces_ml.spec.terms import TRANSFORMS, Term

__all__ = [
    "MEASURES",
    "TRANSFORMS",
    "AsOf",
    "AsOfAnchor",
    "AsOfDates",
    "AsOfTable",
    "CountRule",
    "CountSpec",
    "CountTable",
    "Duration",
    "Growth",
    "LabelSpec",
    "OutcomeSpec",
    "Term",
    "TreatedSpec",
    "parse_as_of",
    "parse_moment",
]
