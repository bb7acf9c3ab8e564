"""The contract of the place where an engine's SQL runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ces_ml.events import EventSchema
from ces_ml.sql.plan import Property

__all__ = ["Session", "number"]


class Session(Protocol):
    """One event log, opened where SQL can reach it.

    Law: every query is in the common subset of DuckDB and Spark (`ces_ml.sql`); its relations are
    those that `make` and `register` have made, seen by this session alone. `prelude` is the only
    part that knows how the log stores ids, numbers and times: it returns the SELECT for
    ``ev(customer_id, event_type, ts_us, p0, p1, …, f0, f1, …[, arrival_us])`` with times in
    integer UTC microseconds and filters on properties answered, true or false. Results do not
    depend on threads or on the order of the log. What the engine below refuses is raised as an
    `EventLogError`.
    """

    @property
    def by_account(self) -> bool:
        """Whether accounts are the customers; then ``accounts`` is a relation, see `seats_sql`."""
        ...

    @property
    def bounded(self) -> bool:
        """Whether its memory is limited: then a long result is read in order, never as a whole."""
        ...

    @property
    def has_uuids(self) -> bool:
        """Whether UUIDs are a type of their own; otherwise they are text."""
        ...

    def prelude(
        self, schema: EventSchema, properties: Sequence[Property], filters: Sequence[str] = ()
    ) -> tuple[str, bool]:
        """Return the SELECT that makes ``ev``, nulls still in it, and whether times were naive."""
        ...

    def unmapped(self) -> tuple[int, int]:
        """Return how many events with a user have no account then, and of how many users.

        Nothing of either without accounts.
        """
        ...

    def narrowed(self, since_us: int, until_us: int) -> AbstractContextManager[None]:
        """Say that, inside the block, only events of ``[since, until)`` are asked for.

        A session may read less of the log for it; or do nothing.
        """
        ...

    def make(self, kind: str, name: str, select: str) -> None:
        """Make a temporary relation of a query: a ``"VIEW"``, or a ``"TABLE"`` computed once."""
        ...

    def make_numbered(self, name: str, select: str, order: Sequence[str]) -> None:
        """Make a table of a query with its rows numbered from 0, as the BIGINT column ``r``.

        No two rows are equal in the expressions of `order`.
        """
        ...

    def register(self, name: str, **columns: Any) -> None:
        """Make a relation of Arrow arrays of equal length."""
        ...

    def fetch(self, query: str, *, as_written: bool = False) -> Any:
        """Return the answer to a query as an Arrow table, in its order where it states one.

        With `as_written` joins should run in the order of the text, with what stands on the right
        in memory: events are read past the rows that are counted for, however many there are.
        """
        ...

    def stream(self, query: str, *, as_written: bool = False) -> Iterator[Any]:
        """Yield the answer to a query as Arrow record batches, in its order where it states one.

        The answer is never held as a whole. Until it is read nothing else may be asked.
        """
        ...

    def close(self) -> None:
        """Give back what the session holds."""
        ...


def number(session: Session, query: str) -> int:
    """Return the single integer that a query asks for."""
    return int(session.fetch(query).column(0)[0].as_py())
