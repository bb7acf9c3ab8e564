"""The dialects that weights are exported to."""

from __future__ import annotations

from collections.abc import Mapping

from ces_ml.errors import SpecError
from ces_ml.exporters.sql.dialect import Dialect

__all__ = ["DIALECTS", "NUMBER_TIMES", "dialect_named"]

#: Types of time columns that are numbers since 1970-01-01 UTC; the same in every dialect.
NUMBER_TIMES = ("s", "ms", "us", "ns")
_PLACED = "'{}'::FLOAT8"
_OWN_COLLATION = "Customer ids and properties are told apart as the collations of their columns do."


def _times(integer: str = "BIGINT", modulo: str = "MOD({}, 1000)", **kinds: str) -> dict[str, str]:
    """Return how times are read: numbers, to the nearest microsecond, and what the dialect has.

    Nanoseconds are rounded down: an event must never move to a later microsecond.
    """
    ns = f"CAST({{0}} AS {integer})"
    below = modulo.format(f"({modulo.format(ns)} + 1000)")
    return {
        **kinds,
        "s": f"CAST(FLOOR({{0}} * 1E6 + 5E-1) AS {integer})",
        "ms": f"CAST(FLOOR({{0}} * 1E3 + 5E-1) AS {integer})",
        "us": f"CAST({{0}} AS {integer})",
        "ns": f"CAST(FLOOR(({ns} - {below}) / 1E3 + 5E-1) AS {integer})",
    }


def _sqlite_text() -> str:
    """Return how SQLite reads ISO 8601: an offset may be of hours, or without a colon."""
    sign = "(instr(substr({0}, 12), '+') + instr(substr({0}, 12), '-'))"
    local = (
        f"CASE WHEN {sign} > 0 THEN rtrim(substr({{0}}, 1, 10 + {sign})) "
        "ELSE rtrim({0}, 'ZzUTC ') END"
    )
    offset = f"replace(substr({{0}}, 12 + {sign}), ':', '')"
    minutes = (
        f"(CAST(substr({offset}, 1, 2) AS INTEGER) * 60 + CAST(substr({offset}, 3, 2) AS INTEGER))"
    )
    return (
        f"(CAST(strftime('%s', substr({local}, 1, 19)) AS INTEGER) * 1000000 "
        f"+ CASE substr({local}, 20, 1) WHEN '.' "
        f"THEN CAST(substr(substr({local}, 21) || '000000', 1, 6) AS INTEGER) ELSE 0 END "
        f"+ CASE substr({{0}}, 11 + {sign}, 1) WHEN '+' THEN -60000000 WHEN '-' THEN 60000000 "
        f"ELSE 0 END * {minutes})"
    )


_DUCKDB = Dialect(
    name="duckdb",
    title="DuckDB",
    sqlglot="duckdb",
    times=_times(timestamp="epoch_us({0})", timestamptz="epoch_us({0})"),
    moments={
        "timestamp": "CAST('{}' AS TIMESTAMP)",
        "timestamptz": "CAST('{}+00:00' AS TIMESTAMPTZ)",
    },
    now="epoch_us(now())",
    parameter="CAST($as_of_us AS BIGINT)",
    coded="decode(unhex('{hex}'))",
    exact="CAST({} AS VARCHAR) COLLATE C",
    key="{}",
    notes=(_OWN_COLLATION,),
)

_POSTGRESQL = Dialect(
    name="postgresql",
    title="PostgreSQL",
    sqlglot="postgres",
    times=_times(
        timestamp="CAST(EXTRACT(EPOCH FROM {0}) * 1000000 AS BIGINT)",
        timestamptz="CAST(EXTRACT(EPOCH FROM {0}) * 1000000 AS BIGINT)",
    ),
    moments={
        "timestamp": "CAST('{}' AS TIMESTAMP)",
        "timestamptz": "CAST('{}+00:00' AS TIMESTAMPTZ)",
    },
    now="CAST(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) * 1000000 AS BIGINT)",
    parameter="CAST($1 AS BIGINT)",
    coded="convert_from(decode('{hex}', 'hex'), 'UTF8')",
    double="DOUBLE PRECISION",
    number=_PLACED,
    exact='CAST({} AS TEXT) COLLATE "C"',
    key="{}",
    text="TEXT",
    inlined=" NOT MATERIALIZED",
    notes=(_OWN_COLLATION,),
)

_SQLITE = Dialect(
    name="sqlite",
    title="SQLite",
    sqlglot="sqlite",
    times=_times(
        "INTEGER",
        "{} % 1000",
        text=_sqlite_text(),
    ),
    moments={"text": "'{}'"},
    now="CAST(strftime('%s', 'now') AS INTEGER) * 1000000",
    parameter=":as_of_us",
    coded="char({points})",
    double="REAL",
    integer="INTEGER",
    text="TEXT",
    exact="CAST({} AS TEXT) COLLATE BINARY",
    distinct="{} COLLATE BINARY",
    key="{} COLLATE BINARY",
    view="CREATE VIEW {} AS",
    notes=(
        "SQLite needs its mathematical functions (FLOOR, EXP, LN, SQRT): version 3.35 or later, "
        "compiled with SQLITE_ENABLE_MATH_FUNCTIONS, as Python's usually is.",
    ),
)

