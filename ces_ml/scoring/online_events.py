"""Events of many shapes, brought to the arrays that the compiled passes read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ces_ml.errors import EventLogError, SpecError, did_you_mean, show
from ces_ml.scoring.online_filters import holds, kinds_in, read_as
from ces_ml.scoring.online_plan import OnlinePlan
from ces_ml.spec.as_of import parse_moment, to_us
from ces_ml.sql.plan import Property

__all__ = [
    "Events",
    "as_frame",
    "frame_events",
    "hashed",
    "moment_us",
    "plain_customer",
    "texts_of",
    "wanted_columns",
]

_PER_SECOND = {"s": 10**6, "ms": 10**3, "us": 1}
#: The years 1 and 10000.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_800_000_000


@dataclass(frozen=True)
class Events:
    """Events as arrays, in the order in which they were given.

    Parameters
    ----------
    customers : list
        Different customers.
    who : ndarray of shape (n_events,)
        Place of every event's customer in `customers`.
    row : ndarray of shape (n_events,)
        Row of the type in the plan, −1 where no term counts it.
    ts, known : ndarray of shape (n_events,)
        Microseconds: when it happened, and when it was known.
    numbers : ndarray of shape (n_numbers, n_events)
        NaN where there is no value.
    filters : ndarray of bool, of shape (n_filters, n_events)
    texts : list of Series
        Values that ``distinct`` tells apart; null where there is none.
    ids : ndarray of int64
        Of shape (n_events,), or empty.
    """

    customers: list[Any]
    who: NDArray[np.int64]
    row: NDArray[np.int64]
    ts: NDArray[np.int64]
    known: NDArray[np.int64]
    numbers: NDArray[np.float64]
    filters: NDArray[np.bool_]
    texts: list[pd.Series]
    ids: NDArray[np.int64]


def wanted_columns(plan: OnlinePlan, event_id_col: str | None) -> list[str]:
    """Return the columns that a plan reads, each once."""
    schema = plan.weight_set.scored_events
    wanted = [schema.customer_col, schema.event_col, schema.timestamp_col]
    wanted += [c for c in (schema.arrival_col, schema.anonymous_col, event_id_col) if c]
    wanted += [p.column for p in plan.counting.properties]
    wanted += [c for f in plan.counting.filters for c, _ in kinds_in(f)]
    return list(dict.fromkeys(wanted))


def as_frame(events: Any, wanted: list[str]) -> pd.DataFrame:
    """Return a frame, table or list of mappings as a pandas frame, with the columns wanted."""
    if isinstance(events, pd.DataFrame):
        return events
    if hasattr(events, "to_pandas") and hasattr(events, "select"):
        names = getattr(events, "column_names", None) or events.columns
        return events.select([c for c in wanted if c in names]).to_pandas()  # type: ignore[no-any-return]
    if isinstance(events, list) and all(isinstance(e, Mapping) for e in events):
        return pd.DataFrame(events)
    raise EventLogError(
        "these events can't be read",
        got=f"a {type(events).__qualname__}",
        allowed="a pandas or polars DataFrame, a pyarrow Table or a list of mappings",
        hint="make a frame with one row an event",
    )


def frame_events(
    plan: OnlinePlan, frame: pd.DataFrame, event_id_col: str | None
) -> tuple[Events, dict[str, int]]:
    """Read the columns of a frame that the plan needs; return what was dropped beside them.

    Raises
    ------
    EventLogError
        If a column is not there, or holds what can't be counted.
    """
    schema = plan.weight_set.scored_events
    for name in wanted_columns(plan, event_id_col):
        if name not in frame and name != schema.anonymous_col:
            raise EventLogError(
                "the events have no such column",
                got=show(name),
                allowed=did_you_mean(name, map(str, frame.columns)),
                hint="name the columns as the weight set's events do",
            )
    customer = _customers(frame, schema.customer_col, schema.anonymous_col)
    kind = frame[schema.event_col]
    stamp = _times(frame[schema.timestamp_col], schema.timestamp_col, schema.timestamp_unit)
    dropped = {
        "null_customer": customer.isna(),
        "null_event_type": kind.isna(),
        "null_timestamp": stamp.isna(),
    }
    arrived = stamp
    if schema.arrival_col is not None:
        arrived = _times(frame[schema.arrival_col], schema.arrival_col, schema.arrival_unit)
        dropped["null_arrival"] = arrived.isna()
    kept = ~np.any([d.to_numpy() for d in dropped.values()], axis=0)
    if not kept.all():
        frame, customer, kind = frame[kept], customer[kept], kind[kept]
        stamp, arrived = stamp[kept], arrived[kept]
    ts = stamp.to_numpy(np.int64)
    ids = np.empty(0, np.int64)
    if event_id_col is not None:
        ids = hashed(frame[event_id_col], event_id_col)
    who, customers = pd.factorize(customer)
    columns = _Columns(frame)
    filters = [holds(f, columns) for f in plan.counting.filters]
    events = Events(
        [plain_customer(c) for c in customers.tolist()],
        who.astype(np.int64),
        _rows(plan, kind),
        ts,
        np.maximum(ts, arrived.to_numpy(np.int64)),
        np.array([_number(p, frame[p.column]) for p in plan.numbers]).reshape(
            len(plan.numbers), len(ts)
        ),
        np.array(filters, np.bool_).reshape(len(filters), len(ts)),
        [texts_of(frame[p.column]) for p in plan.texts],
        ids,
    )
    return events, {reason: int(d.sum()) for reason, d in dropped.items()}


class _Columns:
    """Columns of a frame as filters read them, each once."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._read: dict[tuple[str, str], Any] = {}

    def __call__(self, name: str, kind: str) -> Any:
        if (name, kind) not in self._read:
            self._read[name, kind] = read_as(name, self._frame[name], kind)
        return self._read[name, kind]


