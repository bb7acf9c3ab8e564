"""The monotone map from the log-odds of a fit to probabilities that held-out rows bear out."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from ces_ml.errors import WeightSetError, show
from ces_ml.spec.model import SpecModel
from ces_ml.weights.scale import sigmoid, tidy

__all__ = ["Recalibration"]


class Recalibration(SpecModel):
    """From ``z = raw score + intercept`` to a probability; it never changes the order of customers.

    Parameters
    ----------
    method : {"platt", "isotonic"}
        ``platt``: ``1/(1 + exp(−(slope·z + intercept)))``. ``isotonic``: straight lines between
        knots, flat outside; customers between two knots of equal height are told apart by their
        score only.
    slope : float, default=1.0
        For ``platt``; not negative.
    intercept : float, default=0.0
        For ``platt``.
    knots : tuple of (z, probability)
        For ``isotonic``; z rises, the probability does not fall. Empty for ``platt``.

    Examples
    --------
    >>> half = Recalibration(method="isotonic", knots=((0.0, 0.2), (2.0, 0.6)))
    >>> half.apply(np.array([-5.0, 1.0, 9.0])).round(12).tolist()
    [0.2, 0.4, 0.6]
    >>> Recalibration(method="platt", slope=0.5).apply(np.array([0.0])).tolist()
    [0.5]
    """

    error_class = WeightSetError
    method: Literal["platt", "isotonic"]
    slope: float = Field(default=1.0, ge=0)
    intercept: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()

    @field_validator("slope", "intercept")
    @classmethod
    def _rounded(cls, value: float) -> float:
        return tidy(value)

    @field_validator("knots")
    @classmethod
    def _rounded_knots(
        cls, knots: tuple[tuple[float, float], ...]
    ) -> tuple[tuple[float, float], ...]:
        return tuple((tidy(z), tidy(p)) for z, p in knots)

    def model_post_init(self, context: object) -> None:
        """Refuse a map that is not monotone, or not that of its method."""
        zs, ps = [z for z, _ in self.knots], [p for _, p in self.knots]
        rising = all(a < b for a, b in pairwise(zs)) and all(a <= b for a, b in pairwise(ps))
        inside = all(0 <= p <= 1 for p in ps)
        if not rising or not inside or bool(self.knots) != (self.method == "isotonic"):
            raise WeightSetError(
                "the calibration is not a rising map to probabilities",
                got=f"{self.method} with knots {show(self.knots)}",
                allowed="knots with rising z and probabilities from 0 to 1 that do not fall; none "
                "for method platt",
                hint="train again with `score: {calibrate: …}`",
            )

    def apply(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of every ``z``, of the same shape."""
        if self.method == "platt":
            return sigmoid(self.slope * z + self.intercept)
        at, height = np.array(self.knots).T
        joined = np.clip(np.interp(z, at, height), height[0], height[-1])
        return np.asarray(joined, dtype=np.float64)
