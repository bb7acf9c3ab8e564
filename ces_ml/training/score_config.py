"""How a job makes the score and its probability: keys of the configuration."""

from __future__ import annotations

from typing import Literal

from ces_ml.errors import ConfigError
from ces_ml.spec.model import SpecModel

__all__ = ["ScoreConfig"]


class ScoreConfig(SpecModel):
    """How the raw score becomes a score from 0 to 100, and a probability.

    Parameters
    ----------
    scale : {"quantiles", "min_max", "probability"}, default="quantiles"
        See `Scale`.
    calibrate : {"none", "platt", "isotonic"}, default="none"
        Whether probabilities are mapped to what held-out rows bear out; see `recalibrate`. The map
        is fitted on folds of the training rows, each scored by weights of rows before it, so the
        rows that are reported on take no part.
    """

    error_class = ConfigError
    scale: Literal["quantiles", "min_max", "probability"] = "quantiles"
    calibrate: Literal["none", "platt", "isotonic"] = "none"

    @property
    def as_fitted(self) -> bool:
        """Whether the probability is that of the fit."""
        return self.calibrate == "none"
