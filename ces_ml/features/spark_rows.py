"""The Spark SQL that gathers long counts into one row a customer and moment.

What is counted is stated by `ces_ml.sql.counting`, for every engine; here the results, one row a
pair of customer and group of events, become two arrays: positions of terms, and their counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from ces_ml.spec.counts import CountSpec
from ces_ml.spec.duration import DAY_US
from ces_ml.spec.terms import Term
from ces_ml.sql.counting import count_sql
from ces_ml.sql.plan import CountPlan, Part
from ces_ml.sql.quoting import float_literal

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

    ``r`` need tell apart the rows of one customer only.

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
    parts = " UNION ALL ".join(
        _cells_sql(plan, spec, part, arrival=arrival, design=design) for part in plan.parts
    )
    columns = ["c.customer_id AS customer_id", "TIMESTAMP_MICROS(c.as_of_us) AS as_of"]
    if outcome:
        columns.append("CAST(c.y AS TINYINT) AS y")
    if weight is not None:
        touched = float_literal(weight)
        columns.append(f"CASE WHEN c.treated = 1 THEN {touched} ELSE 1E0 END AS sample_weight")
    columns.append("COALESCE(g.cells.i, CAST(ARRAY() AS ARRAY<INT>)) AS indices")
    columns.append("COALESCE(g.cells.x, CAST(ARRAY() AS ARRAY<DOUBLE>)) AS `values`")
    return f"""
SELECT {", ".join(columns)}
FROM cu c
LEFT JOIN (
  SELECT customer_id, r, SORT_ARRAY(FLATTEN(COLLECT_LIST(cells))) AS cells
  FROM ({parts}) u
  GROUP BY customer_id, r
) g ON c.customer_id = g.customer_id AND c.r = g.r"""


def _cells_sql(plan: CountPlan, spec: CountSpec, part: Part, *, arrival: bool, design: bool) -> str:
    """Return the query for the counts of one part: for each row and group the terms it fills."""
    mine = plan.of_part(part)
    filled: dict[int, list[str]] = {}
    exposed = False
    for t, (code, aggregate) in enumerate(plan.columns):
        if aggregate not in mine:
            continue
        term = spec.terms[t]
        exposed = exposed or term.per is not None
        count = _count(f"a{aggregate}", term, design=design)
        filled.setdefault(code, []).append(f"NAMED_STRUCT('i', {t}, 'x', {count})")
    same = _shifted(filled)
    if same is not None:
        cells = same
    else:
        whens = " ".join(f"WHEN {c} THEN ARRAY({', '.join(x)})" for c, x in filled.items())
        cells = f"CASE code {whens} END"
    long = count_sql(plan, part, arrival=arrival, clustered=True)
    source = f"({long}) q"
    if exposed:
        source = f"""(
    SELECT q.*, COALESCE(c.as_of_us - f.known_us, 0) AS exposure_us
    FROM ({long}) q
    JOIN cu c ON q.customer_id = c.customer_id AND q.r = c.r
    LEFT JOIN fk f ON q.customer_id = f.customer_id
  ) q"""
    # Zeros stay: Spark compiles all of this, but not functions that are given a function.
    return f"SELECT customer_id, r, {cells} AS cells FROM {source}"


def _shifted(filled: Mapping[int, list[str]]) -> str | None:
    """Return one expression for all groups where they fill alike terms, else None.

    Group *k* then fills the terms ``k, k + m, k + 2 m, …`` or ``k m, k m + 1, …``: what is usual
    where every event type is counted in the same ways, and as fast as a hand-written query.
    """
    codes = sorted(filled)
    if codes != list(range(len(codes))) or len(codes) < 2:
        return None
    step = _place(filled[1][0]) - _place(filled[0][0])
    shapes = {
        tuple((_place(cell) - step * code, cell.split(", ", 2)[2]) for cell in filled[code])
        for code in codes
    }
    if len(shapes) > 1:
        return None
    cells = [f"NAMED_STRUCT('i', {first} + code * {step}, {x}" for first, x in shapes.pop()]
    return f"ARRAY({', '.join(cells)})"


def _place(cell: str) -> int:
    return int(cell.split(", ", 2)[1])


def _count(name: str, term: Term, *, design: bool) -> str:
    """Return a count from its aggregate: checked, divided, and perhaps capped and transformed."""
    x = f"CAST({name} AS DOUBLE)"
    if term.measure in ("sum", "mean", "duration"):
        x = f"IF({x} - {x} <> 0E0, RAISE_ERROR('{TOO_LARGE}'), {x})"
    if term.per == "day":
        window, day = float_literal(float(term.window.us)), float_literal(float(DAY_US))
        x = f"{x} / GREATEST(LEAST(CAST(exposure_us AS DOUBLE), {window}) / {day}, 1E0)"
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
