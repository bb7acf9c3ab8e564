"""Count rules: the lines of a configuration, and how a log's event types resolve them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.spec.measures import Measure, Rate, check_options
from ces_ml.spec.model import SpecModel
from ces_ml.spec.terms import Filter, Term, Transform, Window

__all__ = ["CountRule", "match_events", "resolve_rules"]

_OTHER = "other"


class CountRule(SpecModel):
    """One line of a configuration: which event types to count, and how.

    Parameters
    ----------
    events : str or sequence of str, default="*"
        Event types or glob patterns. A name that the log holds is not read as a pattern; ``"*"``
        always means every event type (an event type of that name alone is ``"[*]"``).
    exclude : str or sequence of str, optional
        Event types or patterns that this rule leaves out.
    family : str, optional
        Written ``as``: all event types of the rule are counted as one, under this name.
    min_support : int, optional
        Event types that fewer customers have are counted as one, called `other`.
    other : str, default="other"
        What the event types below `min_support` are called together.
    window : Duration or sequence of Duration
        Each makes a term of its own.
    measure, property, until, unit, neutral, where, half_life, cap_per_day, cap, per, transform
        As in `Term`.

    Raises
    ------
    SpecError
        If options do not go together.

    Examples
    --------
    >>> rule = CountRule.parse({"events": "page_view:*", "as": "page_view", "window": "30d"})
    >>> rule.family
    'page_view'
    """

    events: tuple[str, ...] = Field(default=("*",), min_length=1)
    exclude: tuple[str, ...] = ()
    family: str | None = Field(default=None, alias="as", min_length=1)
    min_support: int | None = Field(default=None, ge=1)
    other: str = Field(default=_OTHER, min_length=1)
    measure: Measure = "count"
    property: str | None = Field(default=None, min_length=1)
    until: str | None = None
    unit: Window | None = None
    neutral: float = 0.0
    where: Filter | None = None
    window: tuple[Window, ...] = Field(min_length=1)
    half_life: Window | None = None
    cap_per_day: float | None = Field(default=None, gt=0)
    cap: float | None = Field(default=None, gt=0)
    per: Rate | None = None
    transform: Transform = "identity"

    @field_validator("events", "exclude", "window", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value,)

    @field_validator("window")
    @classmethod
    def _different(cls, windows: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(windows)) < len(windows):
            raise SpecError(
                "a rule names one window twice",
                got=", ".join(windows),
                allowed="windows that differ",
                hint="remove the repeated one",
            )
        return windows

    def model_post_init(self, context: object) -> None:
        """Refuse options that do not go together."""
        check_options(self)
        if self.min_support is None and self.other != _OTHER:
            raise SpecError(
                "the rule names its other events but folds none",
                got=f"other: {show(self.other)} without min_support",
                allowed="other with min_support",
                hint="add min_support, the number of customers that an event type needs",
            )
        if self.min_support is not None and self.family is not None:
            raise SpecError(
                "the rule folds its events twice",
                got=f"as: {show(self.family)}, min_support: {self.min_support}",
                allowed="one of `as` (all events as one) and `min_support` (the rare ones)",
                hint="remove one of them, or make two rules",
            )

    def term_options(self) -> dict[str, Any]:
        """Return the options that every term of this rule gets; the window is not among them."""
        shared = set(Term.model_fields) & set(CountRule.model_fields) - {"window"}
        return self.model_dump(include=shared)


def resolve_rules(
    rules: Sequence[CountRule],
    event_types: Sequence[str],
    kept_out: set[str],
    support: Mapping[str, int] | None = None,
) -> list[Term]:
    """Return the terms that rules mean in a log; see `CountSpec.from_rules`."""
    terms: list[Term] = []
    for rule in rules:
        chosen = _chosen(rule, event_types, kept_out)
        for event, members in _counted_as(rule, chosen, support):
            for window in rule.window:
                term = Term(event=event, members=members, window=window, **rule.term_options())
                if term in terms:
                    raise SpecError(
                        "two count rules count the same",
                        got=f"{term.measure} of {show(term.event)} over {term.window}, twice",
                        allowed="rules that differ in events, measure, where, window, half_life, "
                        "cap or transform",
                        hint="leave the event out of one of the rules with `exclude`",
                    )
                terms.append(term)
    return terms


def _chosen(rule: CountRule, known: Sequence[str], kept_out: set[str]) -> list[str]:
    named = [e for e in (*rule.events, rule.until) if e in kept_out]
    if named:
        raise SpecError(
            "a count rule names an event of the outcome",
            got=show(named[0]),
            allowed="event types other than the outcome's own",
            hint="remove it from the rule, or insist with `count_own_events: true` in the outcome",
        )
    if rule.until is not None and rule.until not in known:
        raise SpecError(
            "the event that ends a pair is not in the log",
            got=f"until: {show(rule.until)}",
            allowed=did_you_mean(rule.until, known),
            hint="correct the name, or look at the log's event types",
        )
    left_out = {*match_events(rule.exclude, known, must_match=False), *kept_out}
    if rule.until not in rule.events:
        left_out.add(str(rule.until))  # a pattern for starts may match the end as well
    chosen = [e for e in match_events(rule.events, known) if e not in left_out]
    if not chosen:
        raise SpecError(
            "a count rule leaves no event type to count",
            got=", ".join(show(p) for p in rule.events),
            allowed="event types other than the outcome's own: "
            + did_you_mean(rule.events[0], set(known) - kept_out),
            hint="widen `events` or shorten `exclude`",
        )
    return chosen


def _counted_as(
    rule: CountRule, chosen: Sequence[str], support: Mapping[str, int] | None
) -> list[tuple[str, tuple[str, ...]]]:
    """Return what is counted as what: (event, members), members empty for the event itself."""
    if rule.family is not None:
        return [(rule.family, tuple(chosen))]
    if rule.min_support is None:
        return [(e, ()) for e in chosen]
    if support is None:
        raise SpecError(
            "a count rule needs to know how many customers an event type has",
            got=f"min_support: {rule.min_support} without support",
            allowed="the number of customers of every event type",
            hint="resolve the rule with build_counts, or pass support= to CountSpec.from_rules",
        )
    rare = tuple(e for e in chosen if support.get(e, 0) < rule.min_support)
    frequent = [(e, ()) for e in chosen if e not in set(rare)]
    return [*frequent, (rule.other, rare)] if rare else [*frequent]


def match_events(
    patterns: Sequence[str], known: Sequence[str], *, must_match: bool = True
) -> list[str]:
    """Return the event types of `known` that the names and globs in `patterns` mean, sorted.

    Raises
    ------
    SpecError
        If a pattern matches nothing and `must_match`; the message names the nearest event type.

    Examples
    --------
    >>> match_events(["buy_*"], ["buy_meat", "login", "buy_deli"])
    ['buy_deli', 'buy_meat']
    """
    held, found = set(known), set()
    for pattern in patterns:
        if pattern in held and pattern != "*":
            found.add(pattern)
            continue
        glob = re.compile(fnmatch.translate(pattern))
        matches = {e for e in held if glob.match(e)}
        if not matches and must_match:
            raise SpecError.unknown(
                "no event type in the log matches",
                pattern,
                known,
                hint="correct the name, or look at the log's event types",
            )
        found |= matches
    return sorted(found)
