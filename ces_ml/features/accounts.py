"""From users to accounts: events go to the account that a user belonged to when they happened."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ces_ml.errors import EventLogError, SpecError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.features.columns import Ask, customer_sql, time_sql
from ces_ml.features.engine import moment_of
from ces_ml.features.shaping import column_types
from ces_ml.features.sources import open_source
from ces_ml.spec.model import SpecModel
from ces_ml.sql.quoting import identifier

if TYPE_CHECKING:
    import duckdb

__all__ = ["AccountMapping", "account_sql", "open_accounts"]


class AccountMapping(SpecModel):
    """Which account a user belongs to, and when.

    With it the account is the customer: what its users do is counted together. Each row of the
    table says that a user belongs to an account from `valid_from_col` until before
    `valid_to_col`; null is open. A user is in one account at a time. Events of users without an
    account at the time are dropped and reported. The user stays a column of the log, under the
    name of `EventSchema.customer_col`.

    Parameters
    ----------
    path : str, optional
        Parquet, CSV or JSON-lines file; or pass the table itself from Python.
    user_col : str, default="user_id"
    account_col : str, default="account_id"
        Also what the customer is called in counts and scores.
    valid_from_col, valid_to_col : str, optional
        Times; without them a user belongs to its account for ever.

    Examples
    --------
    >>> AccountMapping(path="seats.csv", valid_from_col="joined").account_col
    'account_id'
    """

    path: str | None = None
    user_col: str = Field(default="user_id", min_length=1)
    account_col: str = Field(default="account_id", min_length=1)
    valid_from_col: str | None = Field(default=None, min_length=1)
    valid_to_col: str | None = Field(default=None, min_length=1)

    def model_post_init(self, context: object) -> None:
        """Refuse one column in two roles, and the name of the moment of counts."""
        roles = [self.user_col, self.account_col, self.valid_from_col, self.valid_to_col]
        held = [r for r in roles if r is not None]
        if len(set(held)) < len(held) or self.account_col == "as_of":
            raise SpecError(
                "the columns of the account mapping can't be told apart",
                got=", ".join(show(r) for r in held),
                allowed="different columns; account_col is not as_of",
                hint="correct user_col, account_col, valid_from_col or valid_to_col",
            )

    def located(self, folder: str | os.PathLike[str]) -> AccountMapping:
        """Return the mapping with its path relative to `folder`."""
        if self.path is None:
            return self
        return self.model_copy(update={"path": os.path.join(folder, self.path)})


def open_accounts(
    con: duckdb.DuckDBPyConnection, ask: Ask, mapping: AccountMapping, table: Any = None
) -> str:
    """Make ``accounts(user_id, account, from_us, to_us)`` and return the type of its users.

    Parameters
    ----------
    con : DuckDBPyConnection
        ``source`` is made anew by this.
    ask : callable
        Asks ``source``.
    mapping : AccountMapping
    table : path, frame or table, optional
        ``mapping.path`` when not given.

    Raises
    ------
    EventLogError
        If a column is missing, a row lacks its user or account, an interval ends before it
        begins, or a user is in two accounts at a time.
    """
    events = mapping.path if table is None else table
    if events is None:
        raise SpecError(
            "no account mapping is named",
            got="no accounts.path",
            allowed="the path of a table of users and accounts",
            hint="add `accounts: {path: …}`, or pass the table from Python",
        )
    times = {c: "from_us" for c in [mapping.valid_from_col] if c}
    times |= {c: "to_us" for c in [mapping.valid_to_col] if c}
    # Times of frames are read by their role.
    roles = EventSchema(
        customer_col=mapping.user_col,
        event_col=mapping.account_col,
        timestamp_col=mapping.valid_from_col or mapping.valid_to_col or "no time",
        arrival_col=mapping.valid_to_col,
    )
    open_source(con, events, roles, "accounts_read")
    con.execute("CREATE OR REPLACE TEMP VIEW source AS SELECT * FROM accounts_read")
    types = column_types(con, "source")
    for column in [mapping.user_col, mapping.account_col, *times]:
        if column not in types:
            raise EventLogError(
                "the account mapping has no such column",
                got=show(column),
                allowed=did_you_mean(column, types),
                hint="name it in accounts: user_col, account_col, valid_from_col, valid_to_col",
            )
    bounds = {"from_us": "CAST(NULL AS BIGINT)", "to_us": "CAST(NULL AS BIGINT)"}
    bounds |= {name: time_sql(ask, column, types)[0] for column, name in times.items()}
    con.execute(
        "CREATE TEMP TABLE accounts AS SELECT "
        f"{customer_sql(ask, mapping.user_col, types)} AS user_id, "
        f"{customer_sql(ask, mapping.account_col, types)} AS account, "
        + ", ".join(f"{e} AS {n}" for n, e in bounds.items())
        + " FROM source"
    )
    _check(con)
    return column_types(con, "accounts")["user_id"]


def _check(con: duckdb.DuckDBPyConnection) -> None:
    blank = _one(con, "SELECT COUNT(*) FROM accounts WHERE user_id IS NULL OR account IS NULL")
    if blank[0]:
        raise EventLogError(
            "the account mapping has rows without a user or an account",
            got=f"{blank[0]:,} rows",
            allowed="a user and an account in every row",
            hint="remove these rows: users without an account are simply not in the mapping",
        )
    wrong = _one(
        con,
        "SELECT COUNT(*), MIN(CAST(user_id AS VARCHAR)) FROM accounts WHERE to_us < from_us",
    )
    if wrong[0]:
        raise EventLogError(
            "an interval of the account mapping ends before it begins",
            got=f"{wrong[0]:,} rows, for example of user {show(wrong[1])}",
            allowed="valid_from up to valid_to",
            hint="correct the interval",
        )
    clash = con.execute(
        "SELECT CAST(user_id AS VARCHAR), CAST(before AS VARCHAR), ended, "
        "CAST(account AS VARCHAR), from_us, "
        "COUNT(*) OVER () FROM (SELECT *, "
        "LAG(account) OVER w AS before, LAG(to_us) OVER w AS ended, ROW_NUMBER() OVER w AS k "
        "FROM accounts WHERE from_us IS NULL OR to_us IS NULL OR from_us < to_us "
        "WINDOW w AS (PARTITION BY user_id ORDER BY from_us NULLS FIRST, to_us NULLS LAST)) "
        "WHERE k > 1 AND (ended IS NULL OR from_us IS NULL OR ended > from_us) "
        "ORDER BY 1, from_us LIMIT 1"
    ).fetchall()
    if clash:
        user, first, ended, second, begins, count = clash[0]
        raise EventLogError(
            f"user {show(user)} belongs to two accounts at a time",
            got=f"{show(first)} until {_date(ended, 'ever')} and {show(second)} from "
            f"{_date(begins, 'ever')}; {count:,} such pairs",
            allowed="intervals of a user that do not overlap; valid_to is not part of its own",
            hint="end the first interval where the second begins",
        )


def account_sql(
    source: str,
    mapping: AccountMapping,
    *,
    user: str,
    us: str,
    kinds: tuple[str, str],
    columns: Iterable[str],
) -> str:
    """Return the query for ``source`` with the account of each event as a column.

    Parameters
    ----------
    source : str
        The query for ``source`` with users.
    mapping : AccountMapping
    user, us : str
        Expressions for the user and for UTC microseconds.
    kinds : (str, str)
        Types of the users in the log and in the mapping.
    columns : iterable of str
        Columns of the log.

    Raises
    ------
    EventLogError
        If users are numbers on one side and text on the other.
    """
    numbers = [k.endswith(("INT", "INTEGER")) for k in kinds]
    if numbers[0] != numbers[1]:
        raise EventLogError(
            "users of the log and of the account mapping have different types",
            got=f"{kinds[0]} in the log, {kinds[1]} in the mapping",
            allowed="numbers in both, or text in both",
            hint="write one of them as the other is: 007 and 7 may be two users",
        )
    key = "{}" if numbers[0] else "CAST({} AS VARCHAR)"
    # A column of that name in the log gives way to the mapping.
    hidden = [_US, _USER]
    hidden += [identifier(c) for c in columns if c.casefold() == mapping.account_col.casefold()]
    return (
        f"SELECT s.* EXCLUDE ({', '.join(hidden)}), m.account AS {identifier(mapping.account_col)} "
        f"FROM (SELECT *, {us} AS {_US}, {user} AS {_USER} FROM ({source}) AS source) s "
        f"LEFT JOIN accounts m ON {key.format(f's.{_USER}')} = {key.format('m.user_id')} "
        f"AND (m.from_us IS NULL OR s.{_US} >= m.from_us) "
        f"AND (m.to_us IS NULL OR s.{_US} < m.to_us)"
    )


_US, _USER = '"ces-ml time"', '"ces-ml user"'


def _one(con: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] = con.execute(query).fetchall()[0]
    return row


def _date(us: int | None, otherwise: str) -> str:
    return otherwise if us is None else moment_of(us).isoformat()
