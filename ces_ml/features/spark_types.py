"""Between the types of Arrow, of Spark, and the names under which columns are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ces_ml.features.property_columns import NOTHING

if TYPE_CHECKING:
    from pyspark.sql.types import DataType

__all__ = ["called", "for_spark"]

_NAMES = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "timestamp_ntz": "TIMESTAMP",
    "void": NOTHING,
}


def called(kind: DataType) -> str:
    """Return the name of a Spark type as `ces_ml.features.columns` knows it."""
    text: str = kind.simpleString()
    if text in _NAMES:
        return _NAMES[text]
    if text.startswith(("char(", "varchar(", "string collate")):
        return "VARCHAR"
    if text.startswith("interval") and "year" not in text and "month" not in text:
        return "INTERVAL"
    return text.upper()


def for_spark(table: Any) -> Any:
    """Return an Arrow table in the types that Spark reads, without changing a value.

    Nanoseconds are rounded down: an event must never move to a later microsecond. UUIDs, and
    columns of types that Spark does not know, become text.
    """
    return pa.table(
        [_column(c) for c in table.columns], names=[f"c{k}" for k in range(table.num_columns)]
    )


def _column(column: Any) -> Any:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    kind, types = column.type, pa.types
    if types.is_dictionary(kind):
        return _column(column.dictionary_decode())
    if types.is_timestamp(kind) or types.is_duration(kind):
        return _microseconds(column)
    if types.is_unsigned_integer(kind):
        return _signed(column)
    plain = {pa.string_view(): pa.string(), pa.large_string(): pa.string()}
    plain |= {pa.date64(): pa.date32(), pa.float16(): pa.float32()}
    if kind in plain:
        return column.cast(plain[kind])
    if isinstance(kind, pa.UuidType):
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    return column if _known(kind) else _text(column)


def _microseconds(column: Any) -> Any:
    kind = column.type
    made = pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("us")
    if kind.unit != "ns":
        return column.cast(made)
    whole = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    mask = column.is_null().to_numpy(zero_copy_only=False)
    return pa.array(np.floor_divide(whole, 1000), pa.int64(), mask=mask).cast(made)


def _signed(column: Any) -> Any:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.decimal128(20, 0))


def _known(kind: Any) -> bool:
    from pyspark.errors import PySparkException
    from pyspark.sql.pandas.types import from_arrow_type

    if pa.types.is_time(kind):  # a type of Spark 4.1 and later
        return False
    try:
        from_arrow_type(kind)
    except PySparkException:
        return False
    return True


def _text(column: Any) -> Any:
    return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
