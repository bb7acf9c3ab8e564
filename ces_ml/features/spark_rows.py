"""The Spark SQL that gathers long counts into one row a customer and moment.

What is counted is stated by `ces_ml.sql.counting`, for every engine; here the results, one row a
pair of customer and group of events, become two arrays: positions of terms, and their counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ces_ml.spec.counts import CountSpec
from ces_ml.spec.duration import DAY_US
from ces_ml.spec.terms import Term
from ces_ml.sql.counting import count_sql
from ces_ml.sql.plan import CountPlan, Part
from ces_ml.sql.quoting import float_literal
from ces_ml.sql.seats import seats_col

__all__ = ["TOO_LARGE", "counts_sql"]

#: What a sum past all numbers raises on an executor.
TOO_LARGE = "ces-ml: sums of a value column are larger than any number"


def counts_sql(
    plan: CountPlan,
    spec: CountSpec,
    *,
    arrival: bool,
    design: bool,
    outcome: bool,
    weight: float | None,
) -> str:
    """Return the query for the rows of ``cu`` with their counts.

    ``r`` need tell apart the rows of one customer only. Counts per seat read ``se``, the result of
    `seats_sql` for their windows.

    Parameters
    ----------
    plan : CountPlan
        That of `spec`.
    spec : CountSpec
    arrival : bool
        Whether ``ev`` has ``arrival_us``.
    design : bool
        Whether counts are taken after cap and transform.
    outcome : bool
        Whether ``cu`` has ``y`` and ``treated``.
    weight : float, optional
        How much a treated row counts, where it counts less.

    Returns
    -------
    str
        A SELECT with ``customer_id, as_of[, y][, sample_weight], indices, values``.
    """
    filled = {part: _filled(plan, spec, part, design=design) for part in plan.parts}
    layout = _layout(list(filled.values()))
    parts = " UNION ALL ".join(
        _cells_sql(plan, spec, part, _cells(blocks, layout), arrival=arrival)
        for part, blocks in filled.items()
    )
    columns = ["c.customer_id AS customer_id", "TIMESTAMP_MICROS(c.as_of_us) AS as_of"]
    if outcome:
        columns.append("CAST(c.y AS TINYINT) AS y")
    if weight is not None:
        touched = float_literal(weight)
        columns.append(f"CASE WHEN c.treated = 1 THEN {touched} ELSE 1E0 END AS sample_weight")
    columns.append(f"COALESCE({layout.gathered('i')}, CAST(ARRAY() AS ARRAY<INT>)) AS indices")
    columns.append(f"COALESCE({layout.gathered('x')}, CAST(ARRAY() AS ARRAY<DOUBLE>)) AS `values`")
    return f"""
SELECT {", ".join(columns)}
FROM cu c
LEFT JOIN (
  SELECT customer_id, r, SORT_ARRAY({layout.collected}) AS cells
  FROM ({parts}) u
  GROUP BY customer_id, r
) g ON c.customer_id = g.customer_id AND c.r = g.r"""


@dataclass(frozen=True)
class _Layout:
    """How the cells of a row are gathered, so that their positions increase.

    Spark compiles none of its functions that are given a function, so cells are put in order by
    sorting them; the fewer there are to sort and to send, the better.

    Parameters
    ----------
    kind : {"runs", "columns", "cells"}
        "runs": each group of events fills terms that follow each other, and is one cell of two
        arrays. "columns": group *k* fills the terms ``k, k + m, k + 2 m, …``, as where all events
        are counted over one window and then over the next, and is one cell of numbers. "cells": a
        cell for each term.
    width : int
        How many terms a group fills, in "columns".
    """

    kind: Literal["runs", "columns", "cells"]
    width: int = 0

    @property
    def collected(self) -> str:
        """The list of a row's cells."""
        collected = "COLLECT_LIST(cells)"
        return f"FLATTEN({collected})" if self.kind == "cells" else collected

    def gathered(self, field: str) -> str:
        """Return the array of all positions, ``i``, or of all counts, ``x``."""
        if self.kind == "columns":
            return f"CONCAT({', '.join(f'g.cells.{field}{k}' for k in range(self.width))})"
        return f"g.cells.{field}" if self.kind == "cells" else f"FLATTEN(g.cells.{field})"

    def cell(self, places: Sequence[str], counts: Sequence[str]) -> str:
        """Return what stands for one group, from the positions that it fills and their counts."""
        if self.kind == "runs":
            return f"NAMED_STRUCT('i', ARRAY({', '.join(places)}), 'x', ARRAY({', '.join(counts)}))"
        if self.kind == "columns":
            named = [f"'i{k}', {place}" for k, place in enumerate(places)]
            named += [f"'x{k}', {x}" for k, x in enumerate(counts)]
            return f"NAMED_STRUCT({', '.join(named)})"
        cells = (
            f"NAMED_STRUCT('i', {place}, 'x', {x})" for place, x in zip(places, counts, strict=True)
        )
        return f"ARRAY({', '.join(cells)})"


