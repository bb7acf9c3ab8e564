"""Made-up events by which a warehouse proves that it counts as ces-ml does.

They lie on the edges of every window and one microsecond beside, differ in case and in spaces at
the end, and hold what the filters ask about. What must come out is computed when the export is
made, by the same relations in the dialect of SQLite, which comes with Python.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ces_ml.errors import SpecError
from ces_ml.exporters.sql.dialects import NUMBER_TIMES
from ces_ml.exporters.sql.options import SqlOptions
from ces_ml.spec.duration import DAY_US
from ces_ml.spec.where import Comparison, Condition, IsNull, IsTrue, Membership, Not, parse_where
from ces_ml.sql.filters import value_sql
from ces_ml.sql.plan import CountPlan
from ces_ml.weights.weight_set import WeightSet

__all__ = ["GOLDEN_AS_OF", "GoldenEvents", "golden_events", "run_in_sqlite"]

#: The moment that the made-up events are counted at.
GOLDEN_AS_OF = "2024-03-31T00:00:00+00:00"
_AS_OF_US = 1_711_843_200_000_000
_MOST_EVENTS = 900
#: Customers who are told apart by bytes only; the last one is not known before `as_of`.
_CUSTOMERS = {"text": ("a", "A", "b", "b ", "new"), "number": ("1", "2", "3", "4", "5")}
_VALUES: dict[str, list[Any]] = {
    "number": [12.25, 0.5, None, -3.0, 40.0],
    "text": ["web", "Web", None, "web "],
    "truth": [True, False],
}


@dataclass(frozen=True)
class GoldenEvents:
    """Rows of a log.

    Parameters
    ----------
    customers : tuple of str
        Who may have events; the last of them has one at `as_of` only.
    columns : tuple of (str, str)
        Names in the weight set, and kinds: customer, event, timestamp, arrival, number, text or
        truth.
    rows : tuple of tuple
        Times are integer microseconds.
    """

    customers: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Any, ...], ...]

    def names(self, options: SqlOptions) -> list[str]:
        """Return the quoted columns."""
        return [options.column(name, "a golden event") for name, _ in self.columns]

    def literals(self, weight_set: WeightSet, options: SqlOptions) -> list[list[str]]:
        """Return the rows as expressions of the dialect."""
        kinds = [kind for _, kind in self.columns]
        return [
            [_literal(v, kind, weight_set, options) for v, kind in zip(row, kinds, strict=True)]
            for row in self.rows
        ]


def golden_events(weight_set: WeightSet, options: SqlOptions) -> GoldenEvents:
    """Make up events for a weight set; always the same ones."""
    schema = weight_set.events
    plan = CountPlan.of(weight_set.spec.terms, schema.value_col)
    held = _properties(plan)
    columns = [(schema.customer_col, "customer"), (schema.event_col, "event")]
    columns.append((schema.timestamp_col, "timestamp"))
    if schema.arrival_col is not None:
        columns.append((schema.arrival_col, "arrival"))
    if schema.anonymous_col is not None:
        columns.append((schema.anonymous_col, "customer"))
    roles = {name for name, _ in columns}
    held = {name: found for name, found in held.items() if name not in roles}
    columns += [(name, kind) for name, (kind, _) in held.items()]
    customers = _CUSTOMERS[options.customer_type]
    rows: list[tuple[Any, ...]] = []
    for k, (event, age) in enumerate(_moments(weight_set)):
        us = _AS_OF_US - age
        who = customers[k % (len(customers) - 1)]
        row: list[Any] = [who, event, us]
        if schema.arrival_col is not None:
            row.append(None if k % 11 == 10 else _AS_OF_US if k % 7 == 6 else us)
        if schema.anonymous_col is not None:
            row[0], other = (None, who) if k % 3 == 2 else (who, None)
            row.append(other)
        # Steps that share no factor with the number of customers meet every pair.
        row += [found[(k // 2 + k // 9) % len(found)] for _, found in held.values()]
        rows.append(tuple(row))
    late = [customers[-1], weight_set.spec.events[0], _AS_OF_US]
    late += [_AS_OF_US] if schema.arrival_col is not None else []
    late += [None] if schema.anonymous_col is not None else []
    rows.append((*late, *(found[0] for _, found in held.values())))
    return GoldenEvents(customers, tuple(columns), tuple(rows))


def run_in_sqlite(query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query that needs no table.

    Raises
    ------
    SpecError
        If Python's SQLite can't compute it.
    """
    with closing(sqlite3.connect(":memory:")) as con:
        try:
            return con.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            raise SpecError(
                "the golden events can't be scored",
                got=f"SQLite {sqlite3.sqlite_version}: {error}",
                allowed="a SQLite of version 3.35 or later with mathematical functions",
                hint="use another build of Python, or export with shape=check",
            ) from error


