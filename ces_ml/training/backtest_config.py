"""What is asked of a backtest: keys of the configuration."""

from __future__ import annotations

from pydantic import Field

from ces_ml.errors import ConfigError
from ces_ml.spec.duration import Duration
from ces_ml.spec.model import SpecModel

__all__ = ["BacktestConfig"]


class BacktestConfig(SpecModel):
    """Fit on the past and test on what came next, again and again through the log.

    Parameters
    ----------
    folds : int, default=5
        Blocks of time that are tested, at least 2.
    window : duration, optional
        How much of the past each fit learns from, for example ``"365d"``; all of it when not given.
    """

    error_class = ConfigError
    folds: int = Field(default=5, ge=2)
    window: Duration | None = None
