"""The block sum over an array in memory, dense or CSR."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import Evaluation, Moments, PointwiseLoss, Slope
from ces_ml.linear.kernels.parts import CompiledRows

__all__ = ["RowBlocks", "distant_columns", "distant_range"]

Floats = NDArray[np.float64]

DENSE_BLOCK = 2**16
"""Numbers in one dense block of the numpy pass: 512 kB in float64, which stays in a cache."""

COMPILED_FROM = 200_000
"""Stored values from which the compiled pass pays for loading its compiler."""


def distant_columns(X: NDArray[Any]) -> Floats:
    """Return a shift of shape (n_features,) for columns that vary little and lie far from zero.

    The middle of the column where that is more than a hundred times its range, else 0. Sums over
    such columns (a timestamp, say) lose their digits unless they are shifted first.
    """
    return distant_range(X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64))


def distant_range(low: Floats, high: Floats) -> Floats:
    """Return the shift of `distant_columns` from the least and largest value of each column."""
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
        Outcomes 0 and 1, of any type; one byte a row is enough.
    sample_weight : ndarray of shape (n_rows,), optional
        Not negative, with a positive sum; by default every row counts the same.
    loss : PointwiseLoss
        The loss of one row.
    shift : ndarray of shape (n_features,), optional
        Subtracted from each row of a dense `X`, block by block; the intercept is then that of the
        shifted columns.
    total : float, optional
        What the sums are divided by, if these rows are part of more; by default the sum of their
        weights.
    compiled : bool, optional
        Whether the pass is compiled by numba. By default it is for `COMPILED_FROM` stored values
        and more, if the loss is one that the compiled pass knows.
    n_threads : int, optional
        Threads of the compiled pass, by default one for each processor; the result does not
        depend on it.

    Examples
    --------
    >>> import numpy as np
    >>> from ces_ml.linear.losses import LogisticLoss
    >>> blocks = RowBlocks(np.eye(2), np.array([0.0, 1.0]), None, LogisticLoss())
    >>> blocks.evaluate(np.zeros(2), 0.0).gradient
    array([ 0.25, -0.25,  0.  ])
    """

    def __init__(
        self,
        X: Any,
        y: NDArray[Any],
        sample_weight: Floats | None,
        loss: PointwiseLoss,
        *,
        shift: Floats | None = None,
        total: float | None = None,
        compiled: bool | None = None,
        n_threads: int | None = None,
    ) -> None:
        self._sparse = sp.issparse(X)
        self._X, self._y, self._s, self._loss = X, y, sample_weight, loss
        self._shift = shift if shift is not None and shift.any() else None
        if total is None:
            total = float(X.shape[0] if sample_weight is None else sample_weight.sum())
        self._total, self._n_threads = total, n_threads
        stored = X.nnz if self._sparse else X.size
        known = getattr(loss, "name", None) == "logistic" and X.shape[0] > 0
        self._compiled = known and (stored >= COMPILED_FROM if compiled is None else compiled)
        self._rows = max(256, DENSE_BLOCK // max(X.shape[1], 1))

    @property
    def n_features(self) -> int:
        """Number of weights."""
        return int(self._X.shape[1])

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self._X.shape[0])

    def value(self, w: Floats, c: float) -> float:
        """Return the mean loss."""
        if self._compiled:
            return self._rows_compiled.value(w, c)
        total = 0.0
        for block, y, s in self._blocks():
            total += float(s @ self._loss.value(y, block @ w + c))
        return total

    def slope(self, w: Floats, c: float) -> Slope:
        """Return mean loss and gradient in one pass."""
        if self._compiled:
            return self._rows_compiled.slope(w, c)
        p = self.n_features
        value, gradient = 0.0, np.zeros(p + 1)
        for block, y, s in self._blocks():
            loss, slope, _ = self._loss.derivatives(y, block @ w + c)
            slope *= s
            value += float(s @ loss)
            gradient[:p] += block.T @ slope
            gradient[p] += slope.sum()
        return Slope(value, gradient)

    def evaluate(self, w: Floats, c: float) -> Evaluation:
        """Return mean loss, gradient and Hessian in one pass."""
        if self._compiled:
            return self._rows_compiled.evaluate(w, c)
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
            dense = block.toarray() if self._sparse else block
            hessian[:p, :p] += (dense * curvature[:, None]).T @ dense
        lower = np.tril(hessian)  # round-off differs between the two triangles
        return Evaluation(value, gradient, lower + np.tril(lower, -1).T)

    def moments(self) -> Moments:
        """Return the weighted mean of each column, less its shift, and of its square."""
        if self._compiled and self._sparse:
            return self._rows_compiled.moments()
        mean, square = np.zeros(self.n_features), np.zeros(self.n_features)
        for block, _, s in self._blocks():
            mean += block.T @ s
            square += (block.multiply(block) if self._sparse else block * block).T @ s
        return Moments(mean, square)

    def every(self, step: int) -> RowBlocks:
        """Return the sum over every `step`-th row, from the first on: a sample, copied."""
        rows = slice(None, None, step)
        return RowBlocks(
            self._X[rows],
            self._y[rows],
            None if self._s is None else self._s[rows],
            self._loss,
            shift=self._shift,
            compiled=self._compiled,
            n_threads=self._n_threads,
        )

    def rarer_outcome(self) -> int:
        """Return the number of rows of positive weight with the rarer outcome."""
        y = self._y if self._s is None else self._y[self._s > 0.0]
        ones = int(np.count_nonzero(y))
        return min(ones, len(y) - ones)

    @cached_property
    def _rows_compiled(self) -> CompiledRows:
        X = self._X if self._sparse else np.ascontiguousarray(self._X)
        s = np.empty(0) if self._s is None else np.ascontiguousarray(self._s, dtype=np.float64)
        y = np.ascontiguousarray(self._y).astype(np.int8, copy=False)
        shift = np.zeros(self.n_features) if self._shift is None else self._shift
        return CompiledRows(X, y, s, 1.0 / self._total, shift, n_threads=self._n_threads)

    def _blocks(self) -> Iterator[tuple[Any, Floats, Floats]]:
        X, n = self._X, self._X.shape[0]
        unit = np.full(min(n, self._rows), 1.0 / self._total)
        for start in range(0, n, self._rows):
            stop = min(start + self._rows, n)
            s = unit[: stop - start]
            if self._s is not None:
                s = self._s[start:stop] / self._total
            y = self._y[start:stop].astype(np.float64, copy=False)
            yield self._cut(X, start, stop), y, s

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
