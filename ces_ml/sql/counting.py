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

from dataclasses import dataclass

from ces_ml.spec.duration import DAY_US
from ces_ml.sql.measures import COMMON, MASK_DAYS, Names, aggregate_sql, capped_sql, uses_masks
from ces_ml.sql.plan import Aggregate, CountPlan, Part
from ces_ml.sql.words import CountWords, counted_number

__all__ = [
    "CountPlan",
    "Part",
    "count_in_order_sql",
    "count_sql",
    "exposure_sql",
    "unpaired_sql",
]


@dataclass(frozen=True)
class _Rows:
    """What stands for a row of ``cu`` in a query: its columns, or a customer at one moment."""

    r: str = "c.r"
    as_of: str = "c.as_of_us"
    joined: str = "JOIN cu c ON {}.customer_id = c.customer_id"

    @classmethod
    def at(cls, moment_us: int | None, alias: str) -> _Rows:
        """Return the rows of one moment, or of ``cu`` where none is given."""
        if moment_us is None:
            return cls(joined=cls.joined.format(alias))
        return cls(f"{alias}.customer_id", str(moment_us), "")


def count_sql(
    plan: CountPlan,
    part: Part | None = None,
    *,
    arrival: bool = False,
    words: CountWords = COMMON,
    moment_us: int | None = None,
    clustered: bool = False,
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
    words : CountWords, optional
        Those of a dialect other than DuckDB and Spark.
    moment_us : int, optional
        With it every customer is a row at this moment: ``r`` is the customer's id, and ``cu`` is
        not read.
    clustered : bool, default=False
        Whether to group by ``customer_id`` too, which ``r`` determines: an engine whose executors
        hold the events by customer then counts each row where its events are.

    Returns
    -------
    str
        A SELECT with the columns ``r, code`` and the aggregates of the part; no order. Its joins
        stand in the order in which they should run.
    """  # noqa: D205 - the rule is one sentence
    part = part or plan.parts[0]
    keys = "customer_id, r, code" if clustered else "r, code"
    aggregates = plan.of_part(part)
    names: Names = {p: f"p{k}" for k, p in enumerate(plan.properties)} | {
        f: f"f{k}" for k, f in enumerate(plan.filters)
    }
    if part.paired:
        events = _pairs_known(words, arrival=arrival, moment_us=moment_us, clustered=clustered)
    else:
        used = {x for a in aggregates.values() for x in (a.value, a.where)}
        columns = [name for x, name in names.items() if x in used]
        if clustered:
            columns.append("customer_id")
        rows = _Rows.at(moment_us, "e")
        events = _events_known(plan, part, columns, words, rows, arrival=arrival)
    sql = {k: aggregate_sql(a, names, words) for k, a in aggregates.items()}
    if not part.daily:
        outputs = ", ".join(f"{text} AS a{k}" for k, text in sql.items())
        return f"\nSELECT {keys}, {outputs}\nFROM ({events}) j\nGROUP BY {keys}"
    of_a_day = ", ".join(f"CAST({text} AS {words.double}) AS d{k}" for k, text in sql.items())
    caps = {k: a.cap_per_day for k, a in aggregates.items() if a.cap_per_day is not None}
    outputs = ", ".join(f"{capped_sql(f'd{k}', cap, words)} AS a{k}" for k, cap in caps.items())
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


def _events_known(
    plan: CountPlan,
    part: Part,
    columns: list[str],
    words: CountWords,
    rows: _Rows,
    *,
    arrival: bool,
) -> str:
    """Return the query for the events of every row inside the longest window."""
    as_of = rows.as_of
    aggregates = plan.of_part(part).values()
    inner = [f"{rows.r} AS r", "v.code AS code", f"{as_of} - e.ts_us AS age"]
    if any(_needs_day(a, words) for a in aggregates):
        inner.append(f"{_day('e.ts_us', words)} AS day")
    if any(a.measure == "active_days" and uses_masks(a.window, words) for a in aggregates):
        back = f"CAST({_day(as_of, words)} - {_day('e.ts_us', words)} AS INT)"
        inner.append(f"{back} AS back")
        inner.append(f"CAST(POWER(2E0, MOD({back}, {MASK_DAYS})) AS BIGINT) AS bit")
    inner += [f"e.{n} AS {n}" for n in columns]
    known = f" AND e.arrival_us < {as_of}" if arrival else ""
    return f"""
  SELECT {", ".join(inner)}
  FROM ev e
  JOIN vo v ON e.event_type = v.event_type
  {rows.joined}
  WHERE v.part = {plan.parts.index(part)}
    AND e.ts_us < {as_of} AND e.ts_us >= {as_of} - v.window_us{known}
"""


def _needs_day(aggregate: Aggregate, words: CountWords) -> bool:
    many = aggregate.measure == "active_days" and not uses_masks(aggregate.window, words)
    return aggregate.part.daily or many


def _day(us: str, words: CountWords) -> str:
    day = f"FLOOR({us} / {counted_number(float(DAY_US), words)})"
    return f"CAST({day} AS {words.integer})" if words.whole_days else day


def _pairs_known(
    words: CountWords, *, arrival: bool, moment_us: int | None, clustered: bool
) -> str:
    """Return the query for the pairs of every row whose end lies inside the longest window.

    Of events at the same moment ends come first, so that one session may begin where another
    ends. With arrival times the pairs are those of the events that had arrived, row by row: one
    that arrives later may part a start from its end.
    """
    if arrival:
        of = _Rows.at(moment_us, "e")
        ends = _ends_sql(
            f"{of.r}, v.code",
            f"{of.r} AS r, {of.as_of} AS as_of_us, e.customer_id AS customer_id",
            words,
            of.joined,
            f"WHERE e.ts_us < {of.as_of} AND e.arrival_us < {of.as_of}",
        )
        rows = _Rows("p.r", "p.as_of_us", "")
    else:
        ends = _ends_sql("e.customer_id, v.code", "e.customer_id AS customer_id", words)
        rows = _Rows.at(moment_us, "p")
    whose = ", p.customer_id AS customer_id" if clustered else ""
    return f"""
  SELECT {rows.r} AS r{whose}, p.code AS code, {rows.as_of} - p.ts_us AS age,
    {_day("p.ts_us", words)} AS day,
    (p.ts_us - p.before_us) / {counted_number(1e6, words)} AS seconds
  FROM ({ends}) p {rows.joined}
  WHERE p.is_start = 0 AND p.after_start = 1
    AND p.ts_us < {rows.as_of} AND p.ts_us >= {rows.as_of} - p.window_us
"""


def _ends_sql(whose: str, columns: str, words: CountWords, join: str = "", where: str = "") -> str:
    """Return starts and ends, each with what came before it for the same customer and code."""
    order = "e.ts_us, v.is_start"
    after_start = words.lag.format(value="v.is_start", whose=whose, order=order)
    before_us = words.lag.format(value="e.ts_us", whose=whose, order=order)
    return f"""
    SELECT {columns}, v.code AS code, v.window_us AS window_us, e.ts_us AS ts_us,
      v.is_start AS is_start,
      {after_start} AS after_start,
      {before_us} AS before_us
    FROM ev e
    JOIN pv v ON e.event_type = v.event_type
    {join}
    {where}
  """


def unpaired_sql() -> str:
    """Return the query for how many starts in the whole log have no end of their own."""
    ends = _ends_sql("e.customer_id, v.code", "e.customer_id AS customer_id", COMMON)
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
