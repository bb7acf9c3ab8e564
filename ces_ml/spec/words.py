"""What a term is, in words for a person: cards, tables, the command line."""

from __future__ import annotations

from ces_ml.spec.terms import Term

__all__ = ["measured_as"]

_MOST_MEMBERS = 5


def measured_as(term: Term) -> list[str]:
    """Return how a term is measured, a phrase each; names in it are untrusted text.

    Examples
    --------
    >>> term = Term(event="purchase", window="30d", where="amount > 100", cap=5, per="day")
    >>> ", ".join(measured_as(term))
    'count of purchase in 30d, where amount > 100, per day, cap 5'
    """
    phrases = [f"{term.measure} of {term.event} in {term.window}"]
    if term.members and term.members != (term.event,):
        shown = ", ".join(term.members[:_MOST_MEMBERS])
        more = len(term.members) - _MOST_MEMBERS
        phrases.append(f"events {shown}" + (f" and {more} more" if more > 0 else ""))
    stated = (
        ("until {}", term.until),
        ("property {}", term.property),
        ("where {}", term.where),
        ("in units of {}", term.unit),
        ("neutral {:g}", term.neutral or None),
        ("half-life {}", term.half_life),
        ("at most {:g} a day", term.cap_per_day),
        ("per {}", term.per),
        ("cap {:g}", term.cap),
        ("{}", None if term.transform == "identity" else term.transform),
    )
    return phrases + [form.format(value) for form, value in stated if value is not None]