#: What the groups of a part fill: by code, the positions of terms and their counts.
_Blocks = dict[int, list[tuple[int, str]]]


def _filled(plan: CountPlan, spec: CountSpec, part: Part, *, design: bool) -> _Blocks:
    mine = plan.of_part(part)
    filled: _Blocks = {}
    for t, (code, aggregate) in enumerate(plan.columns):
        if aggregate in mine:
            count = _count(f"a{aggregate}", spec.terms[t], design=design)
            filled.setdefault(code, []).append((t, count))
    return filled


def _layout(parts: Sequence[_Blocks]) -> _Layout:
    blocks = [[t for t, _ in cells] for filled in parts for cells in filled.values()]
    if all(places[-1] - places[0] == len(places) - 1 for places in blocks):
        return _Layout("runs")
    step, firsts = _alike(parts[0])
    if len(parts) == 1 and step == 1 and all(b - a >= len(parts[0]) for a, b in pairwise(firsts)):
        return _Layout("columns", len(firsts))
    return _Layout("cells")


def _alike(filled: _Blocks) -> tuple[int, list[int]]:
    """Return by how much the positions of one group lie after those of the one before, and those
    of the first; a step of 0 where groups do not fill alike terms.
    """  # noqa: D205 - one sentence
    codes = sorted(filled)
    if codes != list(range(len(codes))) or len(codes) < 2:
        return 0, []
    step = filled[1][0][0] - filled[0][0][0]
    shapes = {tuple((t - step * code, x) for t, x in filled[code]) for code in codes}
    return (step, [t for t, _ in shapes.pop()]) if len(shapes) == 1 else (0, [])


def _cells(filled: _Blocks, layout: _Layout) -> str:
    """Return the cell of a group, from its code: one expression for all of them where they are
    alike, which is as fast as a query written by hand.
    """  # noqa: D205 - one sentence
    step, firsts = _alike(filled)
    if step:
        places = [f"{first} + code * {step}" for first in firsts]
        return layout.cell(places, [x for _, x in filled[0]])
    whens = " ".join(
        f"WHEN {code} THEN {layout.cell([str(t) for t, _ in cells], [x for _, x in cells])}"
        for code, cells in filled.items()
    )
    return f"CASE code {whens} END"


def _cells_sql(plan: CountPlan, spec: CountSpec, part: Part, cells: str, *, arrival: bool) -> str:
    """Return the query for the cells of one part: for each row and group the terms it fills."""
    mine = plan.of_part(part)
    columns = enumerate(plan.columns)
    terms = [spec.terms[t] for t, (_, aggregate) in columns if aggregate in mine]
    long = count_sql(plan, part, arrival=arrival, clustered=True)
    # Zeros stay: Spark compiles all of this, but not functions that are given a function.
    return f"SELECT customer_id, r, {cells} AS cells FROM ({_with_divisors(long, terms)}) q"


def _with_divisors(long: str, terms: Sequence[Term]) -> str:
    """Return the query for long counts and, beside them, what the counts of `terms` are divided by.

    That is ``exposure_us`` for rates by day, and a column of ``se`` a window for those by seat.
    """
    columns, joins = [], []
    if any(term.per == "day" for term in terms):
        columns.append("COALESCE(c.as_of_us - f.known_us, 0) AS exposure_us")
        joins.append("JOIN cu c ON q.customer_id = c.customer_id AND q.r = c.r")
        joins.append("LEFT JOIN fk f ON q.customer_id = f.customer_id")
    seats = sorted({term.window.us for term in terms if term.per == "seat"})
    if seats:
        columns += [f"s.{seats_col(us)}" for us in seats]
        joins.append("JOIN se s ON q.customer_id = s.customer_id AND q.r = s.r")
    if not columns:
        return long
    return f"SELECT q.*, {', '.join(columns)}\nFROM ({long}) q\n" + "\n".join(joins)


def _count(name: str, term: Term, *, design: bool) -> str:
    """Return a count from its aggregate: checked, divided, and perhaps capped and transformed."""
    x = f"CAST({name} AS DOUBLE)"
    if term.measure in ("sum", "mean", "duration"):
        x = f"IF({x} - {x} <> 0E0, RAISE_ERROR('{TOO_LARGE}'), {x})"
    if term.per == "day":
        window, day = float_literal(float(term.window.us)), float_literal(float(DAY_US))
        x = f"{x} / GREATEST(LEAST(CAST(exposure_us AS DOUBLE), {window}) / {day}, 1E0)"
    if term.per == "seat":
        x = f"{x} / GREATEST(CAST({seats_col(term.window.us)} AS DOUBLE), 1E0)"
    x = f"COALESCE({x}, 0E0)"  # there may be nothing to add up or to average
    if not design:
        return x
    if term.cap is not None:
        cap = float_literal(term.cap)
        x = f"GREATEST(LEAST({x}, {cap}), -{cap})"
    if term.transform == "log1p":
        return f"SIGN({x}) * LOG1P(ABS({x}))"
    if term.transform == "sqrt":
        return f"SIGN({x}) * SQRT(ABS({x}))"
    return x
