"""The SQL that defines what is counted: one text in the common subset of DuckDB and Spark.

An engine makes these relations first (its prelude), with times as integer UTC microseconds:

- ``ev(customer_id, event_type, ts_us, p0, p1, …, f0, f1, …[, arrival_us])``: the log without nulls
  in its first three columns; ``p0, p1, …`` are the value columns, ``f0, f1, …`` say whether a
  filter holds, and are never null.
- ``cu(r, customer_id, as_of_us)``: the rows to count for; ``r`` numbers them from 0.
- ``vo(event_type, code, window_us, part)``: the vocabulary: what is counted under which code, over
  the longest of its windows, in which part of the plan. An event type may stand under several.
- ``pv(event_type, code, window_us, is_start)``: the same for pairs, starts (1) and ends (0).

Event names, ids, columns and filters are data in these relations, never part of the text. The
results are long: ``(r, code, a…)``, one column an aggregate, only for pairs that have an event.
"""

from __future__ import annotations

from ces_ml.spec.duration import DAY_US
from ces_ml.sql.measures import MASK_DAYS, Names, aggregate_sql, capped_sql, uses_masks
from ces_ml.sql.plan import Aggregate, CountPlan, Part
from ces_ml.sql.quoting import float_literal

__all__ = [
    "CountPlan",
    "Part",
    "count_in_order_sql",
    "count_sql",
    "exposure_sql",
    "unpaired_sql",
]

_DAY = float_literal(float(DAY_US))
_DAY_OF = f"FLOOR({{}} / {_DAY})"


def count_sql(
    plan: CountPlan, part: Part | None = None, *, arrival: bool = False, clustered: bool = False
) -> str:
    """Return the query that counts: an event of type t counts for row r iff
    ``as_of − window ≤ ts < as_of`` and, with `arrival`, ``arrival < as_of``.

    Parameters
    ----------
    plan : CountPlan
    part : Part, optional
        Which query of the plan; its first when not given.
    arrival : bool, default=False
        Whether ``ev`` has the column ``arrival_us``.
    clustered : bool, default=False
        Whether to group by ``customer_id`` too, which ``r`` determines: an engine whose executors
        hold the events by customer then counts each row where its events are.

    Returns
    -------
    str
        A SELECT with the columns ``[customer_id,] r, code`` and the aggregates of the part; no
        order. Its joins stand in the order in which they should run.
    """  # noqa: D205 - the rule is one sentence
    part = part or plan.parts[0]
    keys = "customer_id, r, code" if clustered else "r, code"
    aggregates = plan.of_part(part)
    names: Names = {p: f"p{k}" for k, p in enumerate(plan.properties)} | {
        f: f"f{k}" for k, f in enumerate(plan.filters)
    }
    if part.paired:
        events = _pairs_known(arrival=arrival, clustered=clustered)
    else:
        used = {x for a in aggregates.values() for x in (a.value, a.where)}
        columns = [name for x, name in names.items() if x in used]
        if clustered:
            columns.append("customer_id")
        events = _events_known(plan, part, columns, arrival=arrival)
    sql = {k: aggregate_sql(a, names) for k, a in aggregates.items()}
    if not part.daily:
        outputs = ", ".join(f"{text} AS a{k}" for k, text in sql.items())
        return f"\nSELECT {keys}, {outputs}\nFROM ({events}) j\nGROUP BY {keys}"
    of_a_day = ", ".join(f"CAST({text} AS DOUBLE) AS d{k}" for k, text in sql.items())
    caps = {k: a.cap_per_day for k, a in aggregates.items() if a.cap_per_day is not None}
    outputs = ", ".join(f"{capped_sql(f'd{k}', cap)} AS a{k}" for k, cap in caps.items())
    return f"""
SELECT {keys}, {outputs}
FROM (
  SELECT {keys}, day, {of_a_day}
  FROM ({events}) j
  GROUP BY {keys}, day
) k
GROUP BY {keys}"""


def count_in_order_sql(plan: CountPlan, *, arrival: bool = False) -> str:
    """Return the query for all parts of a plan at once, in the order of ``r``.

    Its columns are ``part``, the position of the part in ``plan.parts``, and those of `count_sql`
    with the aggregates of all parts: null where they belong to another one.
    """
    selects = []
    for k, part in enumerate(plan.parts):
        mine = plan.of_part(part)
        outputs = ", ".join(
            f"a{a}" if a in mine else f"NULL AS a{a}" for a in range(len(plan.aggregates))
        )
        counted = count_sql(plan, part, arrival=arrival)
        selects.append(f"SELECT {k} AS part, r, code, {outputs} FROM ({counted}) q{k}")
    return f"SELECT * FROM ({' UNION ALL '.join(selects)}) u ORDER BY r"


