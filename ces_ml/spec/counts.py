"""What is counted: the specification that goes from the analyst to the engine."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from typing import Any, Self

from pydantic import Field, field_validator

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.spec.model import SpecModel
from ces_ml.spec.terms import Measure, Term, Transform, Window, unique_names

__all__ = ["CountRule", "CountSpec", "match_events"]


class CountSpec(SpecModel):
    """The terms of a score, each named, in a fixed order; their events are the vocabulary.

    Event types outside the vocabulary are not counted. Event types in it that a log does not
    hold count 0.

    Parameters
    ----------
    terms : tuple of Term
        At least one. Two terms may share an event type (two windows, say) but not a name.

    Examples
    --------
    >>> spec = CountSpec.of(["login", "purchase"], window="30d", transform="log1p")
    >>> spec.names
    ('login', 'purchase')
    """

    terms: tuple[Term, ...] = Field(min_length=1)

    @field_validator("terms")
    @classmethod
    def _named(cls, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        names = unique_names(terms)
        return tuple(
            t if t.name == n else t.model_copy(update={"name": n})
            for t, n in zip(terms, names, strict=True)
        )

    @classmethod
    def of(cls, events: Iterable[str], **options: Any) -> Self:
        """Make one term an event type, all with the same options of `Term`."""
        return cls(terms=tuple(Term(event=e, **options) for e in events))

    @classmethod
    def from_rules(
        cls,
        rules: Sequence[CountRule],
        event_types: Iterable[str],
        exclude: Iterable[str] = (),
    ) -> Self:
        """Resolve rules with patterns against the event types that a log holds.

        Parameters
        ----------
        rules : sequence of CountRule
            At least one. Each makes one term an event type that it matches, in sorted order.
        event_types : iterable of str
            What the log holds.
        exclude : iterable of str
            Event types that no pattern may bring in: the outcome's own events.

        Raises
        ------
        SpecError
            If a rule matches nothing, names an excluded event, or counts what another one does.
        """
        known, kept_out = sorted(set(event_types)), set(exclude)
        terms: list[Term] = []
        for rule in rules:
            named = [e for e in rule.events if e in kept_out]
            if named:
                raise SpecError(
                    "a count rule names an event of the outcome",
                    got=show(named[0]),
                    allowed="event types other than the outcome's own",
                    hint="remove it from the rule, or insist with `count_own_events: true` in the "
                    "outcome",
                )
            left_out = set(match_events(rule.exclude, known, must_match=False))
            chosen = [
                e
                for e in match_events(rule.events, known)
                if e not in left_out and e not in kept_out
            ]
            if not chosen:
                raise SpecError(
                    "a count rule leaves no event type to count",
                    got=", ".join(show(p) for p in rule.events),
                    allowed="event types other than the outcome's own: "
                    + did_you_mean(rule.events[0], set(known) - kept_out),
                    hint="widen `events` or shorten `exclude`",
                )
            for term in (Term(event=e, **rule.term_options()) for e in chosen):
                if term in terms:
                    raise SpecError(
                        "two count rules count the same",
                        got=f"{term.measure} of {show(term.event)} over {term.window}, twice",
                        allowed="rules that differ in events, measure, window, half_life, cap or "
                        "transform",
                        hint="leave the event out of one of the rules with `exclude`",
                    )
                terms.append(term)
        return cls(terms=tuple(terms))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms, in order."""
        return tuple(t.name for t in self.terms)

    @property
    def events(self) -> tuple[str, ...]:
        """Event types counted, in order of first use."""
        return tuple(dict.fromkeys(t.event for t in self.terms))


class CountRule(SpecModel):
    """One line of a configuration: which event types to count, and how.

    Parameters
    ----------
    events : str or sequence of str, default="*"
        Event types or glob patterns. A name that the log holds is not read as a pattern; ``"*"``
        always means every event type (an event type of that name alone is ``"[*]"``).
    exclude : str or sequence of str, optional
        Event types or patterns that this rule leaves out.
    measure, property, window, half_life, cap, transform
        As in `Term`.
    """

    events: tuple[str, ...] = Field(default=("*",), min_length=1)
    exclude: tuple[str, ...] = ()
    measure: Measure = "count"
    property: str | None = None
    window: Window
    half_life: Window | None = None
    cap: float | None = Field(default=None, gt=0)
    transform: Transform = "identity"

    @field_validator("events", "exclude", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def term_options(self) -> dict[str, Any]:
        """Return the options that every term of this rule gets."""
        return self.model_dump(exclude={"events", "exclude"})


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
