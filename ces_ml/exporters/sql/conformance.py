"""What each dialect of the SQL export can count, and how that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ces_ml.exporters.sql.dialects import DIALECTS
from ces_ml.spec.terms import Term

__all__ = ["RUN_BY", "TERM_KINDS", "Status", "conformance"]

#: ``runs``: counted by the database and equal to the scorer, in a test of every release;
#: ``parsed``: accepted by a parser of the dialect, and free of what the dialect lacks;
#: ``refused``: with an error that names the term.
Status = Literal["runs", "parsed", "refused"]

#: The database that runs a dialect in the tests; the others are parsed only.
RUN_BY: Mapping[str, str] = {
    "duckdb": "DuckDB",
    "sqlite": "SQLite",
    "postgresql": "PostgreSQL",
    "spark": "Apache Spark",
    "mysql": "MariaDB",
    "clickhouse": "ClickHouse",
}

_VALUE: dict[str, Any] = {"property": "value", "window": "30d"}
#: One term of each kind, by name: what the tests count.
TERM_KINDS: Mapping[str, Term] = {
    "count": Term(event="login", window="30d"),
    "count of several events": Term(event="any", members=("login", "buy"), window="7d"),
    "sum": Term(event="buy", measure="sum", **_VALUE),
    "mean": Term(event="buy", measure="mean", neutral=20, **_VALUE),
    "duration of a column": Term(event="login", measure="duration", property="took", window="30d"),
    "duration of pairs": Term(event="login", until="logout", measure="duration", window="30d"),
    "active days": Term(event="login", measure="active_days", window="30d"),
    "distinct": Term(event="buy", measure="distinct", property="shop", window="30d"),
    "half-life": Term(event="login", half_life="7d", window="90d"),
    "where": Term(event="buy", where="value > 20 and not returned", window="30d"),
    "cap per day": Term(event="login", cap_per_day=2, window="30d"),
    "cap and transform": Term(event="login", cap=5, transform="log1p", window="30d"),
    "per day": Term(event="login", per="day", window="30d"),
    "per seat": Term(event="login", per="seat", window="30d"),
}


def conformance() -> dict[str, dict[str, Status]]:
    """Return the status of every kind of term, by dialect and kind.

    Examples
    --------
    >>> conformance()["postgresql"]["half-life"], conformance()["bigquery"]["per seat"]
    ('runs', 'refused')
    """

    def status(dialect: str, term: Term) -> Status:
        if term.per == "seat":
            return "refused"
        return "runs" if dialect in RUN_BY else "parsed"

    return {
        dialect: {kind: status(dialect, term) for kind, term in TERM_KINDS.items()}
        for dialect in DIALECTS
    }
