"""The scoring job: events and a weight set in, scores out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.features import build_counts
from ces_ml.files import replacing
from ces_ml.scoring import Scorer
from ces_ml.weights import WeightSet

__all__ = ["SCORE_FORMATS", "ScoringResult", "score_events", "write_scores"]

#: Files that scores are written to, by ending.
SCORE_FORMATS = (".parquet", ".csv")


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
        If the log can't be read, or `as_of` lies outside it.
    """
    table = build_counts(
        events,
        weight_set.spec,
        as_of=as_of,
        schema=schema or weight_set.events,
        engine=engine,
        **options,
    )
    scores = Scorer(weight_set, n_reasons).score(table)
    return ScoringResult(scores, dict(table.report), dict(table.not_counted))


def write_scores(scores: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write scores as Parquet or CSV, by the ending of `path`, whole or not at all.

    Raises
    ------
    SpecError
        If the ending is not known.
    OutputError
        If the path can't be written.
    """
    file = Path(path)
    if file.suffix not in SCORE_FORMATS:
        raise SpecError(
            "the kind of output can't be told from its name",
            got=show(str(path)),
            allowed=did_you_mean(file.suffix, SCORE_FORMATS),
            hint="end the output path in one of these",
        )
    with replacing(file) as temporary:
        if file.suffix == ".csv":
            scores.to_csv(temporary, index=False)
        else:
            scores.to_parquet(temporary, index=False)
    return file