def _customers(frame: pd.DataFrame, column: str, anonymous: str | None) -> pd.Series:
    found = frame[column]
    if anonymous is None or anonymous not in frame:
        return found
    other = frame[anonymous]
    if found.dtype.kind in "iu" and other.dtype.kind in "iu":
        return found
    ids = [c.astype("object").where(c.notna(), None) for c in (found, other)]
    texts = [c.map(lambda v: None if v is None or v == "" else str(v)) for c in ids]
    return texts[0].where(texts[0].notna(), texts[1])


def plain_customer(customer: Any) -> Any:
    """Return an id as the engines write it: a whole number or text."""
    if isinstance(customer, int | np.integer) and not isinstance(customer, bool):
        return int(customer)
    if isinstance(customer, float) and customer.is_integer():
        return int(customer)  # a column of whole numbers with nulls
    return str(customer)


def _rows(plan: OnlinePlan, kind: pd.Series) -> NDArray[np.int64]:
    codes, kinds = pd.factorize(kind)
    places = plan.event_types
    of_kind = np.array([places.get(str(k), -1) for k in kinds] + [-1], np.int64)
    return of_kind[codes]


def _times(column: pd.Series, name: str, unit: str | None) -> pd.Series:
    """Return times as microseconds since 1970 in Int64, null where there is none."""
    try:
        if column.dtype.kind in "iufO" and unit is not None:
            found = _of_unit(pd.to_numeric(column), unit)
        elif column.dtype.kind in "iuf" and not column.isna().all():
            raise ValueError("numbers without a unit")
        else:
            found = _of_moments(column)
    except (ValueError, TypeError, OverflowError) as error:
        raise EventLogError(
            f"column {show(name)} does not hold times",
            got=str(error).splitlines()[0][:120],
            allowed="timestamps, text in ISO 8601, or numbers with a unit in the event schema",
            hint="convert the column, or name its unit",
        ) from error
    inside = found.isna() | ((found >= _FIRST_US) & (found < _LAST_US))
    if not inside.all():
        raise EventLogError(
            f"times in {show(name)} lie outside the calendar",
            got=f"{int((~inside).sum())} times, for example {found[~inside].iloc[0]} µs since 1970",
            allowed="times from the year 1 to the year 9999",
            hint="correct the times or their unit",
        )
    return found


