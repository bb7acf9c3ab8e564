"""A scikit-learn splitter whose folds test on later rows, of other customers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.validation import _num_samples

from ces_ml.errors import SpecError, show
from ces_ml.evaluation.splits import CUSTOMERS
from ces_ml.spec.purging import length_of, purged_folds

__all__ = ["PurgedGroupTimeSeriesSplit"]


class PurgedGroupTimeSeriesSplit(BaseCrossValidator):  # type: ignore[misc] # untyped
    """Folds between which no information crosses, for `cross_val_score` and `GridSearchCV`.

    The moments are cut into an early part and `n_splits` later blocks of about equally many rows.
    A fold tests on one block and trains on rows with ``time + gap + horizon ≤`` the block's first
    moment: what is learned from was known when the first test row was counted. With ``disjoint``
    no customer is on both sides; fold k then tests on the customers of part k only. See
    `purged_folds`, which makes the folds.

    Customers are the `groups` of scikit-learn. The moments are given to the splitter itself, one
    for each row that is split; or as metadata ``times`` of `split`, which it asks for by default
    where metadata routing is on (``sklearn.set_config(enable_metadata_routing=True)`` and
    ``params={"groups": …, "times": …}``). Only the latter follows rows into nested searches.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    times : array-like of shape (n_rows,), optional
        The `as_of` of each row: dates (a naive one is UTC) or numbers.
    horizon : str, datetime.timedelta or number, default=0
        Length of the outcome window: ``"28d"`` beside dates, a number in their unit beside
        numbers. With 0 and no gap a row may train as soon as its moment is past.
    gap : str, datetime.timedelta or number, default=0
        Time between `as_of` and the outcome window.
    customers : {"disjoint", "shared"}, default="disjoint"
        Whether a customer may be on both sides, at different times.
    window : str, datetime.timedelta or number, optional
        A rolling window: train on rows at most this long before the first test row. Without it
        the window expands: all that is known by then.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"]).repeat(4)
    >>> customers = ["a", "b", "c", "d"] * 3
    >>> cv = PurgedGroupTimeSeriesSplit(2, times=days, horizon="28d", customers="shared")
    >>> for train, test in cv.split(days, groups=customers):
    ...     print(train, test)
    [0 1 2 3] [4 5 6 7]
    [0 1 2 3 4 5 6 7] [ 8  9 10 11]
    """

    # What scikit-learn's metadata routing hands to `split` without being asked to.
    __metadata_request__split = {"groups": True, "times": True}  # noqa: RUF012 - its own form

    def __init__(
        self,
        n_splits: int = 5,
        *,
        times: Any = None,
        horizon: Any = 0,
        gap: Any = 0,
        customers: str = "disjoint",
        window: Any = None,
    ) -> None:
        self.n_splits = n_splits
        self.times = times
        self.horizon = horizon
        self.gap = gap
        self.customers = customers
        self.window = window

    def split(
        self, X: Any, y: Any = None, groups: ArrayLike | None = None, times: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the sorted indices of training and test rows of each fold.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Only its number of rows is used.
        y : ignored
        groups : array-like of shape (n_rows,), optional
            The customer of each row; not needed with ``customers="shared"``.
        times : array-like of shape (n_rows,), optional
            The moment of each row; the splitter's own when not given.

        Raises
        ------
        SpecError
            If there are no moments or no customers, their number is not that of the rows, an
            option is out of its range, or folds can't be made.
        """
        if self.customers not in CUSTOMERS:
            raise SpecError.unknown(
                "customers can't be divided so",
                self.customers,
                CUSTOMERS,
                hint="correct the option `customers`",
            )
        disjoint = self.customers == "disjoint"
        moments = self.times if times is None else times
        n = _num_samples(X)
        _check_rows("times", moments, n, required=True)
        _check_rows("groups", groups, n, required=disjoint)
        reach = length_of(self.gap, moments, "gap") + length_of(self.horizon, moments, "horizon")
        yield from purged_folds(groups, moments, reach, self.n_splits, disjoint, self.window)

    def get_n_splits(
        self, X: Any = None, y: Any = None, groups: Any = None, times: Any = None
    ) -> int:
        """Return the number of folds; the arguments are ignored."""
        return self.n_splits


def _check_rows(name: str, given: Any, n: int, *, required: bool) -> None:
    if given is None and not required:
        return
    if given is None or np.shape(given) != (n,):
        raise SpecError(
            f"the splitter does not know the {_MEANING[name]} of each row",
            got=f"{name} of shape {np.shape(given)}, {n} rows" if given is not None else "None",
            allowed=f"{name}, one for each of the {show(n)} rows",
            hint=_NEXT[name],
        )


_MEANING = {"times": "moment", "groups": "customer"}
_NEXT = {
    "times": "give PurgedGroupTimeSeriesSplit(times=…) for the rows that are split; in nested "
    "searches turn metadata routing on and pass times in params",
    "groups": "pass groups, for example cross_val_score(…, groups=customers), or take "
    'customers="shared"',
}
