"""Feature builders: from event histories to counts per customer."""

from ces_ml.features.accounts import AccountMapping
from ces_ml.features.adbc import AdbcSource
from ces_ml.features.build import build_counts, open_engine, resolve_counts
from ces_ml.features.counts_file import CountsFile, read_counts, write_counts
from ces_ml.features.duckdb_engine import DuckDBEngine
from ces_ml.features.engine import Engine, LogProfile
from ces_ml.features.evidence import Evidence, gather_evidence, onset_events
from ces_ml.features.inspection import inspect_events
from ces_ml.features.prepared import PreparedLog, prepare_events
from ces_ml.features.spark_counts import SparkCounts, read_spark_counts
from ces_ml.features.spark_engine import SparkEngine
from ces_ml.features.sql_engine import SqlEngine

__all__ = [
    "AccountMapping",
    "AdbcSource",
    "CountsFile",
    "DuckDBEngine",
    "Engine",
    "Evidence",
    "LogProfile",
    "PreparedLog",
    "SparkCounts",
    "SparkEngine",
    "SqlEngine",
    "build_counts",
    "gather_evidence",
    "inspect_events",
    "onset_events",
    "open_engine",
    "prepare_events",
    "read_counts",
    "read_spark_counts",
    "resolve_counts",
    "write_counts",
]
