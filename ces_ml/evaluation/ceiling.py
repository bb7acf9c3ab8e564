"""The ceiling: what gradient boosting, free of weights and rules, gets out of the same counts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

__all__ = ["CEILINGS", "Columns", "ceiling_probability", "sample_customers"]

_Floats = NDArray[np.float64]
#: Every ceiling and what it is, in the order of tables.
CEILINGS: dict[str, str] = {
    "boosting": "gradient boosting on the same counts",
    "boosting_with_recency": "gradient boosting on the same counts, and on the time since a "
    "customer's first and last event",
}
#: Cells of the dense table that boosting needs: 0.4 GB of float64.
_MOST_CELLS = 50_000_000
#: Share of the customers that choose the number of trees.
_HELD_OUT = 0.2


class Columns(NamedTuple):
    """What boosting sees of some rows.

    Parameters
    ----------
    counts : csr_array of shape (n_rows, n_terms)
        Counts; boosting does not mind whether before or after a transform.
    ages : ndarray of shape (n_rows, n_ages) or None
        Further columns, NaN where not known, such as the time since the last event.
    """

    counts: Any
    ages: _Floats | None = None

    @property
    def width(self) -> int:
        """How many columns there are."""
        return int(self.counts.shape[1]) + (0 if self.ages is None else self.ages.shape[1])

    def dense(self, rows: NDArray[Any]) -> _Floats:
        """Return some of the rows as a dense array."""
        counts = np.asarray(self.counts[rows].toarray(), dtype=np.float64)
        return counts if self.ages is None else np.hstack([counts, self.ages[rows]])


def ceiling_probability(
    train: Columns,
    y: NDArray[Any],
    customers: NDArray[Any],
    test: Columns,
    *,
    sample_weight: _Floats | None = None,
    most_rows: int = 200_000,
    seed: int = 0,
) -> _Floats:
    """Return the probabilities that gradient boosting gives to the test rows.

    It knows no rule, bends every count and lets counts interact: what it gains over the weights
    is the price of a score that adds up. Its number of trees is chosen on a fifth of the training
    customers (trees are added until the log loss there stops falling); then it is fitted on all
    training rows with that number.

    Parameters
    ----------
    train : Columns
        The training rows.
    y, customers : ndarray of shape (n_train,)
        Their outcomes, of both kinds, and who they are about.
    test : Columns
        The rows to judge, with the same columns.
    sample_weight : ndarray of shape (n_train,), optional
    most_rows : int, default=200_000
        Of more training rows a sample of whole customers is taken; of fewer where the columns are
        very many.
    seed : int, default=0

    Returns
    -------
    ndarray of shape (n_test,)
        Probabilities of the good outcome.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> n = np.arange(400.0) % 5
    >>> columns = Columns(sp.csr_array(n[:, None]))
    >>> p = ceiling_probability(columns, n == 2, np.arange(400), columns)
    >>> bool(p[n == 2].min() > p[n != 2].max())  # a bump, which no weight can follow
    True
    """
    most = max(min(most_rows, _MOST_CELLS // max(train.width, 1)), 1000)
    rows = sample_customers(customers, most, seed)
    chooses = np.zeros(rows.size, dtype=bool)
    chooses[sample_customers(customers[rows], int(_HELD_OUT * rows.size), seed + 1)] = True
    X, good = train.dense(rows), np.asarray(y)[rows].astype(np.int64)
    weight = np.ones(rows.size) if sample_weight is None else sample_weight[rows]
    trees = 100
    if np.unique(good[chooses]).size == 2 and np.unique(good[~chooses]).size == 2:
        model = _model(400, seed, stops=True)
        model.fit(
            X[~chooses],
            good[~chooses],
            weight[~chooses],
            X_val=X[chooses],
            y_val=good[chooses],
            sample_weight_val=weight[chooses],
        )
        trees = max(int(np.argmax(model.validation_score_)), 1)
    model = _model(trees, seed, stops=False).fit(X, good, weight)
    n_test = int(test.counts.shape[0])
    parts = np.array_split(np.arange(n_test), n_test // most + 1)
    found = [model.predict_proba(test.dense(part))[:, 1] for part in parts if part.size]
    return np.concatenate(found) if found else np.zeros(0)


def sample_customers(customers: NDArray[Any], most_rows: int, seed: int) -> NDArray[np.int64]:
    """Return the positions of all rows of as many random customers as `most_rows` holds.

    Parameters
    ----------
    customers : ndarray of shape (n_rows,)
    most_rows : int
    seed : int

    Returns
    -------
    ndarray of int
        Rising positions; all of them where there are no more than `most_rows`.
    """
    if customers.size <= most_rows:
        return np.arange(customers.size)
    code = np.unique(customers.astype(str), return_inverse=True)[1]
    rows_of = np.bincount(code)
    order = np.random.default_rng(seed).permutation(rows_of.size)
    chosen = np.zeros(rows_of.size, dtype=bool)
    chosen[order[np.cumsum(rows_of[order]) <= most_rows]] = True
    return np.flatnonzero(chosen[code])


def _model(trees: int, seed: int, *, stops: bool) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=trees,
        max_leaf_nodes=15,
        l2_regularization=1.0,
        early_stopping=stops,
        n_iter_no_change=20,
        random_state=seed,
    )
