"""Several scores side by side on the same held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.evaluation.metrics import evaluate_scores

__all__ = ["comparison"]

Scored = tuple[NDArray[np.float64], NDArray[np.float64] | None]


def comparison(
    y: NDArray[Any],
    scored: Mapping[str, Scored],
    sample_weight: NDArray[np.float64] | None = None,
) -> list[dict[str, Any]]:
    """Return one row of metrics for every score, in the order given.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Outcomes of the held-out rows.
    scored : mapping of str to (score, probability)
        Two arrays of shape (n_rows,) a name; the probability may be None.
    sample_weight : ndarray of shape (n_rows,), optional
        How much every row counts.

    Returns
    -------
    list of dict
        ``name`` and every metric that could be computed. A difference between two rows is worth
        believing only beside its sampling error; none is given here.

    Raises
    ------
    EventLogError, SpecError
        As `evaluate_scores`.

    Examples
    --------
    >>> y = np.array([0, 0, 1, 1])
    >>> for row in comparison(y, {"good": (np.arange(4.0), None), "coin": (np.zeros(4), None)}):
    ...     print(row["name"], row["roc_auc"])
    good 1.0
    coin 0.5
    """
    return [
        {"name": name, **evaluate_scores(y, score, probability, sample_weight)}
        for name, (score, probability) in scored.items()
    ]
