"""The compiled passes that pack dense rows and note what is in them. Importing it imports numba."""

from __future__ import annotations

from typing import Any

from ces_ml.linear.kernels.tile import jit

__all__ = ["fill_sparse", "look_at_columns"]


@jit
def look_at_columns(
    X: Any, s: Any, low: Any, high: Any, filled: Any, sums: Any, squares: Any
) -> Any:
    """Note the range of each column, how often it is not 0, and ``Σ s x`` and ``Σ s x²``.

    `s` is empty where all rows weigh 1. Returns whether all values are finite; where they are not,
    the notes are of no use.
    """
    n, p = X.shape
    low[:], high[:] = X[0], X[0]
    finite = True
    for i in range(n):
        weight = s[i] if len(s) else 1.0
        for j in range(p):
            x = float(X[i, j])
            finite = finite and x - x == 0.0
            low[j] = min(low[j], x)
            high[j] = max(high[j], x)
            filled[j] += 1.0 if x != 0.0 else 0.0
            sums[j] += weight * x
            squares[j] += weight * x * x
    return finite


@jit
def fill_sparse(X: Any, data: Any, indices: Any, indptr: Any) -> None:
    """Write the values that are not 0, row by row, their columns and where each row begins."""
    n, p = X.shape
    k = 0
    for i in range(n):
        for j in range(p):
            if X[i, j] != 0.0:
                data[k] = X[i, j]
                indices[k] = j
                k += 1
        indptr[i + 1] = k
