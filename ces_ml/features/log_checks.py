"""What is odd about a log, told from how many events it has on which day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from ces_ml.errors import show
from ces_ml.spec.duration import DAY_US
from ces_ml.spec.log_inspection import DayBurst, LogInspection

__all__ = ["absent_ends", "bursts_of", "gaps_of", "notes_on", "silent_days", "usual_per_day"]

#: A burst is at least so many times what is usual, so many Poisson deviations above it, and not
#: tiny.
BURST_TIMES, BURST_SIGMAS, BURST_LEAST = 3.0, 8.0, 20
#: An event type is missing where this many events were to be expected; chance allows it once in
#: 20,000 times.
EXPECTED = 10.0
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def usual_per_day(per_day: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what is usual on each day: two medians of the days around it.

    That of the 28 days around, and that of the same weekday two weeks back and ahead: a newsletter
    that goes out on Mondays is no burst, a shop that is closed on Saturdays no gap.

    Parameters
    ----------
    per_day : ndarray of int, of shape (n_days,)

    Returns
    -------
    ndarray of float, of shape (2, n_days)
        Days that are compared with none are usual themselves.

    Examples
    --------
    >>> usual_per_day(np.array([5, 5, 90, 5, 5]))[0].tolist()
    [5.0, 5.0, 5.0, 5.0, 5.0]
    """
    padded = np.pad(per_day.astype(np.float64), 14, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 29)
    others = np.delete(around, 14, axis=1)
    weekdays = around[:, [0, 7, 21, 28]]
    levels = np.tile(per_day.astype(np.float64), (2, 1))
    for level, part in zip(levels, (others, weekdays), strict=True):
        known = ~np.isnan(part).all(axis=1)
        level[known] = np.nanmedian(part[known], axis=1)
    return levels


def gaps_of(per_day: NDArray[np.int64], first: date) -> tuple[tuple[date, date], ...]:
    """Return the stretches of days without any event, both ends included.

    Examples
    --------
    >>> gaps_of(np.array([3, 0, 0, 4]), date(2025, 1, 1))
    ((datetime.date(2025, 1, 2), datetime.date(2025, 1, 3)),)
    """
    empty = np.r_[False, per_day == 0, False]
    edges = np.flatnonzero(empty[1:] != empty[:-1])
    return tuple(
        (first + timedelta(days=int(a)), first + timedelta(days=int(b) - 1))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
    )


def bursts_of(
    per_day: NDArray[np.int64], usual: NDArray[np.float64], event: str | None, first: date
) -> list[DayBurst]:
    """Return the days with far more events than usual, by either median of `usual_per_day`."""
    most = usual.max(axis=0)
    far = (
        (per_day >= BURST_LEAST)
        & (per_day >= BURST_TIMES * most)
        & (per_day >= most + BURST_SIGMAS * np.sqrt(most + 1))
    )
    return [
        DayBurst(first + timedelta(days=int(k)), event, int(per_day[k]), float(most[k]))
        for k in np.flatnonzero(far)
    ]


def silent_days(per_day: NDArray[np.int64], usual: NDArray[np.float64]) -> int:
    """Return on how many days a type is missing though ten or more are usual."""
    return int(((per_day == 0) & (usual.min(axis=0) >= EXPECTED)).sum())


def absent_ends(rows: int, first_us: int, last_us: int, span: tuple[int, int]) -> tuple[bool, bool]:
    """Return whether a type begins late and whether it stops early.

    It does if, at its own mean pace between its first and last event, ten or more were to be
    expected before (after) it, on more than two days and a twentieth of the log.

    Parameters
    ----------
    rows : int
    first_us, last_us : int
        Of the type.
    span : (int, int)
        Of the log, all in microseconds.

    Examples
    --------
    >>> day = 86_400_000_000
    >>> absent_ends(100, 50 * day, 100 * day, (0, 100 * day))
    (True, False)
    """
    start, end = span
    pace = rows / max(last_us - first_us, DAY_US)
    least = max(2 * DAY_US, (end - start) / 20)
    before, after = first_us - start, end - last_us
    return (
        before > least and before * pace > EXPECTED,
        after > least and after * pace > EXPECTED,
    )


