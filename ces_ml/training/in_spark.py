"""Learning from rows that stay in Spark: the fit of all of them, and metrics of all held-out ones.

The job itself looks at the rows of some customers (`ces_ml.training.counting`), which are divided
as all rows are here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Self

import pandas as pd

from ces_ml.errors import SpecError
from ces_ml.evaluation import TimeSplit
from ces_ml.evaluation.distributed import SparkMetrics, spark_metrics
from ces_ml.features import SparkCounts
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.distributed import SparkRows
from ces_ml.scoring.distributed import score_spark
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountSpec
from ces_ml.training.config import TrainingConfig
from ces_ml.training.dividing import for_test
from ces_ml.training.learned import Learned
from ces_ml.training.sureness import Sureness
from ces_ml.weights import WeightSet

__all__ = ["AllRows", "RowsInSpark"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ARRAYS = ("indices", "values")
#: One row as a number: what a model sees of it, with counts rounded to float32 and without zeros.
_HASH = """XXHASH64('{salt}', CAST(customer_id AS STRING), UNIX_MICROS(as_of), y, {weight}
  FILTER(ARRAYS_ZIP(indices, floats), c -> c.floats <> 0))"""


@dataclass(frozen=True)
class AllRows:
    """What a job that looks at a sample of its rows knows of all of them.

    Parameters
    ----------
    rows, looked_at : int
        Rows in Spark, and those that the job looked at.
    fitted : int
        Training rows; the weights are fitted to all of them.
    metrics : SparkMetrics
        Of the weights, on all held-out rows.
    """

    rows: int
    looked_at: int
    fitted: int
    metrics: SparkMetrics

    @property
    def words(self) -> str:
        """What was learned from which rows, in some sentences."""
        found = self.metrics
        off = f" (± {found.roc_auc_error:.1g})" if found.roc_auc_error else ""
        return (
            f"The rows stay in Spark: weights and intervals are of all {self.fitted:,} training "
            f"rows. Everything else is of {self.looked_at:,} of the {self.rows:,} rows, all of "
            f"some customers: alpha, audit, scale, bands, rivals, verdict. On all {found.rows:,} "
            f"held-out rows: ROC AUC {found.roc_auc:.4f}{off}, log loss {found.log_loss:.4f}, "
            f"Brier score {found.brier:.4f}."
        )

    @property
    def values(self) -> dict[str, float]:
        """The numbers for a run."""
        found = self.metrics
        held: dict[str, float | None] = {
            "rows": self.rows,
            "rows_looked_at": self.looked_at,
            "train_rows": self.fitted,
            "test_rows": found.rows,
            "roc_auc": found.roc_auc,
            "roc_auc_error": found.roc_auc_error,
            "log_loss": found.log_loss,
            "brier": found.brier,
        }
        return {f"all_rows/{k}": float(v) for k, v in held.items() if v is not None}


@dataclass(frozen=True)
class RowsInSpark:
    """All rows of a job, divided as its sample is.

    Parameters
    ----------
    counts : SparkCounts
        With outcomes; kept by Spark.
    train, test : DataFrame
        Its training rows and held-out rows.
    """

    counts: SparkCounts
    train: Any
    test: Any

    @classmethod
    def of(cls, counts: SparkCounts, config: TrainingConfig, split: TimeSplit) -> Self:
        """Divide all rows by the rule of `split_by_time`, from the moment that divides the sample.

        The first held-out row is that of all rows, so it may stand before that of the sample.
        """
        from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

        frame, moment = counts.frame, F.unix_micros("as_of")
        share, seed = config.split.test_share, config.seed
        shared = config.split.customers == "shared" and split.test_from is not None
        tested = F.lit(True) if shared else for_test(share, seed)(F.col("customer_id"))
        trained = F.lit(True) if shared else ~tested
        if split.test_from is None:
            return cls(counts, frame.where(trained), frame.where(tested))
        start = (split.test_from - _EPOCH) // timedelta(microseconds=1)
        test = frame.where((moment >= start) & tested)
        first = test.agg(F.min(moment)).first()[0]
        reach = config.outcome.reach
        known = (moment + F.lit(reach) <= first) & (moment < first)
        return cls(counts, frame.where(known & trained), test)

    def fit(
        self, template: ConstrainedLogisticRegression, *, level: float
    ) -> tuple[ConstrainedLogisticRegression, Sureness]:
        """Fit the weights to all training rows, as `ces_ml.training.fitting` does to a table.

        Parameters
        ----------
        template : ConstrainedLogisticRegression
            Gives the parameters.
        level : float
            Nominal coverage of the intervals.
        """
        spec = self.counts.spec
        with SparkRows(
            self.train,
            target="y",
            features=spec.names,
            weight=self._weight,
            customer="customer_id",
            sparse=_ARRAYS,
            float32=True,
            prepare=partial(_design, spec),
        ) as rows:
            model = rows.fit(template)
            try:
                sure = Sureness(rows.intervals(model, level=level))
            except SpecError as error:
                sure = Sureness(None, f"{error.problem}; {error.hint}")
        return model, sure

    def learned(self) -> Learned:
        """Return the numbers of the training rows.

        The digest is made of sums of two 64-bit hashes of each row, so the order of the rows does
        not matter. It begins with ``rows-in-spark-1:`` and can't be compared with that of a table.
        """
        from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

        weight = f"{self._weight}," if self._weight else ""
        rows = self.train.selectExpr(
            "*", "TRANSFORM(`values`, x -> CAST(x AS FLOAT)) AS floats"
        ).selectExpr(
            *("customer_id", "y", "UNIX_MICROS(as_of) AS us"),
            *(f"{_HASH.format(salt=s, weight=weight)} AS hash_{s}" for s in "ab"),
        )
        found = rows.agg(
            F.count(F.lit(1)),
            F.count_distinct("customer_id"),
            F.sum("y"),
            F.min("us"),
            F.max("us"),
            *(F.sum(F.col(f"hash_{s}").cast("decimal(38,0)")) for s in "ab"),
        ).first()
        n, customers, positives, low, high, *sums = found
        seal = hashlib.sha256(repr((self.counts.spec.names, n, [int(s) for s in sums])).encode())
        return Learned(
            rows=n,
            customers=customers,
            positives=int(positives),
            as_of=(_iso(low), _iso(high)),
            digest=f"rows-in-spark-1:{seal.hexdigest()}",
        )

    def judge(self, weight_set: WeightSet) -> SparkMetrics:
        """Return metrics of a weight set on all held-out rows."""
        keep = ["y", self._weight] if self._weight else ["y"]
        scored = score_spark(self.test, weight_set, keep=keep, n_reasons=0, sparse=_ARRAYS)
        return spark_metrics(scored, weight=self._weight)

    @property
    def _weight(self) -> str | None:
        return "sample_weight" if self.counts.has_weight else None


def _design(spec: CountSpec, X: Any) -> Any:
    """Return counts after cap and transform; on the executors."""
    return CountTable(pd.DataFrame(), X, spec).design()


def _iso(us: int) -> str:
    return pd.Timestamp(_EPOCH + timedelta(microseconds=us)).isoformat()
