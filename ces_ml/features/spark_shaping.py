"""From a log as Spark reads it to columns with one value each; see `ces_ml.features.shaping`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ces_ml.errors import EventLogError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.features.property_columns import WHOLE
from ces_ml.features.shaping import PER_SECOND, check_range, no_numbers
from ces_ml.features.spark_sources import SparkLog
from ces_ml.features.spark_types import called
from ces_ml.sql.quoting import float_literal, identifier, literal

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

__all__ = ["SparkShape", "check_names", "floored"]


class SparkShape:
    """What the names in an `EventSchema` stand for in the relation ``raw`` of a log.

    Parameters
    ----------
    log : SparkLog
    schema : EventSchema
    ask : callable
        Asks ``raw`` a question in SQL and returns the only row of the answer.

    Raises
    ------
    EventLogError
        If two columns have one name, times that are numbers don't fit their unit, or there is no
        `anonymous_col`.
    """

    def __init__(
        self, log: SparkLog, schema: EventSchema, ask: Callable[[str], tuple[Any, ...]]
    ) -> None:
        self._raw, self._ask = log.frame, ask
        check_names(log.names)
        #: Expressions over ``raw``; the k-th is the column ``c{k}`` of ``source``.
        self._found = {name: f"c{k}" for k, name in enumerate(log.names)}
        self._given = {n: f.dataType for n, f in zip(log.names, log.frame.schema, strict=True)}
        roles = (schema.customer_col, schema.event_col, schema.timestamp_col)
        self._find([*roles, schema.arrival_col, schema.value_col, schema.anonymous_col])
        for column, unit in (
            (schema.timestamp_col, schema.timestamp_unit),
            (schema.arrival_col, schema.arrival_unit),
        ):
            if column in self._found:
                self._time(column, unit, log.nanoseconds)
        if schema.anonymous_col is not None:
            self._fall_back(schema.customer_col, schema.anonymous_col)

    def select(self, more: Iterable[str] = ()) -> tuple[str, dict[str, str]]:
        """Return the query over ``raw`` for ``source``, and its column of every name."""
        self._find(more)
        columns = {name: f"c{k}" for k, name in enumerate(self._found)}
        outputs = ", ".join(f"{e} AS {columns[n]}" for n, e in self._found.items())
        return f"SELECT {outputs} FROM raw", columns

    def _find(self, names: Iterable[str | None]) -> None:
        for name in names:
            if name is not None and name not in self._found:
                field = self._field(name)
                if field is not None:
                    self._found[name] = field

    def _field(self, name: str) -> str | None:
        """Return the expression for a field such as ``properties.time``; None if there is none."""
        parts = name.split(".")
        for length in range(len(parts) - 1, 0, -1):
            column = ".".join(parts[:length])
            if column in self._given:
                return _descend(self._found[column], self._given[column], parts[length:])
        return None

    def _kind(self, expression: str) -> str:
        made: DataFrame = self._raw.selectExpr(f"{expression} AS x")
        return called(made.schema[0].dataType)

    def _fall_back(self, column: str, anonymous: str) -> None:
        """Let `anonymous` stand in for customers without an id."""
        if anonymous not in self._found:
            raise EventLogError(
                "the event log has no such column",
                got=f"{show(anonymous)} (anonymous_col)",
                allowed=did_you_mean(anonymous, self._given),
                hint="name the column in the event schema, or set anonymous_col to null",
            )
        if column in self._found:
            ids = [self._found[column], self._found[anonymous]]
            kinds = {self._kind(e) for e in ids}
            if len(kinds) > 1 or kinds == {"VARCHAR"}:
                ids = [f"NULLIF(CAST({e} AS STRING), '')" for e in ids]
            self._found[column] = f"COALESCE({', '.join(ids)})"

    def _time(self, column: str, unit: str | None, nanoseconds: str | None) -> None:
        """Turn numbers of a unit since 1970 into timestamps."""
        expression = self._found[column]
        kind = self._kind(expression)
        naive = False
        if unit is None:
            if nanoseconds is None or kind != "BIGINT":
                return
            unit, naive = "ns", nanoseconds == "naive"
        us = self._micros(column, expression, kind, unit)
        if us is None:
            return
        first, last, lost = self._ask(
            f"SELECT MIN({us}), MAX({us}), COUNT({expression}) - COUNT({us}) FROM raw"
        )
        floats = kind in ("FLOAT", "DOUBLE")  # where NaN is no time
        check_range(column, first, 1 << 62 if lost and not floats else last, unit)
        moment = f"TIMESTAMP_MICROS({us})"
        self._found[column] = f"CAST({moment} AS TIMESTAMP_NTZ)" if naive else moment

    def _micros(self, column: str, expression: str, kind: str, unit: str) -> str | None:
        if kind in WHOLE and unit == "ns":  # rounded down
            return floored(f"CAST({expression} AS BIGINT)")
        if kind in WHOLE:
            return f"TRY_MULTIPLY(CAST({expression} AS BIGINT), {10**6 // PER_SECOND[unit]}L)"
        if kind in ("FLOAT", "DOUBLE"):
            scale = float_literal(1e6 / PER_SECOND[unit])
            return f"TRY_CAST(ROUND({expression} * {scale}) AS BIGINT)"
        if kind != "VARCHAR" and not kind.startswith("DECIMAL"):
            return None  # a timestamp needs no unit; what can't be a time is refused later
        number = f"TRY_CAST(TRIM(CAST({expression} AS STRING)) AS DECIMAL(28, 9))"
        bad, example = self._ask(
            f"SELECT COUNT(*), MIN(CAST({expression} AS STRING)) FROM raw "
            f"WHERE {expression} IS NOT NULL AND {number} IS NULL"
        )
        if bad:
            raise no_numbers(column, bad, example, unit)
        scaled = " / 1000" if unit == "ns" else f" * {10**6 // PER_SECOND[unit]}"
        return f"TRY_CAST(FLOOR({number}{scaled}) AS BIGINT)"


def check_names(names: Sequence[str]) -> None:
    """Refuse two columns of one name.

    Raises
    ------
    EventLogError
        If there are two.
    """
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise EventLogError(
            "the event log has two columns of the same name",
            got=", ".join(show(n) for n in twice),
            allowed="column names that differ",
            hint="rename or drop one of them",
        )


def floored(nanoseconds: str) -> str:
    """Return the expression for microseconds of a BIGINT of nanoseconds, rounded down."""
    return f"(({nanoseconds} - PMOD({nanoseconds}, 1000L)) DIV 1000L)"


def _descend(expression: str, kind: DataType, fields: list[str]) -> str | None:
    """Return the expression for a field inside a column; names become literals or are quoted."""
    from pyspark.sql.types import MapType, StringType, StructType

    if not fields:
        return expression
    if isinstance(kind, StringType):
        for field in fields:  # text that is no JSON has no fields
            entries = f"FROM_JSON({expression}, 'MAP<STRING, STRING>')"
            expression = f"TRY_ELEMENT_AT({entries}, {literal(field, backslash=True)})"
        return expression
    if isinstance(kind, StructType):
        for length in range(len(fields), 0, -1):
            name = ".".join(fields[:length])
            if name in kind.names:
                inner = f"{expression}.{identifier(name, '`')}"
                return _descend(inner, kind[name].dataType, fields[length:])
        return None
    if isinstance(kind, MapType) and isinstance(kind.keyType, StringType):
        key = literal(fields[0], backslash=True)
        return _descend(f"TRY_ELEMENT_AT({expression}, {key})", kind.valueType, fields[1:])
    return None
