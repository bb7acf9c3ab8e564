"""What an inspection of an event log tells, before anything is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BusyHour", "DayBurst", "EventTypeSummary", "LogInspection"]


@dataclass(frozen=True)
class EventTypeSummary:
    """One event type of a log.

    Parameters
    ----------
    event : str
    rows, customers : int
        Events of the type, and customers who have it.
    share : float
        Share of all customers who have it.
    first, last : datetime.datetime
        In UTC.
    per_day : ndarray of int, of shape (n_days,)
        Events on each UTC day of the log.
    begins_late, stops_early : bool
        Whether it is missing from the log's beginning, or its end, for longer than chance allows
        at its usual pace.
    silent_days : int
        Days without it, on which ten or more are usual.
    """

    event: str
    rows: int
    customers: int
    share: float
    first: datetime
    last: datetime
    per_day: NDArray[np.int64]
    begins_late: bool = False
    stops_early: bool = False
    silent_days: int = 0


@dataclass(frozen=True)
class DayBurst:
    """A day with far more events than usual.

    Parameters
    ----------
    day : datetime.date
    event : str or None
        The event type; None: all together.
    rows : int
    usual : float
        Median of the four weeks around, or of the same weekday there if that is more.
    """

    day: date
    event: str | None
    rows: int
    usual: float


@dataclass(frozen=True)
class BusyHour:
    """An hour in which one customer did far more than customers do.

    Parameters
    ----------
    customer : str
    hour : datetime.datetime
        Its beginning, in UTC.
    rows : int
    """

    customer: str
    hour: datetime
    rows: int


@dataclass(frozen=True)
class LogInspection:
    """What a log holds, and what is odd about it.

    Parameters
    ----------
    source : str
        What was inspected.
    rows : int
        Rows of the log, dropped ones included.
    dropped : mapping of str to int
        Rows that can't be counted: null customer, event type or timestamp.
    customers : int
    first, last : datetime.datetime
        Of the events, in UTC.
    naive : bool
        Whether times carry no zone and were taken as UTC.
    duplicates : int
        Rows that repeat an earlier row in every column.
    repeated : int
        Rows that repeat customer, event type and moment of another, whatever else they hold.
    order : str
        ``"by time"``, ``"by customer, then time"`` or ``"none"``: how the rows of the file stand.
    out_of_order : int
        Rows that are earlier than the row before them: within their customer where the file stands
        by customer, else of all.
    furthest_back_days : float
        How much earlier than the latest row so far a row is, at the most; as `out_of_order`.
    types : tuple of EventTypeSummary
        The most frequent first.
    gaps : tuple of (date, date)
        Stretches of days inside the log without any event; both ends included.
    bursts : tuple of DayBurst
        The largest against what is usual first.
    busy_hours : tuple of BusyHour
        The busiest first, at most 20.
    busy_hour_from : int
        Events an hour from which a customer's hour is far above normal.
    n_busy_hours : int
        How many such hours there are.
    by_hour : ndarray of int, of shape (7, 24)
        Events by UTC weekday (Monday first) and hour.
    lateness : mapping of str to float, optional
        With an arrival column: ``late``, ``never_arrived`` and ``before`` (shares of the rows), and
        ``delay_days_p50``, ``p90``, ``p99``, ``p100`` of those that were late.
    notes : tuple of str
        What is worth a look, in words.
    """

    source: str
    rows: int
    dropped: Mapping[str, int]
    customers: int
    first: datetime
    last: datetime
    naive: bool
    duplicates: int
    repeated: int
    order: str
    out_of_order: int
    furthest_back_days: float
    types: tuple[EventTypeSummary, ...]
    gaps: tuple[tuple[date, date], ...]
    bursts: tuple[DayBurst, ...]
    busy_hours: tuple[BusyHour, ...]
    busy_hour_from: int
    n_busy_hours: int
    by_hour: NDArray[np.int64]
    lateness: Mapping[str, float] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def days(self) -> tuple[date, ...]:
        """The UTC days of the log, from the first event's to the last event's."""
        n_days = (self.last.date() - self.first.date()).days + 1
        return tuple(self.first.date() + timedelta(days=k) for k in range(n_days))

    @property
    def per_day(self) -> NDArray[np.int64]:
        """Events on each day of the log."""
        total: NDArray[np.int64] = np.sum([t.per_day for t in self.types], axis=0, dtype=np.int64)
        return total

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON holds it; times are ISO 8601 text in UTC."""
        return {
            "source": self.source,
            "rows": self.rows,
            "dropped": dict(self.dropped),
            "customers": self.customers,
            "first": _text(self.first),
            "last": _text(self.last),
            "naive_times": self.naive,
            "duplicates": self.duplicates,
            "repeated": self.repeated,
            "order": self.order,
            "out_of_order": self.out_of_order,
            "furthest_back_days": self.furthest_back_days,
            "lateness": None if self.lateness is None else dict(self.lateness),
            "days": len(self.days),
            "events_per_day": self.per_day.tolist(),
            "gaps": [
                {"from": str(a), "to": str(b), "days": (b - a).days + 1} for a, b in self.gaps
            ],
            "bursts": [
                {"day": str(b.day), "event": b.event, "rows": b.rows, "usual": b.usual}
                for b in self.bursts
            ],
            "busy_hours": {
                "from": self.busy_hour_from,
                "hours": self.n_busy_hours,
                "largest": [
                    {"customer": h.customer, "hour": _text(h.hour), "rows": h.rows}
                    for h in self.busy_hours
                ],
            },
            "by_weekday_and_hour": self.by_hour.tolist(),
            "event_types": [
                {
                    "event": t.event,
                    "rows": t.rows,
                    "customers": t.customers,
                    "share_of_customers": t.share,
                    "first": _text(t.first),
                    "last": _text(t.last),
                    "begins_late": t.begins_late,
                    "stops_early": t.stops_early,
                    "silent_days": t.silent_days,
                    "per_day": t.per_day.tolist(),
                }
                for t in self.types
            ],
            "notes": list(self.notes),
        }


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
