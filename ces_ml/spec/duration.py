"""Lengths of time that carry their unit: ``"28d"``, never a bare number."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ces_ml.errors import SpecError, show

__all__ = ["DAY_US", "UNITS", "Duration"]

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
#: Units that a duration may carry, in microseconds. A day is always 24 hours.
UNITS = {
    "s": SECOND_US,
    "min": 60 * SECOND_US,
    "h": 3_600 * SECOND_US,
    "d": DAY_US,
    "w": 7 * DAY_US,
}
#: Longest duration, in days: far past any log, and its microseconds still fit 64 bits.
MOST_DAYS = 1_000_000
#: Longer words for the units.
_ALIASES = {
    word: unit
    for unit, words in {
        "s": "sec second seconds",
        "min": "mins minute minutes",
        "h": "hour hours",
        "d": "day days",
        "w": "week weeks",
    }.items()
    for word in words.split()
}
_FORM = re.compile(r"\s*(\d{1,11})\s*([A-Za-z]+)\s*")
_NO_FIXED_LENGTH = {"m", "mo", "month", "months", "y", "year", "years", "q"}


class Duration(str):
    """A length of time with its unit, in whole seconds.

    A day is 24 hours whatever the calendar does. Months and years have no fixed length and are
    refused. Equal lengths are equal values: ``Duration("1w") == Duration("7d")``.

    Parameters
    ----------
    value : str or datetime.timedelta
        A whole number and one of ``s``, ``min``, ``h``, ``d``, ``w``; at most 1,000,000 days.

    Raises
    ------
    SpecError
        If the text is not a number with a known unit, or the length is out of range.

    Examples
    --------
    >>> Duration("2w")
    '14d'
    >>> Duration("36h").days
    1.5
    >>> Duration("7d").us
    604800000000
    """

    __slots__ = ()

    def __new__(cls, value: str | timedelta) -> Duration:
        """Read the text and bring it to its shortest form."""
        if isinstance(value, Duration):
            return value
        return super().__new__(cls, _canonical(_microseconds(value)))

    @property
    def us(self) -> int:
        """Length in microseconds."""
        return _microseconds(str(self))

    @property
    def days(self) -> float:
        """Length in days of 24 hours."""
        return self.us / DAY_US

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic to build a Duration from text (pydantic's hook, not for callers)."""
        return core_schema.no_info_plain_validator_function(
            cls,
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        """Describe a Duration in JSON Schema (pydantic's hook, not for callers)."""
        return {
            "type": "string",
            "pattern": r"^[0-9]{1,11}(s|min|h|d)$",
            "description": "A whole number of seconds, minutes, hours or 24-hour days.",
        }


def _microseconds(value: object) -> int:
    if isinstance(value, timedelta):
        us = value // timedelta(microseconds=1)
        if us < 0 or us % SECOND_US:
            raise _refusal(value)
        return _bounded(us, value)
    if not isinstance(value, str):
        raise _refusal(value)
    match = _FORM.fullmatch(value)
    if match is None:
        raise _refusal(value)
    unit = match[2] if match[2] in UNITS else match[2].lower()
    unit = _ALIASES.get(unit, unit)
    if unit not in UNITS:
        raise _refusal(value, months=unit in _NO_FIXED_LENGTH)
    return _bounded(int(match[1]) * UNITS[unit], value)


def _bounded(us: int, value: object) -> int:
    if us > MOST_DAYS * DAY_US:
        raise SpecError(
            "the duration is too long",
            got=show(value),
            allowed=f"at most {MOST_DAYS}d",
            hint="write for example 36500d for all of a log",
        )
    return us


def _canonical(us: int) -> str:
    for unit in ("d", "h", "min"):
        if us % UNITS[unit] == 0:
            return f"{us // UNITS[unit]}{unit}"
    return f"{us // SECOND_US}s"


def _refusal(value: object, *, months: bool = False) -> SpecError:
    if months:
        hint = "months and years have no fixed length: write 30d or 365d (minutes are `min`)"
    elif isinstance(value, int | float):
        hint = f"add the unit, for example {value}d"
    else:
        hint = "write for example 28d"
    return SpecError(
        "not a duration",
        got=show(value),
        allowed="a whole number and a unit: " + ", ".join(UNITS),
        hint=hint,
    )
