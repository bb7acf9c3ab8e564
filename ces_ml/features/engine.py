"""The contract that every counting engine keeps, and what it tells about a log."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ces_ml.spec.as_of import AsOf
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountSpec
from ces_ml.spec.outcome import OutcomeSpec

__all__ = ["Engine", "LogProfile", "moment_of"]


@dataclass(frozen=True)
class LogProfile:
    """What a log holds, after one reading of it.

    Parameters
    ----------
    rows : int
        Rows read, dropped ones included.
    dropped : mapping of str to int
        Rows that can't be counted, by reason: null customer, event type or timestamp.
    first_us, last_us : int
        Times of the first and last event, in UTC microseconds.
    event_types : mapping of str to int
        Events by type, without the dropped rows.
    naive : bool
        Whether the times had no zone and were taken as UTC.
    never_arrived : int
        Rows without an arrival time, where the log has such a column. They are never counted,
        but they did happen: outcomes see them.
    """

    rows: int
    dropped: Mapping[str, int]
    first_us: int
    last_us: int
    event_types: Mapping[str, int] = field(default_factory=dict)
    naive: bool = False
    never_arrived: int = 0

    @property
    def first(self) -> datetime:
        """Time of the first event."""
        return moment_of(self.first_us)

    @property
    def last(self) -> datetime:
        """Time of the last event."""
        return moment_of(self.last_us)


class Engine(Protocol):
    """Counts events as of moments.

    Law: for row *i* = (customer *c*, moment *T*) and term *t* with window *W*, ``X[i, t]`` is the
    measure over the events of *c* of the term's types with ``T − W ≤ timestamp < T`` in integer
    UTC microseconds and, where the log has an arrival column, ``arrival < T``, for which the
    term's filter is true; each event weighs ``2^(−(T − timestamp)/half_life)`` where the term
    decays. A pair of events is one event at its end, made of what had arrived before *T*. Cap and
    transform are not applied, a cap per day and a rate are.
    The result does not depend on the order of the log, on its files, or on threads. An engine is
    a context manager over its log; what it can't answer it refuses with a `CesError`.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def profile(self) -> LogProfile:
        """Read the log once and say what it holds."""
        ...

    def support(self) -> Mapping[str, int]:
        """Return how many customers have each event type."""
        ...

    def table(
        self,
        spec: CountSpec,
        as_of: AsOf | None,
        outcome: OutcomeSpec | None = None,
        *,
        treated: Any = None,
    ) -> CountTable:
        """Count for every customer in the sample at `as_of`, with outcomes where asked.

        With `as_of` None: the rows of the outcome's `labels`, or one second after the last event,
        rounded down to whole seconds. `treated` is a table of treatments where the outcome's own
        `treated` does not name one.
        """
        ...

    def history(self, spec: CountSpec) -> NDArray[np.float64]:
        """Return days since the last and the first event, and events in the windows of `spec`.

        One row of three for each row of the table that was counted last, over its event types;
        under the same law of time and arrival.
        """
        ...

    def blocks(
        self,
        spec: CountSpec,
        as_of: AsOf | None,
        outcome: OutcomeSpec | None = None,
        *,
        treated: Any = None,
        size: int,
    ) -> Generator[CountTable, None, None]:
        """Yield what `table` returns, `size` rows at a time, without holding it as a whole."""
        ...


def moment_of(us: int) -> datetime:
    """Return integer UTC microseconds as a datetime."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
