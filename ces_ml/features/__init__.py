"""Feature builders: from event histories to counts per customer."""

from ces_ml.features.accounts import AccountMapping
from ces_ml.features.adbc import AdbcSource
from ces_ml.features.build import build_counts, open_engine, resolve_counts
from ces_ml.features.duckdb_engine import DuckDBEngine
from ces_ml.features.engine import Engine, LogProfile
from ces_ml.features.prepared import PreparedLog, prepare_events

__all__ = [
    "AccountMapping",
    "AdbcSource",
    "DuckDBEngine",
    "Engine",
    "LogProfile",
    "PreparedLog",
    "build_counts",
    "open_engine",
    "prepare_events",
    "resolve_counts",
]
