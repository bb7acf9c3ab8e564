"""From the relation ``raw``, as a log is stored, to ``source``, whose columns are one value each.

What the names in an `EventSchema` may stand for is settled here, before types are checked
(`ces_ml.features.columns`): fields inside a column, times as numbers of a unit, and a second
column for customers without an id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ces_ml.errors import EventLogError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.sql.quoting import float_literal, identifier, literal

if TYPE_CHECKING:
    import duckdb

__all__ = ["PER_SECOND", "LogShape", "check_range", "column_types", "no_numbers", "settled"]

#: The years 1 and 10000.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_800_000_000
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
_WHOLE |= {"UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}


def settled(schema: EventSchema) -> EventSchema:
    """Return the schema of a log as `LogShape` leaves it: no units, no second customer column."""
    return schema.model_copy(
        update={"anonymous_col": None, "timestamp_unit": None, "arrival_unit": None}
    )


class LogShape:
    """How ``source`` is made of ``raw``.

    Parameters
    ----------
    con : DuckDBPyConnection
        With the relation ``raw``.
    schema : EventSchema

    Raises
    ------
    EventLogError
        If times that are numbers don't fit their unit, or there is no `anonymous_col`.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, schema: EventSchema) -> None:
        self.schema, self._con = schema, con
        self.types = column_types(con, "raw")
        self._found: dict[str, str] = {}
        roles = (schema.customer_col, schema.event_col, schema.timestamp_col)
        self._find([*roles, schema.arrival_col, schema.value_col, schema.anonymous_col])
        for column, unit in (
            (schema.timestamp_col, schema.timestamp_unit),
            (schema.arrival_col, schema.arrival_unit),
        ):
            if column in self._found and unit is not None:
                self._found[column] = _time(con, column, self._found[column], unit)
        if schema.anonymous_col is not None:
            self._fall_back(schema.customer_col, schema.anonymous_col)

    def sql(self, more: Iterable[str] = ()) -> str:
        """Return the query over ``raw`` for ``source``: all of its columns, and the fields named.

        Names that can't be found are left for the reader of ``source`` to refuse.
        """
        self._find(more)
        replaced = [
            f"{e} AS {identifier(c)}"
            for c, e in self._found.items()
            if c in self.types and e != identifier(c)
        ]
        added = [f"{e} AS {identifier(c)}" for c, e in self._found.items() if c not in self.types]
        star = f"* REPLACE ({', '.join(replaced)})" if replaced else "*"
        return f"SELECT {', '.join([star, *added])} FROM raw"

    def _find(self, names: Iterable[str | None]) -> None:
        for name in names:
            if name is None or name in self._found:
                continue
            if name in self.types:
                self._found[name] = identifier(name)
            elif (field := _field(self._con, name, self.types)) is not None:
                self._found[name] = field

    def _fall_back(self, column: str, anonymous: str) -> None:
        """Let `anonymous` stand in for customers without an id."""
        if anonymous not in self._found:
            raise EventLogError(
                "the event log has no such column",
                got=f"{show(anonymous)} (anonymous_col)",
                allowed=did_you_mean(anonymous, self.types),
                hint="name the column in the event schema, or set anonymous_col to null",
            )
        if column in self._found:
            ids = [self._found[column], self._found[anonymous]]
            kinds = {_type_of(self._con, e) for e in ids}
            if len(kinds) > 1 or kinds == {"VARCHAR"}:
                ids = [f"NULLIF(CAST({e} AS VARCHAR), '')" for e in ids]
            self._found[column] = f"COALESCE({', '.join(ids)})"


