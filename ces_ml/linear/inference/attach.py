"""Intervals and evidence, written into a weight set."""

from __future__ import annotations

import math

from ces_ml.errors import SpecError, show
from ces_ml.linear.inference.intervals import WeightIntervals
from ces_ml.weights import Interval, WeightedTerm, WeightSet
from ces_ml.weights.scale import tidy

__all__ = ["with_intervals"]

DIGITS, LEAST = 6, 1e-9
"""Significant digits of the ends, and what is zero: far below what intervals are good to, and far
above the last bits of sums, which the number of threads decides."""


def with_intervals(weight_set: WeightSet, intervals: WeightIntervals) -> WeightSet:
    """Return the weight set with the interval and the class of evidence of each weight.

    A weight of which the data say nothing gets no interval, because its ends are infinite. Ends
    keep six digits, and hold the weight. The
    fingerprint is another one: intervals are part of what is stated.

    Parameters
    ----------
    weight_set : WeightSet
        Its terms are named as the features that the weights were fitted on.
    intervals : WeightIntervals
        Of the same weights.

    Raises
    ------
    SpecError
        If names or weights differ.
    """
    if weight_set.names != intervals.feature_names:
        raise SpecError(
            "the intervals are of other weights than the weight set has",
            got=", ".join(show(name) for name in intervals.feature_names[:12]),
            allowed=", ".join(show(name) for name in weight_set.names[:12]),
            hint="take the intervals of the fit that the weight set was made from",
        )
    terms = []
    for term, row in zip(weight_set.terms, intervals.table(), strict=True):
        if not math.isclose(term.weight, row.weight, rel_tol=1e-9, abs_tol=1e-12):
            raise SpecError(
                f"the weight of {show(term.name)} is not the one that the interval is of",
                got=f"{term.weight:.12g} in the weight set, {row.weight:.12g} with the interval",
                allowed="the same weights",
                hint="take the intervals of the fit that the weight set was made from",
            )
        interval = None
        if math.isfinite(row.low) and math.isfinite(row.high):
            low, high = _stated(row.low, term.weight), _stated(row.high, term.weight)
            interval = Interval(
                low=min(low, term.weight), high=max(high, term.weight), level=intervals.level
            )
        terms.append(WeightedTerm(**{**dict(term), "interval": interval, "evidence": row.evidence}))
    return WeightSet(**{**dict(weight_set), "terms": tuple(terms)})


def _stated(end: float, weight: float) -> float:
    """Return the end of an interval as it is written down."""
    if math.isclose(end, weight, rel_tol=0.5 * 10.0**-DIGITS, abs_tol=LEAST):
        return weight
    return 0.0 if abs(end) < LEAST else tidy(end, DIGITS)
