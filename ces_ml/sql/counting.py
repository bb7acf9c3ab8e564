"""The SQL that defines what is counted: one text in the common subset of DuckDB and Spark.

An engine makes three relations first (its prelude), with times as integer UTC microseconds:

- ``ev(customer_id, event_type, ts_us, p0, p1, …[, arrival_us])``: the log without nulls in its
  first three columns; ``p0, p1, …`` are the value columns as DOUBLE.
- ``cu(r, customer_id, as_of_us)``: the rows to count for; ``r`` numbers them from 0.
- ``vo(event_type, code, window_us)``: the vocabulary, numbered from 0, with the longest window.

Event names and ids are data in these relations, never part of the text. The result is long:
``(r, code, a0, a1, …)``, one column an aggregate, only for pairs that have an event.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ces_ml.spec.duration import DAY_US, Duration
from ces_ml.spec.terms import Term
from ces_ml.sql.quoting import float_literal

__all__ = ["Aggregate", "CountPlan", "count_sql"]


@dataclass(frozen=True)
class Aggregate:
    """What is computed for a (row, event type) pair: a term without its event, cap, transform."""

    measure: str
    property: str | None
    window: Duration
    half_life: Duration | None

    def sql(self, value_names: dict[str, str]) -> str:
        """Return the aggregate over the columns ``age``, ``day`` and the value columns."""
        inside = f"age <= {self.window.us}"
        weight = "1"
        if self.half_life is not None:
            weight = f"EXP(age * {float_literal(-math.log(2) / self.half_life.us)})"
        if self.measure == "active_days":
            return f"COUNT(DISTINCT CASE WHEN {inside} THEN day END)"
        if self.measure == "sum":
            value = value_names[self.property or ""]
            weighted = value if self.half_life is None else f"{value} * {weight}"
            return f"SUM(CASE WHEN {inside} THEN {weighted} END)"
        if self.half_life is None:
            return f"COUNT(CASE WHEN {inside} THEN 1 END)"
        return f"SUM(CASE WHEN {inside} THEN {weight} END)"


@dataclass(frozen=True)
class CountPlan:
    """What one pass over the log computes for a set of terms.

    Parameters
    ----------
    events : tuple of str
        The vocabulary; the position is the code.
    windows : tuple of int
        Longest window of every event type, in microseconds.
    aggregates : tuple of Aggregate
        Columns ``a0, a1, …`` of the result.
    columns : tuple of (int, int)
        Code and aggregate of every term.
    properties : tuple of str
        Value columns ``p0, p1, …``.
    """

    events: tuple[str, ...]
    windows: tuple[int, ...]
    aggregates: tuple[Aggregate, ...]
    columns: tuple[tuple[int, int], ...]
    properties: tuple[str, ...]

    @classmethod
    def of(cls, terms: Sequence[Term], value_col: str | None = None) -> CountPlan:
        """Group terms so that each aggregate is computed once.

        Parameters
        ----------
        terms : sequence of Term
        value_col : str, optional
            The column of ``sum`` terms that name no property.
        """
        events: dict[str, int] = {}
        aggregates: dict[Aggregate, int] = {}
        windows: list[int] = []
        columns = []
        for term in terms:
            column = (term.property or value_col) if term.measure == "sum" else None
            aggregate = Aggregate(term.measure, column, term.window, term.half_life)
            code = events.setdefault(term.event, len(events))
            if code == len(windows):
                windows.append(0)
            windows[code] = max(windows[code], term.window.us)
            columns.append((code, aggregates.setdefault(aggregate, len(aggregates))))
        properties = tuple(dict.fromkeys(a.property for a in aggregates if a.property is not None))
        return cls(tuple(events), tuple(windows), tuple(aggregates), tuple(columns), properties)


def count_sql(plan: CountPlan, *, arrival: bool = False) -> str:
    """Return the query that counts: an event of type t counts for row r iff
    ``as_of − window ≤ ts < as_of`` and, with `arrival`, ``arrival < as_of``.

    Parameters
    ----------
    plan : CountPlan
    arrival : bool, default=False
        Whether ``ev`` has the column ``arrival_us``.

    Returns
    -------
    str
        A SELECT with the columns ``r, code, a0, a1, …``; no order.
    """  # noqa: D205 - the rule is one sentence
    names = {p: f"p{k}" for k, p in enumerate(plan.properties)}
    outputs = [f"{a.sql(names)} AS a{k}" for k, a in enumerate(plan.aggregates)]
    inner = ["c.r AS r", "v.code AS code", "c.as_of_us - e.ts_us AS age"]
    if any(a.measure == "active_days" for a in plan.aggregates):
        inner.append(f"FLOOR(e.ts_us / {float_literal(float(DAY_US))}) AS day")
    inner += [f"e.{n} AS {n}" for n in names.values()]
    known = " AND e.arrival_us < c.as_of_us" if arrival else ""
    return f"""
SELECT r, code, {", ".join(outputs)}
FROM (
  SELECT {", ".join(inner)}
  FROM ev e
  JOIN cu c ON e.customer_id = c.customer_id
  JOIN vo v ON e.event_type = v.event_type
  WHERE e.ts_us < c.as_of_us AND e.ts_us >= c.as_of_us - v.window_us{known}
) j
GROUP BY r, code"""
