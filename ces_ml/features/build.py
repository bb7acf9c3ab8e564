"""The public door: events in, counts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ces_ml.errors import SpecError
from ces_ml.events import EventSchema
from ces_ml.features.duckdb_engine import DuckDBEngine
from ces_ml.features.engine import Engine
from ces_ml.features.spark_engine import SparkEngine
from ces_ml.spec.as_of import AsOf, parse_as_of, parse_moment
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountRule, CountSpec, match_events
from ces_ml.spec.outcome import OutcomeSpec

__all__ = ["ENGINES", "build_counts", "open_engine", "opened_to_count", "resolve_counts"]

#: Engines by name.
ENGINES: dict[str, Callable[..., Engine]] = {"duckdb": DuckDBEngine, "spark": SparkEngine}


def open_engine(
    events: Any, schema: EventSchema | None = None, *, engine: str = "duckdb", **options: Any
) -> Engine:
    """Open a log in an engine.

    Parameters
    ----------
    events : path, glob, frame, table or relation
        See `DuckDBEngine` and `SparkEngine`.
    schema : EventSchema, optional
    engine : {"duckdb", "spark"}, default="duckdb"
    **options
        Options of the engine: `observed_until`, `threads`, `memory_limit`, `table`, `since`,
        `until`, `partition_col`, `accounts`, `account_table`; see `DuckDBEngine` and
        `SparkEngine`.

    Raises
    ------
    SpecError
        If there is no such engine.
    EventLogError
        If the log can't be opened.
    """
    if engine not in ENGINES:
        raise SpecError.unknown("unknown engine", engine, ENGINES, hint="correct `engine`")
    if options.get("observed_until") is not None:
        options["observed_until"] = parse_moment(options["observed_until"])
    return ENGINES[engine](events, schema, **options)


def resolve_counts(
    engine: Engine, rules: Sequence[CountRule], outcome: OutcomeSpec | None = None
) -> CountSpec:
    """Resolve rules against the event types of an engine's log, without the outcome's own.

    Raises
    ------
    SpecError
        As `CountSpec.from_rules`.
    """
    known = list(engine.profile().event_types)
    own = match_events(outcome.kept_out, known) if outcome else []
    support = engine.support() if any(r.min_support is not None for r in rules) else None
    return CountSpec.from_rules(rules, known, exclude=own, support=support)


def build_counts(
    events: Any,
    counts: CountSpec | Sequence[CountRule],
    *,
    as_of: Any = None,
    outcome: OutcomeSpec | None = None,
    schema: EventSchema | None = None,
    engine: str = "duckdb",
    labels: Any = None,
    treated: Any = None,
    **options: Any,
) -> CountTable:
    """Count events per (customer, as_of), correct at each moment in time.

    An event counts iff ``as_of − window ≤ timestamp < as_of``; never one at `as_of` or later.

    Parameters
    ----------
    events : path, glob, frame, table, relation or AdbcSource
        The log; see `DuckDBEngine`.
    counts : CountSpec or sequence of CountRule
        What to count. Rules with patterns are resolved against the log's event types, without
        the outcome's own events.
    as_of : str, date, datetime, list or AsOfTable, optional
        See `parse_as_of`; an `AsOfTable` gives the rows one by one. One second after the last event
        when not given.
    outcome : OutcomeSpec, optional
        With it the table has `y`, and only eligible, uncensored rows.
    schema : EventSchema, optional
        What the columns are called.
    engine : {"duckdb", "spark"}, default="duckdb"
    labels, treated : path, frame or table, optional
        The tables of the outcome's `labels` and `treated`, where those name no path.
    **options
        Options of the engine.

    Returns
    -------
    CountTable
        Keys, counts as CSR of shape (n_rows, n_terms), outcomes, and a report of what was left
        out.

    Raises
    ------
    EventLogError
        If the log can't answer; see `DuckDBEngine.table`.
    SpecError
        If the specification does not make sense.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({"customer_id": [1, 1, 2], "event_type": ["login", "buy", "login"],
    ...     "timestamp": ["2025-01-01", "2025-01-05", "2025-01-05T23:59:59"]})
    >>> table = build_counts(log, CountSpec.of(["login"], window="7d"), as_of="2025-01-05")
    >>> table.to_pandas()["login"].tolist()
    [1.0]
    """
    with opened_to_count(events, counts, as_of, outcome, schema, engine, labels, options) as (
        opened,
        spec,
        rows,
    ):
        return opened.table(spec, rows, outcome, treated=treated)


@contextmanager
def opened_to_count(
    events: Any,
    counts: CountSpec | Sequence[CountRule],
    as_of: Any,
    outcome: OutcomeSpec | None,
    schema: EventSchema | None,
    engine: str,
    labels: Any,
    options: Mapping[str, Any],
) -> Iterator[tuple[Engine, CountSpec, AsOf | None]]:
    """Open a log and yield its engine, the counts resolved, and the moments; see `build_counts`."""
    rows = None if as_of is None else parse_as_of(as_of)
    if labels is not None:
        rows = _labelled(rows, outcome, labels)
    with open_engine(events, schema, engine=engine, **options) as opened:
        spec = counts
        if not isinstance(spec, CountSpec):
            spec = resolve_counts(opened, spec, outcome)
        yield opened, spec, rows


def _labelled(as_of: AsOf | None, outcome: OutcomeSpec | None, labels: Any) -> AsOf:
    if outcome is None or outcome.labels is None or as_of is not None:
        raise SpecError(
            "labels are passed, but the outcome does not come from labels alone",
            got="labels= with "
            + ("as_of=" if as_of is not None else "an outcome without `labels`"),
            allowed="an outcome with `labels`, and no as_of",
            hint="write for example OutcomeSpec(task='churn', horizon='90d', labels={})",
        )
    return outcome.labels.table(labels)
