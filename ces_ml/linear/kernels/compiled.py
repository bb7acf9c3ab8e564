"""The fused pass over rows in memory, compiled by numba: loss, gradient and Hessian in one go.

Rows are taken in tiles that stay in the first cache. Of each tile, in this order:

1. its rows are written out densely in float64, and the raw scores are summed on the way;
2. loss, slope and curvature are computed for all rows of the tile at once by polynomials without
   branches, which the compiler turns into vector instructions;
3. the sums are updated eight columns at a time.

Where rows have few values of very many columns, the dense tile would be mostly zeros: then the
products of each row are added one by one (`scattered`).

**This is the one place that knows the logistic loss again**, beside `ces_ml.linear.losses`; the
tests compare the two. Importing this module imports numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from ces_ml.linear.kernels.lanes import LANES, add_scaled_4

__all__ = ["csr_disorder", "csr_moments", "csr_sums", "csr_value", "dense_sums", "dense_value"]

# exp(x) = 2^k · e^t with |t| ≤ ln2/2, in the two-part reduction of W. J. Cody and W. Waite (1980).
_PER_LN2 = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_TO_INTEGER = 6755399441055744.0  # 1.5·2^52: adding it rounds to an integer in the low bits
_LEAST = -708.0  # exp of it is the smallest that is not denormal
(_E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10, _E11, _E12, _E13) = (
    float(1.0 / np.prod(np.arange(1.0, k + 1.0))) for k in range(2, 14)
)


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on the first call; keep the code on disk where there is a writable place."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        compiled = numba.njit(**options)(function)
    return compiled


@_jit
def _exp_of_minus_abs(m: Any, scale: Any, e: Any, n: Any) -> None:
    """Set ``e = exp(−|m|)`` of the first `n`; `scale` is work space."""
    for r in range(n):
        x = -abs(m[r])
        x = x if x > _LEAST else _LEAST
        k = x * _PER_LN2 + _TO_INTEGER
        scale[r] = k
        k -= _TO_INTEGER
        t = (x - k * _LN2_HIGH) - k * _LN2_LOW
        q = ((_E13 * t + _E12) * t + _E11) * t + _E10
        q = (((q * t + _E9) * t + _E8) * t + _E7) * t + _E6
        q = (((q * t + _E5) * t + _E4) * t + _E3) * t + _E2
        e[r] = q * (t * t) + t + 1.0
    bits = scale.view(np.int64)
    for r in range(n):
        bits[r] = (bits[r] + 1023) << 52  # the integer in the low bits, as an exponent
    for r in range(n):
        e[r] *= scale[r]


@_jit
def _log1p(e: Any) -> Any:
    """Return ``log(1 + e)`` for 0 ≤ e ≤ 1 as ``2·atanh(u)`` with ``u = e/(2 + e) ≤ 1/3``."""
    u = e / (2.0 + e)
    t = u * u
    q = (t * (1.0 / 37.0) + 1.0 / 35.0) * t + 1.0 / 33.0
    q = (((q * t + 1.0 / 31.0) * t + 1.0 / 29.0) * t + 1.0 / 27.0) * t + 1.0 / 25.0
    q = (((q * t + 1.0 / 23.0) * t + 1.0 / 21.0) * t + 1.0 / 19.0) * t + 1.0 / 17.0
    q = (((q * t + 1.0 / 15.0) * t + 1.0 / 13.0) * t + 1.0 / 11.0) * t + 1.0 / 9.0
    q = ((q * t + 1.0 / 7.0) * t + 1.0 / 5.0) * t + 1.0 / 3.0
    return 2.0 * (u + u * t * q)


@_jit
def _tile_loss(m: Any, s: Any, work: Any, e: Any, n: Any) -> Any:
    """Return ``Σ s·ℓ`` of a tile with margins `m`; NaN where a margin is."""
    _exp_of_minus_abs(m, work, e, n)
    for r in range(n):
        work[r] = s[r] * (_log1p(e[r]) + (0.0 if m[r] >= 0.0 else -m[r]))
    total = 0.0
    for r in range(n):
        total += work[r]
    return total


@_jit
def _tile_derivatives(m: Any, s: Any, sign: Any, e: Any, slope: Any, d: Any, n: Any) -> None:
    """Set slope and curvature of each row of a tile, times its weight; `e` is `exp(−|m|)`."""
    for r in range(n):
        inverse = 1.0 / (1.0 + e[r])
        smaller = e[r] * inverse  # min(q, 1 − q), to full relative precision
        slope[r] = -s[r] * sign[r] * (smaller if m[r] >= 0.0 else inverse)
        d[r] = s[r] * smaller * inverse
    for r in range(n, len(d)):  # what is left of the last tile counts for nothing
        slope[r] = 0.0
        d[r] = 0.0


@_jit
def _add_tile_sums(T: Any, slope: Any, d: Any, n: Any, width: Any, g: Any, h: Any) -> None:
    """Add ``Σ slope·x`` to `g` and ``Σ d·x`` to `h`; their last numbers are the intercept's."""
    last = len(g) - 1
    a = b = 0.0
    for r in range(n):
        a += slope[r]
        b += d[r]
    g[last] += a
    h[last] += b
    for r in range(0, n, 4):
        i = r * width
        j, v, u = i + width, i + 2 * width, i + 3 * width
        for k in range(0, width, LANES):
            add_scaled_4(
                g,
                k,
                slope[r],
                slope[r + 1],
                slope[r + 2],
                slope[r + 3],
                T,
                i + k,
                j + k,
                v + k,
                u + k,
            )
            add_scaled_4(h, k, d[r], d[r + 1], d[r + 2], d[r + 3], T, i + k, j + k, v + k, u + k)


