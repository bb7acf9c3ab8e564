"""How much the estimate would differ with other customers: sandwich and jackknife.

The covariance is ``H⁻¹ (Σ_customers g gᵀ) H⁻¹`` with `g` a customer's sum of scores. Where few
customers decide a weight that is too small: the fit has come near to just those. So the change of
the estimate when such a customer is left out (one Newton step, exact for the quadratic model) takes
the place of ``H⁻¹ g``, which is the jackknife of J. G. MacKinnon and H. White (1985),
doi:10.1016/0304-4076(85)90158-7, by cluster as in R. M. Bell and D. F. McCaffrey (2002), *Survey
Methodology* 28(2); and the quantile is Student's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from ces_ml.linear.inference.relaxed import Bread
from ces_ml.linear.inference.rows import CustomerRows
from ces_ml.linear.inference.sampling import rare_rows

__all__ = ["Spread", "spread_of"]

Floats = NDArray[np.float64]

ALL_CUSTOMERS = 20_000
"""Up to so many customers each of them is left out in turn."""

RARE = 1_000
"""Else those with the rarer outcome, and those with an event, that so many or fewer have."""

MOST_LEVERAGE = 0.9
"""A customer who alone decides a weight is not left out altogether: nothing would remain."""

FREEDOM = 2.0
"""Degrees of freedom for each customer by whose squares the variance is estimated.

