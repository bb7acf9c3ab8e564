"""What one build computes for a set of terms: each aggregate once, each group of events once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ces_ml.spec.duration import Duration
from ces_ml.spec.terms import Term

__all__ = ["Aggregate", "CountPlan", "Group", "Part", "Property"]

#: The measures that read a column, and what they read it as.
_READS: dict[str, Literal["number", "seconds", "text"]] = {
    "sum": "number",
    "mean": "number",
    "duration": "seconds",
    "distinct": "text",
}
_UNIT = Duration("1h")


@dataclass(frozen=True)
class Property:
    """A column of the log and what it is read as: DOUBLE, a length in seconds as DOUBLE, text."""

    column: str
    kind: Literal["number", "seconds", "text"] = "number"


@dataclass(frozen=True)
class Group:
    """What is counted as one: event types, or pairs of a start among them and the end `until`."""

    events: tuple[str, ...]
    until: str | None = None


@dataclass(frozen=True)
class Part:
    """One query: over events or over pairs of events, with or without a cap on each day."""

    paired: bool = False
    daily: bool = False


@dataclass(frozen=True)
class Aggregate:
    """What is computed for a (row, group) pair: a term without its events, cap and transform."""

    measure: str
    window: Duration
    value: Property | None = None
    half_life: Duration | None = None
    where: str | None = None
    neutral: float = 0.0
    unit: Duration | None = None
    cap_per_day: float | None = None
    paired: bool = False

    @property
    def part(self) -> Part:
        """The query that computes it."""
        return Part(self.paired, self.cap_per_day is not None)


@dataclass(frozen=True)
class CountPlan:
    """What one pass over the log computes for a set of terms.

    Parameters
    ----------
    groups : tuple of Group
        The vocabulary; the position is the code.
    windows : tuple of int
        Longest window of every group, in microseconds.
    aggregates : tuple of Aggregate
        Columns ``a0, a1, …`` of the results.
    columns : tuple of (int, int)
        Code and aggregate of every term.
    """

    groups: tuple[Group, ...]
    windows: tuple[int, ...]
    aggregates: tuple[Aggregate, ...]
    columns: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, terms: Sequence[Term], value_col: str | None = None) -> CountPlan:
        """Group terms so that each aggregate is computed once.

        Parameters
        ----------
        terms : sequence of Term
        value_col : str, optional
            The column of terms that read one and name none.
        """
        groups: dict[Group, int] = {}
        aggregates: dict[Aggregate, int] = {}
        windows: list[int] = []
        columns = []
        for term in terms:
            code = groups.setdefault(Group(term.counted, term.until), len(groups))
            if code == len(windows):
                windows.append(0)
            windows[code] = max(windows[code], term.window.us)
            aggregate = _aggregate(term, value_col)
            columns.append((code, aggregates.setdefault(aggregate, len(aggregates))))
        return cls(tuple(groups), tuple(windows), tuple(aggregates), tuple(columns))

    @property
    def properties(self) -> tuple[Property, ...]:
        """Value columns ``p0, p1, …`` of ``ev``."""
        return tuple(dict.fromkeys(a.value for a in self.aggregates if a.value is not None))

    @property
    def filters(self) -> tuple[str, ...]:
        """Filters ``f0, f1, …`` of ``ev``, in their canonical text."""
        return tuple(dict.fromkeys(a.where for a in self.aggregates if a.where is not None))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The queries that are needed, in order of first use."""
        return tuple(dict.fromkeys(a.part for a in self.aggregates))

    def of_part(self, part: Part) -> dict[int, Aggregate]:
        """Return the aggregates of one query, by their number."""
        return {k: a for k, a in enumerate(self.aggregates) if a.part == part}

    def vocabulary(self) -> list[tuple[str, int, int, int]]:
        """Return the rows of ``vo``: (event_type, code, window_us, part)."""
        rows = {
            (event, code, self.windows[code], self.parts.index(self.aggregates[a].part))
            for code, a in self.columns
            if not self.aggregates[a].paired
            for event in self.groups[code].events
        }
        return sorted(rows)

    def pairs(self) -> list[tuple[str, int, int, int]]:
        """Return the rows of ``pv``: (event_type, code, window_us, is_start)."""
        return [
            (event, code, self.windows[code], is_start)
            for code, group in enumerate(self.groups)
            if group.until is not None
            for is_start, events in ((0, (group.until,)), (1, group.events))
            for event in events
        ]


def _aggregate(term: Term, value_col: str | None) -> Aggregate:
    column = term.property or value_col
    reads = term.measure in _READS and term.until is None and column is not None
    return Aggregate(
        measure=term.measure,
        window=term.window,
        value=Property(str(column), _READS[term.measure]) if reads else None,
        half_life=term.half_life,
        where=term.where,
        neutral=term.neutral,
        unit=(term.unit or _UNIT) if term.measure == "duration" else None,
        cap_per_day=term.cap_per_day,
        paired=term.until is not None,
    )
