"""The SQL behind a leak audit: common subset of DuckDB and Spark.

Relations beside those of `ces_ml.sql.counting` and `ces_ml.sql.population`: ``pi(old, new)`` says
which rows of ``cu`` are audited, ``au(r, customer_id, as_of_us)`` holds them, ``oe(event_type)``
the outcome's event types, and ``le(k, lead_us)`` how much earlier the rows are counted again.
"""

from __future__ import annotations

from ces_ml.spec.duration import DAY_US
from ces_ml.sql.quoting import float_literal

__all__ = [
    "audited_log_sql",
    "audited_rows_sql",
    "delays_sql",
    "earlier_rows_sql",
    "lost_counts_sql",
    "moments_sql",
    "near_outcomes_sql",
    "near_rows_sql",
    "near_sql",
    "onset_sql",
    "outcome_moments_sql",
    "tenure_sql",
]


def audited_rows_sql() -> str:
    """Return the query for the chosen rows of ``cu``, numbered anew."""
    return """
SELECT p.new AS r, c.customer_id AS customer_id, c.as_of_us AS as_of_us
FROM cu c JOIN pi p ON c.r = p.old"""


def audited_log_sql() -> str:
    """Return the query for the events that the audit needs, of the customers in ``au``."""
    return """
SELECT e.*
FROM ev e
JOIN (SELECT DISTINCT customer_id FROM au) k ON e.customer_id = k.customer_id
JOIN (SELECT event_type FROM vo UNION SELECT event_type FROM oe) t ON e.event_type = t.event_type"""


def earlier_rows_sql(n_rows: int) -> str:
    """Return the query for the rows of ``au`` as of moments that lie `lead_us` earlier."""
    return f"""
SELECT l.k * {int(n_rows)} + c.r AS r, c.customer_id AS customer_id,
  c.as_of_us - l.lead_us AS as_of_us
FROM au c CROSS JOIN le l"""


def tenure_sql() -> str:
    """Return the query for ``(r, tenure_us)``: how long the customer had been known at `as_of`."""
    return """
SELECT c.r AS r, c.as_of_us - f.known_us AS tenure_us
FROM au c JOIN fk f ON c.customer_id = f.customer_id
ORDER BY r"""


def onset_sql(*, silence: bool) -> str:
    """Return the query for when events begin, beside the onset of the outcome.

    The onset is the customer's first event of the outcome or, with `silence`, the last event
    whose absence is the outcome. For every event type: customers who have it, who also have an
    onset, and whose first event of the type stands at the onset or after it, or up to 1, 3, 7
    days before it.
    """
    onset = "MAX" if silence else "MIN"
    near = ", ".join(
        f"COUNT(CASE WHEN o.onset_us - b.first_us <= {days * DAY_US} THEN 1 END) AS within_{days}d"
        for days in (0, 1, 3, 7)
    )
    return f"""
SELECT b.event_type AS event_type, COUNT(*) AS customers, COUNT(o.onset_us) AS with_onset, {near}
FROM (
  SELECT customer_id, event_type, MIN(ts_us) AS first_us
  FROM ev GROUP BY customer_id, event_type
) b
LEFT JOIN (
  SELECT e.customer_id AS customer_id, {onset}(e.ts_us) AS onset_us
  FROM ev e JOIN oe ON e.event_type = oe.event_type GROUP BY e.customer_id
) o ON b.customer_id = o.customer_id
GROUP BY b.event_type"""


def moments_sql(near_us: int) -> str:
    """Return the query for ``em``: what customers with the outcome did when, and how many times.

    A bucket is `near_us` long: what is near a moment lies in its bucket or a neighbouring one.
    """
    return f"""
SELECT e.event_type AS event_type, e.customer_id AS customer_id, e.ts_us AS ts_us,
  CAST(FLOOR(e.ts_us / {float_literal(float(near_us))}) AS BIGINT) AS bucket, COUNT(*) AS copies
FROM ev e
JOIN (
  SELECT DISTINCT ev.customer_id FROM ev JOIN oe ON ev.event_type = oe.event_type
) k ON e.customer_id = k.customer_id
GROUP BY e.event_type, e.customer_id, e.ts_us"""


def outcome_moments_sql() -> str:
    """Return the query for ``om``: the moments of the outcome's events, each once."""
    return """
SELECT DISTINCT e.customer_id AS customer_id, e.ts_us AS ts_us, e.bucket AS bucket
FROM em e JOIN oe ON e.event_type = oe.event_type"""


def near_sql(near_us: int) -> str:
    """Return the query for ``nr``: moments of events within `near_us` of one of the outcome."""
    return f"""
SELECT e.event_type AS event_type, e.customer_id AS customer_id, e.ts_us AS e_us,
  e.copies AS copies, o.ts_us AS o_us
FROM em e
JOIN (
  SELECT om.customer_id AS customer_id, om.ts_us AS ts_us, om.bucket + d.d AS bucket
  FROM om CROSS JOIN (SELECT -1 AS d UNION SELECT 0 UNION SELECT 1) d
) o ON e.customer_id = o.customer_id AND e.bucket = o.bucket
WHERE ABS(e.ts_us - o.ts_us) <= {int(near_us)}"""


def near_rows_sql() -> str:
    """Return the query for ``(event_type, n)``: rows near one of the outcome's events."""
    return """
SELECT event_type, SUM(copies) AS n
FROM (SELECT DISTINCT event_type, customer_id, e_us, copies FROM nr) m
GROUP BY event_type"""


def near_outcomes_sql() -> str:
    """Return the query for ``(event_type, n, customers)``: moments of the outcome with it near."""
    return """
SELECT event_type, COUNT(*) AS n, COUNT(DISTINCT customer_id) AS customers
FROM (SELECT DISTINCT event_type, customer_id, o_us FROM nr) m
GROUP BY event_type"""


def lost_counts_sql() -> str:
    """Return the query for what counting by event time alone would have counted too early.

    Returns
    -------
    str
        A SELECT with ``pairs`` (row and event type with an event in the window), ``changed`` (those
        where a row had not arrived yet), ``events`` and ``early`` (the same by event).
    """
    return """
SELECT COUNT(*) AS pairs, COUNT(CASE WHEN early > 0 THEN 1 END) AS changed,
  SUM(events) AS events, SUM(early) AS early
FROM (
  SELECT c.r AS r, v.code AS code, COUNT(*) AS events,
    COUNT(CASE WHEN e.arrival_us IS NULL OR e.arrival_us >= c.as_of_us THEN 1 END) AS early
  FROM ev e
  JOIN au c ON e.customer_id = c.customer_id
  JOIN vo v ON e.event_type = v.event_type
  WHERE e.ts_us < c.as_of_us AND e.ts_us >= c.as_of_us - v.window_us
  GROUP BY c.r, v.code
) p"""


def delays_sql() -> str:
    """Return the query for ``delay_us``, from event to arrival; null where it never did."""
    return "SELECT arrival_us - ts_us AS delay_us FROM ev"
