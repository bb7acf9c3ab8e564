"""The SQL that says what happened to the candidates: common subset of DuckDB and Spark.

Beside ``ev`` and ``ca(customer_id, as_of_us[, y])`` (`ces_ml.sql.population`) the engine provides
``oe(event_type, family)``, the outcome's event types, each in one family numbered from 0;
``wa(customer_id, anchor_us, arrived_us)`` where an anchor ends the outcome window; and
``tr(customer_id, from_us, to_us)`` with treatments (`to_us` null: still going on).

Each outcome window is ``[as_of + gap, end)``, in ``cw(customer_id, as_of_us, end_us[, y])``.
"""

from __future__ import annotations

from ces_ml.spec.outcome import Growth, OutcomeSpec
from ces_ml.sql.population import known_sql
from ces_ml.sql.quoting import float_literal

__all__ = [
    "first_uses_sql",
    "good_outcome",
    "happens_once",
    "judged_sql",
    "outcome_sql",
    "reasons_to_leave_out",
    "treated_sql",
    "treatments_sql",
    "window_sql",
]

#: Sums of floats depend on the order of the rows far below this part of the sum of absolute values.
_EQUAL = 1e-9


def window_sql(outcome: OutcomeSpec) -> str:
    """Return the query for ``cw``: candidates with the end of their outcome window.

    With `within` the end is null for customers whose anchor was not known before `as_of`.
    """
    y = ", c.y AS y" if outcome.labels else ""
    if outcome.anchor is None:
        return f"""
SELECT c.customer_id AS customer_id, c.as_of_us AS as_of_us,
  c.as_of_us + {outcome.reach} AS end_us{y}
FROM ca c"""
    return f"""
SELECT c.customer_id AS customer_id, c.as_of_us AS as_of_us,
  CASE WHEN a.anchor_us < c.as_of_us AND a.arrived_us < c.as_of_us
    THEN a.anchor_us + {outcome.anchor.after.us} END AS end_us
FROM ca c LEFT JOIN wa a ON a.customer_id = c.customer_id"""


def first_uses_sql(*, arrival: bool) -> str:
    """Return the query for ``hf(customer_id, family, first_us, known_us)``.

    When a customer first did an event of a family, and since when that is known (perhaps never:
    null). First times are all that an outcome needs that happens once, so the log is read once
    however many moments there are.
    """
    return f"""
SELECT e.customer_id AS customer_id, o.family AS family,
  MIN(e.ts_us) AS first_us, MIN({known_sql("e", arrival=arrival)}) AS known_us
FROM ev e JOIN oe o ON e.event_type = o.event_type
GROUP BY e.customer_id, o.family"""


def outcome_sql(outcome: OutcomeSpec, *, arrival: bool, value: str | None = None) -> str:
    """Return the query for what happened to the candidates in ``cw``.

    Parameters
    ----------
    outcome : OutcomeSpec
    arrival : bool
        Whether ``ev`` has ``arrival_us``.
    value : str, optional
        The column of ``ev`` whose growth is asked for; events are counted when not given.

    Returns
    -------
    str
        A SELECT with ``customer_id, as_of_us, end_us`` and

        - for outcomes that happen once: ``n_known, n_before, n_gap, n_window``, how many families
          were first used (known to be) before `as_of`, before it, in the gap, in the window;
        - for labels: ``y``;
        - for silence and repeatable events: ``n_active``, events known in the look-back, and
          ``n_window``, events in the window;
        - for growth: ``n_active``, the totals ``base`` and ``later``, and ``size``, the sum of
          absolute values in both.
    """
    if outcome.labels is not None:
        return "SELECT c.customer_id, c.as_of_us, c.end_us, c.y FROM cw c"
    if happens_once(outcome):
        return _once_sql(outcome)
    return _totals_sql(outcome, arrival=arrival, value=value)


