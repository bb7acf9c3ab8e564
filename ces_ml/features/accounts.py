"""From users to accounts: events go to the account that a user belonged to when they happened.

What a mapping may hold, and which event goes where, is stated here for every engine; how each of
them opens the table and names its columns stands in `ces_ml.features.duckdb_accounts` and
`ces_ml.features.spark_accounts`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from ces_ml.errors import EventLogError, SpecError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.features.columns import Ask, customer_sql, time_sql
from ces_ml.features.dialect import DUCKDB, Dialect
from ces_ml.features.engine import moment_of
from ces_ml.spec.model import SpecModel

__all__ = [
    "AccountMapping",
    "account_sql",
    "check_mapping",
    "mapping_roles",
    "mapping_source",
    "mapping_sql",
    "named_accounts",
    "unmapped_sql",
]


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
        Parquet, CSV or JSON-lines file, on Spark also an address such as ``s3a://…``; or pass the
        table itself from Python.
    table : str, optional
        Table of a DuckDB database, beside its path; or, on Spark and without a path, a table or
        view that Spark knows.
    format : str, optional
        On Spark, the format of what lies at the path, such as ``delta``.
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
    table: str | None = Field(default=None, min_length=1)
    format: str | None = Field(default=None, min_length=1)
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
        """Return the mapping with its path relative to `folder`; an address stays as it is."""
        if self.path is None or "://" in self.path:
            return self
        return self.model_copy(update={"path": os.path.join(folder, self.path)})


def named_accounts(
    mapping: AccountMapping | None, table: Any, schema: EventSchema
) -> AccountMapping | None:
    """Return the mapping that an engine is told of: a table alone has the usual columns.

    Parameters
    ----------
    mapping : AccountMapping, optional
    table : path, frame or table, optional
    schema : EventSchema
        The columns of the log, with its users.

    Raises
    ------
    SpecError
        If accounts would be called like users, or like another column that is read. Capitals don't
        tell columns apart in DuckDB, and a configuration means the same on every engine.
    """
    if table is not None and mapping is None:
        mapping = AccountMapping()
    if mapping is None:
        return None
    for role in ("customer_col", "event_col", "timestamp_col", "value_col", "arrival_col"):
        column = getattr(schema, role)
        if column is None or column.casefold() != mapping.account_col.casefold():
            continue
        of_users = role == "customer_col"
        raise SpecError(
            "accounts and users can't be one column"
            if of_users
            else "the account column has another role in the log",
            got=f"account_col {show(mapping.account_col)} and {role} {show(column)}",
            allowed="customer_col: the user in the log; account_col: another name"
            if of_users
            else "a name that no column of the event schema has",
            hint=f"correct account_col or {role}",
        )
    return mapping


def mapping_source(
    mapping: AccountMapping, given: Any, *, on_spark: bool = False
) -> tuple[Any, str | None, str | None]:
    """Return where the mapping's rows are: what is given from Python, or what the mapping names.

    Parameters
    ----------
    mapping : AccountMapping
    given : path, frame or table, optional
    on_spark : bool, default=False
        Whether tables are known by their name alone, and formats are.

    Returns
    -------
    source : path, frame or table, optional
    table, format : str, optional
        Of the source; the table alone where there is none.

    Raises
    ------
    SpecError
        If nothing is named, or a format that nothing reads.
    """
    if given is not None:
        return given, None, None
    if mapping.path is None and not (on_spark and mapping.table):
        raise SpecError(
            "no account mapping is named",
            got="no accounts.path",
            allowed="the path of a table of users and accounts; on Spark a table's name too",
            hint="add `accounts: {path: …}`, or pass the table from Python",
        )
    if mapping.format is not None and not on_spark:
        raise SpecError(
            "the format of the account mapping is named, but nothing reads it",
            got=f"format: {mapping.format}",
            allowed="format with a path and `engine: spark`",
            hint="add `engine: spark`, or leave out `format`",
        )
    return mapping.path, mapping.table, mapping.format


def mapping_roles(mapping: AccountMapping) -> EventSchema:
    """Return the columns of the mapping in the roles of a log's: times of frames are read by it."""
    return EventSchema(
        customer_col=mapping.user_col,
        event_col=mapping.account_col,
        timestamp_col=mapping.valid_from_col or mapping.valid_to_col or "no time",
        arrival_col=mapping.valid_to_col,
    )


def mapping_sql(
    mapping: AccountMapping, types: Mapping[str, str], ask: Ask, dialect: Dialect = DUCKDB
) -> str:
    """Return the query for ``accounts(user_id, account, from_us, to_us)`` over ``source``.

    Parameters
    ----------
    mapping : AccountMapping
    types : mapping of str to str
        The columns of the table and DuckDB's names of their types.
    ask : callable
        Asks ``source``, which is the table.
    dialect : Dialect, optional
        That of DuckDB when not given.

    Raises
    ------
    EventLogError
        If a column is missing, or its type or content can't be used.
    """
    times = {c: "from_us" for c in [mapping.valid_from_col] if c}
    times |= {c: "to_us" for c in [mapping.valid_to_col] if c}
    for column in [mapping.user_col, mapping.account_col, *times]:
        if column not in types:
            raise EventLogError(
                "the account mapping has no such column",
                got=show(column),
                allowed=did_you_mean(column, types),
                hint="name it in accounts: user_col, account_col, valid_from_col, valid_to_col",
            )
    bounds = {"from_us": "CAST(NULL AS BIGINT)", "to_us": "CAST(NULL AS BIGINT)"}
    bounds |= {name: time_sql(ask, column, types, dialect)[0] for column, name in times.items()}
    return (
        f"SELECT {customer_sql(ask, mapping.user_col, types, dialect)} AS user_id, "
        f"{customer_sql(ask, mapping.account_col, types, dialect)} AS account, "
        + ", ".join(f"{e} AS {n}" for n, e in bounds.items())
        + " FROM source"
    )