_SPARK = Dialect(
    name="spark",
    title="Apache Spark",
    sqlglot="spark",
    times=_times(timestamp="unix_micros({0})", timestamptz="unix_micros({0})"),
    moments={
        "timestamp": "CAST('{}' AS TIMESTAMP_NTZ)",
        "timestamptz": "CAST('{}+00:00' AS TIMESTAMP)",
    },
    now="unix_micros(current_timestamp())",
    parameter="CAST(:as_of_us AS BIGINT)",
    coded="CAST(X'{hex}' AS STRING)",
    quotes=("`", "`"),
    text="STRING",
    exact="CAST({} AS STRING)",
    key="{}",
)

_BIGQUERY = Dialect(
    name="bigquery",
    title="BigQuery",
    sqlglot="bigquery",
    times=_times(
        "INT64",
        timestamp="UNIX_MICROS(TIMESTAMP({0}, 'UTC'))",
        timestamptz="UNIX_MICROS({0})",
    ),
    moments={"timestamp": "CAST('{}' AS DATETIME)", "timestamptz": "CAST('{}+00:00' AS TIMESTAMP)"},
    now="UNIX_MICROS(CURRENT_TIMESTAMP())",
    parameter="CAST(@as_of_us AS INT64)",
    coded="CODE_POINTS_TO_STRING([{points}])",
    quotes=("`", "`"),
    escape="\\",
    double="FLOAT64",
    integer="INT64",
    text="STRING",
    exact="CAST({} AS STRING)",
    distinct="CAST({} AS STRING)",
    key="{}",
    rows="structs",
    notes=(
        "timestamp is a DATETIME column in UTC, timestamptz a TIMESTAMP column.",
        "Columns of text are taken to have no collation of their own.",
    ),
)

_SNOWFLAKE = Dialect(
    name="snowflake",
    title="Snowflake",
    sqlglot="snowflake",
    times=_times(
        timestamp="DATE_PART(EPOCH_MICROSECOND, {0})",
        timestamptz="DATE_PART(EPOCH_MICROSECOND, {0})",
    ),
    moments={
        "timestamp": "CAST('{}' AS TIMESTAMP_NTZ)",
        "timestamptz": "CAST('{}+00:00' AS TIMESTAMP_TZ)",
    },
    now="DATE_PART(EPOCH_MICROSECOND, CURRENT_TIMESTAMP())",
    parameter="CAST(? AS BIGINT)",
    coded="HEX_DECODE_STRING('{hex}')",
    number="'{}'::DOUBLE",
    key="{}",
    rows="union",
    upper=True,
    notes=(
        "Names of tables and columns that are plain lower-case words are written in capitals, as "
        "Snowflake stores names that were not quoted.",
        "Columns of text are taken to have no collation of their own.",
    ),
)

_REDSHIFT = Dialect(
    name="redshift",
    title="Amazon Redshift",
    sqlglot="redshift",
    times=_times(
        timestamp="DATEDIFF(microsecond, CAST('1970-01-01 00:00:00' AS TIMESTAMP), {0})",
        timestamptz="DATEDIFF(microsecond, CAST('1970-01-01 00:00:00' AS TIMESTAMP), "
        "{0} AT TIME ZONE 'UTC')",
    ),
    moments={
        "timestamp": "CAST('{}' AS TIMESTAMP)",
        "timestamptz": "CAST('{}+00:00' AS TIMESTAMPTZ)",
    },
    now="DATEDIFF(microsecond, CAST('1970-01-01 00:00:00' AS TIMESTAMP), GETDATE())",
    parameter="CAST($1 AS BIGINT)",
    coded="FROM_VARBYTE(FROM_HEX('{hex}'), 'utf8')",
    double="DOUBLE PRECISION",
    number=_PLACED,
    # Spaces at the end of a VARCHAR mean nothing to Redshift; before another character they do.
    exact="(COLLATE(CAST({} AS VARCHAR(65534)), 'case_sensitive') || CHR(1))",
    readable="LEFT({0}, LEN({0}) - 1)",
    distinct="(COLLATE(CAST({} AS VARCHAR(65534)), 'case_sensitive') || CHR(1))",
    rows="union",
    notes=("The time zone of the session must be UTC where as_of is the current moment.",),
)

