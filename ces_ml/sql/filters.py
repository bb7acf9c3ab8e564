"""SQL of a filter on properties: made of its tree, by the quoting functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ces_ml.spec.where import (
    All,
    Comparison,
    Condition,
    IsNull,
    IsTrue,
    Membership,
    Not,
    Value,
)
from ces_ml.sql.quoting import float_literal, literal

__all__ = ["ColumnSql", "Kind", "ValueSql", "condition_sql", "filter_sql", "value_sql"]

#: What a column is compared as.
Kind = Literal["number", "text", "truth", "anything"]
#: Returns the SQL of a column of the log when it is compared as a kind, or refuses.
ColumnSql = Callable[[str, Kind], str]
#: Returns the SQL of a value that a column is compared with.
ValueSql = Callable[[Value], str]


def filter_sql(
    condition: Condition, column_sql: ColumnSql, text: Callable[[str], str] = literal
) -> str:
    """Return a boolean expression that is never null: true where the condition holds.

    Parameters
    ----------
    condition : Condition
    column_sql : callable
        Knows the log's columns and their types.
    text : callable, optional
        Returns the literal of a text; that of standard SQL when not given.

    Examples
    --------
    >>> from ces_ml.spec.where import parse_where
    >>> filter_sql(parse_where("a > 1 and not b"), lambda name, kind: f'"{name}"')
    'COALESCE("a" > 1 AND (NOT ("b")), FALSE)'
    """

    def values(value: Value) -> str:
        return text(value) if isinstance(value, str) else value_sql(value)

    return f"COALESCE({condition_sql(condition, column_sql, values)}, FALSE)"


def value_sql(value: Value) -> str:
    """Return a value as DuckDB and Spark write it."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return literal(value)
    return str(value) if isinstance(value, int) else float_literal(value)


def condition_sql(condition: Condition, column_sql: ColumnSql, values: ValueSql = value_sql) -> str:
    """Return a condition that is null, as in SQL, where it is neither true nor false.

    Parameters
    ----------
    condition : Condition
    column_sql : callable
    values : callable, optional
        How the dialect writes what columns are compared with.
    """

    def sql(inner: Condition) -> str:
        return condition_sql(inner, column_sql, values)

    match condition:
        case Comparison(column, op, value):
            sign = "<>" if op == "!=" else op
            return f"{column_sql(column, _kind(value))} {sign} {values(value)}"
        case Membership(column, held):
            # One kind at a time: a column of numbers refuses the text in the list by name.
            found = [column_sql(column, kind) for kind in dict.fromkeys(map(_kind, held))]
            return f"{found[0]} IN ({', '.join(map(values, held))})"
        case IsNull(column):
            return f"{column_sql(column, 'anything')} IS NULL"
        case IsTrue(column):
            return column_sql(column, "truth")
        case Not(inner):
            return f"NOT ({sql(inner)})"
        case _:
            word = " AND " if isinstance(condition, All) else " OR "
            return word.join(
                sql(p) if isinstance(p, Comparison | IsTrue) else f"({sql(p)})"
                for p in condition.parts
            )


def _kind(value: Value) -> Kind:
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"
