"""Fit on a Spark DataFrame, with the same result as in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from ces_ml.linear.estimator import ConstrainedLogisticRegression, ReadRows
from ces_ml.linear.inference import WeightIntervals
from ces_ml.linear.inference.fitted import check_draws, intervals_from
from ces_ml.linear.inference.intervals import checked_level
from ces_ml.linear.kernels import distant_range
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.parameters import check_parameters
from ces_ml.linear.solver import Survey
from ces_ml.spec.spark_frame import check_classic

__all__ = ["SparkRows", "fit_spark"]


class SparkRows:
    """Counts and outcomes in Spark, packed once for fits and intervals; use it in a ``with`` block.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        One row a customer and moment; the same rows each time it is computed.
    target : str
        The column of outcomes: boolean or numeric, two different values.
    features : sequence of str, optional
        The columns of counts (numbers without nulls), by which rules know them; by default all
        columns but `target`, `weight` and `customer`.
    weight : str, optional
        The column of row weights, not negative.
    customer : str, optional
        The column that says whose row it is; by default each row is a customer of its own.
    sparse : (str, str), optional
        Two columns of arrays in place of a column a feature, as `SparkCounts` has them: positions
        in `features`, rising, and values. `features` must be given then.
    float32 : bool, default=False
        Whether counts are rounded to float32, as a training job does.
    prepare : callable, optional
        With `sparse`: makes what is fitted of a CSR array of counts; sent to the executors.

    Raises
    ------
    SpecError
        If a column is missing, not numeric or has nulls or values that are not finite, there are
        no rows, or the outcomes are not two different values.
    MissingDependencyError
        If the executors do not have ces-ml.

    Examples
    --------
    >>> with SparkRows(counts, target="y", customer="customer_id") as rows:  # doctest: +SKIP
    ...     model = rows.fit(ConstrainedLogisticRegression(constraints="refund <= 0"))
    ...     intervals = rows.intervals(model)
    """

    def __init__(
        self,
        frame: Any,
        *,
        target: str,
        features: Sequence[str] | None = None,
        weight: str | None = None,
        customer: str | None = None,
        sparse: tuple[str, str] | None = None,
        float32: bool = False,
        prepare: Callable[[Any], Any] | None = None,
    ) -> None:
        from ces_ml.linear.kernels.spark_blocks import SparkBlocks

        check_classic(frame, "a fit on Spark")
        if features is None:
            features = [c for c in frame.columns if c not in (target, weight, customer)]
        self._frame, self._customer = frame, customer
        self.blocks = SparkBlocks(
            frame,
            target=target,
            features=features,
            weight=weight,
            sparse=sparse,
            float32=float32,
            prepare=prepare,
            loss=LogisticLoss(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let Spark forget the packed rows."""
        self.blocks.close()

    def fit(
        self, estimator: ConstrainedLogisticRegression | None = None
    ) -> ConstrainedLogisticRegression:
        """Return a new estimator with the parameters of `estimator`, fitted; see `fit_spark`."""
        template = ConstrainedLogisticRegression() if estimator is None else estimator
        model = type(template)(**template.get_params())
        check_parameters(model)
        blocks = self.blocks
        shift = np.zeros(blocks.n_features)
        if model.fit_intercept:
            shift = distant_range(blocks.low, blocks.high)
        blocks.subtract(shift)
        columns = np.array(blocks.features, dtype=object)
        model._fit_rows(ReadRows(Survey(blocks), blocks.features, columns, blocks.classes, shift))
        return model

    def intervals(
        self,
        model: ConstrainedLogisticRegression,
        *,
        level: float = 0.9,
        n_replicates: int = 300,
        random_state: int | None = 0,
    ) -> WeightIntervals:
        """Return intervals of the weights of a model that was fitted on these rows, by customer.

        See `ces_ml.linear.weight_intervals`. Up to 200,000 rows they are those of a fit in memory.
        Where there are more, the scores of about 100,000 rows are read to the driver: all rows of
        a sample of customers, and of everybody who has a rare event or a rare outcome. Sums of
        loss and gradient are of all rows.

        Raises
        ------
        SpecError
            If a parameter is out of its range, or a row has no customer.
        """
        from ces_ml.linear.inference.spark_rows import sampled_rows

        level = checked_level(level)
        check_draws(n_replicates, random_state)
        rows = sampled_rows(self._frame, self.blocks, self._customer)
        return intervals_from(model, rows, level, (int(n_replicates), random_state))


def fit_spark(
    frame: Any,
    *,
    target: str,
    features: Sequence[str] | None = None,
    weight: str | None = None,
    estimator: ConstrainedLogisticRegression | None = None,
) -> ConstrainedLogisticRegression:
    """Fit a constrained logistic regression to counts in Spark; the rows stay where they are.

    The solver is the one of a fit in memory. One pass over the rows is a sum of losses, gradients
    and Hessians per partition, by the compiled pass in the executors' Python (which must have
    ces-ml); the driver holds p × p numbers and a sample of the rows (at most 256 MB), from which
    the descent begins. The rows are packed and kept by Spark while the fit lasts. The weights are
    those of a fit in memory, to round-off of the sums.

    Parameters
    ----------
    frame, target, features, weight
        See `SparkRows`.
    estimator : ConstrainedLogisticRegression, optional
        Its parameters are used; it is not changed itself.

    Returns
    -------
    ConstrainedLogisticRegression
        A new, fitted estimator.

    Raises
    ------
    SpecError
        As `SparkRows`, or if a parameter is out of its range.
    ConstraintError
        If a rule can't be read or names a feature that is not there.
    InfeasibleConstraintsError
        If no weights obey all rules.
    MissingDependencyError
        If the executors do not have ces-ml.

    Warns
    -----
    ConvergenceWarning
        If the optimum was not reached; the message says why, with numbers.

    Examples
    --------
    >>> model = fit_spark(counts, target="y", features=["login", "refund"],
    ...     estimator=ConstrainedLogisticRegression(constraints="refund <= 0"))
    ... # doctest: +SKIP
    """
    with SparkRows(frame, target=target, features=features, weight=weight) as rows:
        return rows.fit(estimator)