def _moments(weight_set: WeightSet) -> list[tuple[str, int]]:
    """Return event types and ages in microseconds, on the edges of the windows of each term."""
    found: list[tuple[str, int]] = []
    for term in weight_set.terms:
        window = term.window.us
        for event in term.counted[:3]:
            for age in (window, window + 1, 1, 0, window // 2, window // 3):
                if term.until is not None:
                    found.append((event, age + 90_000_000))
                    found.append((term.until, age))
                else:
                    found.append((event, age))
        other = term.counted[0].swapcase()
        found += [(other, window // 2), (term.counted[0] + " ", DAY_US // 3)]
    step = -(-len(found) // _MOST_EVENTS)
    return found[::step]


def _properties(plan: CountPlan) -> dict[str, tuple[str, list[Any]]]:
    """Return kind and values of every column that terms and filters read."""
    kinds: dict[str, str] = {}
    asked: dict[str, list[Any]] = {}
    for wanted in plan.properties:
        if wanted.kind != "text":
            kinds[wanted.column] = "number"
    for where in plan.filters:
        for column, compared in _asked(parse_where(where)):
            for value in compared:
                asked.setdefault(column, []).append(value)
                kinds.setdefault(column, _kind(value))
            kinds.setdefault(column, "number")
    for wanted in plan.properties:
        kinds.setdefault(wanted.column, "text")
    made: dict[str, tuple[str, list[Any]]] = {}
    for column, kind in kinds.items():
        values = [v for v in asked.get(column, []) if _kind(v) == kind]
        beside = [v + d for v in values for d in (-1, 1)] if kind == "number" else []
        made[column] = kind, list(dict.fromkeys([*_VALUES[kind], *values, *beside]))
    return made


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


def _asked(condition: Condition) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield columns of a filter and what they are compared with."""
    match condition:
        case Comparison(column, _, value):
            yield column, (value,)
        case Membership(column, values):
            yield column, values
        case IsTrue(column):
            yield column, (True,)
        case IsNull(column):
            yield column, ()
        case Not(inner):
            yield from _asked(inner)
        case _:
            for part in condition.parts:
                yield from _asked(part)


def _literal(value: Any, kind: str, weight_set: WeightSet, options: SqlOptions) -> str:
    words, schema = options.words, weight_set.events
    if kind in ("timestamp", "arrival"):
        unit = schema.timestamp_unit if kind == "timestamp" else schema.arrival_unit
        return _moment(value, options.time_type(kind, unit), options)
    if kind == "customer" and options.customer_type == "number":
        return words.whole("NULL" if value is None else value)
    if value is None:
        return f"CAST(NULL AS {words.double if kind == 'number' else words.text})"
    if kind == "truth":
        return words.true if value else words.false
    if kind == "number":
        return f"CAST({words.number.format(value_sql(float(value)))} AS {words.double})"
    return f"CAST({words.literal(value)} AS {words.text})"


def _moment(us: int | None, kind: str, options: SqlOptions) -> str:
    """Return a moment as a column of a declared type would hold it."""
    words = options.words
    if kind in ("us", "ns"):
        return words.whole("NULL" if us is None else str(us * 1000 + 337 if kind == "ns" else us))
    if kind in NUMBER_TIMES:
        number = "NULL"
        if us is not None:
            number = words.number.format(value_sql(us / (1e6 if kind == "s" else 1e3)))
        return f"CAST({number} AS {words.double})"
    template = words.moments[kind]
    if us is None:
        return template.replace("'{}'", "NULL").replace("'{}+00:00'", "NULL").replace("{s}", "NULL")
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    text = moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    seconds = f"{us // 1_000_000}.{us % 1_000_000:06d}"
    return template.replace("{}", text).replace("{s}", seconds)