def happens_once(outcome: OutcomeSpec) -> bool:
    """Return whether first times decide the outcome."""
    return not (outcome.silence_of or outcome.repeatable or outcome.growth or outcome.labels)


def _once_sql(outcome: OutcomeSpec) -> str:
    start = f"c.as_of_us + {outcome.gap.us}"

    def count(condition: str) -> str:
        return f"COUNT(CASE WHEN {condition} THEN 1 END)"

    return f"""
SELECT c.customer_id AS customer_id, c.as_of_us AS as_of_us, c.end_us AS end_us,
  {count("h.known_us < c.as_of_us")} AS n_known,
  {count("h.first_us < c.as_of_us")} AS n_before,
  {count(f"h.first_us >= c.as_of_us AND h.first_us < {start}")} AS n_gap,
  {count(f"h.first_us >= {start} AND h.first_us < c.end_us")} AS n_window
FROM cw c LEFT JOIN hf h ON h.customer_id = c.customer_id
GROUP BY c.customer_id, c.as_of_us, c.end_us"""


def _totals_sql(outcome: OutcomeSpec, *, arrival: bool, value: str | None) -> str:
    look_back = outcome.active_within.us if outcome.active_within else 0
    if outcome.growth is not None and outcome.horizon is not None:
        look_back = outcome.horizon.us
    known = " AND e.arrival_us < c.as_of_us" if arrival else ""
    before, inside = "e.ts_us < c.as_of_us", f"e.ts_us >= c.as_of_us + {outcome.gap.us}"
    facts = {
        "n_active": f"COUNT(CASE WHEN {before}{known} THEN 1 END)",
        "n_window": f"COUNT(CASE WHEN {inside} THEN 1 END)",
    }
    if outcome.growth is not None:
        x, none = (value or "1"), float_literal(0.0)
        sums = {
            "base": f"SUM(CASE WHEN {before} THEN {x} END)",
            "later": f"SUM(CASE WHEN {inside} THEN {x} END)",
            "size": f"SUM(CASE WHEN {before} OR {inside} THEN ABS({x}) END)",
        }
        facts |= {k: f"COALESCE(CAST({v} AS DOUBLE), {none})" for k, v in sums.items()}
    inner = ", ".join(f"{fact} AS {name}" for name, fact in facts.items())
    zeros = {n: float_literal(0.0) if n in ("base", "later", "size") else "0" for n in facts}
    outer = ", ".join(f"COALESCE(w.{n}, {zeros[n]}) AS {n}" for n in facts)
    return f"""
SELECT c.customer_id AS customer_id, c.as_of_us AS as_of_us, c.end_us AS end_us, {outer}
FROM cw c
LEFT JOIN (
  SELECT c.customer_id AS customer_id, c.as_of_us AS as_of_us, {inner}
  FROM ev e
  JOIN oe o ON e.event_type = o.event_type
  JOIN cw c ON e.customer_id = c.customer_id
  WHERE e.ts_us >= c.as_of_us - {look_back} AND e.ts_us < c.end_us
  GROUP BY c.customer_id, c.as_of_us
) w ON w.customer_id = c.customer_id AND w.as_of_us = c.as_of_us"""


def treatments_sql() -> str:
    """Return the query for ``tr`` from the event types in ``te(event_type)``."""
    return """
SELECT e.customer_id AS customer_id, e.ts_us AS from_us, e.ts_us AS to_us
FROM ev e JOIN te t ON e.event_type = t.event_type"""


def treated_sql() -> str:
    """Return the query for ``tw(customer_id, as_of_us)``: the rows of ``cw`` that are treated."""
    return """
SELECT DISTINCT c.customer_id AS customer_id, c.as_of_us AS as_of_us
FROM tr t JOIN cw c ON t.customer_id = c.customer_id
WHERE t.from_us < c.end_us
  AND (t.from_us >= c.as_of_us OR t.to_us IS NULL OR t.to_us > c.as_of_us)"""


