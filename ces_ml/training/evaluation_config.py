"""The part of a training job's configuration that says how the weights are judged."""

from __future__ import annotations

from pydantic import Field

from ces_ml.errors import ConfigError
from ces_ml.spec.model import SpecModel

__all__ = ["EvaluationConfig"]


class EvaluationConfig(SpecModel):
    """How the weights are judged on held-out rows.

    Parameters
    ----------
    ceiling : bool, default=True
        Whether gradient boosting on the same counts, and on these with the time since the last
        and first event, stands beside the weights. It changes nothing else.
    ceiling_rows : int, default=200_000
        Training rows that boosting learns from at most; whole customers are taken.
    replicates : int, default=500
        Resamples of the held-out customers behind each interval.
    level : float, default=0.9
        Nominal coverage of these intervals.
    """

    error_class = ConfigError
    ceiling: bool = True
    ceiling_rows: int = Field(default=200_000, ge=1000)
    replicates: int = Field(default=500, ge=50, le=10_000)
    level: float = Field(default=0.9, ge=0.5, lt=1)

    @property
    def verdict_is_default(self) -> bool:
        """Whether the verdict is reached as it is without any configuration."""
        fields = EvaluationConfig.model_fields
        return all(getattr(self, k) == fields[k].default for k in ("replicates", "level"))
