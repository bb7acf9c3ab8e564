"""Feature builders: from event histories to counts per customer."""

from ces_ml.features.build import build_counts, open_engine, resolve_counts
from ces_ml.features.duckdb_engine import DuckDBEngine
from ces_ml.features.engine import Engine, LogProfile

__all__ = ["DuckDBEngine", "Engine", "LogProfile", "build_counts", "open_engine", "resolve_counts"]
