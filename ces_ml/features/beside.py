"""Tables beside the log, read as strictly as the log: rows with outcomes, treatments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ces_ml.errors import EventLogError, show
from ces_ml.events import EventSchema
from ces_ml.features.columns import label_sql, rows_sql
from ces_ml.features.duckdb_session import DuckDBSession
from ces_ml.features.session import Session

__all__ = ["GivenRows", "read_rows", "read_spans", "same_kind_of_ids"]


@dataclass(frozen=True)
class GivenRows:
    """Rows to count for.

    Parameters
    ----------
    table : pyarrow.Table
        ``customer_id, as_of_us`` and, where asked for, ``y``; without nulls, each pair once.
    report : dict of str to int
        Rows read, and rows dropped by reason.
    """

    table: pa.Table
    report: dict[str, int] = field(default_factory=dict)


def read_rows(source: Any, customer_col: str, as_of_col: str, y_col: str | None) -> GivenRows:
    """Read (customer, as_of) and perhaps y.

    Raises
    ------
    EventLogError
        If a column is missing or its type or content can't be used, or a pair is there twice.
    """
    with _Table(source, customer_col, as_of_col, None) as table:
        table.make({"as_of_us": as_of_col}, y_col)
        y = ", y" if y_col else ""
        report = {
            "given_rows": table.number("TRUE"),
            "given_null_customer": table.number("customer_id IS NULL"),
            "given_null_as_of": table.number("customer_id IS NOT NULL AND as_of_us IS NULL"),
        }
        keyed = "customer_id IS NOT NULL AND as_of_us IS NOT NULL"
        if y_col:
            report["given_null_y"] = table.number(f"{keyed} AND y IS NULL")
        twice = table.session.fetch(
            "SELECT MIN(CAST(customer_id AS VARCHAR)) AS c, COUNT(*) AS n, MAX(m) AS m FROM ("
            f"SELECT customer_id, COUNT(*) AS m FROM given WHERE {keyed} "
            "GROUP BY customer_id, as_of_us HAVING COUNT(*) > 1) d"
        ).to_pylist()[0]
        if twice["n"]:
            raise EventLogError(
                "a customer stands twice at the same as_of in the table of rows",
                got=f"{twice['n']:,} pairs up to {twice['m']:,} times, for example of customer "
                f"{show(twice['c'])}",
                allowed="each (customer, as_of) once",
                hint="decide which row holds, and remove the others",
            )
        if y_col:
            keyed += " AND y IS NOT NULL"
        rows = table.session.fetch(f"SELECT customer_id, as_of_us{y} FROM given WHERE {keyed}")
    return GivenRows(rows, report)


def read_spans(source: Any, customer_col: str, from_col: str, to_col: str | None) -> pa.Table:
    """Read treatments as ``customer_id, from_us, to_us``; without `to_col` they are moments.

    Rows without customer or beginning are left out.

    Raises
    ------
    EventLogError
        If a column is missing or can't be used, or a treatment ends before it begins.
    """
    with _Table(source, customer_col, from_col, to_col) as table:
        table.make({"from_us": from_col, **({"to_us": to_col} if to_col else {})}, None)
        backwards = table.number("to_us < from_us") if to_col else 0
        if backwards:
            raise EventLogError(
                "treatments end before they begin",
                got=f"{backwards:,} row{'s' if backwards > 1 else ''} with {show(to_col)} before "
                f"{show(from_col)}",
                allowed="an end at or after the beginning, or no end",
                hint="correct the rows, or exchange from_col and to_col",
            )
        to = "to_us" if to_col else "from_us AS to_us"
        return table.session.fetch(
            f"SELECT customer_id, from_us, {to} FROM given "
            "WHERE customer_id IS NOT NULL AND from_us IS NOT NULL"
        )


def same_kind_of_ids(session: Session, table: pa.Table, what: str) -> None:
    """Refuse ids of another type than the log's: ``7`` and ``'007'`` must never meet by a cast.

    Raises
    ------
    EventLogError
        If the types differ.
    """
    log = _kind(session.fetch("SELECT customer_id FROM ev LIMIT 0").schema.field(0).type)
    given = _kind(table.schema.field("customer_id").type)
    as_text = log == "text" and given == "UUIDs" and not session.has_uuids
    if log != given and len(table) and not as_text:
        raise EventLogError(
            f"customer ids in {what} are not of the log's type",
            got=given,
            allowed=f"{log}, as in the log",
            hint="convert the column on one side; ids in a CSV file are text, so read it with "
            "pandas, give the column its type and pass the frame",
        )


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return "integers"
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return "text" if text or pa.types.is_string_view(kind) else "UUIDs"


class _Table:
    """A table of its own in DuckDB, in a ``with`` block."""

    def __init__(self, source: Any, customer_col: str, time_col: str, other: str | None) -> None:
        # The reader of logs wants names for its columns; only those of customer and times count.
        event_col = "event_type" + "_" * (len(customer_col) + len(time_col))
        self.schema = EventSchema.model_construct(
            customer_col=customer_col,
            event_col=event_col,
            timestamp_col=time_col,
            value_col=None,
            arrival_col=other,
        )
        if type(source).__module__.startswith("pyspark."):
            source = source.toArrow()  # one row a customer and moment, where a log has many
        self.session = DuckDBSession(source, self.schema)

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *error: object) -> None:
        self.session.close()

    def make(self, times: dict[str, str], y_col: str | None) -> None:
        """Make the relation ``given``."""
        types, ask = self.session.types(), self.session.ask
        select = rows_sql(types, ask, self.schema.customer_col, times)
        label = f", {label_sql(types, ask, y_col)} AS y" if y_col else ""
        self.session.make("TABLE", "given", f"SELECT {select}{label} FROM source")

    def number(self, condition: str) -> int:
        return int(self.session.ask(f"SELECT COUNT(*) FROM given WHERE {condition}")[0])
