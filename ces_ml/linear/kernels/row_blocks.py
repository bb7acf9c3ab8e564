"""The block sum over an array in memory, dense or CSR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import Evaluation, PointwiseLoss
from ces_ml.linear.kernels.gram import csr_gram_kernel

__all__ = ["RowBlocks", "distant_columns"]

Floats = NDArray[np.float64]

DENSE_BLOCK = 2**20
"""Numbers in one dense block: 8 MB in float64."""

COMPILED_FROM = 200_000
"""Stored values from which the compiled Hessian pays for loading its compiler."""


def distant_columns(X: NDArray[Any]) -> Floats:
    """Return a shift of shape (n_features,) for columns that vary little and lie far from zero.

    The middle of the column where that is more than a hundred times its range, else 0. Sums over
    such columns (a timestamp, say) lose their digits unless they are shifted first.
    """
    low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
    middle = low + 0.5 * (high - low)
    return np.where(np.abs(middle) > 100.0 * (high - low), middle, 0.0)


class RowBlocks:
    """A `ces_ml.linear.kernels.BlockObjective` over an ndarray or a CSR matrix.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        Counts, float32 or float64. Sums are in float64 either way; a float32 block is widened
        when its turn comes, so the whole is never copied.
    y : ndarray of shape (n_rows,)
        Outcomes, 0.0 or 1.0.
    sample_weight : ndarray of shape (n_rows,)
        Not negative, with a positive sum.
    loss : PointwiseLoss
        The loss of one row.
    shift : ndarray of shape (n_features,), optional
        Subtracted from each row of a dense `X`, block by block; the intercept is then that of the
        shifted columns.
    compiled : bool, optional
        Whether the Hessian of CSR data is compiled by numba. By default it is for
        `COMPILED_FROM` stored values and more.

    Examples
    --------
    >>> import numpy as np
    >>> from ces_ml.linear.losses import LogisticLoss
    >>> blocks = RowBlocks(np.eye(2), np.array([0.0, 1.0]), np.ones(2), LogisticLoss())
    >>> blocks.evaluate(np.zeros(2), 0.0).gradient
    array([ 0.25, -0.25,  0.  ])
    """

    def __init__(
        self,
        X: Any,
        y: Floats,
        sample_weight: Floats,
        loss: PointwiseLoss,
        *,
        shift: Floats | None = None,
        compiled: bool | None = None,
    ) -> None:
        self._sparse = sp.issparse(X)
        if self._sparse and not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        self._X, self._y, self._s = X, y, sample_weight / sample_weight.sum()
        self._loss = loss
        self._shift = shift if shift is not None and shift.any() else None
        self._compiled = self._sparse and (X.nnz >= COMPILED_FROM if compiled is None else compiled)
        self._rows = max(256, DENSE_BLOCK // max(X.shape[1], 1))

    @property
    def n_features(self) -> int:
        """Number of weights."""
        return int(self._X.shape[1])

    def value(self, w: Floats, c: float) -> float:
        """Return the mean loss."""
        total = 0.0
        for block, y, s in self._blocks():
            total += float(s @ self._loss.value(y, block @ w + c))
        return total

    def evaluate(self, w: Floats, c: float) -> Evaluation:
        """Return mean loss, gradient and Hessian in one pass."""
        p = self.n_features
        value, gradient, hessian = 0.0, np.zeros(p + 1), np.zeros((p + 1, p + 1))
        for block, y, s in self._blocks():
            loss, slope, curvature = self._loss.derivatives(y, block @ w + c)
            slope *= s
            curvature *= s
            value += float(s @ loss)
            gradient[:p] += block.T @ slope
            gradient[p] += slope.sum()
            hessian[p, :p] += block.T @ curvature
            hessian[p, p] += curvature.sum()
            self._add_gram(block, curvature, hessian[:p, :p])
        lower = np.tril(hessian)  # the compiled kernel fills no other part; round-off differs there
        return Evaluation(value, gradient, lower + np.tril(lower, -1).T)

    def _add_gram(self, block: Any, d: Floats, out: Floats) -> None:
        if self._compiled:
            csr_gram_kernel()(block.data, block.indices, block.indptr, d, out)
            return
        dense = block.toarray() if self._sparse else block
        out += (dense * d[:, None]).T @ dense

    def _blocks(self) -> Iterator[tuple[Any, Floats, Floats]]:
        X, n = self._X, self._X.shape[0]
        for start in range(0, n, self._rows):
            stop = min(start + self._rows, n)
            yield self._cut(X, start, stop), self._y[start:stop], self._s[start:stop]

    def _cut(self, X: Any, start: int, stop: int) -> Any:
        """Return rows `start` to `stop` in float64, without a copy where they are already."""
        if not self._sparse:
            block = X[start:stop].astype(np.float64, copy=False)
            return block if self._shift is None else block - self._shift
        lo, hi = X.indptr[start], X.indptr[stop]
        parts = (
            X.data[lo:hi].astype(np.float64, copy=False),
            X.indices[lo:hi],
            X.indptr[start : stop + 1] - lo,
        )
        return sp.csr_array(parts, shape=(stop - start, X.shape[1]), copy=False)