`n` squares of normal variables whose variance is the quantity have 3 for each effective one (their
kurtosis takes up two thirds of the effective number), fixed sizes 1; 2 was measured: see
experiments/coverage."""

BLOCK = 256
"""Numbers whose degrees of freedom are taken at a time."""

BLOCK_ROWS = 16_384
"""Rows of customers that are dense at a time."""

MOST_ROWS = 64
"""Rows of a customer up to which a system of their size is solved."""


@dataclass(frozen=True, eq=False)
class Spread:
    """The covariance of the estimate without the rules.

    Parameters
    ----------
    covariance : ndarray of shape (n_features + 1, n_features + 1)
        Of the weights and the intercept (of the shifted columns).
    changes : ndarray of shape (n_changes, n_features + 1)
        By how much the estimate changes without a customer, for those who were left out in turn.
    everyone : bool
        Whether these are all customers.
    plain : ndarray of shape (n_features + 1, n_features + 1)
        The sandwich without the corrections for few customers.
    """

    covariance: Floats
    changes: Floats
    everyone: bool
    plain: Floats

    def deviation(self, contrasts: Floats) -> Floats:
        """Return the standard deviation of each ``contrast·θ``, of shape (n_contrasts,)."""
        variance = np.einsum("ij,ij->i", contrasts @ self.covariance, contrasts)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float64)

    def freedom(self, contrasts: Floats) -> Floats:
        """Return degrees of freedom of these deviations, of shape (n_contrasts,).

        ``FREEDOM·(Σ q)²/Σ q²`` with `q` the squares that the variance sums: twice the number of
        customers that it effectively rests on. Customers who were not left out are so many
        that their own squares do not matter.
        """
        found = np.full(len(contrasts), np.inf)
        if not len(self.changes):
            return found
        for first in range(0, len(contrasts), BLOCK):
            part = contrasts[first : first + BLOCK]
            squares = (self.changes @ part.T) ** 2
            total = self.deviation(part) ** 2
            fourth = (squares * squares).sum(axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = FREEDOM * total**2 / fourth
            found[first : first + BLOCK] = np.where(fourth > 0.0, np.maximum(ratio, 1.0), np.inf)
        return found

    def quantile(self, contrasts: Floats, level: float) -> Floats:
        """Return the two-sided quantile of each contrast, in standard deviations."""
        freedom = self.freedom(contrasts)
        normal = norm.ppf(0.5 + 0.5 * level)
        with np.errstate(invalid="ignore"):
            student = t.ppf(0.5 + 0.5 * level, np.minimum(freedom, 1e9))
        return np.asarray(np.where(freedom < 1e6, student, normal), dtype=np.float64)


def spread_of(
    rows: CustomerRows, bread: Bread, slope: Floats, curvature: Floats, meat: Floats
) -> Spread:
    """Return the spread from slopes and curvatures of the rows and the sum of squared scores."""
    B, n = bread.inverse, rows.n_customers
    plain = B @ meat @ B
    chosen = _deciding(rows)
    free = bread.factor.shape[1]
    correction = n / max(n - free, 1)
    if not len(chosen):
        return Spread(correction * plain, np.empty((0, len(B))), False, plain)
    changes, scores = _left_out(rows, bread, slope, curvature, chosen)
    ordinary = scores @ B
    covariance = changes.T @ changes
    everyone = len(chosen) == rows.n_taken == n
    if not everyone:
        covariance += correction * (plain - ordinary.T @ ordinary)
    return Spread(0.5 * (covariance + covariance.T), changes, everyone, plain)


def _deciding(rows: CustomerRows) -> NDArray[np.intp]:
    """Return the customers to leave out in turn."""
    if rows.n_customers <= ALL_CUSTOMERS:
        return np.arange(rows.n_taken)
    chosen = np.zeros(len(rows.y), dtype=bool)
    ones = int(np.count_nonzero(rows.y))
    if min(ones, len(rows.y) - ones) <= RARE:
        chosen |= (rows.y == 1) == (ones <= len(rows.y) - ones)
    chosen[rare_rows(rows.X, RARE)] = True
    found = np.flatnonzero(chosen)
    if rows.customer is not None:
        found = np.unique(rows.customer[found])
    return np.asarray(found[rows.times[found] == 1.0], dtype=np.intp)


def _left_out(
    rows: CustomerRows,
    bread: Bread,
    slope: Floats,
    curvature: Floats,
    chosen: NDArray[np.intp],
) -> tuple[Floats, Floats]:
    """Return the change of the estimate without each customer, and the customer's scores.

    Without a customer the curvature is ``H − H_c`` and the gradient ``−g_c``: with ``F Fᵀ`` the
    inverse of ``H`` the change is ``F (I − Fᵀ H_c F)⁻¹ Fᵀ g_c``.
    """
    width = rows.X.shape[1] + 1
    changes, scores = np.empty((len(chosen), width)), np.empty((len(chosen), width))
    _, ends = rows.rows_of(chosen)
    first = 0
    while first < len(chosen):
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + BLOCK_ROWS, "right")) - 1)
        part = slice(first, last)
        at, starts = rows.rows_of(chosen[part])
        Z = rows.dense(at)
        scores[part] = np.add.reduceat(Z * slope[at, np.newaxis], starts[:-1], axis=0)
        white = (Z @ bread.factor) * np.sqrt(curvature[at, np.newaxis])
        changes[part] = _solved(white, starts, scores[part] @ bread.factor) @ bread.factor.T
        first = last
    return changes, scores


def _solved(white: Floats, starts: NDArray[np.intp], inner: Floats) -> Floats:
    """Return ``(I − Σ white whiteᵀ)⁻¹ inner`` for the rows of each customer.

    By Woodbury's identity that needs a system of the size of the customer's rows; customers with
    as many rows are solved together. Where a customer all but decides some direction the
    leverage is cut at `MOST_LEVERAGE`.
    """
    answer = inner.copy()
    sizes = np.diff(starts)
    trace = np.add.reduceat(np.einsum("ij,ij->i", white, white), starts[:-1])
    for size in np.unique(sizes):
        some = np.flatnonzero((sizes == size) & (trace < MOST_LEVERAGE) & (size <= MOST_ROWS))
        A = white[starts[some][:, np.newaxis] + np.arange(size)]
        if len(some):
            small = np.eye(size) - A @ A.transpose(0, 2, 1)
            seen = np.einsum("kij,kj->ki", A, inner[some])[..., np.newaxis]
            answer[some] += np.einsum("kij,ki->kj", A, np.linalg.solve(small, seen)[..., 0])
    for k in np.flatnonzero((trace >= MOST_LEVERAGE) | (sizes > MOST_ROWS)):
        A = white[starts[k] : starts[k + 1]]
        values, V = np.linalg.eigh(A.T @ A)
        share = np.clip(values, 0.0, MOST_LEVERAGE)
        answer[k] += V @ ((share / (1.0 - share)) * (V.T @ inner[k]))
    return answer
