"""The SQL that counts the seats of accounts: common subset of DuckDB and Spark.

The engine provides ``accounts(user_id, account, from_us, to_us)``: which account a user belongs to
in ``[from, to)``; null is open.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["seats_col", "seats_sql"]


def seats_col(window_us: int) -> str:
    """Return the name of the column with the seats of a window, in the result of `seats_sql`."""
    return f"seats_{window_us}"


def seats_sql(windows_us: Sequence[int]) -> str:
    """Return the query for how many users each row's account had.

    A user has a seat iff it belonged to the account at some time in ``[as_of − window, as_of)``.

    Parameters
    ----------
    windows_us : sequence of int
        One or more, each once.

    Returns
    -------
    str
        A SELECT with ``r, customer_id`` of every row of ``cu``, which both together tell apart,
        and a column of `seats_col` for every window; no order.
    """
    seats = ", ".join(
        "COUNT(DISTINCT CASE WHEN a.to_us IS NULL "
        f"OR a.to_us > c.as_of_us - {us} THEN a.user_id END) AS {seats_col(us)}"
        for us in windows_us
    )
    return f"""
SELECT c.r AS r, c.customer_id AS customer_id, {seats}
FROM cu c LEFT JOIN accounts a ON c.customer_id = a.account
  AND (a.from_us IS NULL OR a.from_us < c.as_of_us)
  AND (a.to_us IS NULL OR a.to_us > c.as_of_us - {max(windows_us)})
  AND (a.from_us IS NULL OR a.to_us IS NULL OR a.from_us < a.to_us)
GROUP BY c.r, c.customer_id"""
