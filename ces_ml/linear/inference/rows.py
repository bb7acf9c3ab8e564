"""The rows that weights were learned from, customer by customer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from ces_ml.errors import SpecError, show
from ces_ml.linear.inference.sampling import scored_rows
from ces_ml.linear.kernels import Evaluation, RowBlocks, distant_columns
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.rows import LabelledRows, take_rows
from ces_ml.linear.solver import SampledObjective

__all__ = ["CustomerRows"]

Floats = NDArray[np.float64]

BLOCK = 8192
"""Customers whose sums are dense at a time."""


@dataclass(frozen=True, eq=False)
class CustomerRows:
    """Rows with outcomes, and a number for each row's customer.

    Parameters
    ----------
    blocks : SampledObjective
        The mean loss of all rows.
    X : ndarray or CSR array of shape (n_rows, n_features)
        Counts of the rows whose scores are summed: all, or a sample of customers.
    y : ndarray of shape (n_rows,)
        Their outcomes, 0 and 1.
    share : ndarray of shape (n_rows,)
        Their sample weights over the sum of those of all rows.
    shift : ndarray of shape (n_features,)
        Subtracted from each row of a dense `X`; the intercept is that of the shifted columns.
    customer : ndarray of shape (n_rows,) or None
        From 0; None if each row is a customer of its own.
    times : ndarray of shape (n_taken,)
        How many customers each of them stands for.
    n_customers : int
        Number of customers in the data.
    """

    blocks: SampledObjective
    X: Any
    y: NDArray[np.int8]
    share: Floats
    shift: Floats
    customer: NDArray[np.intp] | None
    times: Floats
    n_customers: int

    @classmethod
    def of(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        groups: ArrayLike | None,
    ) -> CustomerRows:
        """Read the rows that a fitted estimator was fitted on.

        Raises
        ------
        SpecError
            If outcomes, weights or groups do not fit the rows.
        ValueError
            If `X` is not what the estimator was fitted with.
        """
        matrix, target = _matrix(estimator, X), _target(estimator, y)
        n = matrix.shape[0]
        if len(target) != n:
            raise SpecError(
                "outcomes and rows differ in number",
                got=f"{len(target)} outcomes, {n} rows",
                allowed="one outcome for each row",
                hint="give X and y of the same rows",
            )
        group = None if groups is None else _group_array(groups, n)
        share = None
        if sample_weight is not None:
            share = LabelledRows.of(estimator, matrix, y, sample_weight).share
            if not share.all():  # a row without weight is no row, and no customer
                kept = np.flatnonzero(share)
                matrix, target, share = matrix[kept], target[kept], share[kept]
                group = None if group is None else group[kept]
        shift = np.zeros(matrix.shape[1])
        if estimator.fit_intercept and not sp.issparse(matrix):
            shift = distant_columns(matrix)
        blocks = RowBlocks(matrix, target, share, LogisticLoss(), shift=shift)
        taken = scored_rows(matrix, target, group)
        if taken.n_customers < 2:
            raise SpecError(
                "all rows are of one customer",
                got="one group",
                allowed="rows of at least two customers",
                hint="how sure weights are is judged by how customers differ: give their ids",
            )
        every = len(taken.rows) == len(target)
        own = np.full(len(taken.rows), 1.0 / len(target)) if share is None else share[taken.rows]
        return cls(
            blocks,
            matrix if every else matrix[taken.rows],
            target if every else target[taken.rows],
            own,
            shift,
            taken.customer,
            taken.times,
            taken.n_customers,
        )

    @property
    def n_taken(self) -> int:
        """Number of customers whose scores are summed."""
        return len(self.times)

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """The rows, those of one customer beside each other."""
        if self.customer is None:
            return np.arange(len(self.y))
        return np.argsort(self.customer, kind="stable")

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where in `order` each customer begins, and the number of rows, last."""
        if self.customer is None:
            return np.arange(len(self.y) + 1)
        sizes = np.bincount(self.customer, minlength=self.n_taken)
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)

    def evaluate(self, theta: Floats) -> Evaluation:
        """Return the mean loss and its derivatives; the Hessian is that of the customers taken.

        Value and gradient are of all rows, so the estimate is. The curvature only says how far a
        step goes and how sure it is, to the same accuracy as the scores.
        """
        w, c = theta[:-1], float(theta[-1])
        if self.n_taken == self.n_customers:
            return self.blocks.evaluate(w, c)
        weight = self.share * (self.times if self.customer is None else self.times[self.customer])
        some = RowBlocks(self.X, self.y, weight, LogisticLoss(), shift=self.shift, total=1.0)
        value, gradient = self.blocks.slope(w, c)
        return Evaluation(value, gradient, some.evaluate(w, c).hessian)

    def residuals(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return slope and curvature of the loss of each row, times its share."""
        w = theta[:-1]
        chance = expit(self.X @ w + (theta[-1] - self.shift @ w))
        return self.share * (chance - self.y), self.share * chance * (1.0 - chance)

    def dense(self, rows: NDArray[np.intp]) -> Floats:
        """Return some rows as ``(x, 1)``, of shape (len(rows), n_features + 1)."""
        taken = self.X[rows]
        block = taken.toarray() if sp.issparse(taken) else np.asarray(taken, dtype=np.float64)
        return np.column_stack([block - self.shift, np.ones(len(rows))])

    def score_products(self, slope: Floats) -> Floats:
        """Return ``Σ_customers times·g gᵀ`` with ``g = Σ slope·(x, 1)`` over the customer's rows.

        Of shape (n_features + 1, n_features + 1). Customers with one row take one pass like that
        of the Hessian: at zero weights the loss has curvature ¼ everywhere, so a row of weight
        ``4·slope²`` adds ``slope²·x xᵀ``.
        """
        alone, several = self.times, np.empty(0, dtype=np.intp)
        if self.customer is not None:
            single = np.diff(self.starts) == 1
            alone = np.where(single, self.times, 0.0)[self.customer]
            several = np.flatnonzero(~single)
        total = np.zeros((self.X.shape[1] + 1,) * 2)
        if len(several) < self.n_taken:
            total += self._at_zero(4.0 * alone * slope * slope).hessian
        for first in range(0, len(several), BLOCK):
            some = several[first : first + BLOCK]
            sums = self._sums(some, slope) * np.sqrt(self.times[some])[:, np.newaxis]
            total += sums.T @ sums
        return total

    def _at_zero(self, weight: Floats) -> Evaluation:
        outcomes = np.zeros(len(weight), dtype=np.int8)
        blocks = RowBlocks(self.X, outcomes, weight, LogisticLoss(), shift=self.shift, total=1.0)
        return blocks.evaluate(np.zeros(self.X.shape[1]), 0.0)

    def _sums(self, customers: NDArray[np.intp], slope: Floats) -> Floats:
        """Return ``Σ slope·(x, 1)`` of each customer, of shape (n_customers, n_features + 1)."""
        rows, starts = self.rows_of(customers)
        weights = slope[rows]
        if not sp.issparse(self.X):
            sums = np.add.reduceat(self.dense(rows) * weights[:, np.newaxis], starts[:-1], axis=0)
            return np.asarray(sums, dtype=np.float64)
        X = self.X[rows]
        values = X.data * np.repeat(weights, np.diff(X.indptr))
        # The rows of a customer made one row: `toarray` adds values that are stored twice.
        joined = sp.csr_array(
            (values, X.indices, X.indptr[starts]), shape=(len(customers), X.shape[1])
        )
        return np.column_stack([joined.toarray(), np.add.reduceat(weights, starts[:-1])])

    def rows_of(self, customers: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows of some customers one after another, and where each customer begins.

        The second has one number more than there are customers: the number of rows.
        """
        if self.customer is None:
            return customers, np.arange(len(customers) + 1)
        sizes = np.diff(self.starts)[customers]
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
        within = np.arange(ends[-1]) - np.repeat(ends[:-1], sizes)
        return self.order[np.repeat(self.starts[customers], sizes) + within], ends


def _matrix(estimator: Any, X: Any) -> Any:
    """Return the counts as numbers, once the estimator has accepted the columns."""
    estimator.decision_function(take_rows(X, np.arange(1)))
    if sp.issparse(X):
        return sp.csr_array(X)
    array = np.asarray(X)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _target(estimator: Any, y: ArrayLike) -> NDArray[np.int8]:
    labels = np.asarray(y)
    good, bad = labels == estimator.classes_[1], labels == estimator.classes_[0]
    known = np.asarray(good | bad)
    if labels.ndim != 1 or not known.all():
        odd = labels[~known][0] if labels.ndim == 1 else labels
        raise SpecError(
            "an outcome is none of the labels that the model was fitted with",
            got=show(odd),
            allowed=show(estimator.classes_.tolist()),
            hint="give the outcomes as they were given to fit",
        )
    return np.asarray(good).astype(np.int8)


def _group_array(groups: ArrayLike, n: int) -> NDArray[Any]:
    array = np.asarray(groups)
    if array.shape != (n,):
        raise SpecError(
            "groups and rows differ in number",
            got=f"groups of shape {array.shape}, {n} rows",
            allowed="one customer for each row",
            hint="give the customer ids of the same rows, in the same order",
        )
    missing = np.zeros(0, dtype=bool) if array.dtype.kind in "biuSU" else np.asarray(pd.isna(array))
    if missing.any():
        raise SpecError(
            "a row has no customer",
            got=f"{int(missing.sum())} of {n} groups are missing",
            allowed="an id for each row",
            hint="drop the rows, or give each of them an id of its own",
        )
    return array
