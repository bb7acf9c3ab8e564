"""What every compiled pass does with a tile of rows: the logistic loss, its slope and curvature.

They are computed for all rows of a tile at once by polynomials without branches, which the
compiler turns into vector instructions. **This is the one place that knows the logistic loss
again**, beside `ces_ml.linear.losses`; the tests compare the two. Importing this module imports
numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from ces_ml.linear.kernels.lanes import LANES, add_scaled_4

__all__ = ["add_tile_sums", "jit", "tile_derivatives", "tile_loss", "tile_slopes", "weigh"]

# exp(x) = 2^k · e^t with |t| ≤ ln2/2, in the two-part reduction of W. J. Cody and W. Waite (1980).
_PER_LN2 = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_TO_INTEGER = 6755399441055744.0  # 1.5·2^52: adding it rounds to an integer in the low bits
_LEAST = -708.0  # exp of it is the smallest that is not denormal
(_E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10, _E11, _E12, _E13) = (
    float(1.0 / np.prod(np.arange(1.0, k + 1.0))) for k in range(2, 14)
)


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on the first call; keep the code on disk where there is a writable place."""
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        compiled = numba.njit(**options)(function)
    return compiled


@jit
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


@jit
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


@jit
def weigh(y: Any, s: Any, unit: Any, start: Any, n: Any, sign: Any, weight: Any) -> None:
    """Set the signs ±1 of a tile's outcomes, and its weights; no `s` means the same for all."""
    for r in range(n):
        sign[r] = 2.0 * y[start + r] - 1.0
    if len(s) > 0:
        for r in range(n):
            weight[r] = s[start + r] * unit
    else:
        for r in range(n):
            weight[r] = unit


@jit
def tile_loss(m: Any, s: Any, work: Any, e: Any, n: Any) -> Any:
    """Return ``Σ s·ℓ`` of a tile with margins `m`; NaN where a margin is."""
    _exp_of_minus_abs(m, work, e, n)
    for r in range(n):
        work[r] = s[r] * (_log1p(e[r]) + (0.0 if m[r] >= 0.0 else -m[r]))
    total = 0.0
    for r in range(n):
        total += work[r]
    return total


@jit
def tile_derivatives(m: Any, s: Any, sign: Any, e: Any, slope: Any, d: Any, n: Any) -> None:
    """Set slope and curvature of each row of a tile, times its weight; `e` is `exp(−|m|)`."""
    for r in range(n):
        inverse = 1.0 / (1.0 + e[r])
        smaller = e[r] * inverse  # min(q, 1 − q), to full relative precision
        slope[r] = -s[r] * sign[r] * (smaller if m[r] >= 0.0 else inverse)
        d[r] = s[r] * smaller * inverse
    for r in range(n, len(d)):  # what is left of the last tile counts for nothing
        slope[r] = 0.0
        d[r] = 0.0


@jit
def tile_slopes(m: Any, s: Any, sign: Any, e: Any, slope: Any, n: Any) -> None:
    """Set the slope of each row of a tile, times its weight, as `tile_derivatives` does."""
    for r in range(n):
        inverse = 1.0 / (1.0 + e[r])
        slope[r] = -s[r] * sign[r] * (e[r] * inverse if m[r] >= 0.0 else inverse)


@jit
def add_tile_sums(T: Any, slope: Any, d: Any, n: Any, width: Any, g: Any, h: Any) -> None:
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
