"""What the weights are learned from: the outcome, its window, and who is in the sample."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from ces_ml.errors import SpecError, show
from ces_ml.spec.duration import Duration
from ces_ml.spec.model import SpecModel
from ces_ml.spec.terms import Window

__all__ = ["OutcomeSpec"]


class OutcomeSpec(SpecModel):
    """The outcome `y` of a customer as of a moment; 1 is always the good one.

    The outcome window is ``[as_of + gap, as_of + gap + horizon)``.

    ======================  ========================================  ============================
    task                    y = 1                                     in the sample at `as_of`
    ======================  ========================================  ============================
    conversion, upsell      `event` happens in the window             seen before; `event` has not
                                                                      happened yet
    churn with `event`      `event` (the cancellation) does not       seen before; `event` has not
                            happen in the window                      happened yet
    churn with silence      an event of `silence_of` happens in the   an event of `silence_of` in
                            window                                    ``[as_of − active_within,
                                                                      as_of)``
    ======================  ========================================  ============================

    With ``repeatable: true`` the event may have happened before (a coupon can be redeemed again).
    A row whose event falls between `as_of` and the window, in the gap, is left out.

    Parameters
    ----------
    task : {"conversion", "churn", "upsell"}
        What kind of outcome.
    event : str or sequence of str, optional
        Event types or glob patterns: the conversion, the upgrade, or the cancellation.
    silence_of : str or sequence of str, optional
        For churn without a cancellation event: a customer with none of these events in the
        window has churned. ``"*"`` means every event type.
    horizon : Duration
        Length of the outcome window.
    gap : Duration, default="0d"
        Time between `as_of` and the outcome window: how long it takes to act.
    active_within : Duration, optional
        For churn by silence (required there): who counts as active at `as_of`.
    repeatable : bool, default=False
        Whether customers who already had the event stay in the sample.
    count_own_events : bool, default=False
        Whether earlier occurrences of `event` may be counted. They stay out unless you insist,
        because an outcome that is its own predictor usually leaks.

    Examples
    --------
    >>> OutcomeSpec(task="conversion", event="subscription_started", horizon="14d").kept_out
    ('subscription_started',)
    """

    task: Literal["conversion", "churn", "upsell"]
    event: tuple[str, ...] = ()
    silence_of: tuple[str, ...] = ()
    horizon: Window
    gap: Duration = Field(default=Duration("0d"))
    active_within: Window | None = None
    repeatable: bool = False
    count_own_events: bool = False

    @field_validator("event", "silence_of", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def model_post_init(self, context: object) -> None:
        """Refuse combinations that say nothing or two things."""
        if self.task != "churn" and (not self.event or self.silence_of):
            raise SpecError(
                f"a {self.task} outcome needs the event that is the {self.task}",
                got=f"event: {show(self.event)}, silence_of: {show(self.silence_of)}",
                allowed="event, without silence_of",
                hint="name the event type in `event`",
            )
        if self.task == "churn" and bool(self.event) == bool(self.silence_of):
            raise SpecError(
                "a churn outcome needs either its cancellation event or silence",
                got=f"event: {show(self.event)}, silence_of: {show(self.silence_of)}",
                allowed="one of `event` and `silence_of`",
                hint="write `silence_of: '*'` when there is no cancellation event",
            )
        if self.silence_of and self.active_within is None:
            raise SpecError(
                "churn by silence does not say who is active at as_of",
                got="no active_within",
                allowed="a look-back such as 90d",
                hint="add `active_within`",
            )

    @property
    def kept_out(self) -> tuple[str, ...]:
        """Events that are the outcome itself and stay out of the counts (patterns as written)."""
        return () if self.count_own_events else self.event

    @property
    def reach(self) -> int:
        """Microseconds from `as_of` to the end of the outcome window."""
        return self.gap.us + self.horizon.us