def notes_on(log: LogInspection) -> tuple[str, ...]:
    """Return what is worth a look in an inspection, in words."""
    return (*_of_rows(log), *_of_days(log), *_of_types(log), *_of_arrival(log))


def _two_digits(number: float) -> str:
    """Return a number with two digits, or all before the point: 0.21, 3.5, 150."""
    return f"{number:,.0f}" if abs(number) >= 9.95 else f"{number:.2g}"


def _of_rows(log: LogInspection) -> Iterator[str]:
    def share(n: int) -> str:
        return f"{n:,} rows ({_two_digits(100 * n / log.rows)} %)"

    for reason, n in log.dropped.items():
        if n:
            yield f"{share(n)} have a {reason.replace('_', ' ')} and can't be counted"
    if log.duplicates:
        yield f"{share(log.duplicates)} repeat an earlier row in every column"
    if log.repeated > log.duplicates:
        yield (
            f"{share(log.repeated)} repeat customer, event type and moment of another row; each of "
            "them counts"
        )
    if log.order == "none":
        yield (
            f"{share(log.out_of_order)} are earlier than the row before them; the furthest is "
            f"{_two_digits(log.furthest_back_days)} days late"
        )


def _of_days(log: LogInspection) -> Iterator[str]:
    closed = [_WEEKDAYS[k] for k in np.flatnonzero(log.by_hour.sum(axis=1) == 0)]
    if closed and len(log.days) >= 14:
        yield f"there are no events on any {' or '.join(closed)}"
    else:
        closed = []
    gaps = [g for g in log.gaps if g[0] != g[1] or _WEEKDAYS[g[0].weekday()] not in closed]
    if gaps:
        longest = max(gaps, key=lambda gap: gap[1] - gap[0])
        days = sum((b - a).days + 1 for a, b in gaps)
        yield (
            f"{days:,} {'other ' if closed else ''}days inside the log have no event; the longest "
            f"stretch is {longest[0]} to {longest[1]}"
        )
    if log.bursts:
        most = log.bursts[0]
        what = "all events" if most.event is None else show(most.event, 60)
        yield (
            f"{len(log.bursts):,} bursts of a day, at the most {most.rows:,} of {what} on "
            f"{most.day} where {most.usual:,.0f} are usual"
        )
    if log.n_busy_hours:
        yield (
            f"{log.n_busy_hours:,} hours in which one customer has {log.busy_hour_from:,} events "
            "or more: a program, or customers who share an id"
        )


def _of_types(log: LogInspection) -> Iterator[str]:
    alone = [t for t in log.types if t.silent_days]
    if alone:
        worst = max(alone, key=lambda t: t.silent_days)
        yield (
            f"{len(alone):,} event types are missing on days where ten or more are usual, most "
            f"often {show(worst.event, 60)} ({worst.silent_days:,} days)"
        )
    for kind, words in (("begins_late", "begin late"), ("stops_early", "stop early")):
        held = [t for t in log.types if getattr(t, kind)]
        if held:
            named = ", ".join(show(t.event, 40) for t in held[:3])
            more = f" and {len(held) - 3:,} more" if len(held) > 3 else ""
            yield f"{len(held):,} event types {words}: {named}{more}"


def _of_arrival(log: LogInspection) -> Iterator[str]:
    late = log.lateness
    if late is None:
        return
    if late["late"]:
        half, most = (_two_digits(late[f"delay_days_{p}"]) for p in ("p50", "p99"))
        yield (
            f"{_two_digits(100 * late['late'])} % of the rows arrived late, half of these within "
            f"{half} days, 99 % within {most}"
        )
    if late["never_arrived"]:
        yield f"{_two_digits(100 * late['never_arrived'])} % of the rows never arrived"
    if late["before"]:
        yield f"{_two_digits(100 * late['before'])} % of the rows arrived before they happened"
