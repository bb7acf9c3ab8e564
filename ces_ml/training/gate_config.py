"""What must hold before an alias moves: the section ``promotion`` of a configuration."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from ces_ml.errors import ConfigError, show
from ces_ml.spec.model import SpecModel

__all__ = ["BeatsChampion", "CalibrationRule", "PromotionConfig"]


class BeatsChampion(SpecModel):
    """How much better than the weights that the alias points at, and how surely.

    Parameters
    ----------
    metric : {"roc_auc", "log_loss", "brier"}, default="roc_auc"
        On the held-out rows of the configuration, the same for both.
    by : float, default=0.0
        How much better: a higher ROC AUC, a lower log loss or Brier score. Negative: how much worse
        it may be.
    confidence : float, default=0.9
        The share of resamples of the customers in which it must be better by more than that.
    """

    error_class = ConfigError
    metric: Literal["roc_auc", "log_loss", "brier"] = "roc_auc"
    by: float = 0.0
    confidence: float = Field(default=0.9, gt=0.5, lt=1)


class CalibrationRule(SpecModel):
    """How true the probabilities must be on the held-out rows; see `Calibration`.

    Parameters
    ----------
    ece : float, optional
        Largest expected calibration error. Noise alone makes it positive on few rows.
    slope : (float, float), optional
        Between which values the slope must lie; 1 is true.
    in_the_large : float, optional
        Largest difference, either way, between outcome rate and mean probability.
    """

    error_class = ConfigError
    ece: float | None = Field(default=None, ge=0, le=1)
    slope: tuple[float, float] | None = None
    in_the_large: float | None = Field(default=None, ge=0, le=1)

    def model_post_init(self, context: object) -> None:
        """Refuse a rule that asks nothing, and ends that are turned round."""
        if self.ece is None and self.slope is None and self.in_the_large is None:
            raise ConfigError(
                "the calibration rule asks nothing",
                got="calibration without a bound",
                allowed="one or more of ece, slope, in_the_large",
                hint="write for example `calibration: {ece: 0.05}`, or remove the rule",
            )
        if self.slope is not None and not self.slope[0] < self.slope[1]:
            raise ConfigError(
                "the slope can't lie between these ends",
                got=show(list(self.slope)),
                allowed="the lower end, then the higher end",
                hint="write for example `slope: [0.8, 1.25]`",
            )


class PromotionConfig(SpecModel):
    """The rules of the gate. All that are asked must hold; one that can't be judged does not hold.

    Parameters
    ----------
    verdict : bool, default=True
        Whether the weights must have been found to beat counting when they were trained.
    beats_champion : BeatsChampion, optional
    forbid_sign_flips : "all" or tuple of str, default=()
        Events or terms (names or patterns) whose weights may not change their sign. One that
        neither weight set has can't be judged.
    most_band_changes : float, optional
        Largest share of the held-out customers who may change band, 0 to 1.
    calibration : CalibrationRule, optional
    export_parity : bool, default=False
        Whether every export that can be run in the process must reproduce the golden rows.

    Notes
    -----
    The champion is what the alias points at; rules about it do not apply to a first promotion.

    Examples
    --------
    >>> asked = PromotionConfig.parse({"beats_champion": {"by": 0.005}, "forbid_sign_flips": "all"})
    >>> asked.beats_champion.metric, asked.asked
    ('roc_auc', ('verdict', 'beats_champion', 'forbid_sign_flips'))
    """

    error_class = ConfigError
    called = "the section `promotion`"
    verdict: bool = True
    beats_champion: BeatsChampion | None = None
    forbid_sign_flips: Literal["all"] | tuple[str, ...] = ()
    most_band_changes: float | None = Field(default=None, ge=0, le=1)
    calibration: CalibrationRule | None = None
    export_parity: bool = False

    @field_validator("forbid_sign_flips", mode="before")
    @classmethod
    def _events(cls, value: Any) -> Any:
        items = () if value is None else value
        if items == "all":
            return items
        if not isinstance(items, list | tuple) or not all(isinstance(v, str) for v in items):
            raise ConfigError(
                "the events whose signs may not flip are not a list",
                got=show(value),
                allowed="`all`, or a list of names and patterns of events",
                hint="write for example `forbid_sign_flips: [login, buy_*]`",
            )
        return tuple(items)

    @property
    def asked(self) -> tuple[str, ...]:
        """The rules that are asked, in the order in which they are judged."""
        values = {k: getattr(self, k) for k in PromotionConfig.model_fields}
        # Not `if value`: a share of 0 is a rule too.
        return tuple(k for k, v in values.items() if v is not False and v is not None and v != ())

    @property
    def needs_log(self) -> bool:
        """Whether a rule is judged on held-out rows."""
        return bool({"beats_champion", "most_band_changes", "calibration"} & set(self.asked))