@_jit
def _add_tile_gram(T: Any, d: Any, rows_of: Any, count: Any, rows: Any, width: Any, H: Any) -> None:
    """Add ``Σ d·x xᵀ`` of a tile; column j has values in ``rows_of[j·rows : j·rows + count[j]]``.

    The lists are filled up to a multiple of 4 with the row behind the last one, of weight zero.
    """
    for j in range(len(count)):
        to, start = j * width, j * rows
        for q in range(start, start + count[j], 4):
            a, b = np.int64(rows_of[q]), np.int64(rows_of[q + 1])
            c, e = np.int64(rows_of[q + 2]), np.int64(rows_of[q + 3])
            i, v, u, o = a * width, b * width, c * width, e * width
            fa, fb = d[a] * T[i + j], d[b] * T[v + j]
            fc, fe = d[c] * T[u + j], d[e] * T[o + j]
            for k in range(0, j + 1, LANES):
                add_scaled_4(H, to + k, fa, fb, fc, fe, T, i + k, v + k, u + k, o + k)


@_jit
def _weigh(y: Any, s: Any, unit: Any, start: Any, n: Any, sign: Any, weight: Any) -> None:
    """Set the signs ±1 of a tile's outcomes, and its weights; no `s` means the same for all."""
    for r in range(n):
        sign[r] = 2.0 * y[start + r] - 1.0
    if len(s) > 0:
        for r in range(n):
            weight[r] = s[start + r] * unit
    else:
        for r in range(n):
            weight[r] = unit


@_jit
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
    width = len(g) - 1
    p, room = len(w), rows + 4
    T = np.zeros(LANES if scattered else (rows + 1) * width)
    rows_of = np.empty(0 if scattered else p * room, np.int32)
    count = np.zeros(p, np.int64)
    m, e, work = np.empty(rows), np.empty(rows), np.empty(rows)
    sign, weight = np.empty(rows), np.empty(rows)
    slope, d = np.zeros(rows + 1), np.zeros(rows + 1)
    total = 0.0
    for start in range(first, last, rows):
        n = min(rows, last - start)
        _weigh(y, s, unit, start, n, sign, weight)
        for r in range(n):
            eta, own, at = c, np.int32(r), np.uint64(r * width)
            for k in range(np.uint64(indptr[start + r]), np.uint64(indptr[start + r + 1])):
                j, x = np.uint64(indices[k]), np.float64(data[k])
                eta += x * w[j]
                if not scattered:
                    T[at + j] = x
                    rows_of[j * np.uint64(room) + np.uint64(count[j])] = own
                    count[j] += 1
            m[r] = sign[r] * eta
        total += _tile_loss(m, weight, work, e, n)
        _tile_derivatives(m, weight, sign, e, slope, d, n)
        if scattered:
            _add_rows(data, indices, indptr, start, n, slope, d, width, g, h, H)
            continue
        for column in range(p):
            for q in range(count[column], (count[column] + 3) // 4 * 4):
                rows_of[column * room + q] = rows
        _add_tile_gram(T, d, rows_of, count, room, width, H)
        count[:] = 0
        _add_tile_sums(T, slope, d, n, width, g, h)
        T[: n * width] = 0.0
    return total


@_jit
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


@_jit
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
        _weigh(y, s, unit, start, n, sign, weight)
        for r in range(n):
            eta = c
            for k in range(np.uint64(indptr[start + r]), np.uint64(indptr[start + r + 1])):
                eta += np.float64(data[k]) * w[np.uint64(indices[k])]
            m[r] = sign[r] * eta
        total += _tile_loss(m, weight, work, e, n)
    return total


@_jit
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


@_jit
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


@_jit
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
    """Do for a dense `X`, less `shift`, what `csr_sums` does."""
    p, width = X.shape[1], len(g) - 1
    T = np.zeros(rows * width)
    m, e, work = np.empty(rows), np.empty(rows), np.empty(rows)
    sign, weight, slope, d = np.empty(rows), np.empty(rows), np.empty(rows), np.empty(rows)
    total = 0.0
    for start in range(first, last, rows):
        n = min(rows, last - start)
        _weigh(y, s, unit, start, n, sign, weight)
        for r in range(n):
            eta, at = c, r * width
            for j in range(p):
                x = np.float64(X[start + r, j]) - shift[j]
                T[at + j] = x
                eta += x * w[j]
            m[r] = sign[r] * eta
        total += _tile_loss(m, weight, work, e, n)
        _tile_derivatives(m, weight, sign, e, slope, d, n)
        for r in range(0, n, 4):
            at = r * width
            for j in range(p):
                to = j * width
                u0, u1 = d[r] * T[at + j], d[r + 1] * T[at + width + j]
                u2, u3 = d[r + 2] * T[at + 2 * width + j], d[r + 3] * T[at + 3 * width + j]
                for k in range(0, j + 1, LANES):
                    i = at + k
                    add_scaled_4(
                        H,
                        to + k,
                        u0,
                        u1,
                        u2,
                        u3,
                        T,
                        i,
                        i + width,
                        i + 2 * width,
                        i + 3 * width,
                    )
        _add_tile_sums(T, slope, d, n, width, g, h)
    return total


@_jit
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
        _weigh(y, s, unit, start, n, sign, weight)
        for r in range(n):
            eta = c
            for j in range(X.shape[1]):
                eta += (np.float64(X[start + r, j]) - shift[j]) * w[j]
            m[r] = sign[r] * eta
        total += _tile_loss(m, weight, work, e, n)
    return total
