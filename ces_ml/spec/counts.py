"""What is counted: the specification that goes from the analyst to the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from pydantic import Field, field_validator

from ces_ml.spec.model import SpecModel
from ces_ml.spec.rules import CountRule, match_events, resolve_rules
from ces_ml.spec.terms import Term, unique_names

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
        support: Mapping[str, int] | None = None,
    ) -> Self:
        """Resolve rules with patterns against the event types that a log holds.

        The patterns are gone afterwards: event types that a later log brings are not counted.

        Parameters
        ----------
        rules : sequence of CountRule
            At least one. Each makes one term a window of every event type that it matches, in
            sorted order; or, with ``as``, one term a window of all of them.
        event_types : iterable of str
            What the log holds.
        exclude : iterable of str
            Event types that no pattern may bring in: the outcome's own events.
        support : mapping of str to int, optional
            Customers that have an event type; needed where a rule has `min_support`.

        Raises
        ------
        SpecError
            If a rule matches nothing, names an excluded event, or counts what another one does.
        """
        terms = resolve_rules(rules, sorted(set(event_types)), set(exclude), support)
        return cls(terms=tuple(terms))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms, in order."""
        return tuple(t.name for t in self.terms)

    @property
    def events(self) -> tuple[str, ...]:
        """Event types that are looked at, in order of first use."""
        looked_at = (e for t in self.terms for e in (*t.counted, t.until) if e is not None)
        return tuple(dict.fromkeys(looked_at))
