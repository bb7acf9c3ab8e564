"""The compiled part of the Hessian: ``Σ_i d_i x_i x_iᵀ`` over the rows of a CSR matrix.

numba is imported at the first call, so importing this module costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["csr_gram_kernel"]


def _add_gram(data: Any, indices: Any, indptr: Any, d: Any, out: Any) -> None:
    for i in range(len(d)):
        start, end = indptr[i], indptr[i + 1]
        for a in range(start, end):
            j = indices[a]
            scaled = d[i] * data[a]
            for b in range(start, a + 1):
                out[j, indices[b]] += scaled * data[b]


@cache
def csr_gram_kernel() -> Callable[..., None]:
    """Return ``add(data, indices, indptr, d, out)``, which adds the lower triangle to `out`.

    Column indices must be sorted and unique within a row. Products and sums are in float64 (`d`
    is), in the order of the rows, on one thread: the result never depends on the machine's load.
    """
    import numba

    try:
        kernel: Callable[..., None] = numba.njit(cache=True, nogil=True)(_add_gram)
    except RuntimeError:  # no writable place for the compiled code: compile in this process only
        kernel = numba.njit(nogil=True)(_add_gram)
    return kernel
