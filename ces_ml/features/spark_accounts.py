"""Accounts of users in Spark: the mapping's table, and a log with an account at each event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ces_ml.features.accounts import AccountMapping, account_sql, mapping_sql
from ces_ml.features.columns import Ask
from ces_ml.features.dialect import Dialect
from ces_ml.features.spark_shaping import check_names, floored
from ces_ml.features.spark_sources import SparkLog
from ces_ml.features.spark_start import call_it
from ces_ml.features.spark_types import called

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["ACCOUNT", "SparkAccounts", "make_mapping"]

#: The column of ``source`` with the account of an event; those of the log are ``c0, c1, …``.
ACCOUNT = "account"
_USER, _US = "event_user", "event_us"


def make_mapping(table: SparkLog, mapping: AccountMapping, dialect: Dialect, ask: Ask) -> str:
    """Make ``source`` of the mapping's table, and return the query over it for ``accounts``.

    Parameters
    ----------
    table : SparkLog
        The table as it is stored.
    mapping : AccountMapping
    dialect : Dialect
    ask : callable
        Asks ``source`` as it is now, not as it was when the same was asked before.

    Raises
    ------
    EventLogError
        If a column is missing, or its type or content can't be used.
    """
    check_names(table.names)
    columns = {name: f"c{k}" for k, name in enumerate(table.names)}
    outputs = {column: column for column in columns.values()}
    kinds = {n: called(f.dataType) for n, f in zip(table.names, table.frame.schema, strict=True)}
    for name in (mapping.valid_from_col, mapping.valid_to_col):
        if name is not None and table.nanoseconds is not None and kinds.get(name) == "BIGINT":
            outputs[columns[name]] = f"TIMESTAMP_MICROS({floored(columns[name])})"
            kinds[name] = "TIMESTAMP WITH TIME ZONE"
    source = table.frame.selectExpr(*(f"{e} AS {c}" for c, e in outputs.items()))
    call_it(source, "source")
    return mapping_sql(mapping, kinds, ask, replace(dialect, column=columns.__getitem__))


@dataclass(frozen=True)
class SparkAccounts:
    """The relation ``accounts(user_id, account, from_us, to_us)`` of a session.

    Parameters
    ----------
    spark : SparkSession
        Our own.
    mapping : AccountMapping
    users : str
        DuckDB's name of the type of ``user_id``.
    """

    spark: SparkSession
    mapping: AccountMapping
    users: str

    def rolled_up(
        self, user: str, us: str, columns: Mapping[str, str]
    ) -> tuple[str, dict[str, str]]:
        """Return the query for ``source`` with the account of each event, and its columns by name.

        Parameters
        ----------
        user, us : str
            Expressions over ``source`` for the user and for UTC microseconds.
        columns : mapping of str to str
            From the names of the log's columns to those of ``source``.

        Raises
        ------
        EventLogError
            If users are numbers on one side and text on the other.
        """
        kind = called(self.spark.sql(f"SELECT {user} AS x FROM source").schema[0].dataType)
        account = self.mapping.account_col
        # A column of that name in the log gives way to the mapping.
        kept = {n: c for n, c in columns.items() if n.casefold() != account.casefold()}
        select = ", ".join([*(f"s.{c}" for c in kept.values()), f"m.account AS {ACCOUNT}"])
        query = account_sql(
            "SELECT * FROM source",
            select,
            user=user,
            us=us,
            kinds=(kind, self.users),
            hidden=(_USER, _US),
        )
        return query, {**kept, account: ACCOUNT}
