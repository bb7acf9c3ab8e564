"""The prelude: the columns of a log as ids, event names, numbers and UTC microseconds.

The SQL that counts (`ces_ml.sql`) knows integers only; what a time, an id or a number may look
like in a log is settled here, strictly, before anything is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ces_ml.errors import EventLogError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.features.dialect import DUCKDB, Dialect
from ces_ml.features.property_columns import (
    FLOATS,
    NOTHING,
    UNSIGNED,
    WHOLE,
    Ask,
    filter_column,
    property_column,
)
from ces_ml.sql.plan import Property
from ces_ml.sql.quoting import identifier

__all__ = [
    "Ask",
    "check_log_columns",
    "customer_sql",
    "event_sql",
    "label_sql",
    "mixed_zones",
    "prelude_sql",
    "rows_sql",
    "time_sql",
    "unparseable",
]

_NANOSECONDS = {"TIMESTAMP_NS": True, "TIMESTAMPTZ_NS": False}  # and whether naive
#: How a table of labels may write an outcome.
_ZERO, _ONE = "('0', '0.0', 'false')", "('1', '1.0', 'true')"
#: A date, perhaps with a time; and the zone that may follow a time.
_NAIVE = r"\d+[-/]\d+[-/]\d+([T ]+\d+:\d+(:\d+(\.\d*)?)?)?"
_ZONED = r"\d+[-/]\d+[-/]\d+[T ]+\d+:\d+(:\d+(\.\d*)?)?\s*([A-Za-z].*|[+-]\d.*)"


def prelude_sql(
    types: Mapping[str, str],
    ask: Ask,
    schema: EventSchema,
    properties: Sequence[Property],
    filters: Sequence[str] = (),
    dialect: Dialect = DUCKDB,
) -> tuple[str, bool]:
    """Return the SELECT that makes ``ev`` (nulls still in it) and whether times were naive.

    Parameters
    ----------
    types : mapping of str to str
        The columns of ``source`` and DuckDB's names of their types.
    ask : callable
    schema : EventSchema
    properties : sequence of Property
        Value columns, ``p0, p1, …`` of ``ev``.
    filters : sequence of str
        Filters in their canonical text, ``f0, f1, …`` of ``ev``: true or false, never null.
    dialect : Dialect, optional
        That of DuckDB when not given.

    Raises
    ------
    EventLogError
        If a column is missing or its type or content can't be used.
    """
    wanted = [schema.customer_col, schema.event_col, schema.timestamp_col]
    if schema.arrival_col:
        wanted.append(schema.arrival_col)
    check_log_columns(wanted, types)
    times, naive = time_sql(ask, schema.timestamp_col, types, dialect)
    parts = [
        f"{customer_sql(ask, schema.customer_col, types, dialect)} AS customer_id",
        f"{event_sql(ask, schema.event_col, types, dialect)} AS event_type",
        f"{times} AS ts_us",
        *(f"{property_column(ask, p, types, dialect)} AS p{k}" for k, p in enumerate(properties)),
        *(f"{filter_column(ask, f, types, dialect)} AS f{k}" for k, f in enumerate(filters)),
    ]
    if schema.arrival_col:
        parts.append(f"{time_sql(ask, schema.arrival_col, types, dialect)[0]} AS arrival_us")
    return f"SELECT {', '.join(parts)} FROM source", naive


def rows_sql(
    types: Mapping[str, str], ask: Ask, customer_col: str, times: Mapping[str, str]
) -> str:
    """Return the columns ``customer_id`` and `times` (name → column) of a table beside the log.

    Raises
    ------
    EventLogError
        If a column is missing or its type or content can't be used.
    """
    wanted = [customer_col, *times.values()]
    _check_columns(
        wanted, types, "a table beside the log", "with customer_col, as_of_col, from_col …"
    )
    parts = [f"{customer_sql(ask, customer_col, types)} AS customer_id"]
    parts += [f"{time_sql(ask, column, types)[0]} AS {name}" for name, column in times.items()]
    return ", ".join(parts)


def label_sql(types: Mapping[str, str], ask: Ask, column: str) -> str:
    """Return the expression for outcomes: 0 or 1, null where there is none.

    Raises
    ------
    EventLogError
        If the column is missing or holds anything else.
    """
    _check_columns([column], types, "the table of labels", "with y_col")
    name, kind = identifier(column), types[column]
    text = f"lower(trim(CAST({name} AS VARCHAR)))"
    zero, one = (f"{text} IN {words}" for words in (_ZERO, _ONE))
    missing = f"{name} IS NULL" + (f" OR isnan({name})" if kind in FLOATS else "")
    wrong = f"(NOT ({missing}) AND NOT ({zero} OR {one}))"
    bad, example = ask(f"SELECT COUNT(*) FILTER {wrong}, MIN({text}) FILTER {wrong} FROM source")
    if bad:
        raise EventLogError(
            f"outcomes in {show(column)} are not 0 or 1",
            got=f"{bad:,} row{'s' if bad > 1 else ''}, for example {show(example)}",
            allowed="0 and 1, or false and true; nothing where the outcome is not known",
            hint="convert the column; 1 is the good outcome",
        )
    return f"CASE WHEN {one} THEN 1 WHEN {zero} THEN 0 END"


def check_log_columns(wanted: Sequence[str], types: Mapping[str, str]) -> None:
    """Refuse a log without one of the columns `wanted`.

    Raises
    ------
    EventLogError
        If a column is missing.
    """
    where = "in the event schema (customer_col, event_col, …)"
    _check_columns(wanted, types, "the event log", where)


def _check_columns(wanted: Sequence[str], types: Mapping[str, str], what: str, where: str) -> None:
    for column in wanted:
        if column not in types:
            raise EventLogError(
                f"{what} has no such column",
                got=show(column),
                allowed=did_you_mean(column, types),
                hint=f"name the column {where}",
            )


def customer_sql(ask: Ask, column: str, types: Mapping[str, str], dialect: Dialect = DUCKDB) -> str:
    """Return the expression for ids in a column of ``source``."""
    name, kind = dialect.column(column), types[column]
    if kind in FLOATS:
        return _whole(ask, column, "customer ids", kind, name)
    if kind in (*WHOLE, *UNSIGNED, "VARCHAR", "UUID"):
        return name
    if kind == NOTHING or kind.startswith("ENUM"):
        return f"CAST({name} AS STRING)"
    raise EventLogError(
        f"customer ids in {show(column)} have a type that can't identify a customer",
        got=kind,
        allowed="text, integers or UUIDs",
        hint="convert the column, or name another one as customer_col",
    )


def event_sql(ask: Ask, column: str, types: Mapping[str, str], dialect: Dialect = DUCKDB) -> str:
    """Return the expression for event types in a column of ``source``."""
    name, kind = dialect.column(column), types[column]
    if kind in FLOATS:
        return f"CAST({_whole(ask, column, 'event types', kind, name)} AS STRING)"
    named = (*WHOLE, *UNSIGNED, "VARCHAR", "UUID", "BOOLEAN", NOTHING)
    if kind in named or kind.startswith("ENUM"):
        return f"CAST({name} AS STRING)"
    raise EventLogError(
        f"event types in {show(column)} have a type that can't name an event",
        got=kind,
        allowed="text, categories or integers",
        hint="convert the column, or name another one as event_col",
    )


def _whole(ask: Ask, column: str, what: str, kind: str, name: str) -> str:
    """Return floats as integers: pandas turns integers with a missing value into floats."""
    bad = ask(
        f"SELECT COUNT(*) FROM source WHERE NOT isnan({name}) "
        f"AND (abs({name}) >= 9007199254740992 OR {name} <> floor({name}))"
    )[0]
    if bad:
        raise EventLogError(
            f"{what} in {show(column)} are fractions or too large for a float",
            got=f"{bad:,} rows of type {kind}",
            allowed="text, integers or UUIDs",
            hint="convert the column to Int64 or text before it loses digits",
        )
    return f"CASE WHEN NOT isnan({name}) THEN CAST({name} AS BIGINT) END"


def time_sql(
    ask: Ask, column: str, types: Mapping[str, str], dialect: Dialect = DUCKDB
) -> tuple[str, bool]:
    """Return the expression for UTC microseconds and whether the times carry no zone.

    Parameters
    ----------
    ask : callable
    column : str
        A column of ``source``.
    types : mapping of str to str
    dialect : Dialect, optional

    Raises
    ------
    EventLogError
        If the column does not hold times, or mixes times with and without a zone.
    """
    name, kind = dialect.column(column), types[column]
    if kind == "TIMESTAMP WITH TIME ZONE":
        return dialect.micros.format(name), False
    if kind in ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "DATE"):
        return dialect.micros.format(name), True
    if kind in _NANOSECONDS:
        # epoch_us rounds; an event must never move to a later microsecond.
        ns = f"epoch_ns({name})"
        return f"(({ns}) - ((({ns}) % 1000) + 1000) % 1000) // 1000", _NANOSECONDS[kind]
    if kind == "VARCHAR":
        return _time_in_text(ask, column, dialect)
    if kind == NOTHING:
        return f"CAST({name} AS BIGINT)", True
    raise EventLogError(
        f"column {show(column)} does not hold times",
        got=f"type {kind}",
        allowed="timestamps, dates, or text in ISO 8601",
        hint="for numbers, name their unit in the event schema: timestamp_unit, arrival_unit",
    )


def _time_in_text(ask: Ask, column: str, dialect: Dialect) -> tuple[str, bool]:
    name = dialect.column(column)
    text = f"trim({name})"
    parsed = dialect.parsed.format(text)
    # DuckDB also takes 'infinity' and 'epoch' for times, and some zones by name.
    naive = dialect.matches.format(text, dialect.literal(_NAIVE))
    zoned = dialect.matches.format(text, dialect.literal(_ZONED))
    wrong = f"({text} IS NOT NULL AND ({parsed} IS NULL OR NOT ({naive} OR {zoned})))"
    total, bad, with_zone, example = ask(
        f"SELECT COUNT({text}), COUNT(CASE WHEN {wrong} THEN 1 END), "
        f"COUNT(CASE WHEN {zoned} THEN 1 END), MIN(CASE WHEN {wrong} THEN {name} END) FROM source"
    )
    if bad:
        raise unparseable(column, bad, show(example))
    if 0 < with_zone < total:
        raise mixed_zones(column, with_zone, total - with_zone)
    return dialect.micros.format(parsed), with_zone == 0


def unparseable(column: str, rows: int, example: str) -> EventLogError:
    """Return the error for text that is not a time."""
    number = example.strip("'\" ").replace(".", "", 1).isdecimal()
    return EventLogError(
        f"column {show(column)} holds text that is not a time",
        got=f"{rows:,} rows, for example {example}",
        allowed="ISO 8601, for example 2017-10-01T12:00:00Z",
        hint="times that are numbers need their unit: timestamp_unit or arrival_unit"
        if number
        else "correct or remove these rows",
    )


def mixed_zones(column: str, zoned: int, naive: int) -> EventLogError:
    """Return the error for a column that mixes times with and without a zone."""
    return EventLogError(
        f"column {show(column)} mixes times with and without a zone",
        got=f"{zoned:,} rows with a zone, {naive:,} without",
        allowed="all with a zone, or all without (taken as UTC)",
        hint="write all of them in UTC",
    )
