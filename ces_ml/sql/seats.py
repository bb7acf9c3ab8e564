"""The SQL that counts the seats of accounts: common subset of DuckDB and Spark.

The engine provides ``accounts(user_id, account, from_us, to_us)``: which account a user belongs to
in ``[from, to)``; null is open.
"""

from __future__ import annotations

__all__ = ["seats_sql"]


def seats_sql(window_us: int) -> str:
    """Return the query for how many users each row's account had, in the order of ``r``.

    A user has a seat iff it belonged to the account at some time in ``[as_of − window, as_of)``.
    """
    return f"""
SELECT COUNT(DISTINCT a.user_id) AS seats
FROM cu c LEFT JOIN accounts a ON c.customer_id = a.account
  AND (a.from_us IS NULL OR a.from_us < c.as_of_us)
  AND (a.to_us IS NULL OR a.to_us > c.as_of_us - {window_us})
  AND (a.from_us IS NULL OR a.to_us IS NULL OR a.from_us < a.to_us)
GROUP BY c.r
ORDER BY c.r"""