_MYSQL = Dialect(
    name="mysql",
    title="MySQL",
    sqlglot="mysql",
    times=_times(
        "SIGNED",
        timestamp="TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', {0})",
        timestamptz="CAST(UNIX_TIMESTAMP({0}) * 1000000 AS SIGNED)",
    ),
    moments={"timestamp": "CAST('{}' AS DATETIME(6))", "timestamptz": "FROM_UNIXTIME({s})"},
    now="TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))",
    parameter="CAST(? AS SIGNED)",
    # Bytes mean the same with and without NO_BACKSLASH_ESCAPES, in every character set.
    coded="_utf8mb4 X'{hex}'",
    plain="_utf8mb4'{}'",
    quotes=("`", "`"),
    integer="SIGNED",
    text="CHAR",
    # Collations ignore case and spaces at the end; bytes do not.
    exact="CAST(CONVERT({} USING utf8mb4) AS BINARY)",
    readable="CONVERT({} USING utf8mb4)",
    distinct="CAST(CONVERT({} USING utf8mb4) AS BINARY)",
    rows="union",
    notes=(
        "MySQL 8.0.17 or later, MariaDB 10.4 or later.",
        "timestamp is a DATETIME column in UTC, timestamptz a TIMESTAMP column.",
    ),
)

_CLICKHOUSE = Dialect(
    name="clickhouse",
    title="ClickHouse",
    sqlglot="clickhouse",
    times=_times(
        "Nullable(Int64)",
        timestamp="toUnixTimestamp64Micro(toDateTime64({0}, 6, 'UTC'))",
        timestamptz="toUnixTimestamp64Micro(toDateTime64({0}, 6, 'UTC'))",
    ),
    moments={
        "timestamp": "toDateTime64('{}', 6, 'UTC')",
        "timestamptz": "toDateTime64('{}', 6, 'UTC')",
    },
    now="toUnixTimestamp64Micro(now64(6))",
    parameter="{as_of_us:Int64}",
    coded="unhex('{hex}')",
    quotes=("`", "`"),
    escape="\\",
    double="Nullable(Float64)",
    integer="Nullable(Int64)",
    text="Nullable(String)",
    exact="CAST({} AS Nullable(String))",
    key="{}",
    rows="tuples",
    # The frame is written out: lagInFrame sees its frame only, and every version has it.
    lag="lagInFrame({value}) OVER (PARTITION BY {whose} ORDER BY {order} "
    "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
    notes=("DateTime and DateTime64 columns are moments, whatever their time zone.",),
)

_TSQL = Dialect(
    name="tsql",
    title="T-SQL (SQL Server, Azure SQL, Fabric)",
    sqlglot="tsql",
    times=_times(
        modulo="{} % 1000",
        timestamp="DATEDIFF_BIG(MICROSECOND, CAST('1970-01-01T00:00:00' AS DATETIME2), {0})",
        timestamptz="DATEDIFF_BIG(MICROSECOND, "
        "CAST('1970-01-01T00:00:00+00:00' AS DATETIMEOFFSET), {0})",
    ),
    moments={
        "timestamp": "CAST('{}' AS DATETIME2)",
        "timestamptz": "CAST('{}+00:00' AS DATETIMEOFFSET)",
    },
    now="DATEDIFF_BIG(MICROSECOND, CAST('1970-01-01T00:00:00' AS DATETIME2), SYSUTCDATETIME())",
    parameter="CAST(@as_of_us AS BIGINT)",
    coded="CAST(0x{hex16} AS NVARCHAR(4000))",
    plain="N'{}'",
    quotes=("[", "]"),
    double="FLOAT(53)",
    text="NVARCHAR(4000)",
    ln="LOG",
    # Spaces at the end mean nothing to any collation; before another character they do.
    exact="(CAST({} AS NVARCHAR(4000)) + NCHAR(1)) COLLATE Latin1_General_100_BIN2",
    readable="LEFT({0}, LEN({0}) - 1)",
    distinct="(CAST({} AS NVARCHAR(4000)) + NCHAR(1)) COLLATE Latin1_General_100_BIN2",
    rows="derived",
    true="1",
    false="0",
    view="CREATE OR ALTER VIEW {} AS",
)

#: Dialects by name.
DIALECTS: Mapping[str, Dialect] = {
    d.name: d
    for d in (
        _DUCKDB,
        _POSTGRESQL,
        _SQLITE,
        _SPARK,
        _BIGQUERY,
        _SNOWFLAKE,
        _REDSHIFT,
        _MYSQL,
        _CLICKHOUSE,
        _TSQL,
    )
}


def dialect_named(name: str) -> Dialect:
    """Return a dialect.

    Raises
    ------
    SpecError
        If there is none of that name.
    """
    if name not in DIALECTS:
        raise SpecError.unknown(
            "unknown dialect of SQL", name, DIALECTS, hint="correct `dialect`; MariaDB is mysql"
        )
    return DIALECTS[name]
