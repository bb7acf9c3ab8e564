"""Scores that Spark writes where its rows are, as a folder of Parquet files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ces_ml.events import EventSchema
from ces_ml.features import SparkEngine
from ces_ml.features.spark_folder import read_folder, write_folder
from ces_ml.scoring.distributed import score_spark
from ces_ml.spec import parse_as_of
from ces_ml.training.score_files import SCORE_FORMATS
from ces_ml.weights import WeightSet

__all__ = ["goes_to_folder", "score_to_folder"]

_ABOUT = "_ces_ml_scores.json"


def goes_to_folder(output: str | os.PathLike[str], engine: str) -> bool:
    """Return whether an output is a folder that Spark writes: an address, or no file by its name.

    Examples
    --------
    >>> goes_to_folder("s3a://lake/scores.parquet", "spark"), goes_to_folder("scores", "spark")
    (True, True)
    >>> goes_to_folder("scores.parquet", "spark"), goes_to_folder("scores", "duckdb")
    (False, False)
    """
    text = os.fspath(output)
    is_file = "://" not in text and os.path.splitext(text)[1] in SCORE_FORMATS
    return engine == "spark" and (not is_file or os.path.isdir(text))


def score_to_folder(
    weight_set: WeightSet,
    events: Any,
    output: str,
    *,
    as_of: Any = None,
    schema: EventSchema | None = None,
    n_reasons: int = 3,
    options: Mapping[str, Any],
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Count and score in Spark, and write the scores to a folder; nothing of a row comes here.

    The folder appears when all of it is written; an earlier one of scores is replaced. The rows
    stand in no order.

    Returns
    -------
    bands : dict of str to int
        Rows of each band, from the lowest.
    report, not_counted : dict of str to int
        As those of a `CountTable`.

    Raises
    ------
    OutputError
        If the path holds something else, or can't be written.
    """
    moments = None if as_of is None else parse_as_of(as_of)
    with SparkEngine(events, schema or weight_set.events, **options) as engine:
        counts = engine.counts(weight_set.spec, moments)
        scored = score_spark(
            counts.frame,
            weight_set,
            keep=["customer_id", "as_of"],
            n_reasons=n_reasons,
            sparse=("indices", "values"),
        )
        named = scored.toDF(counts.customer_col, *scored.columns[1:])
        about = {
            "format": "ces-ml scores in Spark",
            "version": 1,
            "name": weight_set.name,
            "fingerprint": weight_set.fingerprint,
        }
        write_folder(named, output, _ABOUT, json.dumps(about, ensure_ascii=False))
        # From the folder: counting again would cost as much as all of it.
        rows = read_folder(named.sparkSession, output).groupBy("band").count().collect()
    found = {row["band"]: int(row["count"]) for row in rows}
    bands = {band.name: found.get(band.name, 0) for band in weight_set.bands}
    return bands, {**counts.report, "rows": sum(bands.values())}, dict(counts.not_counted)
