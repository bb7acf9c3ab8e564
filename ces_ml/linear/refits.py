"""Fits to the same rows under other parameters, each begun where a neighbour ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from ces_ml.linear.parameters import check_parameters
from ces_ml.linear.rows import with_parameters

__all__ = ["Refits"]


class Refits:
    """The rows of several fits, checked and surveyed once.

    Each fit reaches the same certified optimum as the estimator's own `fit`, to its `tol`.

    Parameters
    ----------
    estimator : ConstrainedLogisticRegression
        Fitted or not; it is not changed.
    X, y, sample_weight, feature_names
        As in its `fit`.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self._estimator = estimator
        check_parameters(estimator)
        self.rows = with_parameters(estimator)._read(X, y, sample_weight, feature_names)

    def fit(self, near: Any = None, **changes: Any) -> Any:
        """Return an estimator that is fitted with some parameters changed.

        Parameters
        ----------
        near : ConstrainedLogisticRegression, optional
            Fitted to the same rows, with weights that obey the rules of this fit too.
        **changes
            Parameters of the estimator.
        """
        fitted = with_parameters(self._estimator, **changes)
        check_parameters(fitted)
        fitted._fit_rows(self.rows, near)
        return fitted
