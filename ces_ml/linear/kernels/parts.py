"""The compiled pass over parts of an array, on several threads, combined in a fixed order.

The parts depend on the data alone, and their sums are added in the order of the rows, so the
number of threads and the load of the machine never change a bit of the result.
"""

from __future__ import annotations

import os
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import Evaluation, Moments, Slope

__all__ = ["CompiledRows"]

Floats = NDArray[np.float64]

LANES = 8
TILE = 8192
"""Numbers in one dense tile: 64 kB, the best of 8 to 256 kB where it was measured."""
PART = 2**14
"""Stored values in one part, at least: a tenth of a millisecond of work."""
MOST_PARTS = 64


class CompiledRows:
    """Sums over the rows of an ndarray or a CSR matrix, by compiled code.

    Parameters
    ----------
    X : ndarray in row order, or CSR matrix, of shape (n_rows, n_features)
        float32 or float64; never copied, except a CSR matrix with unsorted columns or values
        stored twice.
    y : ndarray of shape (n_rows,)
        Outcomes 0 and 1 of any type.
    s : ndarray of shape (n_rows,) or (0,)
        Weights; none means the same for all.
    unit : float
        Multiplied with every weight.
    shift : ndarray of shape (n_features,)
        Subtracted from every row of a dense `X`.
    n_threads : int, optional
        By default as many as there are processors for this process.
    """

    def __init__(
        self,
        X: Any,
        y: NDArray[Any],
        s: Floats,
        unit: float,
        shift: Floats,
        *,
        n_threads: int | None = None,
    ) -> None:
        from ces_ml.linear.kernels import csr_passes, dense_passes  # they import numba

        self._csr, self._dense = csr_passes, dense_passes
        n, p = X.shape
        self._p, self._width = p, -(-max(p, 1) // LANES) * LANES
        self._sparse = not isinstance(X, np.ndarray)
        self._scattered = self._sparse and _scattering_pays(X, self._width)
        self._arrays = (X.data, X.indices, X.indptr) if self._sparse else (X, shift)
        self._rest = (y, s, float(unit))
        self._rows = 128 if self._scattered else min(256, max(8, TILE // self._width // 4 * 4))
        self._parts = _parts(X, n, p)
        self._n_threads = min(n_threads or _processors(), len(self._parts))
        if self._sparse and self._disorder():
            X = X.copy()
            X.has_sorted_indices = X.has_canonical_format = False  # whatever it remembers
            X.sum_duplicates()
            self._arrays, self._parts = (X.data, X.indices, X.indptr), _parts(X, n, p)

    def value(self, w: Floats, c: float) -> float:
        """Return the sum of the losses."""
        kernel = self._csr.csr_value if self._sparse else self._dense.dense_value
        fixed = (*self._arrays, *self._rest, w, float(c), self._rows)
        return float(sum(self._map(lambda first, last: float(kernel(*fixed, first, last)))))

    def slope(self, w: Floats, c: float) -> Slope:
        """Return the sums of losses and gradients."""
        p = self._p
        fixed = (*self._arrays, *self._rest, w, float(c), self._rows)

        def part(first: int, last: int) -> tuple[float, Floats]:
            if self._sparse:
                g = np.zeros(p + 1)
                return float(self._csr.csr_slopes(*fixed, first, last, g)), g
            g, h = np.zeros(self._width + 1), np.zeros(self._width + 1)
            loss = self._dense.dense_sums(*fixed, first, last, g, h, np.empty(0))
            return float(loss), np.append(g[:p], g[-1])

        value, gradient = 0.0, np.zeros(p + 1)
        for loss, g in self._map(part):
            value += loss
            gradient += g
        return Slope(value, gradient)

    def evaluate(self, w: Floats, c: float) -> Evaluation:
        """Return the sums of losses, gradients and Hessians."""
        p, width = self._p, self._width
        kernel = self._csr.csr_sums if self._sparse else self._dense.dense_sums
        fixed = (*self._arrays, *self._rest, w, float(c), self._rows)
        if self._sparse:
            fixed = (*fixed, self._scattered)

        def part(first: int, last: int) -> tuple[float, Floats, Floats, Floats]:
            g, h, H = np.zeros(width + 1), np.zeros(width + 1), np.zeros(p * width)
            return float(kernel(*fixed, first, last, g, h, H)), g, h, H

        value, gradient, last_row = 0.0, np.zeros(width + 1), np.zeros(width + 1)
        gram = np.zeros(p * width)
        for loss, g, h, H in self._map(part):
            value += loss
            gradient += g
            last_row += h
            gram += H
        hessian = np.zeros((p + 1, p + 1))
        hessian[:p, :p] = np.tril(gram.reshape(p, width)[:, :p])
        hessian[p, :p], hessian[p, p] = last_row[:p], last_row[width]
        hessian += np.tril(hessian, -1).T
        return Evaluation(value, np.append(gradient[:p], gradient[width]), hessian)

    def moments(self) -> Moments:
        """Return the weighted means of the columns of a CSR matrix and of their squares."""

        def part(first: int, last: int) -> tuple[Floats, Floats]:
            mean, square = np.zeros(self._p), np.zeros(self._p)
            _, s, unit = self._rest
            self._csr.csr_moments(*self._arrays, s, unit, first, last, mean, square)
            return mean, square

        mean, square = np.zeros(self._p), np.zeros(self._p)
        for a, b in self._map(part):
            mean += a
            square += b
        return Moments(mean, square)

    def _disorder(self) -> int:
        """Return how many values do not follow a lower column in their row: 0 if sorted."""
        arrays, kernel = self._arrays[1:], self._csr.csr_disorder
        return int(sum(self._map(lambda first, last: int(kernel(*arrays, first, last)))))

    def _map(self, part: Callable[[int, int], Any]) -> list[Any]:
        """Return what `part` returns for each part, in the order of the rows."""
        found: list[Any] = [None] * len(self._parts)
        left = iter(range(len(self._parts)))
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for k in left:  # the next part that nobody has taken
                    found[k] = part(*self._parts[k])
            except BaseException as error:
                failures.append(error)

        # Thread.start waits until the thread runs: a millisecond where another program is busy.
        helpers = [allocate_lock() for _ in range(self._n_threads - 1)]
        for done in helpers:
            done.acquire()
            start_new_thread(_and_release, (work, done))
        work()
        for done in helpers:
            done.acquire()
        if failures:
            raise failures[0]
        return found


def _and_release(work: Callable[[], None], lock: Any) -> None:
    try:
        work()
    finally:
        lock.release()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _parts(X: Any, n: int, p: int) -> list[tuple[int, int]]:
    """Return the first and last row of each part: parts of about as many stored values."""
    stored = int(X.size if isinstance(X, np.ndarray) else X.nnz)
    count = min(MOST_PARTS, max(1, stored // max(PART, 4 * p * p)), n)
    if isinstance(X, np.ndarray):
        ends = np.arange(count + 1) * n // count
    else:
        targets = (np.arange(1, count) * stored // count).astype(X.indptr.dtype)
        ends = np.concatenate([[0], np.searchsorted(X.indptr, targets), [n]])
    return [(int(a), int(b)) for a, b in pairwise(ends) if a < b]


def _scattering_pays(X: Any, width: int) -> bool:
    """Return whether adding products one by one costs less than updating whole rows of the sum.

    A row of m values has m(m+1)/2 products; a dense tile updates ``width/8`` vectors (about half
    of them in long rows) for each value and four rows' sums. The costs of both were measured.
    """
    n = X.shape[0]
    sample = np.arange(0, n, max(1, n // 10_000))
    m = (X.indptr[sample + 1] - X.indptr[sample]).astype(np.float64)
    vectors = width / LANES
    tiled = (m * vectors * (1.0 if vectors <= LANES else 0.5)).sum() + 2.0 * vectors * len(m)
    return bool(0.8 * (m * (m + 1.0)).sum() + 2.0 * m.sum() < tiled)
