"""The compiled passes over the rows of a CSR matrix.

Rows are taken in tiles that stay in the first cache. For the Hessian, each tile is treated in this
order:

1. its rows are written out densely in float64, and the raw scores are summed on the way;
2. loss, slope and curvature are computed for all rows of the tile (`ces_ml.linear.kernels.tile`);
3. the sums are updated eight columns at a time.

Where rows have few values of very many columns, the dense tile would be mostly zeros: then the
products of each row are added one by one (`scattered`). Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ces_ml.linear.kernels.lanes import LANES, add_scaled_4
from ces_ml.linear.kernels.tile import (
    add_tile_sums,
    jit,
    tile_derivatives,
    tile_loss,
    tile_slopes,
    weigh,
)

__all__ = ["csr_disorder", "csr_moments", "csr_slopes", "csr_sums", "csr_value"]


@jit
def csr_sums(
    data: Any,
    indices: Any,
    indptr: Any,
    y: Any,
    s: Any,
    unit: Any,
    w: Any,
    c: Any,
    rows: Any,
    scattered: Any,
    first: Any,
    last: Any,
    g: Any,
    h: Any,
    H: Any,
) -> Any:
    """Add the sums over rows `first` to `last` to `g`, `h` and `H`, and return their loss.

    `g` and `h`, of length ``width + 1``, get ``Σ s ℓ' x̃`` and ``Σ s ℓ'' x̃``; `H`, of shape
    ``(n_features · width,)``, the lower triangle of ``Σ s ℓ'' x xᵀ`` (and some of the rest).
    Tiles hold `rows` rows, a multiple of 4. Columns must be sorted and unique within a row.
    """
    width, p, room = len(g) - 1, len(w), rows + 4
    T = np.zeros(LANES if scattered else (rows + 1) * width)
    rows_of = np.empty(0 if scattered else p * room, np.int32)
    count = np.zeros(p, np.int64)
    m, e, work = np.empty(rows), np.empty(rows), np.empty(rows)
    sign, weight = np.empty(rows), np.empty(rows)
    slope, d = np.zeros(rows + 1), np.zeros(rows + 1)
    total = 0.0
    for start in range(first, last, rows):
        n = min(rows, last - start)
        weigh(y, s, unit, start, n, sign, weight)
        if scattered:
            _margins(data, indices, indptr, start, n, w, c, sign, m)
        else:
            _write_tile(
                data, indices, indptr, start, n, w, c, sign, m, T, rows_of, count, room, width
            )
        total += tile_loss(m, weight, work, e, n)
        tile_derivatives(m, weight, sign, e, slope, d, n)
        if scattered:
            _add_rows(data, indices, indptr, start, n, slope, d, width, g, h, H)
        else:
            _add_tile_gram(T, d, rows_of, count, room, width, H)
            add_tile_sums(T, slope, d, n, width, g, h)
            T[: n * width] = 0.0
    return total


@jit
def _write_tile(
    data: Any,
    indices: Any,
    indptr: Any,
    start: Any,
    n: Any,
    w: Any,
    c: Any,
    sign: Any,
    m: Any,
    T: Any,
    rows_of: Any,
    count: Any,
    room: Any,
    width: Any,
) -> None:
    """Write rows densely to `T`, and for each column the rows that have it; set the margins."""
    for r in range(n):
        eta, own, at = c, np.int32(r), np.uint64(r * width)
        for k in range(np.uint64(indptr[start + r]), np.uint64(indptr[start + r + 1])):
            j, x = np.uint64(indices[k]), np.float64(data[k])
            eta += x * w[j]
            T[at + j] = x
            rows_of[j * np.uint64(room) + np.uint64(count[j])] = own
            count[j] += 1
        m[r] = sign[r] * eta


@jit
def _margins(
    data: Any,
    indices: Any,
    indptr: Any,
    start: Any,
    n: Any,
    w: Any,
    c: Any,
    sign: Any,
    m: Any,
) -> None:
    """Set the margin of each row of a tile."""
    for r in range(n):
        eta = c
        for k in range(np.uint64(indptr[start + r]), np.uint64(indptr[start + r + 1])):
            eta += np.float64(data[k]) * w[np.uint64(indices[k])]
        m[r] = sign[r] * eta


@jit
def _add_tile_gram(T: Any, d: Any, rows_of: Any, count: Any, room: Any, width: Any, H: Any) -> None:
    """Add ``Σ d·x xᵀ`` of a tile; column j has values in ``rows_of[j·room : j·room + count[j]]``.

    The lists are filled up to a multiple of 4 with the row behind the last one, of weight zero;
    afterwards they are empty.
    """
    behind = np.int32(room - 4)
    for j in range(len(count)):
        to, start = j * width, j * room
        for q in range(start + count[j], start + (count[j] + 3) // 4 * 4):
            rows_of[q] = behind
        for q in range(start, start + count[j], 4):
            a, b = np.int64(rows_of[q]), np.int64(rows_of[q + 1])
            c, e = np.int64(rows_of[q + 2]), np.int64(rows_of[q + 3])
            i, v, u, o = a * width, b * width, c * width, e * width
            fa, fb = d[a] * T[i + j], d[b] * T[v + j]
            fc, fe = d[c] * T[u + j], d[e] * T[o + j]
            for k in range(0, j + 1, LANES):
                add_scaled_4(H, to + k, fa, fb, fc, fe, T, i + k, v + k, u + k, o + k)
        count[j] = 0


@jit
def _add_rows(
    data: Any,
    indices: Any,
    indptr: Any,
    start: Any,
    n: Any,
    slope: Any,
    d: Any,
    width: Any,
    g: Any,
    h: Any,
    H: Any,
) -> None:
    for r in range(n):
        low, high = np.uint64(indptr[start + r]), np.uint64(indptr[start + r + 1])
        g[width] += slope[r]
        h[width] += d[r]
        for a in range(low, high):
            j, x = np.uint64(indices[a]), np.float64(data[a])
            scaled, to = d[r] * x, j * np.uint64(width)
            g[j] += slope[r] * x
            h[j] += scaled
            for b in range(low, a + np.uint64(1)):
                H[to + np.uint64(indices[b])] += scaled * np.float64(data[b])


@jit
def csr_slopes(
    data: Any,
    indices: Any,
    indptr: Any,
    y: Any,
    s: Any,
    unit: Any,
    w: Any,
    c: Any,
    rows: Any,
    first: Any,
    last: Any,
    g: Any,
) -> Any:
    """Add ``Σ s ℓ' x̃`` over rows `first` to `last` to `g`, and return their loss.

    Rows of a tile are taken in the order of their length: where loops end at random, wrong guesses
    of the processor cost more than the order does. Four partial sums take turns, so that no
    addition waits for the one before.
    """
    p = len(w)
    sums, end = np.zeros((4, p)), np.empty(p + 2, np.int64)
    order = np.empty(rows, np.int32)
    m, e, work = np.empty(rows), np.empty(rows), np.empty(rows)
    sign, weight, slope = np.empty(rows), np.empty(rows), np.empty(rows)
    total = constant = 0.0
    for start in range(first, last, rows):
        n = min(rows, last - start)
        weigh(y, s, unit, start, n, sign, weight)
        _by_length(indptr, start, n, end, order)
        _margins_in(order, data, indices, indptr, start, n, w, c, sign, m)
        total += tile_loss(m, weight, work, e, n)
        tile_slopes(m, weight, sign, e, slope, n)
        for r in range(n):
            constant += slope[r]
        for i in range(n):
            own, to = np.uint64(order[i]), np.uint64(i & 3)
            at = np.uint64(start) + own
            for k in range(np.uint64(indptr[at]), np.uint64(indptr[at + np.uint64(1)])):
                sums[to, np.uint64(indices[k])] += slope[own] * np.float64(data[k])
    for j in range(p):
        g[j] += (sums[0, j] + sums[1, j]) + (sums[2, j] + sums[3, j])
    g[p] += constant
    return total


@jit
def _by_length(indptr: Any, start: Any, n: Any, end: Any, order: Any) -> None:
    """Set the order of a tile's rows by their number of values: a counting sort."""
    end[:] = 0
    for r in range(n):
        end[np.uint64(indptr[start + r + 1] - indptr[start + r]) + np.uint64(1)] += 1
    for longer in range(1, len(end)):
        end[longer] += end[longer - 1]
    for r in range(n):
        size = np.uint64(indptr[start + r + 1] - indptr[start + r])
        order[end[size]] = r
        end[size] += 1


