"""The SQL that says since when, and how lately, the customers of a sample are active."""

from __future__ import annotations

__all__ = ["history_sql"]


def history_sql(*, arrival: bool = False) -> str:
    """Return the query for the history of every row of ``cu``, over the event types of ``hv``.

    An event belongs to the history iff ``ts < as_of`` and, with `arrival`, ``arrival < as_of``.

    Parameters
    ----------
    arrival : bool, default=False
        Whether ``ev`` has the column ``arrival_us``.

    Returns
    -------
    str
        A SELECT with ``r, since_last_us, since_first_us, n``, only for rows with an event; `n`
        counts the events within ``hv.window_us``. No order.
    """
    known = " AND e.arrival_us < c.as_of_us" if arrival else ""
    return f"""
SELECT c.r AS r, MIN(c.as_of_us - e.ts_us) AS since_last_us,
  MAX(c.as_of_us - e.ts_us) AS since_first_us,
  COUNT(CASE WHEN e.ts_us >= c.as_of_us - v.window_us THEN 1 END) AS n
FROM ev e
JOIN cu c ON e.customer_id = c.customer_id
JOIN hv v ON e.event_type = v.event_type
WHERE e.ts_us < c.as_of_us{known}
GROUP BY c.r"""
