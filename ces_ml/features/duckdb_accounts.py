"""Accounts of users in DuckDB: the mapping's table, and a log with an account at each event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ces_ml.features.accounts import (
    AccountMapping,
    account_sql,
    check_mapping,
    mapping_roles,
    mapping_source,
    mapping_sql,
    unmapped_sql,
)
from ces_ml.features.columns import Ask, customer_sql
from ces_ml.features.shaping import column_types
from ces_ml.features.sources import open_source
from ces_ml.sql.quoting import identifier

if TYPE_CHECKING:
    import duckdb

__all__ = ["DuckDBAccounts"]

_USER, _US = '"ces-ml user"', '"ces-ml time"'


class DuckDBAccounts:
    """The relation ``accounts(user_id, account, from_us, to_us)`` of a connection.

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
        If the table can't be opened or used; see `mapping_sql` and `check_mapping`.
    SpecError
        If no table is named.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        ask: Ask,
        mapping: AccountMapping,
        table: Any = None,
    ) -> None:
        self._con, self._ask, self._mapping = con, ask, mapping
        source, name, _ = mapping_source(mapping, table)
        open_source(con, source, mapping_roles(mapping), "accounts_read", table=name)
        con.execute("CREATE OR REPLACE TEMP VIEW source AS SELECT * FROM accounts_read")
        select = mapping_sql(mapping, column_types(con, "source"), ask)
        con.execute(f"CREATE TEMP TABLE accounts AS {select}")
        check_mapping(lambda query: con.execute(query).fetchall())
        self._users = column_types(con, "accounts")["user_id"]

    def rolled_up(self, source: str, us: str, user_col: str, types: dict[str, str]) -> str:
        """Return the query for a log with the account of each event as a column.

        Parameters
        ----------
        source : str
            The query for the log; the relation ``source`` is this.
        us : str
            The expression for UTC microseconds.
        user_col : str
        types : dict of str to str
            The columns of the log.

        Raises
        ------
        EventLogError
            If users are numbers on one side and text on the other.
        """
        user = customer_sql(self._ask, user_col, types)
        kind = str(self._con.sql(f"SELECT {user} AS x FROM source LIMIT 0").types[0])
        # A column of that name in the log gives way to the mapping.
        account = self._mapping.account_col
        hidden = [_USER, _US, *(identifier(c) for c in _alike(account, types))]
        select = f"s.* EXCLUDE ({', '.join(hidden)}), m.account AS {identifier(account)}"
        kinds = (kind, self._users)
        return account_sql(source, select, user=user, us=us, kinds=kinds, hidden=(_USER, _US))

    def unmapped(self, user_col: str, types: dict[str, str]) -> tuple[int, int]:
        """Return how many events with a user have no account then, and of how many users."""
        user = customer_sql(self._ask, user_col, types)
        events, users = self._ask(unmapped_sql(user, identifier(self._mapping.account_col)))
        return int(events), int(users)


def _alike(name: str, columns: Iterable[str]) -> list[str]:
    return [c for c in columns if c.casefold() == name.casefold()]
