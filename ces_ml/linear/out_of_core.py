"""Fit on Parquet files that are larger than memory, with the same result as in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from ces_ml.linear.estimator import ConstrainedLogisticRegression, ReadRows
from ces_ml.linear.kernels import distant_range
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.parameters import check_parameters
from ces_ml.linear.solver import Survey

__all__ = ["fit_parquet"]


def fit_parquet(
    path: str | os.PathLike[str],
    *,
    target: str,
    features: Sequence[str] | None = None,
    weight: str | None = None,
    estimator: ConstrainedLogisticRegression | None = None,
) -> ConstrainedLogisticRegression:
    """Fit a constrained logistic regression to counts in Parquet, block by block.

    The rows are read about seven times: to check them, for a sample, and by the solver. Only one
    block of them and the sample (at most 256 MB) are in memory. The weights are those of a fit in
    memory, to round-off of the sums.

    Parameters
    ----------
    path : path-like
        A Parquet file, or a folder of Parquet files with the same columns.
    target : str
        The column of outcomes: two different values, of which the second in sorting order is the
        good one.
    features : sequence of str, optional
        The columns of counts (integers, floating-point numbers or booleans, without nulls), by
        which rules know them; by default all columns but `target` and `weight`.
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

    Warns
    -----
    ConvergenceWarning
        If the optimum was not reached; the message says why, with numbers.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, pyarrow as pa, pyarrow.parquet as pq
    >>> rng = np.random.default_rng(0)
    >>> login, refund = rng.poisson(2.0, 400), rng.poisson(0.5, 400)
    >>> stayed = rng.random(400) < 1 / (1 + np.exp(1.0 - login + refund))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "counts.parquet")
    ...     pq.write_table(pa.table({"login": login, "refund": refund, "y": stayed}), file)
    ...     model = fit_parquet(
    ...         file, target="y", estimator=ConstrainedLogisticRegression(constraints="refund <= 0")
    ...     )
    >>> model.feature_names_in_, model.coef_[0, 0] > 0 > model.coef_[0, 1]
    (array(['login', 'refund'], dtype=object), np.True_)
    """
    from ces_ml.linear.kernels.parquet_blocks import ParquetBlocks  # imports pyarrow

    template = ConstrainedLogisticRegression() if estimator is None else estimator
    model = type(template)(**template.get_params())
    check_parameters(model)
    blocks = ParquetBlocks(
        path, target=target, features=features, weight=weight, loss=LogisticLoss()
    )
    shift = np.zeros(blocks.n_features)
    if model.fit_intercept:
        shift = distant_range(blocks.low, blocks.high)
        blocks.subtract(shift)
    columns = np.array(blocks.features, dtype=object)
    model._fit_rows(ReadRows(Survey(blocks), blocks.features, columns, blocks.classes, shift))
    return model
