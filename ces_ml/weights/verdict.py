"""The verdict: whether learned weights are worth having, in words that a person can act on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from ces_ml.errors import WeightSetError
from ces_ml.spec.model import SpecModel
from ces_ml.weights.scale import tidy

__all__ = ["Verdict"]

#: Significant digits of the numbers: enough to read, too few for the last bits of a sum.
_DIGITS = 6


class Verdict(SpecModel):
    """Whether the weights beat counting on held-out rows.

    Parameters
    ----------
    kind : {"better", "no_better", "worse", "too_few"}
        ``better``: the interval of the gain lies above 0, and log loss is not higher.
        ``worse``: the interval lies below 0. ``no_better``: anything between. ``too_few``: too few
        held-out customers have one of the outcomes for an interval that can be trusted.
    words : str
        The verdict in a sentence, with its numbers.
    against : str
        The way of counting that is hardest to beat on the same rows: the bar.
    reversed : bool, default=False
        Whether fewer is better there, as the training rows showed.
    difference, low, high : float, optional
        ROC AUC of the weights minus that of counting, and its interval over held-out customers.
    level : float, default=0.9
        Nominal coverage of the interval.
    rarer : int
        Held-out customers with the rarer outcome.
    """

    error_class = WeightSetError
    kind: Literal["better", "no_better", "worse", "too_few"]
    words: str = Field(min_length=1)
    against: str = ""
    reversed: bool = False
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    level: float = Field(default=0.9, gt=0, lt=1)
    rarer: int = Field(ge=0)

    @field_validator("difference", "low", "high")
    @classmethod
    def _rounded(cls, value: float | None) -> float | None:
        return None if value is None else tidy(value, _DIGITS)

    @property
    def worth_promoting(self) -> bool:
        """Whether the weights may be promoted without a person's override."""
        return self.kind == "better"