def column_types(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return the columns of a relation and DuckDB's names of their types."""
    described = con.sql(f"SELECT * FROM {relation} LIMIT 0")
    return dict(zip(described.columns, map(str, described.types), strict=True))


def _type_of(con: duckdb.DuckDBPyConnection, expression: str) -> str:
    return str(con.sql(f"SELECT {expression} AS x FROM raw LIMIT 0").types[0])


def _field(con: duckdb.DuckDBPyConnection, name: str, types: Mapping[str, str]) -> str | None:
    """Return the expression for a field such as ``properties.time``; None if there is none.

    Names of fields become literals, never part of an expression.
    """
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        column = ".".join(parts[:length])
        if column in types:
            return _descend(con, identifier(column), types[column], parts[length:])
    return None


def _descend(
    con: duckdb.DuckDBPyConnection, expression: str, kind: str, fields: list[str]
) -> str | None:
    if not fields:
        return expression
    if kind in ("JSON", "VARCHAR"):
        pointer = "".join("/" + f.replace("~", "~0").replace("/", "~1") for f in fields)
        # Text that is no JSON has no fields.
        return (
            f"CASE WHEN json_valid({expression}) "
            f"THEN json_extract_string({expression}, {literal(pointer)}) END"
        )
    if kind.startswith("STRUCT") and not kind.endswith("]"):
        held = con.sql(f"SELECT {expression} AS x FROM raw LIMIT 0").types[0]
        names = [child for child, _ in held.children]
        for length in range(len(fields), 0, -1):
            name = ".".join(fields[:length])
            if name in names:
                inner = f"struct_extract({expression}, {literal(name)})"
                return _descend(con, inner, _type_of(con, inner), fields[length:])
        return None
    if kind.startswith('STRUCT("key" VARCHAR, ') and kind.endswith("[]"):
        # The parameters of GA4: a list of keys, each with a value in one of several types.
        inner = f"list_filter({expression}, lambda p: p.key = {literal(fields[0])})[1].value"
        held = con.sql(f"SELECT {inner} AS x FROM raw LIMIT 0").types[0]
        if len(fields) == 1 and str(held).startswith("STRUCT"):
            texts = [
                f"CAST(struct_extract({inner}, {literal(c)}) AS VARCHAR)" for c, _ in held.children
            ]
            return f"COALESCE({', '.join(texts)})"
        return _descend(con, inner, _type_of(con, inner), fields[1:])
    if kind.startswith("MAP(VARCHAR"):
        inner = f"map_extract_value({expression}, {literal(fields[0])})"
        return _descend(con, inner, _type_of(con, inner), fields[1:])
    return None


def _time(con: duckdb.DuckDBPyConnection, column: str, expression: str, unit: str) -> str:
    """Return the expression for a TIMESTAMPTZ of a number of units since 1970."""
    kind = _type_of(con, expression)
    factor = 10**6 // PER_SECOND[unit] if unit != "ns" else 1
    if kind in _WHOLE:
        us = f"CAST({expression} AS HUGEINT) * {factor}"
        if unit == "ns":  # rounded down: an event must never move to a later microsecond
            us = f"({us} - (({us}) % 1000 + 1000) % 1000) // 1000"
    elif kind in ("FLOAT", "DOUBLE"):
        # A float of seconds is exact to a quarter of a microsecond at best: to the nearest.
        scale = float_literal(1e6 / PER_SECOND[unit])
        us = f"TRY_CAST(round({expression} * {scale}) AS HUGEINT)"
    elif kind == "VARCHAR" or kind.startswith("DECIMAL"):
        number = f"TRY_CAST(trim(CAST({expression} AS VARCHAR)) AS DECIMAL(28, 9))"
        _check_numbers(con, column, expression, number, unit)
        us = f"CAST(floor({number} * {factor}{' / 1000' if unit == 'ns' else ''}) AS HUGEINT)"
    else:
        return expression  # a timestamp needs no unit; what can't be a time is refused later
    _check_range_of(con, column, us, unit)
    return f"make_timestamptz(TRY_CAST({us} AS BIGINT))"


def _check_numbers(
    con: duckdb.DuckDBPyConnection, column: str, expression: str, number: str, unit: str
) -> None:
    bad, example = con.execute(
        f"SELECT COUNT(*), MIN({expression}) FROM raw "
        f"WHERE {expression} IS NOT NULL AND {number} IS NULL"
    ).fetchall()[0]
    if bad:
        raise no_numbers(column, bad, example, unit)


def no_numbers(column: str, bad: int, example: str, unit: str) -> EventLogError:
    """Return the error for times that should be numbers and are text."""
    return EventLogError(
        f"column {show(column)} holds times that are no numbers",
        got=f"{bad:,} rows, for example {show(example)}",
        allowed=f"numbers of {unit} since 1970, as the unit in the event schema says",
        hint="remove the unit if the times are text, or correct these rows",
    )


def _check_range_of(con: duckdb.DuckDBPyConnection, column: str, us: str, unit: str) -> None:
    first, last = con.execute(f"SELECT MIN({us}), MAX({us}) FROM raw").fetchall()[0]
    check_range(column, first, last, unit)


def check_range(column: str, first: float | None, last: float, unit: str) -> None:
    """Refuse times that can't be of their unit, by the first and the last in UTC microseconds."""
    day = 86_400_000_000
    if first is None or (first >= _FIRST_US and 730 * day <= last < _LAST_US):
        return
    raise EventLogError(
        f"times in {show(column)} do not fit their unit",
        got=f"numbers that, in {unit}, end {last // day / 365.2425:,.2f} years after 1970",
        allowed="times from 1972 to the year 9999",
        hint="correct the unit in the event schema: s, ms, us or ns",
    )
