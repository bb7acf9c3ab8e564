"""What the weights are learned from: the outcome, its window, and who is in the sample."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from ces_ml.errors import SpecError, show
from ces_ml.spec.as_of import AsOfAnchor, parse_as_of
from ces_ml.spec.duration import Duration
from ces_ml.spec.model import SpecModel
from ces_ml.spec.outside import LabelSpec, TreatedSpec
from ces_ml.spec.terms import Window

__all__ = ["Growth", "OutcomeSpec"]


class Growth(SpecModel):
    """Upsell as growth: more in the outcome window than in the look-back of equal length.

    With *B* the total over ``[as_of − horizon, as_of)`` and *A* that over the outcome window,
    ``y = 1`` iff ``A > max(B, 0)``, ``A ≥ factor · max(B, 0)`` and ``A ≥ max(B, 0) + least``. So a
    customer whose base is 0, or negative because of refunds, has grown when the new total is
    positive and at least `least`. Totals are compared to a billionth of the sum of their absolute
    values, below which floating-point sums depend on the order of the rows.

    Parameters
    ----------
    property : str, optional
        The value column that is summed, where null counts as 0. The events are counted when not
        given.
    factor : float, default=1.0
        At least 1.
    least : float, default=0.0
        Smallest growth, in units of the property; keeps a growth from 1 to 2 from counting.

    Examples
    --------
    >>> Growth(property="amount", factor=1.2).least
    0.0
    """

    property: str | None = Field(default=None, min_length=1)
    factor: float = Field(default=1.0, ge=1)
    least: float = Field(default=0.0, ge=0)


class OutcomeSpec(SpecModel):
    """The outcome `y` of a customer as of a moment; 1 is always the good one.

    The outcome window is ``[as_of + gap, as_of + gap + horizon)``; with `within` it ends where that
    says.

    ======================  ========================================  ============================
    task                    y = 1                                     in the sample at `as_of`
    ======================  ========================================  ============================
    conversion, upsell      `event` happens in the window             seen before; `event` has not
                                                                      happened yet
    churn with `event`      `event` (the cancellation) does not       seen before; `event` has not
                            happen before the end of the window       happened yet
    churn with silence      an event of `silence_of` happens in the   an event of `silence_of` in
                            window                                    ``[as_of − active_within,
                                                                      as_of)``
    upsell with `growth`    the total of `event` in the window        an event of `event` in the
                            exceeds that of the look-back; `Growth`   look-back, which lies in the
                                                                      log
    cross_sell              a family that was never used before is    seen before; a family of
                            used in the window                        `families` is still unused
    any, with `labels`      the table says so                         the rows of the table
    ======================  ========================================  ============================

    With ``repeatable: true`` the event may have happened before (a coupon can be redeemed again).
    A row whose event (or, for cross_sell, whose first use of a family) falls between `as_of` and
    the window, in the gap, is left out.

    Where the log has an arrival column, who is in the sample is judged by what had arrived before
    `as_of`, because a scorer knows no more; outcomes and the gap are judged by all that happened. A
    customer whose `event` had happened but had not arrived is in the sample, with ``y = 0``: such a
    customer neither converts any more nor is retained. The report says how many there are
    (``happened_unseen``).

    Parameters
    ----------
    task : {"conversion", "churn", "upsell", "cross_sell"}
        What kind of outcome.
    event : str or sequence of str, optional
        Event types or glob patterns: the conversion, the upgrade, or the cancellation; with
        `growth` what is added up; with `labels` events that stay out of the counts.
    silence_of : str or sequence of str, optional
        For churn without a cancellation event: a customer with none of these events in the
        window has churned. ``"*"`` means every event type.
    horizon : Duration, optional
        Length of the outcome window. Required, but with `within`.
    gap : Duration, default="0d"
        Time between `as_of` and the outcome window: how long it takes to act.
    active_within : Duration, optional
        For churn by silence (required there): who counts as active at `as_of`.
    repeatable : bool, default=False
        Whether customers who already had the event stay in the sample.
    count_own_events : bool, default=False
        Whether earlier occurrences of `event` may be counted. They stay out unless you insist,
        because an outcome that is its own predictor usually leaks.
    within : str, optional
        Instead of `horizon`: the window ends a duration after the customer's first event of a type
        (``"30d after trial_started"``), whatever `as_of` is. Left out are customers who had no such
        event before `as_of`, and rows whose window is over when it would begin.
    growth : Growth, optional
        For upsell: growth of a total instead of a first event.
    families : sequence of str, optional
        For cross_sell: event types or patterns, one a family (``["crm:*", "mail:*"]``). An event
        type belongs to one family.
    labels : LabelSpec, optional
        Rows and outcomes come from a table. `horizon` says how long after `as_of` an outcome is
        known, so that nothing is learned from what was not known yet.
    treated : TreatedSpec, optional
        Customers that something was done to within the window.

    Notes
    -----
    What `kept_out` holds: the events that are the outcome. Silence, growth and cross-selling keep
    nothing out. There, the same event types before `as_of` are ordinary history: how active a
    customer was, what the base is, which families are in use. They are never the outcome itself: a
    family that can still give the outcome has no event before `as_of`, so its count is 0.

    Examples
    --------
    >>> OutcomeSpec(task="conversion", event="subscription_started", horizon="14d").kept_out
    ('subscription_started',)
    >>> OutcomeSpec(task="conversion", event="paid", within="30d after trial_started").window_text
    'within 30d after trial_started, gap 0d'
    """

    task: Literal["conversion", "churn", "upsell", "cross_sell"]
    event: tuple[str, ...] = ()
    silence_of: tuple[str, ...] = ()
    horizon: Window | None = None
    gap: Duration = Field(default=Duration("0d"))
    active_within: Window | None = None
    repeatable: bool = False
    count_own_events: bool = False
    within: str | None = None
    growth: Growth | None = None
    families: tuple[str, ...] = ()
    labels: LabelSpec | None = None
    treated: TreatedSpec | None = None

    @field_validator("event", "silence_of", "families", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("horizon", "active_within", mode="before")
    @classmethod
    def _length(cls, value: Any) -> Any:
        # Before pydantic's choice between "a length" and "nothing", which would hide what is wrong.
        return None if value is None else Duration(value)

    @field_validator("within")
    @classmethod
    def _anchored(cls, value: str | None) -> str | None:
        if value is None:
            return None
        rule = parse_as_of(value) if " after " in value else None
        if not isinstance(rule, AsOfAnchor) or rule.after.us == 0:
            raise SpecError(
                "not the end of an outcome window",
                got=show(value),
                allowed="a duration after an event, such as '30d after trial_started'",
                hint="correct `within`, or give a horizon instead",
            )
        return str(rule)

    def model_post_init(self, context: object) -> None:
        """Refuse combinations that say nothing or two things."""
        if self.labels is not None:
            self._check_alone("labels", "silence_of", "families", "growth", "repeatable")
        elif self.task == "cross_sell":
            if not self.families:
                raise SpecError(
                    "a cross_sell outcome needs the families of events that can be sold",
                    got="no families",
                    allowed="event types or patterns, one a family",
                    hint="write for example `families: ['crm:*', 'mail:*']`",
                )
            self._check_alone("task: cross_sell", "event", "silence_of", "growth", "repeatable")
        elif self.growth is not None:
            self._check_alone("growth", "silence_of", "families", "repeatable")
        else:
            self._check_alone(f"task: {self.task}", "families")
        if self.growth is not None and self.task != "upsell":
            raise SpecError(
                "growth is an upsell",
                got=f"task: {self.task} with growth",
                allowed="task: upsell",
                hint="change the task or remove growth",
            )
        if self.labels is None and self.task != "cross_sell":
            self._check_event()
        self._check_window()

    def _check_event(self) -> None:
        if self.task != "churn" and (not self.event or self.silence_of):
            article = "an" if self.task == "upsell" else "a"
            raise SpecError(
                f"{article} {self.task} outcome needs the event that is the {self.task}",
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

    def _check_window(self) -> None:
        if self.within is None and self.horizon is None:
            raise SpecError(
                "horizon is missing",
                got="no value",
                allowed="a length of time such as 28d"
                + ("" if self.labels or self.growth or self.silence_of else ", or `within`"),
                hint="add horizon",
            )
        if self.within is not None:
            self._check_alone("within", "horizon", "silence_of", "growth", "labels")

    def _check_alone(self, what: str, *others: str) -> None:
        """Refuse `others` beside `what`, where they would have no meaning."""
        for other in others:
            value = getattr(self, other)
            if value:
                shown = other if isinstance(value, SpecModel) else f"{other}: {show(value)}"
                raise SpecError(
                    f"{other} has no meaning with {what}",
                    got=f"{what}, {shown}",
                    allowed=f"{what} without {', '.join(others)}",
                    hint=f"remove {other}",
                )

    @property
    def kept_out(self) -> tuple[str, ...]:
        """Events that are the outcome itself and stay out of the counts (patterns as written)."""
        return () if self.count_own_events or self.growth else self.event

    @property
    def anchor(self) -> AsOfAnchor | None:
        """When the outcome window ends, where `within` says so."""
        rule = None if self.within is None else parse_as_of(self.within)
        return rule if isinstance(rule, AsOfAnchor) else None

    @property
    def reach(self) -> int:
        """Microseconds from `as_of` to the end of the outcome window.

        With `within` it is the most it can be: the anchor lies before `as_of`.
        """
        if self.horizon is not None:
            return self.gap.us + self.horizon.us
        return self.anchor.after.us if self.anchor else self.gap.us

    @property
    def window_text(self) -> str:
        """The outcome window in words."""
        length = f"horizon {self.horizon}" if self.within is None else f"within {self.within}"
        return f"{length}, gap {self.gap}"

    @property
    def portable(self) -> OutcomeSpec:
        """The same outcome without the paths of its tables, which mean nothing elsewhere."""
        return self.model_copy(
            update={
                name: part.model_copy(update={"path": None})
                for name, part in (("labels", self.labels), ("treated", self.treated))
                if part is not None
            }
        )
