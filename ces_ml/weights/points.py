"""Whole numbers in place of weights, for cards that people add up by hand."""

from __future__ import annotations

from pydantic import Field, field_validator

from ces_ml.errors import WeightSetError
from ces_ml.spec.model import SpecModel
from ces_ml.weights.scale import KNOT_DIGITS, tidy

__all__ = ["IntegerPoints"]


class IntegerPoints(SpecModel):
    """Integer points of the terms, chosen under the rules of the weights, and what they cost.

    The points of a customer are ``Σ_t points_t · g_t(n_t)``; the probability of the good outcome
    is ``1/(1 + exp(−(scale · points of the customer + intercept)))``. Scores are made of the
    weights, never of the points.

    Parameters
    ----------
    values : dict of str to int
        Points by name of term, every term once.
    scale : float
        What a point is worth, in units of weight; positive.
    intercept : float
        Log-odds of the good outcome of a customer without points.
    log_loss_given_up : float
        Mean log loss of the points less that of the weights, on the training rows, in nats.
        Slightly negative where a penalty shrinks the weights.
    metrics : dict of str to float
        Metrics of the points on held-out rows.

    Examples
    --------
    >>> card = IntegerPoints(
    ...     values={"login": 1, "refund": -3}, scale=0.25, intercept=-1.5, log_loss_given_up=0.002)
    >>> card.weights
    {'login': 0.25, 'refund': -0.75}
    """

    error_class = WeightSetError
    values: dict[str, int] = Field(min_length=1)
    scale: float = Field(gt=0)
    intercept: float
    log_loss_given_up: float
    metrics: dict[str, float] = Field(default_factory=dict)

    @field_validator("scale", "intercept", "log_loss_given_up")
    @classmethod
    def _rounded(cls, value: float) -> float:
        return tidy(value, KNOT_DIGITS)

    @property
    def weights(self) -> dict[str, float]:
        """``scale · points`` by name of term: the weights that the points stand for."""
        return {name: self.scale * value for name, value in self.values.items()}
