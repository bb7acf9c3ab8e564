"""Scores of a Spark DataFrame of counts, computed where its rows are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from ces_ml.errors import SpecError, WeightSetError, did_you_mean, show
from ces_ml.scoring.scorer import Scorer
from ces_ml.spec.spark_frame import check_classic
from ces_ml.sql.quoting import identifier
from ces_ml.weights.weight_set import WeightSet

__all__ = ["score_spark"]

_SCORES = ("score", "raw_score", "band", "probability")


def score_spark(
    frame: Any,
    weight_set: WeightSet,
    *,
    keep: Sequence[str] = (),
    n_reasons: int = 3,
    sparse: tuple[str, str] | None = None,
) -> Any:
    """Return a DataFrame with the scores of every row; nothing is computed before it is asked for.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Counts, a column a term, by the names of the terms; a null count is 0. A term without a
        column counts 0.
    weight_set : WeightSet
    keep : sequence of str, optional
        Columns that are taken along, such as the customer and the moment; by default all that are
        no terms. To score several moments, give rows of several moments.
    n_reasons : int, default=3
        Contributions reported a row.
    sparse : (str, str), optional
        Two columns of arrays in place of a column a term, as `SparkCounts` has them: positions in
        the terms of the weight set, rising, and counts.

    Returns
    -------
    pyspark.sql.DataFrame
        The kept columns, then ``score``, ``raw_score``, ``band``, ``probability``, ``reason_k``
        and ``points_k``, as `Scorer.score` gives them.

    Raises
    ------
    WeightSetError
        If the frame has no column of the weight set.
    SpecError
        If a kept column is not there, or is called like a result, or the frame is
        one of Spark Connect.

    Examples
    --------
    >>> score_spark(counts, weight_set, keep=["customer_id", "as_of"])  # doctest: +SKIP
    """
    check_classic(frame, "scoring on Spark")
    from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it
    from pyspark.sql.types import DoubleType, StringType, StructField, StructType

    scorer = Scorer(weight_set, n_reasons)
    held = _columns_of_counts(frame, weight_set, sparse)
    kept = list(keep) or [c for c in frame.columns if c not in {*weight_set.names, *held}]
    reasons = [f"{word}_{k + 1}" for k in range(scorer.n_reasons) for word in ("reason", "points")]
    results = [*_SCORES, *reasons]
    _check_kept(kept, frame.columns, results)
    # By number: `mapInArrow` does not quote the names of columns.
    columns = [F.col(identifier(name, "`")).alias(f"k{j}") for j, name in enumerate(kept)]
    kinds = ("array<int>", "array<double>") if sparse else ("double",) * len(held)
    columns += [
        F.col(identifier(name, "`")).cast(kind).alias(f"c{j}")
        for j, (name, kind) in enumerate(zip(held, kinds, strict=True))
    ]
    rows = frame.select(*columns)
    texts = {"band", *reasons[::2]}
    fields = [rows.schema[f"k{j}"] for j in range(len(kept))] + [
        StructField(f"r{j}", StringType() if name in texts else DoubleType())
        for j, name in enumerate(results)
    ]
    counts = _from_arrays(scorer.weight_set) if sparse else _by_name(scorer.weight_set, held)
    scored = rows.mapInArrow(_scoring(scorer, counts, len(kept), results), StructType(fields))
    return scored.toDF(*kept, *results)


def _columns_of_counts(
    frame: Any, weight_set: WeightSet, sparse: tuple[str, str] | None
) -> list[str]:
    """Return the columns that hold counts: two of arrays, or those that are called like terms."""
    if sparse is not None:
        for name in sparse:
            if name not in frame.columns:
                raise SpecError.unknown(
                    "the DataFrame has no such column",
                    name,
                    frame.columns,
                    hint="name the columns of positions and of counts",
                )
        return list(sparse)
    held = [name for name in weight_set.names if name in frame.columns]
    if not held:
        first = frame.columns[0] if frame.columns else ""
        raise WeightSetError(
            "the DataFrame has no column of the weight set",
            got=", ".join(show(c, 30) for c in frame.columns[:5]) or "no columns",
            allowed=did_you_mean(first, weight_set.names),
            hint="name the columns like the terms",
        )
    return held


def _by_name(weight_set: WeightSet, held: list[str]) -> Callable[[list[Any]], Any]:
    """Return what makes a frame of counts of columns that are called `held`."""

    def counts(columns: list[Any]) -> Any:
        found = pa.table(columns, names=held).to_pandas()
        return found.reindex(columns=list(weight_set.names), fill_value=0.0)

    return counts


def _from_arrays(weight_set: WeightSet) -> Callable[[list[Any]], Any]:
    """Return what makes a CSR array of positions and counts."""

    def counts(columns: list[Any]) -> Any:
        places, values = columns
        ends = np.concatenate([[0], np.cumsum(pc.list_value_length(places).to_numpy())])
        parts = (values.flatten().to_numpy(), places.flatten().to_numpy(), ends)
        return sp.csr_array(parts, shape=(len(places), len(weight_set.terms)))

    return counts


def _scoring(
    scorer: Scorer, counts: Callable[[list[Any]], Any], n_kept: int, results: list[str]
) -> Any:
    """Return the function that scores record batches: kept columns first, then counts."""

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = pa.Table.from_pandas(
                scorer.score(counts(batch.columns[n_kept:]))[results],
                preserve_index=False,
            ).combine_chunks()
            columns = [*batch.columns[:n_kept]]
            for name in results:
                column = found.column(name)
                wanted = pa.string() if name == "band" or name[:7] == "reason_" else pa.float64()
                columns.append(column.cast(wanted).combine_chunks())
            names = [f"k{j}" for j in range(n_kept)] + [f"r{j}" for j in range(len(results))]
            yield pa.RecordBatch.from_arrays(columns, names=names)

    return score


def _check_kept(kept: Sequence[str], columns: Sequence[str], results: Sequence[str]) -> None:
    for name in kept:
        if name not in columns:
            raise SpecError.unknown(
                "the DataFrame has no such column", name, columns, hint="correct `keep`"
            )
        if name in results:
            raise SpecError(
                "a kept column is called like a result",
                got=show(name),
                allowed="columns that are not called " + ", ".join(results),
                hint="rename the column, or leave it out of `keep`",
            )