def _events_known(plan: CountPlan, part: Part, columns: list[str], *, arrival: bool) -> str:
    """Return the query for the events of every row inside the longest window."""
    aggregates = plan.of_part(part).values()
    inner = ["c.r AS r", "v.code AS code", "c.as_of_us - e.ts_us AS age"]
    if any(_needs_day(a) for a in aggregates):
        inner.append(f"{_DAY_OF.format('e.ts_us')} AS day")
    if any(a.measure == "active_days" and uses_masks(a.window) for a in aggregates):
        back = f"CAST({_DAY_OF.format('c.as_of_us')} - {_DAY_OF.format('e.ts_us')} AS INT)"
        inner.append(f"{back} AS back")
        inner.append(f"CAST(POWER(2E0, MOD({back}, {MASK_DAYS})) AS BIGINT) AS bit")
    inner += [f"e.{n} AS {n}" for n in columns]
    known = " AND e.arrival_us < c.as_of_us" if arrival else ""
    return f"""
  SELECT {", ".join(inner)}
  FROM ev e
  JOIN vo v ON e.event_type = v.event_type
  JOIN cu c ON e.customer_id = c.customer_id
  WHERE v.part = {plan.parts.index(part)}
    AND e.ts_us < c.as_of_us AND e.ts_us >= c.as_of_us - v.window_us{known}
"""


def _needs_day(aggregate: Aggregate) -> bool:
    many = aggregate.measure == "active_days" and not uses_masks(aggregate.window)
    return aggregate.part.daily or many


def _pairs_known(*, arrival: bool, clustered: bool = False) -> str:
    """Return the query for the pairs of every row whose end lies inside the longest window.

    Of events at the same moment ends come first, so that one session may begin where another
    ends. With arrival times the pairs are those of the events that had arrived, row by row: one
    that arrives later may part a start from its end.
    """
    if arrival:
        ends = _ends_sql(
            "c.r, v.code",
            "c.r AS r, c.as_of_us AS as_of_us, e.customer_id AS customer_id",
            "JOIN cu c ON e.customer_id = c.customer_id",
            "WHERE e.ts_us < c.as_of_us AND e.arrival_us < c.as_of_us",
        )
        rows, known = "p.r AS r", ""
        as_of = "p.as_of_us"
    else:
        ends = _ends_sql("e.customer_id, v.code", "e.customer_id AS customer_id")
        rows, known = "c.r AS r", "JOIN cu c ON p.customer_id = c.customer_id"
        as_of = "c.as_of_us"
    if clustered:
        rows += ", p.customer_id AS customer_id"
    return f"""
  SELECT {rows}, p.code AS code, {as_of} - p.ts_us AS age, {_DAY_OF.format("p.ts_us")} AS day,
    (p.ts_us - p.before_us) / {float_literal(1e6)} AS seconds
  FROM ({ends}) p {known}
  WHERE p.is_start = 0 AND p.after_start = 1
    AND p.ts_us < {as_of} AND p.ts_us >= {as_of} - p.window_us
"""


def _ends_sql(whose: str, columns: str, join: str = "", where: str = "") -> str:
    """Return starts and ends, each with what came before it for the same customer and code."""
    return f"""
    SELECT {columns}, v.code AS code, v.window_us AS window_us, e.ts_us AS ts_us,
      v.is_start AS is_start,
      LAG(v.is_start) OVER (PARTITION BY {whose} ORDER BY e.ts_us, v.is_start) AS after_start,
      LAG(e.ts_us) OVER (PARTITION BY {whose} ORDER BY e.ts_us, v.is_start) AS before_us
    FROM ev e
    JOIN pv v ON e.event_type = v.event_type
    {join}
    {where}
  """


def unpaired_sql() -> str:
    """Return the query for how many starts in the whole log have no end of their own."""
    ends = _ends_sql("e.customer_id, v.code", "e.customer_id AS customer_id")
    return f"""
SELECT COUNT(CASE WHEN is_start = 1 THEN 1 END)
  - COUNT(CASE WHEN is_start = 0 AND after_start = 1 THEN 1 END) AS n
FROM ({ends}) p"""


def exposure_sql() -> str:
    """Return the query for how long every row's customer had been known, in the order of ``r``.

    Reads ``fk(customer_id, known_us)``; see `ces_ml.sql.population`. Nothing (or less, for who
    came later) where a customer was not known.
    """
    return """
SELECT COALESCE(c.as_of_us - f.known_us, 0) AS exposure_us
FROM cu c LEFT JOIN fk f ON c.customer_id = f.customer_id
ORDER BY c.r"""
