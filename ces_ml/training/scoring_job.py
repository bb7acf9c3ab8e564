"""The scoring job: events and a weight set in, scores out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ces_ml.events import EventSchema
from ces_ml.features import build_counts, open_engine
from ces_ml.scoring import Scorer
from ces_ml.spec import parse_as_of
from ces_ml.training.customers import check_customers
from ces_ml.training.score_files import SCORE_FORMATS, TABLE, writing
from ces_ml.training.spark_scores import goes_to_folder, score_to_folder
from ces_ml.weights import WeightSet

__all__ = [
    "SCORE_FORMATS",
    "ScoredFile",
    "ScoringResult",
    "score_events",
    "score_to_file",
    "write_scores",
]

#: Rows that are scored at a time where one query can't do all.
_BLOCK = 1 << 17


@dataclass(frozen=True)
class ScoringResult:
    """Scores of customers, with a report of what was read.

    Parameters
    ----------
    scores : DataFrame
        See `Scorer.score`; one row a customer and moment.
    report : mapping of str to int
        Rows read and dropped; events of types that the weight set does not know.
    not_counted : mapping of str to int
        These types with their events, the most frequent first. They are ignored; a type of the
        weight set that the log does not hold counts 0.
    """

    scores: pd.DataFrame
    report: Mapping[str, int]
    not_counted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredFile:
    """A file of scores, with a report of what was read.

    Parameters
    ----------
    path : pathlib.Path or str
        Text where it is an address, such as ``s3a://…``.
    rows : int
        Customers and moments.
    bands : mapping of str to int
        How many of them fall into each band, from the lowest.
    report, not_counted : mapping of str to int
        As those of a `ScoringResult`.
    """

    path: Path | str
    rows: int
    bands: Mapping[str, int]
    report: Mapping[str, int]
    not_counted: Mapping[str, int] = field(default_factory=dict)


def score_events(
    weight_set: WeightSet,
    events: Any,
    *,
    as_of: Any = None,
    schema: EventSchema | None = None,
    n_reasons: int = 3,
    engine: str = "duckdb",
    **options: Any,
) -> ScoringResult:
    """Count what a weight set needs from an event log, and score every customer.

    Parameters
    ----------
    weight_set : WeightSet
    events : path, glob, frame, table or relation
        The log.
    as_of : str, date, datetime or list, optional
        See `parse_as_of`; one second after the last event when not given.
    schema : EventSchema, optional
        The columns of the log; those that the weights were learned from when not given.
    n_reasons : int, default=3
    engine : {"duckdb"}, default="duckdb"
    **options
        Options of the engine.

    Returns
    -------
    ScoringResult

    Raises
    ------
    EventLogError
        If the log can't be read, `as_of` lies outside it, or it has users where the weights were
        learned on accounts.
    """
    import pyarrow as pa

    from ces_ml.features.score_query import one_query_can_score

    scorer = Scorer(weight_set, n_reasons)
    schema = schema or weight_set.events
    if engine != "duckdb" or not one_query_can_score(weight_set):
        check_customers(weight_set, schema, options)
        counted = {"as_of": as_of, "schema": schema, "engine": engine, **options}
        table = build_counts(events, weight_set.spec, **counted)
        return ScoringResult(scorer.score(table), dict(table.report), dict(table.not_counted))
    with _scored(scorer, events, as_of, schema, engine, options) as (report, not_counted, batches):
        tables = [pa.table(batch) for batch in batches]
    return ScoringResult(_frame(pa.concat_tables(tables)), report, not_counted)


def score_to_file(
    weight_set: WeightSet,
    events: Any,
    output: str | os.PathLike[str],
    *,
    as_of: Any = None,
    schema: EventSchema | None = None,
    n_reasons: int = 3,
    engine: str = "duckdb",
    table: str = TABLE,
    spreadsheet_safe: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> ScoredFile:
    """Score every customer of an event log into a file, without holding the scores as a whole.

    Counts and scores are one query of DuckDB, which goes through the disk beyond `memory_limit`;
    counts per seat, and other engines, are scored block by block. The scores are those of
    `score_events`, in its order. With ``engine="spark"`` and an address or a folder as `output`,
    counts and scores stay in Spark, which writes Parquet files in no order.

    Parameters
    ----------
    weight_set : WeightSet
    events : path, glob, frame, table or relation
        The log.
    output : path
        Ends in ``.parquet``, ``.csv`` or ``.duckdb``; written whole or not at all. With
        ``engine="spark"`` also a folder, on any file system that Spark reaches.
    as_of : str, date, datetime or list, optional
        See `parse_as_of`: one moment, or a calendar for a history of the score.
    schema : EventSchema, optional
    n_reasons : int, default=3
    engine : {"duckdb", "spark"}, default="duckdb"
    table : str, default="scores"
        The table of a DuckDB database that is replaced.
    spreadsheet_safe : bool, default=False
        See `ces_ml.training.score_files.writing`.
    progress : callable, optional
        Called with the rows that are written and those that will be.
    **options
        Options of the engine, such as `memory_limit` and `threads`.

    Returns
    -------
    ScoredFile

    Raises
    ------
    SpecError
        If the ending of `output` is not known.
    EventLogError
        If the log can't be read, `as_of` lies outside it, or it has users where the weights were
        learned on accounts.
    OutputError
        If the output can't be written.
    """
    if goes_to_folder(output, engine):
        check_customers(weight_set, schema or weight_set.events, options)
        found, report, not_counted = score_to_folder(
            weight_set,
            events,
            os.fspath(output),
            as_of=as_of,
            schema=schema,
            n_reasons=n_reasons,
            options=options,
        )
        if progress is not None and report["rows"]:
            progress(report["rows"], report["rows"])
        text = os.fspath(output)
        place = text if "://" in text else Path(text)
        return ScoredFile(place, report["rows"], found, report, not_counted)
    scorer = Scorer(weight_set, n_reasons)
    schema = schema or weight_set.events
    bands: Counter[str] = Counter({band.name: 0 for band in weight_set.bands})

    def watched(batches: Iterator[Any], total: int) -> Iterator[Any]:
        written = 0
        for batch in batches:
            yield batch
            written += batch.num_rows
            for name, n in zip(*batch["band"].value_counts().flatten(), strict=True):
                bands[name.as_py()] += n.as_py()
            if progress is not None:
                progress(written, total)

    with (
        writing(output, table=table, spreadsheet_safe=spreadsheet_safe) as write,
        _scored(scorer, events, as_of, schema, engine, options) as (report, not_counted, batches),
    ):
        write(watched(batches, report["rows"]))
    return ScoredFile(Path(output), report["rows"], dict(bands), report, not_counted)


@contextmanager
def _scored(
    scorer: Scorer,
    events: Any,
    as_of: Any,
    schema: EventSchema,
    engine: str,
    options: Mapping[str, Any],
) -> Iterator[tuple[dict[str, int], dict[str, int], Iterator[Any]]]:
    """Give report, what is not counted, and batches of scores, while the log is open."""
    from ces_ml.features.duckdb_engine import DuckDBEngine
    from ces_ml.features.score_query import one_query_can_score, score_stream

    weight_set = scorer.weight_set
    check_customers(weight_set, schema, options)
    moments = None if as_of is None else parse_as_of(as_of)
    with open_engine(events, schema, engine=engine, **options) as opened:
        if isinstance(opened, DuckDBEngine) and one_query_can_score(weight_set):
            rows = opened.rows_to_count(weight_set.spec, moments)
            customer_col = opened.schema.customer_col
            batches = score_stream(
                opened.session,
                weight_set,
                rows,
                customer_col=customer_col,
                n_reasons=scorer.n_reasons,
            )
            with closing(batches):  # before the database, whoever stops reading
                yield dict(rows.report), dict(rows.not_counted), batches
            return
        blocks = opened.blocks(weight_set.spec, moments, size=_BLOCK)
        first = next(blocks)
        scored = (_arrow(scorer.score(block)) for block in _chained(first, blocks))
        yield dict(first.report), dict(first.not_counted), scored


def _chained(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from others


def _frame(scores: Any) -> pd.DataFrame:
    """Return an Arrow table of scores as the frame that `Scorer.score` makes."""
    made: pd.DataFrame = scores.to_pandas(self_destruct=True)
    reasons = [name for name in made.columns if name.startswith("reason_")]
    return made.astype(dict.fromkeys(reasons, "string"))


def _arrow(scores: pd.DataFrame) -> Any:
    """Return a frame of scores as an Arrow table of the same schema for every block."""
    import pyarrow as pa

    moments = scores.get("as_of")
    if isinstance(moments, pd.Series) and isinstance(moments.dtype, pd.DatetimeTZDtype):
        # pyarrow reads `Series.values`, which will mean another thing in pandas 4.
        scores = scores.assign(as_of=moments.dt.tz_convert(None))
    table = pa.Table.from_pandas(scores, preserve_index=False).replace_schema_metadata(None)
    fields = []
    for column in table.schema:
        kind = column.type
        if column.name == "band" or column.name.startswith("reason_"):
            kind = pa.string()
        elif column.name.startswith("points_"):
            kind = pa.float64()
        elif column.name == "as_of":
            kind = pa.timestamp("us", "UTC")
        fields.append(pa.field(column.name, kind))
    return table.cast(pa.schema(fields))


def write_scores(
    scores: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    table: str = TABLE,
    spreadsheet_safe: bool = False,
) -> Path:
    """Write scores as Parquet, CSV or a table of a DuckDB database, by the ending of `path`.

    The file is written whole or not at all.

    Raises
    ------
    SpecError
        If the ending is not known.
    OutputError
        If the path can't be written.
    """
    with writing(path, table=table, spreadsheet_safe=spreadsheet_safe) as write:
        write([_arrow(scores)])
    return Path(path)
