"""The compiled passes over the rows of a dense matrix, tile by tile. Importing it imports numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from ces_ml.linear.kernels.lanes import LANES, add_scaled_4
from ces_ml.linear.kernels.tile import (
    add_tile_sums,
    jit,
    tile_derivatives,
    tile_loss,
    weigh,
)

__all__ = ["dense_sums", "dense_value"]


@jit
def dense_sums(
    X: Any,
    shift: Any,
    y: Any,
    s: Any,
    unit: Any,
    w: Any,
    c: Any,
    rows: Any,
    first: Any,
    last: Any,
    g: Any,
    h: Any,
    H: Any,
) -> Any:
    """Do for a dense `X`, less `shift`, what `csr_sums` does; an empty `H` is left as it is."""
    p, width = X.shape[1], len(g) - 1
    T = np.zeros(rows * width)
    m, e, work = np.empty(rows), np.empty(rows), np.empty(rows)
    sign, weight, slope, d = np.empty(rows), np.empty(rows), np.empty(rows), np.empty(rows)
    total = 0.0
    for start in range(first, last, rows):
        n = min(rows, last - start)
        weigh(y, s, unit, start, n, sign, weight)
        for r in range(n):
            eta, at = c, r * width
            for j in range(p):
                x = np.float64(X[start + r, j]) - shift[j]
                T[at + j] = x
                eta += x * w[j]
            m[r] = sign[r] * eta
        total += tile_loss(m, weight, work, e, n)
        tile_derivatives(m, weight, sign, e, slope, d, n)
        if len(H) > 0:
            _add_dense_gram(T, d, n, p, width, H)
        add_tile_sums(T, slope, d, n, width, g, h)
    return total


@jit
def _add_dense_gram(T: Any, d: Any, n: Any, p: Any, width: Any, H: Any) -> None:
    """Add ``Σ d·x xᵀ`` of a tile, four rows at a time."""
    for r in range(0, n, 4):
        i = r * width
        v, u, o = i + width, i + 2 * width, i + 3 * width
        for j in range(p):
            to = j * width
            fa, fb = d[r] * T[i + j], d[r + 1] * T[v + j]
            fc, fe = d[r + 2] * T[u + j], d[r + 3] * T[o + j]
            for k in range(0, j + 1, LANES):
                add_scaled_4(H, to + k, fa, fb, fc, fe, T, i + k, v + k, u + k, o + k)


@jit
def dense_value(
    X: Any,
    shift: Any,
    y: Any,
    s: Any,
    unit: Any,
    w: Any,
    c: Any,
    rows: Any,
    first: Any,
    last: Any,
) -> Any:
    """Return the loss of rows `first` to `last` of a dense `X`, less `shift`."""
    m, e, work = np.empty(rows), np.empty(rows), np.empty(rows)
    sign, weight = np.empty(rows), np.empty(rows)
    total = 0.0
    for start in range(first, last, rows):
        n = min(rows, last - start)
        weigh(y, s, unit, start, n, sign, weight)
        for r in range(n):
            eta = c
            for j in range(X.shape[1]):
                eta += (np.float64(X[start + r, j]) - shift[j]) * w[j]
            m[r] = sign[r] * eta
        total += tile_loss(m, weight, work, e, n)
    return total
