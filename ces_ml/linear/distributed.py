"""Fit on a Spark DataFrame, with the same result as in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ces_ml.linear.estimator import ConstrainedLogisticRegression, ReadRows
from ces_ml.linear.kernels import distant_range
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.parameters import check_parameters
from ces_ml.linear.solver import Survey

__all__ = ["fit_spark"]


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
    frame : pyspark.sql.DataFrame
        One row a customer and moment.
    target : str
        The column of outcomes: boolean or numeric, two different values.
    features : sequence of str, optional
        The columns of counts (numbers without nulls), by which rules know them; by default all
        columns but `target` and `weight`.
    weight : str, optional
        The column of row weights, not negative.
    estimator : ConstrainedLogisticRegression, optional
        Its parameters are used; it is not changed itself.

    Returns
    -------
    ConstrainedLogisticRegression
        A new, fitted estimator.

    Raises
    ------
    SpecError
        If a column is missing, not numeric or has nulls or values that are not finite, there are
        no rows, the outcomes are not two different values, or a parameter is out of its range.
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
    from ces_ml.linear.kernels.spark_blocks import SparkBlocks

    template = ConstrainedLogisticRegression() if estimator is None else estimator
    model = type(template)(**template.get_params())
    check_parameters(model)
    with SparkBlocks(
        frame, target=target, features=features, weight=weight, loss=LogisticLoss()
    ) as blocks:
        shift = np.zeros(blocks.n_features)
        if model.fit_intercept:
            shift = distant_range(blocks.low, blocks.high)
            blocks.subtract(shift)
        columns = np.array(blocks.features, dtype=object)
        model._fit_rows(ReadRows(Survey(blocks), blocks.features, columns, blocks.classes, shift))
    return model
