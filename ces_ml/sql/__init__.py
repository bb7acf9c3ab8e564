"""SQL as pure functions: quoting, and the texts that define what is counted."""

from ces_ml.sql.counting import count_sql
from ces_ml.sql.plan import CountPlan
from ces_ml.sql.quoting import float_literal, identifier, literal

__all__ = ["CountPlan", "count_sql", "float_literal", "identifier", "literal"]