def check_mapping(rows: Callable[[str], Sequence[Sequence[Any]]]) -> None:
    """Refuse a mapping that makes no sense.

    Parameters
    ----------
    rows : callable
        Returns the rows of the answer to a query about ``accounts``.

    Raises
    ------
    EventLogError
        If a row lacks its user or account, an interval ends before it begins, or a user is in two
        accounts at a time.
    """
    [(blank, wrong, example)] = rows(
        "SELECT COUNT(CASE WHEN user_id IS NULL OR account IS NULL THEN 1 END) AS a, "
        "COUNT(CASE WHEN to_us < from_us THEN 1 END) AS b, "
        "MIN(CASE WHEN to_us < from_us THEN CAST(user_id AS STRING) END) AS c FROM accounts"
    )
    if blank:
        raise EventLogError(
            "the account mapping has rows without a user or an account",
            got=f"{blank:,} rows",
            allowed="a user and an account in every row",
            hint="remove these rows: users without an account are simply not in the mapping",
        )
    if wrong:
        raise EventLogError(
            "an interval of the account mapping ends before it begins",
            got=f"{wrong:,} rows, for example of user {show(example)}",
            allowed="valid_from up to valid_to",
            hint="correct the interval",
        )
    [(clashes,)] = rows(f"SELECT COUNT(*) AS n FROM {_CLASHES}")
    if clashes:
        [(user, first, ended, second, begins)] = rows(
            "SELECT CAST(user_id AS STRING) AS u, CAST(earlier AS STRING) AS a, ended, "
            f"CAST(account AS STRING) AS b, from_us FROM {_CLASHES} ORDER BY u, place LIMIT 1"
        )
        raise EventLogError(
            f"user {show(user)} belongs to two accounts at a time",
            got=f"{show(first)} until {_date(ended, 'ever')} and {show(second)} from "
            f"{_date(begins, 'ever')}; {clashes:,} such pairs",
            allowed="intervals of a user that do not overlap; valid_to is not part of its own",
            hint="end the first interval where the second begins",
        )


#: Intervals of a user that begin before the one before them ends; empty ones are in nobody's way.
_CLASHES = """(
  SELECT user_id, account, from_us,
    LAG(account) OVER w AS earlier, LAG(to_us) OVER w AS ended, ROW_NUMBER() OVER w AS place
  FROM accounts
  WHERE from_us IS NULL OR to_us IS NULL OR from_us < to_us
  WINDOW w AS (PARTITION BY user_id
    ORDER BY from_us NULLS FIRST, to_us NULLS LAST, CAST(account AS STRING))
) q
WHERE place > 1 AND (ended IS NULL OR from_us IS NULL OR ended > from_us)"""


def account_sql(
    source: str,
    select: str,
    *,
    user: str,
    us: str,
    kinds: tuple[str, str],
    hidden: tuple[str, str],
) -> str:
    """Return the query for a log and, beside each event, its account.

    Parameters
    ----------
    source : str
        The query for the log, with users.
    select : str
        What is selected of the log, ``s``, and of ``accounts``, ``m``.
    user, us : str
        Expressions for the user and for UTC microseconds.
    kinds : (str, str)
        DuckDB's names of the types of the users in the log and in the mapping.
    hidden : (str, str)
        What the columns for both are called inside ``s``: like none of the log.

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
    key = "{}" if numbers[0] else "CAST({} AS STRING)"
    who, when = hidden
    return (
        f"SELECT {select} "
        f"FROM (SELECT *, {us} AS {when}, {user} AS {who} FROM ({source}) AS source) s "
        f"LEFT JOIN accounts m ON {key.format(f's.{who}')} = {key.format('m.user_id')} "
        f"AND (m.from_us IS NULL OR s.{when} >= m.from_us) "
        f"AND (m.to_us IS NULL OR s.{when} < m.to_us)"
    )


def unmapped_sql(user: str, account: str) -> str:
    """Return the query for how many events with a user have no account then, and of how many users.

    Parameters
    ----------
    user, account : str
        Expressions over ``source``, a log with the account of each event.
    """
    return (
        f"SELECT COUNT({user}) AS events, COUNT(DISTINCT {user}) AS users FROM source "
        f"WHERE {account} IS NULL"
    )


def _date(us: int | None, otherwise: str) -> str:
    if us is None:
        return otherwise
    try:
        return moment_of(us).isoformat()
    except OverflowError:  # after the year 9999, which some write for ever
        return f"{us:,} microseconds after 1970"
