"""What is told of a number: its estimate, its interval, its evidence."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Evidence", "IntervalRow", "NumberInterval", "ScoreIntervals"]

Floats = NDArray[np.float64]
Evidence = Literal["strong", "some", "none", "rule"]


class NumberInterval(NamedTuple):
    """An estimate under the rules and its interval.

    Parameters
    ----------
    estimate : float
        From the fitted weights.
    low, high : float
        Ends of the interval; infinite where neither data nor rules say anything.
    probability : float
        How sure the data are that the number is positive: the confidence level of the one-sided
        interval that begins at zero. It says nothing of what a rule says. NaN for a share.
    rule : str
        The rule that narrowed the interval or fixed the number; empty if none did.
    """

    estimate: float
    low: float
    high: float
    probability: float
    rule: str


class IntervalRow(NamedTuple):
    """One weight of `WeightIntervals.table`."""

    name: str
    weight: float
    low: float
    high: float
    std_error: float
    evidence: Evidence
    rule: str


class ScoreIntervals(NamedTuple):
    """Scores of customers and their intervals, each of shape (n_customers,)."""

    score: Floats
    low: Floats
    high: Floats
