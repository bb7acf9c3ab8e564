"""Where the texts of two engines differ: the few expressions that read a column of a log.

What a column may hold, and what is refused, is the same on every engine
(`ces_ml.features.columns`, `ces_ml.features.property_columns`), under DuckDB's names of types.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ces_ml.sql.quoting import identifier, literal

__all__ = ["DUCKDB", "Dialect"]


@dataclass(frozen=True)
class Dialect:
    """How an engine writes what the common subset of SQL lacks.

    Parameters
    ----------
    column : callable
        From the name of a column of the log to its expression in ``source``.
    literal : callable
        From text to its literal.
    micros : str
        UTC microseconds of a timestamp, its expression as ``{0}``.
    parsed : str
        The timestamp in a text, null where there is none.
    seconds : str
        The seconds of an interval as DOUBLE.
    number : str
        The DOUBLE in a number or a text, null where there is none.
    finite : str
        Whether a DOUBLE is neither NaN nor infinite.
    matches : str
        Whether all of a text ``{0}`` is what the regular expression ``{1}`` says.
    """

    column: Callable[[str], str] = identifier
    literal: Callable[[str], str] = literal
    micros: str = "epoch_us({0})"
    parsed: str = "TRY_CAST({0} AS TIMESTAMPTZ)"
    seconds: str = "epoch({0})"
    number: str = "TRY_CAST({0} AS DOUBLE)"
    finite: str = "isfinite({0})"
    matches: str = "regexp_full_match({0}, {1})"


DUCKDB = Dialect()
