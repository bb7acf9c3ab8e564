"""Properties of events: columns as numbers, lengths of time, text, and filters on them.

What a column may hold to be summed, compared or counted is settled here, before anything is
counted; a column of text serves as numbers where every value in it is one (CSV files are text).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ces_ml.errors import EventLogError, did_you_mean, show
from ces_ml.features.dialect import DUCKDB, Dialect
from ces_ml.spec.where import parse_where
from ces_ml.sql.filters import Kind, filter_sql
from ces_ml.sql.plan import Property

__all__ = [
    "FLOATS",
    "NOTHING",
    "UNSIGNED",
    "WHOLE",
    "Ask",
    "filter_column",
    "filter_columns",
    "property_column",
]

#: Asks ``source`` a question in SQL and returns the only row of the answer.
Ask = Callable[[str], tuple[Any, ...]]

WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
FLOATS = ("FLOAT", "DOUBLE")
NOTHING = '"NULL"'  # the type of a column without a single value
_TEXTS = ("VARCHAR", "UUID")
_MOMENTS = ("DATE", "TIME", "TIMESTAMP", "INTERVAL")


def property_column(
    ask: Ask, wanted: Property, types: Mapping[str, str], dialect: Dialect = DUCKDB
) -> str:
    """Return the SQL of a value column, as its kind asks.

    Raises
    ------
    EventLogError
        If there is no such column, or its type or content can't be used so.
    """
    kind = _type(wanted.column, types, "which a count reads")
    if wanted.kind == "number":
        return _number(ask, wanted.column, kind, dialect)
    if wanted.kind == "seconds":
        return _seconds(ask, wanted.column, kind, dialect)
    return _text(wanted.column, kind, dialect)


def filter_column(ask: Ask, where: str, types: Mapping[str, str], dialect: Dialect = DUCKDB) -> str:
    """Return the SQL of a filter: true or false for every event, never null.

    Raises
    ------
    EventLogError
        If there is no such column, or it can't be compared as the filter does.
    """

    def column_sql(column: str, kind: Kind) -> str:
        held = _type(column, types, f"which the filter {show(where)} names")
        if kind == "anything":
            return _present(dialect.column(column), held)
        readers = {"number": _as_number, "text": _as_text, "truth": _as_truth}
        found = readers[kind](ask, column, held, dialect)
        if found is None:
            raise EventLogError(
                f"column {show(column)} can't be compared with {_COMPARED[kind]}",
                got=f"{show(where)}; the column has type {held}",
                allowed=f"{_HOLDS[kind]}, in this column or another: "
                + did_you_mean(column, [c for c in types if c != column]),
                hint=f"write {_comparison(held)}, or filter on another column",
            )
        return found

    return filter_sql(parse_where(where), column_sql, dialect.literal)


def filter_columns(where: str) -> list[str]:
    """Return the columns that a filter names."""
    named: list[str] = []

    def collect(column: str, kind: object) -> str:
        named.append(column)
        return ""

    filter_sql(parse_where(where), collect)
    return named


_COMPARED = {"number": "a number", "text": "text", "truth": "true or false"}
_HOLDS = {
    "number": "numbers",
    "text": "text, categories or UUIDs",
    "truth": "true and false",
}


def _type(column: str, types: Mapping[str, str], who: str) -> str:
    if column not in types:
        raise EventLogError(
            f"the event log has no such column, {who}",
            got=show(column),
            allowed=did_you_mean(column, types),
            hint="correct the name of the property",
        )
    return types[column]


def _is_number(kind: str) -> bool:
    return kind in (*WHOLE, *UNSIGNED, *FLOATS) or kind.startswith("DECIMAL")


def _number(ask: Ask, column: str, kind: str, dialect: Dialect) -> str:
    name = dialect.column(column)
    number = dialect.number.format(name)
    if not (_is_number(kind) or kind in ("VARCHAR", "BOOLEAN", NOTHING)):
        raise EventLogError(
            f"column {show(column)} can't be summed",
            got=f"type {kind}",
            allowed="numbers",
            hint="name a number column as property or value_col",
        )
    bad = ask(
        f"SELECT COUNT(*) FROM source WHERE {name} IS NOT NULL "
        f"AND ({number} IS NULL OR NOT ({dialect.finite.format(number)}))"
    )[0]
    if bad:
        raise EventLogError(
            f"column {show(column)} holds values that can't be summed",
            got=f"{bad:,} rows with NaN, infinity or text",
            allowed="finite numbers; null counts as 0",
            hint="clean the column, or turn NaN into null",
        )
    return number


def _seconds(ask: Ask, column: str, kind: str, dialect: Dialect) -> str:
    if kind == "INTERVAL":
        return dialect.seconds.format(dialect.column(column))
    if kind.startswith("TIME") or kind in ("DATE", "BOOLEAN"):
        raise EventLogError(
            f"column {show(column)} does not hold lengths of time",
            got=f"type {kind}",
            allowed="intervals, or numbers of seconds",
            hint="name a duration column as property, or use `until` to measure pairs of events",
        )
    return _number(ask, column, kind, dialect)


def _text(column: str, kind: str, dialect: Dialect) -> str:
    name = dialect.column(column)
    if kind in FLOATS:
        # 0 and −0 are one value; NaN is what pandas writes for none.
        return f"CASE WHEN NOT isnan({name}) THEN CAST({name} + 0 AS STRING) END"
    simple = _is_number(kind) or kind in (*_TEXTS, "BOOLEAN", NOTHING)
    if simple or (kind.startswith(("ENUM(", *_MOMENTS)) and not kind.endswith("]")):
        return f"CAST({name} AS STRING)"
    raise EventLogError(
        f"the values of column {show(column)} can't be told apart",
        got=f"type {kind}",
        allowed="text, numbers, true and false, dates or times",
        hint="name a column of single values as property",
    )


def _as_number(ask: Ask, column: str, kind: str, dialect: Dialect) -> str | None:
    name = dialect.column(column)
    if _is_number(kind):
        return _present(name, kind)
    if kind == NOTHING:
        return f"CAST({name} AS DOUBLE)"
    if kind != "VARCHAR":
        return None
    number = dialect.number.format(name)
    words = ask(
        f"SELECT COUNT(*) FROM source WHERE {name} IS NOT NULL "
        f"AND ({number} IS NULL OR NOT ({dialect.finite.format(number)}))"
    )[0]
    return None if words else number


def _as_text(ask: Ask, column: str, kind: str, dialect: Dialect) -> str | None:
    if kind in (*_TEXTS, NOTHING) or (kind.startswith("ENUM(") and not kind.endswith("]")):
        return f"CAST({dialect.column(column)} AS STRING)"
    return None


def _as_truth(ask: Ask, column: str, kind: str, dialect: Dialect) -> str | None:
    name = dialect.column(column)
    if kind == "BOOLEAN":
        return name
    if kind == NOTHING:
        return f"CAST({name} AS BOOLEAN)"
    if kind != "VARCHAR":
        return None
    word = f"lower({name})"
    others = ask(
        f"SELECT COUNT(*) FROM source WHERE {name} IS NOT NULL AND {word} NOT IN ('true', 'false')"
    )[0]
    return None if others else f"({word} = 'true')"


def _present(name: str, kind: str) -> str:
    """Return a column with NaN as null: no value is larger than every number."""
    return f"CASE WHEN NOT isnan({name}) THEN {name} END" if kind in FLOATS else name


def _comparison(kind: str) -> str:
    if _is_number(kind):
        return "a number without quotes"
    if kind == "BOOLEAN":
        return "the column alone, or = true"
    return "text in single quotes" if kind in _TEXTS else "`is null` or `is not null`"
