"""Intervals and evidence, written into a weight set."""

from __future__ import annotations

import math

from ces_ml.errors import SpecError, show
from ces_ml.linear.inference.intervals import WeightIntervals
from ces_ml.weights import Interval, WeightedTerm, WeightSet

__all__ = ["with_intervals"]


def with_intervals(weight_set: WeightSet, intervals: WeightIntervals) -> WeightSet:
    """Return the weight set with the interval and the class of evidence of each weight.

    A weight of which the data say nothing gets no interval, because its ends are infinite. The
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
            interval = Interval(low=row.low, high=row.high, level=intervals.level)
        terms.append(WeightedTerm(**{**dict(term), "interval": interval, "evidence": row.evidence}))
    return WeightSet(**{**dict(weight_set), "terms": tuple(terms)})
