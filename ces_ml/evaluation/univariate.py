"""Weights of one event at a time, as vendors learn them: by how outcomes differ with the event."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["univariate_weights"]

#: Added to each cell of the two-by-two table (Haldane 1956, Anscombe 1956), so that an event that
#: only one outcome goes with has a finite weight.
_CELL = 0.5


def univariate_weights(
    X: Any, y: NDArray[Any], sample_weight: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return one weight a column, each learned as if the others were not there.

    The weight is the log of the odds ratio: the odds of the good outcome of the customers whose
    count is not 0, over the odds of the others. It is the lift by which commercial scores weigh
    events. Events that go together are counted several times over.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_terms)
        Counts.
    y : ndarray of shape (n_rows,)
        Outcomes, 0 or 1.
    sample_weight : ndarray of shape (n_rows,), optional

    Returns
    -------
    ndarray of shape (n_terms,)
        0 for an event that nobody did, or everybody.

    Examples
    --------
    Of 4 who did it 3 are good, of 4 others 1: log((3.5/1.5) / (1.5/3.5)).

    >>> X = sp.csr_array(np.array([[1], [2], [1], [7], [0], [0], [0], [0]]))
    >>> univariate_weights(X, np.array([1, 1, 1, 0, 1, 0, 0, 0])).round(4).tolist()
    [1.6946]
    """
    did = sp.csr_array(X, copy=True)
    did.sum_duplicates()
    did.eliminate_zeros()
    did.data = np.ones_like(did.data, dtype=np.float64)
    y = np.asarray(y, dtype=np.float64)
    weight = np.ones(y.size) if sample_weight is None else np.asarray(sample_weight, np.float64)
    # Weights with the mean 1: the correction is half a row, however heavy rows are.
    weight = weight / weight.mean()
    held, good = did.T @ weight, did.T @ (weight * y)
    rest, rest_good = weight.sum() - held, (weight * y).sum() - good
    ratio = (good + _CELL) / (held - good + _CELL)
    others = (rest_good + _CELL) / (rest - rest_good + _CELL)
    both = (held > 0) & (rest > 0)
    return np.asarray(np.where(both, np.log(ratio / others), 0.0), dtype=np.float64)
