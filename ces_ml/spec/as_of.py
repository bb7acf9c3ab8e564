"""The moments at which counts are taken: dates, a calendar, an anchor event, or a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from ces_ml.errors import SpecError, show
from ces_ml.spec.duration import Duration

__all__ = [
    "AsOf",
    "AsOfAnchor",
    "AsOfDates",
    "AsOfTable",
    "parse_as_of",
    "parse_moment",
    "to_us",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_CALENDAR = re.compile(r"every\s+(\S+)\s+from\s+(.+?)\s+to\s+(.+)", re.IGNORECASE)
_ANCHOR = re.compile(r"(\S+)\s+after\s+(.+)", re.IGNORECASE | re.DOTALL)
_MOST_DATES = 10_000


@dataclass(frozen=True)
class AsOfDates:
    """Fixed moments, the same for every customer.

    Parameters
    ----------
    moments : tuple of datetime.datetime
        In UTC, increasing, without repeats.
    text : str
        The rule as it was written.
    """

    moments: tuple[datetime, ...]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class AsOfAnchor:
    """A moment per customer: a duration after the first time the customer did an event.

    Where the log has an arrival column, that event must have arrived by `as_of`: nobody can act on
    a moment whose reason is not known yet.

    Parameters
    ----------
    after : Duration
        Time between the anchor event and `as_of`.
    event : str
        The anchor event type. Its first occurrence counts.
    """

    after: Duration
    event: str

    def __str__(self) -> str:
        bare = re.fullmatch(r"[^\s\"]+", self.event)
        return f"{self.after} after {self.event if bare else _quote(self.event)}"


@dataclass(frozen=True)
class AsOfTable:
    """Moments given row by row, perhaps with outcomes.

    Law: the sample holds each (customer, as_of) of the table once, or says why not. Ids are of the
    same type as the log's. The same pair twice is an error; a row without customer or moment is
    dropped and counted.

    Parameters
    ----------
    source : path, pandas.DataFrame, polars.DataFrame, pyarrow.Table or DuckDB relation
        The table.
    customer_col : str, optional
        The log's customer column when not given.
    as_of_col : str, default="as_of"
        Moments; without a zone they are UTC.
    y_col : str, optional
        Outcomes, for `LabelSpec`.
    unknown : {"leave_out", "keep"}, default="leave_out"
        What becomes of rows whose customer has no event before `as_of`: left out and counted, or
        kept with counts of 0.
    """

    source: Any
    customer_col: str | None = None
    as_of_col: str = "as_of"
    y_col: str | None = None
    unknown: Literal["leave_out", "keep"] = "leave_out"

    def __str__(self) -> str:
        return f"column {self.as_of_col} of a table"


AsOf = AsOfDates | AsOfAnchor | AsOfTable


def parse_as_of(value: Any) -> AsOf:
    r"""Read an `as_of` rule.

    Parameters
    ----------
    value : str, date, datetime, sequence of these, or AsOfTable
        ``"2017-10-01"``, a list of dates (or one text, ``"2017-10-01, 2017-11-01"``),
        ``"every 28d from 2017-04-01 to 2017-09-30"`` (both ends included), or
        ``"14d after trial_started"``. An event type with spaces or quotes is written in double
        quotes, with ``\"`` and ``\\`` inside. Moments without a zone are UTC.

    Returns
    -------
    AsOfDates, AsOfAnchor or AsOfTable

    Raises
    ------
    SpecError
        If the rule can't be read, or a calendar is empty.

    Examples
    --------
    >>> parse_as_of("every 28d from 2017-04-01 to 2017-06-01").moments[-1].date()
    datetime.date(2017, 5, 27)
    >>> parse_as_of("14d after trial_started").event
    'trial_started'
    """
    if isinstance(value, AsOfDates | AsOfAnchor | AsOfTable):
        return value
    if isinstance(value, str):
        text = value.strip()
        calendar = _CALENDAR.fullmatch(text)
        if calendar:
            return _calendar(Duration(calendar[1]), calendar[2], calendar[3])
        anchor = _ANCHOR.fullmatch(text)
        if anchor:
            return AsOfAnchor(Duration(anchor[1]), _unquote(anchor[2]))
        return _dates(re.split(r",\s+", text))
    if isinstance(value, Sequence):
        return _dates(value)
    return _dates([value])


def parse_moment(value: Any) -> datetime:
    """Read one moment as a UTC datetime; without a zone it is taken as UTC.

    Raises
    ------
    SpecError
        If the text is not an ISO 8601 date or time.

    Examples
    --------
    >>> parse_moment("2017-10-01T02:00:00+02:00").isoformat()
    '2017-10-01T00:00:00+00:00'
    """
    moment: datetime | None = None
    if isinstance(value, datetime):
        moment = _plain(value)
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            moment = None
    if moment is not None:
        try:
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except OverflowError:
            moment = None
    if moment is None:
        raise SpecError(
            "not a moment in time",
            got=show(value),
            allowed="an ISO 8601 date or time such as 2017-10-01 or 2017-10-01T12:00:00Z",
            hint="correct the date; `as_of` also takes 'every 28d from DATE to DATE' and "
            "'14d after EVENT'",
        )


def _plain(value: datetime) -> datetime | None:
    """Return a datetime of the standard library; pandas' Timestamp and NaT are subclasses of it."""
    if value != value:  # NaT, the missing moment
        return None
    return datetime.fromisoformat(value.isoformat())


def to_us(moment: datetime) -> int:
    """Return a UTC moment as integer microseconds since 1970."""
    return (moment - _EPOCH) // _US


def _dates(values: Sequence[Any]) -> AsOfDates:
    moments = tuple(sorted({parse_moment(v) for v in values}))
    if not moments:
        raise SpecError(
            "no as_of moment is given",
            got="an empty list",
            allowed="one or more dates",
            hint="add a date to as_of",
        )
    return AsOfDates(moments, ", ".join(_short(m) for m in moments))


def _calendar(every: Duration, start_text: str, end_text: str) -> AsOfDates:
    start, end = parse_moment(start_text), parse_moment(end_text)
    text = f"every {every} from {_short(start)} to {_short(end)}"
    steps = (to_us(end) - to_us(start)) // every.us if every.us else _MOST_DATES
    if end < start or steps >= _MOST_DATES:
        raise SpecError(
            "the as_of calendar is empty or endless",
            got=show(text),
            allowed=f"a start before its end and at most {_MOST_DATES:,} dates",
            hint="correct the dates or the step",
        )
    step = timedelta(microseconds=every.us)
    return AsOfDates(tuple(start + k * step for k in range(steps + 1)), text)


def _short(moment: datetime) -> str:
    midnight = moment.time() == datetime.min.time()
    return moment.date().isoformat() if midnight else moment.isoformat().replace("+00:00", "Z")


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text
