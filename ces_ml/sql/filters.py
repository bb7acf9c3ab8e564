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

__all__ = ["ColumnSql", "Kind", "filter_sql"]

#: What a column is compared as.
Kind = Literal["number", "text", "truth", "anything"]
#: Returns the SQL of a column of the log when it is compared as a kind, or refuses.
ColumnSql = Callable[[str, Kind], str]


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
    return f"COALESCE({_sql(condition, column_sql, text)}, FALSE)"


def _sql(condition: Condition, column_sql: ColumnSql, text: Callable[[str], str]) -> str:
    match condition:
        case Comparison(column, op, value):
            sign = "<>" if op == "!=" else op
            return f"{column_sql(column, _kind(value))} {sign} {_literal(value, text)}"
        case Membership(column, values):
            # One kind at a time: a column of numbers refuses the text in the list by name.
            found = [column_sql(column, kind) for kind in dict.fromkeys(map(_kind, values))]
            return f"{found[0]} IN ({', '.join(_literal(v, text) for v in values)})"
        case IsNull(column):
            return f"{column_sql(column, 'anything')} IS NULL"
        case IsTrue(column):
            return column_sql(column, "truth")
        case Not(inner):
            return f"NOT ({_sql(inner, column_sql, text)})"
        case _:
            word = " AND " if isinstance(condition, All) else " OR "
            return word.join(_inside(p, column_sql, text) for p in condition.parts)


def _inside(part: Condition, column_sql: ColumnSql, text: Callable[[str], str]) -> str:
    inner = _sql(part, column_sql, text)
    return inner if isinstance(part, Comparison | IsTrue) else f"({inner})"


def _kind(value: Value) -> Kind:
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


def _literal(value: Value, text: Callable[[str], str]) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return text(value)
    return str(value) if isinstance(value, int) else float_literal(value)
