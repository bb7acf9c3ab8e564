"""Losses of one row as functions of its raw score."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["LogisticLoss"]

Floats = NDArray[np.float64]


class LogisticLoss:
    """Logistic loss ``ℓ(y, η) = log(1 + exp(−m))`` with ``m = (2y − 1)·η`` and y ∈ {0, 1}.

    In nats; no cancellation and no overflow for any finite `η`.

    Examples
    --------
    >>> import numpy as np
    >>> LogisticLoss().value(np.array([1.0, 0.0]), np.array([0.0, -1e4]))
    array([0.69314718, 0.        ])
    """

    name: ClassVar = "logistic"
    """What the compiled pass knows it by."""

    def value(self, y: Floats, eta: Floats) -> Floats:
        """Return the loss of each row.

        Parameters
        ----------
        y : ndarray of shape (n_rows,)
            Outcomes, 0 or 1.
        eta : ndarray of shape (n_rows,)
            Raw scores ``x·w + c``.
        """
        loss: Floats = np.logaddexp(0.0, (1.0 - 2.0 * y) * eta)
        return loss

    def derivatives(self, y: Floats, eta: Floats) -> tuple[Floats, Floats, Floats]:
        """Return loss, first and second derivative with respect to `eta`, of each row.

        With ``q = 1/(1 + exp(m))`` these are ``−log(1 − q)``, ``−(2y − 1)·q`` and ``q·(1 − q)``.
        """
        sign = 2.0 * y - 1.0
        m = sign * eta
        e = np.exp(-np.abs(m))
        smaller = e / (1.0 + e)  # min(q, 1 − q), to full relative precision
        loss = np.log1p(e) + np.maximum(-m, 0.0)
        slope = -sign * np.where(m >= 0.0, smaller, 1.0 / (1.0 + e))
        return loss, slope, smaller / (1.0 + e)
