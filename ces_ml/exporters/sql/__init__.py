"""A weight set as SQL that scores raw events in a warehouse."""

from ces_ml.exporters.sql.conformance import RUN_BY, TERM_KINDS, conformance
from ces_ml.exporters.sql.dialect import Dialect
from ces_ml.exporters.sql.dialects import DIALECTS
from ces_ml.exporters.sql.options import SqlOptions
from ces_ml.exporters.sql.rendering import SQL_OPTIONS, sql_text

__all__ = [
    "DIALECTS",
    "RUN_BY",
    "SQL_OPTIONS",
    "TERM_KINDS",
    "Dialect",
    "SqlOptions",
    "conformance",
    "sql_text",
]
