"""The monotone map from raw score to the score of 0 to 100, and the bands on it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from ces_ml.errors import SpecError, WeightSetError, show
from ces_ml.spec.model import SpecModel

__all__ = ["BAND_NAMES", "Band", "Scale", "tidy"]

#: Names of the bands, from the lowest score up.
BAND_NAMES = ("at_risk", "potential", "advocate")
#: Significant digits that a weight set keeps. Sums of floats depend on the order of addition in
#: the last bits; twelve digits are far below any interval and far above that noise.
DIGITS = 12
#: Numbers nearer to 0 than this are 0: the slope between two of them would overflow.
_TINY = 1e-290
#: Digits of what is measured on data (knots, rates, metrics), where no more is meant.
KNOT_DIGITS = 9


def tidy(value: float, digits: int = DIGITS) -> float:
    """Round a number to the significant digits that a weight set keeps.

    Examples
    --------
    >>> tidy(0.1 + 0.2)
    0.3
    """
    return 0.0 if abs(value) < _TINY else float(f"{value:.{digits - 1}E}")


class Scale(SpecModel):
    """A monotone map from raw score to 0–100.

    Parameters
    ----------
    method : {"quantiles", "min_max", "probability"}
        ``quantiles``: the score is the percentile of the raw score among the reference customers,
        joined by straight lines. ``min_max``: one straight line from the lowest reference raw
        score to a high percentile. ``probability``: 100 × the probability of the good outcome.
    knots : tuple of (raw, score)
        Points joined by straight lines, flat outside; raw and score increase. Empty for
        ``probability``.

    Examples
    --------
    >>> scale = Scale.fit(np.array([0.0, 1.0, 2.0]), method="min_max", top=100)
    >>> scale.apply(np.array([1.0])).tolist()
    [50.0]
    """

    error_class = WeightSetError
    method: Literal["quantiles", "min_max", "probability"] = "quantiles"
    knots: tuple[tuple[float, float], ...] = ()

    @field_validator("knots")
    @classmethod
    def _rounded(cls, knots: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        return tuple((tidy(raw), tidy(score)) for raw, score in knots)

    def model_post_init(self, context: object) -> None:
        """Refuse a map that is not monotone."""
        raws = [raw for raw, _ in self.knots]
        scores = [score for _, score in self.knots]
        rising = all(a < b for a, b in pairwise(raws)) and all(a <= b for a, b in pairwise(scores))
        inside = all(0 <= score <= 100 for score in scores)
        if not rising or not inside or (not self.knots) != (self.method == "probability"):
            raise WeightSetError(
                "the scale is not a rising map to 0–100",
                got=show(self.knots),
                allowed="knots with rising raw scores and scores from 0 to 100; none for "
                "method probability",
                hint="fit the scale again with Scale.fit",
            )

    @classmethod
    def fit(
        cls,
        raw: NDArray[np.float64],
        method: str = "quantiles",
        *,
        n_knots: int = 21,
        top: float = 99.0,
    ) -> Self:
        """Make the map from the raw scores of reference customers.

        Parameters
        ----------
        raw : ndarray of shape (n_rows,)
            Raw scores, at least one.
        method : {"quantiles", "min_max", "probability"}
        n_knots : int, default=21
            Quantiles kept: every 5 % by default.
        top : float, default=99.0
            For ``min_max``: the percentile that scores 100.

        Raises
        ------
        SpecError
            If there is no raw score, or an option is out of range.
        """
        if method == "probability":
            return cls(method="probability")
        if method not in ("quantiles", "min_max"):
            return cls.parse({"method": method})
        if not 0 < top <= 100 or n_knots < 2:
            raise SpecError(
                "the scale has no such percentiles",
                got=f"top {top:g}, n_knots {n_knots}",
                allowed="top above 0 and at most 100; n_knots of at least 2",
                hint="correct the option",
            )
        if raw.size == 0:
            raise SpecError(
                "a scale can't be fitted without reference customers",
                got="0 raw scores",
                allowed="at least one",
                hint="score some customers first",
            )
        if method == "min_max":
            low, high, most = (
                tidy(float(v), KNOT_DIGITS) for v in (raw.min(), np.percentile(raw, top), raw.max())
            )
            high = high if high > low else most
            ends = ((low, 0.0), (high, 100.0)) if high > low else ((low, 50.0),)
            return cls(method="min_max", knots=ends)
        share = np.linspace(0.0, 100.0, n_knots)
        at = np.array([tidy(v, KNOT_DIGITS) for v in np.percentile(raw, share)])
        # Tied quantiles (many customers without any event) share the middle of their ranks.
        values, place = np.unique(at, return_inverse=True)
        middle = np.bincount(place, weights=share) / np.bincount(place)
        return cls(
            method="quantiles",
            knots=tuple(zip(values.tolist(), middle.tolist(), strict=True)),
        )

    def apply(self, raw: NDArray[np.float64], intercept: float = 0.0) -> NDArray[np.float64]:
        """Return the score of every raw score, from 0 to 100."""
        if self.method == "probability":
            return 100.0 * sigmoid(raw + intercept)
        at, score = np.array(self.knots).T
        # Just before a knot the straight line may pass it in the last bit, and so pass 100.
        joined = np.clip(np.interp(raw, at, score), score[0], score[-1])
        return np.asarray(joined, dtype=np.float64)


class Band(SpecModel):
    """A range of the score, with what happened to held-out customers in it.

    Parameters
    ----------
    name : str
        For example ``"at_risk"``.
    from_score : float
        Lowest score of the band; it reaches to the next band.
    rate : float, optional
        Share of held-out rows in the band with the good outcome.
    rows : int, optional
        Held-out rows in the band.
    low, high : float, optional
        90 % interval of the rate, by customer.
    """

    error_class = WeightSetError
    name: str = Field(min_length=1)
    from_score: float = Field(ge=0, le=100)
    rate: float | None = Field(default=None, ge=0, le=1)
    rows: int | None = Field(default=None, ge=0)
    low: float | None = Field(default=None, ge=0, le=1)
    high: float | None = Field(default=None, ge=0, le=1)

    @field_validator("from_score", "rate", "low", "high")
    @classmethod
    def _rounded(cls, value: float | None) -> float | None:
        return None if value is None else tidy(value)


def sigmoid(z: Any) -> NDArray[np.float64]:
    """Return 1/(1 + exp(−z)) without overflow."""
    half = 0.5 * np.tanh(0.5 * np.asarray(z, dtype=np.float64))
    return np.asarray(0.5 + half, dtype=np.float64)