def reasons_to_leave_out(
    outcome: OutcomeSpec, *, first_us: int, end_us: int, families: int
) -> list[tuple[str, str]]:
    """Return why rows of `outcome_sql` leave the sample: (reason, SQL condition).

    The reasons are taken in this order, so that each row counts for one.

    Parameters
    ----------
    outcome : OutcomeSpec
    first_us, end_us : int
        The log's first event and the end of its observation.
    families : int
        How many families can be sold.
    """
    reasons = [("censored", f"end_us > {end_us}")]
    if outcome.labels is not None:
        reasons = []
    elif outcome.within is not None:
        over = f"end_us <= as_of_us + {outcome.gap.us}"
        reasons = [("no_anchor", "end_us IS NULL"), ("window_over", over), *reasons]
    if outcome.silence_of:
        reasons += [("not_active", "n_active = 0")]
    elif outcome.growth is not None and outcome.horizon is not None:
        short = f"as_of_us - {outcome.horizon.us} < {first_us}"
        reasons += [("look_back_before_log", short), ("not_active", "n_active = 0")]
    elif outcome.families:
        reasons += [("all_used", f"n_known = {families}"), ("happened_in_gap", "n_gap > 0")]
    elif happens_once(outcome):
        reasons += [("already_happened", "n_known > 0"), ("happened_in_gap", "n_gap > 0")]
    if outcome.treated is not None and outcome.treated.how == "exclude":
        reasons += [("treated", "treated = 1")]
    return reasons


def good_outcome(outcome: OutcomeSpec) -> str:
    """Return the SQL condition over `outcome_sql` for ``y = 1``, the good outcome."""
    if outcome.labels is not None:
        return "y = 1"
    if outcome.growth is not None:
        return _grown(outcome.growth)
    if outcome.task == "churn" and outcome.event:
        return "n_window = 0" + ("" if outcome.repeatable else " AND n_before = 0")
    return "n_window > 0"


def _grown(growth: Growth) -> str:
    base = f"CASE WHEN base > {float_literal(0.0)} THEN base ELSE {float_literal(0.0)} END"
    slack = f"{float_literal(_EQUAL)} * size"
    factor, least = float_literal(growth.factor), float_literal(growth.least)
    return (
        f"later - ({base}) > {slack} AND later - {factor} * ({base}) >= -({slack}) "
        f"AND later - ({base}) - {least} >= -({slack})"
    )


def judged_sql(outcome: OutcomeSpec, reasons: list[tuple[str, str]]) -> str:
    """Return the query for ``oj``: every candidate with its reason to leave, outcome, treatment.

    Returns
    -------
    str
        A SELECT with ``customer_id, as_of_us, why, y, treated, unseen``: the place of the reason in
        `reasons` (their number if the row stays), 1 or 0 for the good outcome and for treated rows,
        and whether the outcome's event had happened before `as_of` but was not known then.
    """
    whens = " ".join(f"WHEN {condition} THEN {k}" for k, (_, condition) in enumerate(reasons))
    why = f"CASE {whens} ELSE {len(reasons)} END" if reasons else "0"
    once = happens_once(outcome) and not outcome.families
    unseen = "CASE WHEN n_before > 0 THEN 1 ELSE 0 END" if once else "0"
    facts = "SELECT o.*, 0 AS treated FROM oc o"
    if outcome.treated is not None:
        facts = """
SELECT o.*, CASE WHEN t.customer_id IS NULL THEN 0 ELSE 1 END AS treated
FROM oc o LEFT JOIN tw t ON t.customer_id = o.customer_id AND t.as_of_us = o.as_of_us"""
    return f"""
SELECT customer_id, as_of_us, {why} AS why,
  CASE WHEN {good_outcome(outcome)} THEN 1 ELSE 0 END AS y, treated, {unseen} AS unseen
FROM ({facts}) x"""
