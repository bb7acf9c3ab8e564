"""Metrics of scores in Spark: sums where the rows are, one number here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.spec.spark_frame import check_classic
from ces_ml.sql.quoting import identifier

__all__ = ["SparkMetrics", "spark_metrics"]

#: Different scores up to which the area is exact; more are put into so many bins.
BINS = 2**18


@dataclass(frozen=True)
class SparkMetrics:
    """How well scores tell outcomes.

    Parameters
    ----------
    rows, positives : int
    roc_auc : float
        Area under the ROC curve.
    roc_auc_error : float
        The true area is at most so far from `roc_auc`: 0 where all different scores were told
        apart, else half the weight of pairs of different outcomes that share a bin.
    log_loss, brier : float or None
        Of the probabilities, where there are some.
    """

    rows: int
    positives: int
    roc_auc: float
    roc_auc_error: float
    log_loss: float | None = None
    brier: float | None = None


def spark_metrics(
    frame: Any,
    *,
    target: str = "y",
    score: str = "raw_score",
    probability: str | None = "probability",
    weight: str | None = None,
) -> SparkMetrics:
    """Return metrics of a DataFrame of scores and outcomes.

    Two passes over the rows. Up to 262,144 different scores the area is exact; more scores are
    put into so many bins of equal width, and the error that this can have made is told.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
    target : str, default="y"
        The column of outcomes: boolean, or 0 and 1.
    score : str, default="raw_score"
        The column that ranks the rows.
    probability : str or None, default="probability"
        The column of probabilities of the good outcome.
    weight : str, optional
        The column of row weights, not negative.

    Returns
    -------
    SparkMetrics

    Raises
    ------
    SpecError
        If a column is not there, an outcome is neither 0 nor 1, a value is missing or not finite,
        there is only one outcome, or the frame is one of Spark Connect.

    Examples
    --------
    >>> spark_metrics(score_spark(counts, weight_set, keep=["y"]))  # doctest: +SKIP
    """
    check_classic(frame, "metrics on Spark")
    from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

    names = {"y": target, "s": score, "w": weight, "p": probability}
    rows = _renamed(frame, {k: name for k, name in names.items() if name is not None})
    y, s, w = F.col("y"), F.col("s"), F.col("w")
    sums = [F.count(F.lit(1)), F.sum(y), F.min(s), F.max(s), F.approx_count_distinct(s), F.sum(w)]
    odd = y.isNull() | ~y.isin(0.0, 1.0) | s.isNull() | F.isnan(s) | (F.abs(s) == np.inf)
    sums.append(F.count(F.when(odd | w.isNull() | (w < 0), 1)))
    if probability is not None:
        p = F.least(F.greatest(F.col("p"), F.lit(1e-15)), F.lit(1.0 - 1e-15))
        sums.append(F.sum(-w * F.when(y == 1, F.log(p)).otherwise(F.log1p(-p))))
        sums.append(F.sum(w * (F.col("p") - y) ** 2))
    found = list(rows.agg(*sums).collect()[0])
    n, ones, low, high, kinds, total, bad = found[:7]
    _check(n, ones, bad)
    exact = kinds < 0.9 * BINS
    width = (high - low) / BINS or 1.0
    place = s if exact else F.least(F.floor((s - low) / width), F.lit(BINS - 1))
    area, together = _area(rows, place)
    return SparkMetrics(
        rows=int(n),
        positives=int(ones),
        roc_auc=area + 0.5 * together,
        roc_auc_error=0.0 if exact else 0.5 * together,
        log_loss=float(found[7] / total) if probability is not None else None,
        brier=float(found[8] / total) if probability is not None else None,
    )


def _renamed(frame: Any, names: dict[str, str]) -> Any:
    """Return the named columns as doubles, under short names; without a weight each row has 1."""
    from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

    for name in names.values():
        if name not in frame.columns:
            raise SpecError(
                "the DataFrame has no such column",
                got=show(name),
                allowed=did_you_mean(name, frame.columns),
                hint="name columns as the DataFrame does",
            )
    columns = [F.col(identifier(n, "`")).cast("double").alias(k) for k, n in names.items()]
    if "w" not in names:
        columns.append(F.lit(1.0).alias("w"))
    return frame.select(*columns)


def _area(rows: Any, place: Any) -> tuple[float, float]:
    """Return the shares of pairs of different outcomes that lie in order, and in one place."""
    from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

    y, w = F.col("y"), F.col("w")
    table = rows.groupBy(place.alias("b")).agg(
        F.sum(w * y).alias("ones"), F.sum(w * (1.0 - y)).alias("zeros")
    )
    bins = sorted(table.collect(), key=lambda row: float(row["b"]))
    positive, negative = np.array([(row["ones"], row["zeros"]) for row in bins]).T
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative
    return float((positive * below).sum() / pairs), float((positive * negative).sum() / pairs)


def _check(n: int, ones: float | None, bad: int) -> None:
    if bad:
        raise SpecError(
            "scores or outcomes can't be compared",
            got=f"{bad} of {n} rows with an outcome that is neither 0 nor 1, a score that is "
            "missing or not finite, or a weight that is missing or negative",
            allowed="outcomes 0 and 1, finite scores, weights from 0",
            hint="filter these rows out, or correct them",
        )
    if not n or not ones or ones == n:
        raise SpecError(
            "there is only one outcome",
            got=f"{int(ones or 0)} of {n} rows with the good outcome",
            allowed="rows of both outcomes",
            hint="take more rows, or check the column of outcomes",
        )
