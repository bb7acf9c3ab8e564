"""Events that came one by one, held until they are worth a pass."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from ces_ml.errors import EventLogError, show
from ces_ml.scoring.online_events import Events, hashed, plain_customer, texts_of
from ces_ml.scoring.online_filters import fits, holds, kinds_in, read_as
from ces_ml.scoring.online_plan import OnlinePlan

__all__ = ["EventBuffer", "is_missing"]


class EventBuffer:
    """Single events, checked one by one, that become arrays.

    Parameters
    ----------
    plan : OnlinePlan
    """

    def __init__(self, plan: OnlinePlan) -> None:
        self._plan = plan
        self._kinds = {k for f in plan.counting.filters for k in kinds_in(f)}
        self._texts = {p.column for p in plan.texts}
        self._numbers = {p.column for p in plan.numbers}
        self._columns = {p.column for p in plan.counting.properties}
        self._columns |= {column for column, _ in self._kinds}
        self._clear()

    def _clear(self) -> None:
        self._whose: list[Any] = []
        self._what: list[str] = []
        self._when: list[int] = []
        self._known: list[int] = []
        self._ids: list[Any] = []
        self._held: dict[str, list[Any]] = {name: [] for name in self._columns}

    def __len__(self) -> int:
        return len(self._when)

    def add(
        self,
        customer: Any,
        event_type: Any,
        at: int,
        known: int,
        properties: Mapping[str, Any],
        value: Any,
        event_id: Any,
    ) -> None:
        """Hold one event.

        Raises
        ------
        EventLogError
            If it says neither whose nor what it is, or a value can't be counted.
        """
        if is_missing(customer) or is_missing(event_type):
            raise EventLogError(
                "an event says neither whose nor what it is",
                got=f"customer {show(customer)}, event type {show(event_type)}",
                allowed="an id and an event type",
                hint="leave out events without them; the batch drops them, too",
            )
        if self._columns:
            row = {name: properties.get(name) for name in self._columns}
            value_col = self._plan.weight_set.events.value_col
            if value is not None and value_col in row:
                row[value_col] = value
            self._check(row)
            for name in self._numbers:
                if isinstance(length := row[name], timedelta):
                    row[name] = length.total_seconds()
            for name, held in self._held.items():
                held.append(row[name])
        self._whose.append(plain_customer(customer))
        self._what.append(str(event_type))
        self._when.append(at)
        self._known.append(known)
        self._ids.append(event_id)

    def _check(self, row: dict[str, Any]) -> None:
        """Refuse values that the pass would refuse, while it is known which event has them."""
        for name, kind in self._kinds:
            if not fits(row[name], kind):
                read_as(name, pd.Series([row[name]]), kind)
        for name, value in row.items():
            plain = type(value) in (int, float) and -1.8e308 < value < 1.8e308
            if plain or value is None or name in self._texts - self._numbers:
                continue
            usable = isinstance(value, bool | str | timedelta | np.generic)
            if not usable or (name in self._numbers and not _is_number(value)):
                raise EventLogError(
                    f"property {show(name)} holds a value that can't be counted",
                    got=show(value, 60),
                    allowed="finite numbers, lengths of time, text, true or false, or None",
                    hint="correct the value",
                )

    def taken(self) -> Events:
        """Return the events that are held, and hold none; without a frame, which costs more."""
        plan, n = self._plan, len(self._when)
        places: dict[Any, int] = {}
        who = [places.setdefault(c, len(places)) for c in self._whose]
        rows = plan.event_types
        ts = np.array(self._when, np.int64)
        numbers = [[_as_float(v) for v in self._held[p.column]] for p in plan.numbers]
        series = {c: pd.Series(v, dtype=object) for c, v in self._held.items()}
        filters = [holds(f, lambda c, k: read_as(c, series[c], k)) for f in plan.counting.filters]
        ids = np.empty(0, np.int64)
        if plan.dedupe is not None:
            ids = hashed(pd.Series(self._ids, dtype=object), "event_id")
        events = Events(
            list(places),
            np.array(who, np.int64),
            np.array([rows.get(w, -1) for w in self._what], np.int64),
            ts,
            np.maximum(ts, np.array(self._known, np.int64)),
            np.array(numbers, np.float64).reshape(len(numbers), n),
            np.array(filters, np.bool_).reshape(len(filters), n),
            [texts_of(series[p.column]) for p in plan.texts],
            ids,
        )
        self._clear()
        return events


def is_missing(value: Any) -> bool:
    """Return whether a value is None, or stands for nothing as NaN does."""
    return value is None or value is pd.NA or value is pd.NaT or value != value


def _as_float(value: Any) -> float:
    return np.nan if value is None else float(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, timedelta):
        return True
    try:
        return bool(np.isfinite(float(value)))
    except (ValueError, TypeError):
        return False
