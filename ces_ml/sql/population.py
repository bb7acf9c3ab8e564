"""The SQL that says who may be in the sample, and when: common subset of DuckDB and Spark.

Beside ``ev`` (see `ces_ml.sql.counting`) the engine provides ``mo(as_of_us)`` with the fixed
moments, ``an(event_type)`` with the anchor event, or ``gt(customer_id, as_of_us[, y])`` with rows
that were given. Candidates are the relation ``ca(customer_id, as_of_us[, y])``. What happened to
them is asked in `ces_ml.sql.happening`.
"""

from __future__ import annotations

__all__ = [
    "anchored_sql",
    "anchors_sql",
    "dated_sql",
    "first_known_sql",
    "given_sql",
    "known_sql",
    "profile_and_customers_sql",
]


def known_sql(alias: str, *, arrival: bool) -> str:
    """Return the expression for the moment after which an event is known.

    An event is known at `as_of` iff it happened, and had arrived, before it. It is null for an
    event that never arrived.
    """
    ts = f"{alias}.ts_us"
    if not arrival:
        return ts
    arrived = f"{alias}.arrival_us"
    return f"CASE WHEN {arrived} IS NULL OR {arrived} > {ts} THEN {arrived} ELSE {ts} END"


def first_known_sql(*, arrival: bool) -> str:
    """Return the query for ``fk(customer_id, known_us)``: since when a customer is known."""
    where = "WHERE e.arrival_us IS NOT NULL" if arrival else ""
    return f"""
SELECT e.customer_id AS customer_id, MIN({known_sql("e", arrival=arrival)}) AS known_us
FROM ev e {where}
GROUP BY e.customer_id"""


def profile_and_customers_sql(select: str) -> str:
    """Return the query that groups a log by event type and by customer in one reading.

    Parameters
    ----------
    select : str
        The query for ``ev``, nulls still in it.

    Returns
    -------
    str
        A SELECT with ``customer_id, event_type, g, n, n_t, t0, t1``: rows, rows with a time, first
        and last time; of every event type where ``g`` is 1, of every customer where it is 0.
    """
    return f"""
SELECT customer_id, event_type, GROUPING(customer_id) AS g, COUNT(*) AS n, COUNT(ts_us) AS n_t,
  MIN(ts_us) AS t0, MAX(ts_us) AS t1
FROM ({select}) e
GROUP BY GROUPING SETS ((customer_id), (event_type))"""


def dated_sql() -> str:
    """Return the query for candidates at fixed moments: everyone known before the moment."""
    return """
SELECT f.customer_id AS customer_id, m.as_of_us AS as_of_us
FROM fk f JOIN mo m ON f.known_us < m.as_of_us"""


def anchors_sql(names: str, *, arrival: bool) -> str:
    """Return the query for the first anchor event of every customer.

    Parameters
    ----------
    names : str
        The relation with the anchor's event type.
    arrival : bool

    Returns
    -------
    str
        A SELECT with ``customer_id, anchor_us, arrived_us``; of several events at that moment the
        first arrival counts, null if none of them arrived. Without `arrival` it is the moment
        itself.
    """
    first = f"""
SELECT e.customer_id AS customer_id, MIN(e.ts_us) AS anchor_us
FROM ev e JOIN {names} n ON e.event_type = n.event_type
GROUP BY e.customer_id"""
    if not arrival:
        return f"SELECT a.customer_id, a.anchor_us, a.anchor_us AS arrived_us FROM ({first}) a"
    return f"""
SELECT a.customer_id AS customer_id, a.anchor_us AS anchor_us, MIN(e.arrival_us) AS arrived_us
FROM ({first}) a
JOIN ev e ON e.customer_id = a.customer_id AND e.ts_us = a.anchor_us
JOIN {names} n ON e.event_type = n.event_type
GROUP BY a.customer_id, a.anchor_us"""


def anchored_sql(after_us: int, until_us: int) -> str:
    """Return the query for rows `after_us` microseconds after the anchors in ``ar``.

    Moments after `until_us` have not come yet and are left out.

    Returns
    -------
    str
        A SELECT with ``customer_id, as_of_us, arrived``; `arrived` says whether the anchor event
        had arrived by `as_of` (1 or 0). Those where it had are the candidates.
    """
    return f"""
SELECT a.customer_id AS customer_id, a.anchor_us + {after_us} AS as_of_us,
  CASE WHEN a.arrived_us <= a.anchor_us + {after_us} THEN 1 ELSE 0 END AS arrived
FROM ar a
JOIN fk f ON a.customer_id = f.customer_id
WHERE f.known_us < a.anchor_us + {after_us} AND a.anchor_us + {after_us} <= {until_us}"""


def given_sql(until_us: int, *, labelled: bool, all_kept: bool = False) -> str:
    """Return the query for the rows of ``gt``, each with whether it can be counted.

    Returns
    -------
    str
        A SELECT with ``customer_id, as_of_us[, y], known, late``: whether the customer is known
        before `as_of`, and whether `as_of` lies after `until_us` (1 or 0). With `all_kept` nobody
        asks whether customers are known, and the log is not read for it: ``known`` is 1.
    """
    y = ", g.y AS y" if labelled else ""
    known = "1" if all_kept else "CASE WHEN f.known_us < g.as_of_us THEN 1 ELSE 0 END"
    first_seen = "" if all_kept else " LEFT JOIN fk f ON f.customer_id = g.customer_id"
    return f"""
SELECT g.customer_id AS customer_id, g.as_of_us AS as_of_us{y}, {known} AS known,
  CASE WHEN g.as_of_us > {until_us} THEN 1 ELSE 0 END AS late
FROM gt g{first_seen}"""