@jit
def _margins_in(
    order: Any,
    data: Any,
    indices: Any,
    indptr: Any,
    start: Any,
    n: Any,
    w: Any,
    c: Any,
    sign: Any,
    m: Any,
) -> None:
    """Set the margin of each row of a tile, in this order of the rows."""
    for i in range(n):
        eta, r = c, np.uint64(order[i])
        at = np.uint64(start) + r
        for k in range(np.uint64(indptr[at]), np.uint64(indptr[at + np.uint64(1)])):
            eta += np.float64(data[k]) * w[np.uint64(indices[k])]
        m[r] = sign[r] * eta


@jit
def csr_value(
    data: Any,
    indices: Any,
    indptr: Any,
    y: Any,
    s: Any,
    unit: Any,
    w: Any,
    c: Any,
    rows: Any,
    first: Any,
    last: Any,
) -> Any:
    """Return the loss of rows `first` to `last`."""
    m, e, work = np.empty(rows), np.empty(rows), np.empty(rows)
    sign, weight = np.empty(rows), np.empty(rows)
    total = 0.0
    for start in range(first, last, rows):
        n = min(rows, last - start)
        weigh(y, s, unit, start, n, sign, weight)
        _margins(data, indices, indptr, start, n, w, c, sign, m)
        total += tile_loss(m, weight, work, e, n)
    return total


@jit
def csr_disorder(indices: Any, indptr: Any, first: Any, last: Any) -> Any:
    """Return how many values of rows `first` to `last` do not follow a lower column in their row.

    All that do not follow a lower column at all, less those that begin a row: the first loop has
    no branch, and is vectorised.
    """
    begin, end = np.uint64(indptr[first]), np.uint64(indptr[last])
    found = 0
    for k in range(begin + np.uint64(1), end):
        found += indices[k] <= indices[k - np.uint64(1)]
    for i in range(first + 1, last):
        at = np.uint64(indptr[i])
        if begin < at < end and indptr[i] != indptr[i + 1]:
            found -= indices[at] <= indices[at - np.uint64(1)]
    return found


@jit
def csr_moments(
    data: Any,
    indices: Any,
    indptr: Any,
    s: Any,
    unit: Any,
    first: Any,
    last: Any,
    mean: Any,
    square: Any,
) -> None:
    """Add ``Σ s·x`` and ``Σ s·x²`` of each column to `mean` and `square`."""
    if len(s) == 0:
        for k in range(np.uint64(indptr[first]), np.uint64(indptr[last])):
            j, x = np.uint64(indices[k]), np.float64(data[k])
            mean[j] += unit * x
            square[j] += unit * x * x
        return
    for i in range(first, last):
        a = s[i] * unit
        for k in range(np.uint64(indptr[i]), np.uint64(indptr[i + 1])):
            j, x = np.uint64(indices[k]), np.float64(data[k])
            mean[j] += a * x
            square[j] += a * x * x
