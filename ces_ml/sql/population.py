"""The SQL that says who is in the sample and what happened: common subset of DuckDB and Spark.

Beside ``ev`` (see `ces_ml.sql.counting`) the engine provides ``mo(as_of_us)`` with the fixed
moments, ``an(event_type)`` with the anchor event, and ``oe(event_type)`` with the outcome's
event types. Candidates are the relation ``ca(customer_id, as_of_us)``.
"""

from __future__ import annotations

from ces_ml.spec.outcome import OutcomeSpec

__all__ = [
    "anchored_sql",
    "dated_sql",
    "first_known_sql",
    "good_outcome",
    "outcome_sql",
    "reasons_to_leave_out",
]


def first_known_sql(*, arrival: bool) -> str:
    """Return the query for ``fk(customer_id, known_us)``: since when a customer is known.

    A customer is known at `as_of` iff an event happened, and had arrived, before it.
    """
    known = "CASE WHEN arrival_us > ts_us THEN arrival_us ELSE ts_us END" if arrival else "ts_us"
    where = "WHERE arrival_us IS NOT NULL" if arrival else ""
    return f"""
SELECT customer_id, MIN({known}) AS known_us
FROM ev {where}
GROUP BY customer_id"""


def dated_sql() -> str:
    """Return the query for candidates at fixed moments: everyone known before the moment."""
    return """
SELECT f.customer_id AS customer_id, m.as_of_us AS as_of_us
FROM fk f JOIN mo m ON f.known_us < m.as_of_us"""


def anchored_sql(after_us: int, until_us: int) -> str:
    """Return the query for candidates `after_us` microseconds after their first anchor event.

    Moments after `until_us` have not come yet and are left out.
    """
    return f"""
SELECT a.customer_id AS customer_id, a.as_of_us AS as_of_us
FROM (
  SELECT e.customer_id AS customer_id, MIN(e.ts_us) + {after_us} AS as_of_us
  FROM ev e JOIN an ON e.event_type = an.event_type
  GROUP BY e.customer_id
) a
JOIN fk f ON a.customer_id = f.customer_id
WHERE f.known_us < a.as_of_us AND a.as_of_us <= {until_us}"""


def outcome_sql(outcome: OutcomeSpec, *, arrival: bool) -> str:
    """Return the query for what happened to the candidates with the outcome's events.

    Returns
    -------
    str
        A SELECT with ``customer_id, as_of_us, n_before, n_gap, n_window, n_active``: how many of
        the outcome's events lie before `as_of`, in the gap, in the outcome window
        ``[as_of + gap, as_of + gap + horizon)`` and, known at `as_of`, in the look-back
        ``[as_of − active_within, as_of)``. Candidates without such events have zeros.
    """
    gap, reach = outcome.gap.us, outcome.reach
    look_back = outcome.active_within.us if outcome.active_within else 0
    known = " AND e.arrival_us < c.as_of_us" if arrival else ""

    def count(condition: str) -> str:
        return f"COUNT(CASE WHEN {condition} THEN 1 END)"

    before = count("e.ts_us < c.as_of_us")
    in_gap = count(f"e.ts_us >= c.as_of_us AND e.ts_us < c.as_of_us + {gap}")
    in_window = count(f"e.ts_us >= c.as_of_us + {gap} AND e.ts_us < c.as_of_us + {reach}")
    active = count(f"e.ts_us < c.as_of_us AND e.ts_us >= c.as_of_us - {look_back}{known}")
    return f"""
SELECT c.customer_id AS customer_id, c.as_of_us AS as_of_us,
  {before} AS n_before, {in_gap} AS n_gap, {in_window} AS n_window, {active} AS n_active
FROM ca c
LEFT JOIN (
  SELECT ev.* FROM ev JOIN oe ON ev.event_type = oe.event_type
) e ON e.customer_id = c.customer_id
GROUP BY c.customer_id, c.as_of_us"""


def reasons_to_leave_out(outcome: OutcomeSpec, end_us: int) -> list[tuple[str, str]]:
    """Return why rows of `outcome_sql` leave the sample: (reason, SQL condition).

    The reasons are taken in this order, so that each row counts for one. `end_us` is the end of
    the log's observation.
    """
    reasons = [("censored", f"as_of_us + {outcome.reach} > {end_us}")]
    if outcome.silence_of:
        return [*reasons, ("not_active", "n_active = 0")]
    if outcome.repeatable:
        return reasons
    return [*reasons, ("already_happened", "n_before > 0"), ("happened_in_gap", "n_gap > 0")]


def good_outcome(outcome: OutcomeSpec) -> str:
    """Return the SQL condition over `outcome_sql` for ``y = 1``, the good outcome."""
    cancelled = outcome.task == "churn" and bool(outcome.event)
    return "n_window = 0" if cancelled else "n_window > 0"