def _of_unit(column: pd.Series, unit: str) -> pd.Series:
    if column.dtype.kind == "f":
        scaled = column.to_numpy(np.float64) * (1e-3 if unit == "ns" else _PER_SECOND[unit])
        us = np.floor(scaled) if unit == "ns" else np.round(scaled)
        return pd.Series(us, index=column.index).astype("Int64")
    whole = column.astype("Int64")
    if unit == "ns":
        return whole // 1000
    # Past the calendar a product could wrap around and come back into it.
    most = _LAST_US // _PER_SECOND[unit]
    return whole.clip(-most, most) * _PER_SECOND[unit]


def _of_moments(column: pd.Series) -> pd.Series:
    if column.dtype.kind != "M":
        iso = None if column.isna().all() else "ISO8601"
        column = pd.to_datetime(column, utc=True, format=iso)
    elif column.dt.tz is None:
        column = column.dt.tz_localize("UTC")
    null = column.isna()
    # Rounded down: an event must never move to a later microsecond.
    us = column.dt.tz_convert("UTC").dt.tz_localize(None).dt.floor("us").dt.as_unit("us")
    held = us.to_numpy().astype("datetime64[us]").view(np.int64).copy()
    return pd.Series(pd.arrays.IntegerArray(held, null.to_numpy(np.bool_)), index=us.index)


def moment_us(moment: Any) -> int:
    """Return a moment as UTC microseconds; a whole number is taken as such.

    Raises
    ------
    SpecError
        If it is no moment, or lies outside the years 1 to 9999.
    """
    if not isinstance(moment, int | np.integer) or isinstance(moment, bool):
        return to_us(parse_moment(moment))
    if not _FIRST_US <= moment < _LAST_US:
        raise SpecError(
            "a moment lies outside the calendar",
            got=f"{moment} µs since 1970",
            allowed="a whole number of UTC microseconds in the years 1 to 9999",
            hint="convert the number to microseconds, or pass a datetime",
        )
    return int(moment)


def _number(wanted: Property, column: pd.Series) -> NDArray[np.float64]:
    """Return a value column as float64, NaN where it is null."""
    if wanted.kind == "seconds" and column.dtype.kind == "m":
        return np.asarray(column.dt.total_seconds().to_numpy(), dtype=np.float64)
    if wanted.kind == "seconds" and column.dtype.kind == "O":
        column = column.map(lambda v: v.total_seconds() if isinstance(v, timedelta) else v)
    try:
        found = pd.to_numeric(column).to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise EventLogError(
            f"property {show(wanted.column)} holds values that can't be added up",
            got=str(error).splitlines()[0][:120],
            allowed="finite numbers; null counts as 0",
            hint="clean the property",
        ) from error
    wrong = np.isinf(found) | (np.isnan(found) & column.notna().to_numpy())
    if wrong.any():
        raise EventLogError(
            f"property {show(wanted.column)} holds values that can't be added up",
            got=f"{int(wrong.sum())} of {len(found)} values, for example "
            + show(column[wrong].iloc[0], 40),
            allowed="finite numbers; null counts as 0",
            hint="clean the property",
        )
    return found


def texts_of(column: pd.Series) -> pd.Series:
    """Return the text by which the values of a property are told apart."""
    held = zip(column.astype(object), column.isna(), strict=True)
    texts = [None if null else _text(value) for value, null in held]
    # Not as pandas' own text, which refuses half a character.
    return pd.Series(texts, column.index, dtype=object)


def _text(value: Any) -> str | None:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and np.isfinite(value):
        # One number is one text, whether its column was read as whole numbers or not.
        return str(int(value)) if value == int(value) else repr(float(value))
    return None if value is None else str(value)


def hashed(column: pd.Series, name: str) -> NDArray[np.int64]:
    """Return ids as 64 bits each; of two that differ one in 2^64 is taken for the other.

    Raises
    ------
    EventLogError
        If an event has none.
    """
    if column.isna().any():
        raise EventLogError(
            "an event has no id, and duplicates are told by it",
            got=f"{int(column.isna().sum())} events without a value in {show(name)}",
            allowed="an id for every event",
            hint="give every event its id, or make the scorer without dedupe",
        )
    # Half a character, which UTF-8 can't hold, is hashed as its escape.
    texts = [str(v).encode("utf-8", "backslashreplace").decode() for v in column.astype(object)]
    array = np.array([*texts, None], dtype=object)[:-1]
    return pd.util.hash_array(array, categorize=False).view(np.int64)
