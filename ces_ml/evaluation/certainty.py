"""How sure a rate or an AUC is when one customer has many rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

__all__ = ["Auc", "auc_by_customer", "auc_drop", "rate_at_least"]


class Auc(NamedTuple):
    """The chance that a good outcome has the larger value, and its standard error.

    Parameters
    ----------
    value : float
        From 0 to 1; ties count one half.
    error : float
        Standard error over customers; 0 where no pair is out of order.
    """

    value: float
    error: float

    @property
    def power(self) -> float:
        """Distance from a coin: from 0 to 0.5."""
        return abs(self.value - 0.5)

    def power_at_least(self, z: float = 2.576) -> float:
        """Return what the power is at least, `z` standard errors below; never negative."""
        return max(0.0, self.power - z * self.error)


def auc_by_customer(
    y: NDArray[Any], values: NDArray[np.float64], customer: NDArray[np.int64]
) -> Auc:
    """Return the ROC AUC of `values` with a standard error that respects customers.

    The rows of a customer depend on each other; the error is that of the two-sample U-statistic
    with clustered rows (N. A. Obuchowski 1997, doi:10.2307/2533958), where a row's own part is
    the share of rows of the other outcome that it stands on the right side of.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Outcomes, 0 or 1; both must occur.
    values : ndarray of shape (n_rows,)
        What ranks the rows.
    customer : ndarray of int, of shape (n_rows,)
        Customers, numbered from 0.

    Returns
    -------
    Auc

    Examples
    --------
    >>> found = auc_by_customer(np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0]),
    ...                         np.array([0, 1, 2, 3]))
    >>> found.value, round(found.error, 4)
    (0.75, 0.2887)
    """
    value, parts = _auc_parts(y, values, customer)
    return Auc(value, _error(parts, customer))


def auc_drop(
    y: NDArray[Any],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    customer: NDArray[np.int64],
) -> Auc:
    """Return by how much the AUC falls from `before` to `after`, on the same rows.

    Parameters
    ----------
    y, before, after, customer : ndarray of shape (n_rows,)
        As in `auc_by_customer`.

    Returns
    -------
    Auc
        The difference of the two and its standard error, which is small where both rank alike.
    """
    first, first_parts = _auc_parts(y, before, customer)
    second, second_parts = _auc_parts(y, after, customer)
    return Auc(first - second, _error(first_parts - second_parts, customer))


def _auc_parts(
    y: NDArray[Any], values: NDArray[np.float64], customer: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the AUC and what every customer adds to its deviation."""
    good = np.asarray(y) == 1
    levels, place = np.unique(values, return_inverse=True)
    n_good = np.bincount(place[good], minlength=len(levels)).astype(np.float64)
    n_bad = np.bincount(place[~good], minlength=len(levels)).astype(np.float64)
    m, n = n_good.sum(), n_bad.sum()
    bad_below = (np.cumsum(n_bad) - n_bad / 2) / n
    good_above = 1.0 - (np.cumsum(n_good) - n_good / 2) / m
    auc = float(bad_below @ n_good / m)
    own = np.where(good, (bad_below[place] - auc) / m, (good_above[place] - auc) / n)
    return auc, np.bincount(customer, weights=own).astype(np.float64)


def _error(parts: NDArray[np.float64], customer: NDArray[np.int64]) -> float:
    n_customers = int((np.bincount(customer) > 0).sum())
    return float(np.sqrt(parts @ parts * n_customers / max(1, n_customers - 1)))


def rate_at_least(hits: float, trials: int, doubt: float) -> float:
    """Return what a rate is at least after `hits` in `trials`, wrongly with the chance `doubt`.

    The lower limit of C. J. Clopper and E. S. Pearson (1934), which holds for any number of
    trials. `hits` may be a fraction: rows are weighed by customer.

    Examples
    --------
    >>> round(rate_at_least(10, 10, 0.05), 3), rate_at_least(0, 10, 0.05)
    (0.741, 0.0)
    """
    if hits <= 0 or trials <= 0:
        return 0.0
    return float(betaincinv(hits, trials - hits + 1, doubt))
