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
from ces_ml.linear.kernels import Evaluation, RowBlocks, distant_columns
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.rows import LabelledRows

__all__ = ["CustomerRows"]

Floats = NDArray[np.float64]

BLOCK = 8192
"""Customers whose sums are dense at a time."""


@dataclass(frozen=True, eq=False)
class CustomerRows:
    """Rows with outcomes, shares that sum to 1, and a number for each row's customer.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n_rows, n_features)
        Counts.
    y : ndarray of shape (n_rows,)
        Outcomes 0.0 and 1.0.
    share : ndarray of shape (n_rows,)
        Sample weights over their sum.
    shift : ndarray of shape (n_features,)
        Subtracted from each row of a dense `X`; the intercept is that of the shifted columns.
    customer : ndarray of shape (n_rows,) or None
        From 0 to ``n_customers - 1``; None if each row is a customer of its own.
    n_customers : int
        Number of customers with rows that weigh something.
    """

    X: Any
    y: Floats
    share: Floats
    shift: Floats
    customer: NDArray[np.intp] | None
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
        """Read the rows that a fitted estimator was fitted on."""
        rows = LabelledRows.of(estimator, X, y, sample_weight)
        if not rows.share.all():
            kept = np.flatnonzero(rows.share > 0.0)
            group = None if groups is None else _group_array(groups, len(rows.y))[kept]
            rows = LabelledRows(rows.X[kept], rows.y[kept], rows.share[kept], rows.score[kept])
        else:
            group = None if groups is None else _group_array(groups, len(rows.y))
        shift = np.zeros(rows.X.shape[1])
        if estimator.fit_intercept and not sp.issparse(rows.X):
            shift = distant_columns(rows.X)
        customer, n = (None, len(rows.y)) if group is None else _numbered(group)
        return cls(rows.X, rows.y, rows.share, shift, customer, n)

    @cached_property
    def blocks(self) -> RowBlocks:
        """The mean loss."""
        return RowBlocks(
            self.X, self.y.astype(np.int8), self.share, LogisticLoss(), shift=self._shift, total=1.0
        )

    @property
    def _shift(self) -> Floats | None:
        return self.shift if self.shift.any() else None

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
        sizes = np.bincount(self.customer, minlength=self.n_customers)
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)

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
        """Return ``Σ_customers g gᵀ`` with ``g = Σ slope·(x, 1)`` over the customer's rows.

        Of shape (n_features + 1, n_features + 1). Customers with one row take one pass like that
        of the Hessian: at zero weights the loss has curvature ¼ everywhere, so a row of weight
        ``4·slope²`` adds ``slope²·x xᵀ``.
        """
        alone, several = slope, np.empty(0, dtype=np.intp)
        if self.customer is not None:
            single = np.diff(self.starts) == 1
            alone, several = np.where(single[self.customer], slope, 0.0), np.flatnonzero(~single)
        total = np.zeros((self.X.shape[1] + 1,) * 2)
        if len(several) < self.n_customers:
            total += self._at_zero(4.0 * alone * alone).hessian
        for first in range(0, len(several), BLOCK):
            sums = self._sums(several[first : first + BLOCK], slope)
            total += sums.T @ sums
        return total

    def _at_zero(self, weight: Floats) -> Evaluation:
        blocks = RowBlocks(
            self.X,
            np.zeros(len(weight), dtype=np.int8),
            weight,
            LogisticLoss(),
            shift=self._shift,
            total=1.0,
        )
        return blocks.evaluate(np.zeros(self.X.shape[1]), 0.0)

    def _sums(self, customers: NDArray[np.intp], slope: Floats) -> Floats:
        """Return ``Σ slope·(x, 1)`` of each customer, of shape (n_customers, n_features + 1)."""
        rows, starts = self.rows_of(customers)
        if not sp.issparse(self.X):
            weighted = self.dense(rows) * slope[rows, np.newaxis]
            return np.asarray(np.add.reduceat(weighted, starts[:-1], axis=0), dtype=np.float64)
        shape = (len(customers), len(slope))
        adds = sp.csr_array((slope[rows], rows, starts), shape=shape)
        return np.column_stack([(adds @ self.X).toarray(), adds.sum(axis=1)])

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


def _group_array(groups: ArrayLike, n: int) -> NDArray[Any]:
    array = np.asarray(groups)
    if array.shape != (n,):
        raise SpecError(
            "groups and rows differ in number",
            got=f"groups of shape {array.shape}, {n} rows",
            allowed="one customer for each row",
            hint="give the customer ids of the same rows, in the same order",
        )
    if pd.isna(array).any():
        raise SpecError(
            "a row has no customer",
            got=f"{int(pd.isna(array).sum())} of {n} groups are missing",
            allowed="an id for each row",
            hint="drop the rows, or give each of them an id of its own",
        )
    return array


def _numbered(group: NDArray[Any]) -> tuple[NDArray[np.intp] | None, int]:
    """Return the number of each row's customer, None if all differ, and how many there are."""
    codes, kinds = pd.factorize(group)
    if len(kinds) == len(group):
        return None, len(group)
    if len(kinds) < 2:
        raise SpecError(
            "all rows are of one customer",
            got=show(group[0]),
            allowed="rows of at least two customers",
            hint="how sure weights are is judged by how customers differ; give their ids as groups",
        )
    return codes.astype(np.intp), len(kinds)
