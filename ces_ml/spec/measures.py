"""What events become a number by: the measures, and which options each of them takes."""

from __future__ import annotations

from typing import Any, Literal, get_args

from ces_ml.errors import SpecError, show

__all__ = ["MEASURES", "OPTIONS", "Measure", "Rate", "check_options", "is_default"]

#: How the events of one type inside the window become one number.
#:
#: - ``count``: how many.
#: - ``sum``: the total of a value column; a missing value adds 0.
#: - ``mean``: the mean of a value column less `neutral`, so that no event and a neutral mean are
#:   both 0; a missing value takes no part.
#: - ``duration``: the total length, in `unit`, of a duration column or of pairs of events.
#: - ``active_days``: on how many different UTC days.
#: - ``distinct``: how many different values of a property, compared as text; null is no value.
Measure = Literal["count", "sum", "mean", "duration", "active_days", "distinct"]
MEASURES: tuple[str, ...] = get_args(Measure)

#: What a count may be divided by.
Rate = Literal["day", "seat"]

#: Options that not every measure takes, and the measures that do. Every measure takes ``where``,
#: ``window``, ``cap`` and ``transform``.
OPTIONS: dict[str, tuple[str, ...]] = {
    "property": ("sum", "mean", "duration", "distinct"),
    "neutral": ("mean",),
    "unit": ("duration",),
    "until": ("duration",),
    "half_life": ("count", "sum", "mean", "duration"),
    "cap_per_day": ("count", "sum", "duration"),
    "per": ("count", "sum", "duration", "active_days"),
}

#: Options that exclude each other, and why.
_CONFLICTS = (
    ("until", "property", "the length of a pair of events is measured, not read from a column"),
    ("until", "where", "a filter would have to say which event of the pair it is about"),
    ("cap_per_day", "half_life", "the events of one day fade at different speeds"),
    ("per", "half_life", "a count that fades is not a number of events in so many days"),
)


def is_default(option: str, value: Any) -> bool:
    """Return whether an option has the value that it has when nobody states it."""
    return value == 0 if option == "neutral" else value is None


def check_options(term: Any) -> None:
    """Refuse options that a measure can't use, alone or together.

    Parameters
    ----------
    term : Term or CountRule

    Raises
    ------
    SpecError
        Naming the option, the measures that take it, and what to do.
    """
    stated = {o: getattr(term, o) for o in (*OPTIONS, "where")}
    stated = {o: v for o, v in stated.items() if not is_default(o, v)}
    for option, value in stated.items():
        measures = OPTIONS.get(option, MEASURES)
        if term.measure not in measures:
            raise SpecError(
                f"measure {term.measure} does not use {option}",
                got=f"{option}: {_plain(value)}",
                allowed=f"{option} with measure: {_either(measures)}",
                hint=f"remove {option} or change the measure",
            )
    for one, other, reason in _CONFLICTS:
        if one in stated and other in stated:
            raise SpecError(
                f"{one} and {other} do not go together: {reason}",
                got=f"{one}: {_plain(stated[one])}, {other}: {_plain(stated[other])}",
                allowed=f"{one} or {other}",
                hint="remove one of them, or make two terms",
            )
    if term.measure == "distinct" and term.property is None:
        raise SpecError(
            "measure distinct does not say what is to differ",
            got="no property",
            allowed="property: the column whose different values are counted",
            hint="name the column in `property`",
        )


def _plain(value: Any) -> str:
    """Return a duration or number bare, a text quoted."""
    return show(value) if type(value) is str else str(value)


def _either(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
