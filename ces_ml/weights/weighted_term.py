"""A term with its weight, and how sure that is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from ces_ml.errors import WeightSetError
from ces_ml.spec.model import SpecModel
from ces_ml.spec.terms import Term
from ces_ml.weights.scale import tidy

__all__ = ["Interval", "WeightedTerm"]


class Interval(SpecModel):
    """Where a weight is thought to lie: `level` of such intervals hold the weight that is meant.

    Parameters
    ----------
    low, high : float
        Ends of the interval.
    level : float
        Nominal coverage, between 0 and 1.
    """

    error_class = WeightSetError
    low: float
    high: float
    level: float = Field(gt=0, lt=1)

    @field_validator("low", "high")
    @classmethod
    def _rounded(cls, value: float) -> float:
        return tidy(value)


class WeightedTerm(Term):
    """A term with its weight: the change of the log-odds of the good outcome per unit of g(n).

    Parameters
    ----------
    weight : float
        Kept to 12 significant digits.
    interval : Interval, optional
        How sure the weight is, where that was estimated.
    evidence : {"strong", "some", "none", "rule"}, optional
        Whether the data alone are sure of its sign: at 99 %, at 90 %, or not; ``"rule"`` where a
        rule says what the weight is.
    """

    error_class = WeightSetError
    weight: float
    interval: Interval | None = None
    evidence: Literal["strong", "some", "none", "rule"] | None = None

    @field_validator("weight")
    @classmethod
    def _rounded(cls, value: float) -> float:
        return tidy(value)
