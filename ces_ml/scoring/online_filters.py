"""Filters on properties over arrays: what ``ces_ml.sql.filters`` says in SQL, without an engine."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ces_ml.errors import EventLogError, show
from ces_ml.spec.where import (
    All,
    Comparison,
    Condition,
    IsNull,
    IsTrue,
    Membership,
    Not,
    Value,
    parse_where,
)

__all__ = ["fits", "holds", "kinds_in", "read_as"]

#: True where the condition is, and where it is neither true nor false.
Truth = tuple[NDArray[np.bool_], NDArray[np.bool_]]
#: Values and where they are null, of a column compared as a kind.
Column = tuple[Any, NDArray[np.bool_]]
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ALLOWED = {
    "number": "numbers, or text in which every value is one",
    "text": "text",
    "truth": "true and false",
}


def holds(where: str, columns: Callable[[str, str], Column]) -> NDArray[np.bool_]:
    """Return where a filter is true, of shape (n_events,).

    Parameters
    ----------
    where : str
    columns : callable
        Returns a column by its name and the kind that it is compared as; see `read_as`.
    """
    return _truth(parse_where(where), columns)[0]


def kinds_in(where: str) -> set[tuple[str, str]]:
    """Return the columns of a filter and what each is compared as."""
    return set(_kinds(parse_where(where)))


def _kinds(condition: Condition) -> Iterator[tuple[str, str]]:
    match condition:
        case Comparison(column, _, value):
            yield column, _kind(value)
        case Membership(column, values):
            for value in values:
                yield column, _kind(value)
        case IsNull(column):
            yield column, "anything"
        case IsTrue(column):
            yield column, "truth"
        case Not(inner):
            yield from _kinds(inner)
        case _:
            for part in condition.parts:
                yield from _kinds(part)


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


def _truth(condition: Condition, columns: Callable[[str, str], Column]) -> Truth:
    match condition:
        case Comparison(column, op, value):
            held, null = columns(column, _kind(value))
            return np.asarray(_COMPARE[op](held, value), np.bool_) & ~null, null
        case Membership(column, values):
            same = [_truth(Comparison(column, "=", v), columns) for v in values]
            return np.any([t for t, _ in same], axis=0), same[0][1]
        case IsNull(column):
            _, null = columns(column, "anything")
            return null, np.zeros_like(null)
        case IsTrue(column):
            held, null = columns(column, "truth")
            return np.asarray(held, np.bool_) & ~null, null
        case Not(inner):
            true, null = _truth(inner, columns)
            return ~true & ~null, null
        case All(parts):
            found = [_truth(p, columns) for p in parts]
            false = np.any([~t & ~n for t, n in found], axis=0)
            true = np.all([t for t, _ in found], axis=0)
            return true, ~true & ~false
        case _:
            found = [_truth(p, columns) for p in condition.parts]
            true = np.any([t for t, _ in found], axis=0)
            false = np.all([~t & ~n for t, n in found], axis=0)
            return true, ~true & ~false


def read_as(name: str, values: pd.Series, kind: str) -> Column:
    """Return a column as arrays of one kind, null where it has no value (NaN too).

    Raises
    ------
    EventLogError
        If it holds anything else.
    """
    null = values.isna().to_numpy(np.bool_)
    if kind == "anything":
        return None, null
    held = values[~pd.Series(null, values.index)]
    found = {"number": _numbers, "text": _texts, "truth": _truths}[kind](held)
    if found is None:
        wrong = next((v for v in held.tolist() if isinstance(v, str) or kind != "number"), held)
        raise EventLogError(
            f"property {show(name)} can't be compared as a filter of the weight set does",
            got=f"for example {show(wrong, 60)}",
            allowed=_ALLOWED[kind],
            hint="send the property as the log has it",
        )
    if null.any():
        whole = np.zeros(len(values), dtype=found.dtype)
        if found.dtype == object:
            whole[:] = ""
        whole[~null] = found
        return whole, null
    return found, null


def fits(value: Any, kind: str) -> bool:
    """Return whether a value is plainly of a kind; others are judged by `read_as`."""
    if value is None or kind == "anything":
        return True
    plain: dict[str, tuple[type, ...]] = {"number": (int, float), "text": (str,), "truth": (bool,)}
    return type(value) in plain[kind] and not (kind == "number" and abs(value) > 1.7e308)


def _numbers(held: pd.Series) -> Any:
    if held.dtype == bool or any(isinstance(v, bool) for v in _objects(held)):
        return None
    try:
        found = pd.to_numeric(held).to_numpy()
        return found if np.isfinite(found.astype(np.float64)).all() else None
    except (ValueError, TypeError, OverflowError):
        return None


def _texts(held: pd.Series) -> Any:
    if held.dtype.kind in "biufmM":
        return np.array([], dtype=object) if held.empty else None
    found = np.array([*held.tolist(), None], dtype=object)[:-1]
    return found if all(isinstance(v, str) for v in found) else None


def _truths(held: pd.Series) -> Any:
    if held.dtype.kind == "b":
        return held.to_numpy(np.bool_)
    words = [str(v).lower() if isinstance(v, bool | str | np.bool_) else "" for v in held.tolist()]
    if any(w not in ("true", "false") for w in words):
        return None
    return np.array([w == "true" for w in words], np.bool_)


def _objects(held: pd.Series) -> list[Any]:
    return held.tolist() if held.dtype == object else []
