"""Is there enough data? Asked of the outcome and of every term, before anything is fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.spec import CountTable

__all__ = ["DataVerdict", "OutcomeData", "TermData", "data_verdict", "rows_for_shrinkage"]

#: Customers of the rarer outcome for each term. With fewer, logistic weights are biased away from
#: zero and their intervals fail: Peduzzi et al. 1996, DOI 10.1016/S0895-4356(96)00236-3.
LEAST_PER_TERM = 10
#: Customers with either outcome among those who did an event, for its weight to be told from its
#: penalty: the same minimum for a single term.
LEAST_WHO_DID = 10
#: What Riley et al. 2020 (BMJ 368:m441, DOI 10.1136/bmj.m441) ask for: weights that need to be
#: shrunk by no more than 10 %, if the model explains 15 % of what could be explained.
_SHRINKAGE, _EXPLAINED = 0.9, 0.15


@dataclass(frozen=True)
class TermData:
    """How much the training rows say about one term.

    Parameters
    ----------
    name : str
    customers : int
        Who have a count that is not 0.
    positives, negatives : int
        Of these, customers with a row of the good and of the bad outcome.
    enough : bool
        Whether at least 10 did it with either outcome.
    words : str
    """

    name: str
    customers: int
    positives: int
    negatives: int
    enough: bool
    words: str


@dataclass(frozen=True)
class OutcomeData:
    """How much the training rows say about the outcome.

    Parameters
    ----------
    rows, customers : int
    positives, negatives : int
        Customers with a row of the good and of the bad outcome.
    terms : int
        Terms that anybody did: weights to be learned.
    per_term : float
        Customers of the rarer outcome for each of these; asked for: 10.
    rows_needed : int
        Rows that Riley et al. (2020) ask for; rows of one customer are not worth as much.
    enough : bool
        Whether both hold.
    words : str
    """

    rows: int
    customers: int
    positives: int
    negatives: int
    terms: int
    per_term: float
    rows_needed: int
    enough: bool
    words: str


@dataclass(frozen=True)
class DataVerdict:
    """Enough data or not, for the outcome and for every term.

    Parameters
    ----------
    outcome : OutcomeData
    terms : tuple of TermData
        In the order of the table.
    """

    outcome: OutcomeData
    terms: tuple[TermData, ...]

    @property
    def lacking(self) -> tuple[TermData, ...]:
        """The terms without enough data, the worst first."""
        short = [t for t in self.terms if not t.enough]
        return tuple(sorted(short, key=lambda t: (min(t.positives, t.negatives), t.name)))


def data_verdict(rows: CountTable) -> DataVerdict:
    """Return whether training rows are enough to learn from.

    Customers are counted, not rows: a customer at ten moments is one witness.

    Parameters
    ----------
    rows : CountTable
        The training rows, with outcomes.

    Returns
    -------
    DataVerdict

    Raises
    ------
    SpecError
        If there are no outcomes.

    Examples
    --------
    >>> import pandas as pd
    >>> from ces_ml.spec import CountSpec
    >>> keys = pd.DataFrame({"customer": range(40), "as_of": pd.to_datetime(["2024-01-01"] * 40)})
    >>> X = sp.csr_array(np.column_stack([np.ones(40), np.arange(40) < 4]))
    >>> y = (np.arange(40) < 20).astype(np.int8)
    >>> table = CountTable(keys, X, CountSpec.of(["login", "demo"], window="30d"), y=y)
    >>> found = data_verdict(table)
    >>> found.outcome.words
    'enough? no: 10.0 customers with the rarer outcome a term (asked: 10), 40 rows (asked: 150)'
    >>> [(t.name, t.words) for t in found.terms]
    [('login', 'enough'), ('demo', 'one-sided: all 4 who did it have y = 1')]
    """
    y = np.asarray(rows.outcomes) == 1
    code = np.unique(rows.customer.astype(str).to_numpy(), return_inverse=True)[1]
    did = sp.csr_array(rows.X, copy=True)
    did.sum_duplicates()
    did.eliminate_zeros()
    did.data = np.ones_like(did.data, dtype=np.float64)
    n = int(code.max()) + 1 if code.size else 0
    everyone, good, bad = (_who(did, code, n, mask) for mask in (np.ones_like(y), y, ~y))
    terms = tuple(
        _term(name, *map(int, counted))
        for name, *counted in zip(rows.names, everyone, good, bad, strict=True)
    )
    positives, negatives = (np.unique(code[mask]).size for mask in (y, ~y))
    return DataVerdict(_outcome(len(y), n, positives, negatives, float(y.mean()), terms), terms)


def rows_for_shrinkage(terms: int, rate: float) -> int:
    """Return how many rows keep the shrinkage of `terms` weights within 10 %.

    ``terms / ((S − 1)·log(1 − R²/S))`` with S = 0.9 and R² (Cox–Snell) 15 % of its largest value
    at this outcome rate: criterion 2 of Riley et al. (2020).

    Examples
    --------
    Their example has 30 parameters and a rate of 5 %: 5,249 people, with R² rounded to 0.05.

    >>> rows_for_shrinkage(30, 0.05)
    5342
    """
    if not 0 < rate < 1 or terms < 1:
        return 0
    entropy = rate * math.log(rate) + (1 - rate) * math.log(1 - rate)
    explained = _EXPLAINED * (1 - math.exp(2 * entropy))
    return math.ceil(terms / ((_SHRINKAGE - 1) * math.log(1 - explained / _SHRINKAGE)))


def _who(did: Any, code: NDArray[Any], n: int, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return by how many customers each event was done, in the rows of the mask."""
    at = np.flatnonzero(mask)
    by_customer = sp.csr_array((np.ones(at.size), (code[at], at)), shape=(n, mask.size)) @ did
    return np.bincount(by_customer.tocoo().col, minlength=did.shape[1])


def _term(name: str, customers: int, positives: int, negatives: int) -> TermData:
    enough = min(positives, negatives) >= LEAST_WHO_DID
    if customers == 0:
        words = "nobody did it"
    elif min(positives, negatives) == 0:
        # Without a penalty or a bound such a weight has no end.
        words = f"one-sided: all {customers:,} who did it have y = {int(positives > 0)}"
    elif not enough:
        words = (
            f"few: {positives:,} with y = 1 and {negatives:,} with y = 0 did it (asked: "
            f"{LEAST_WHO_DID} of both)"
        )
    else:
        words = "enough"
    return TermData(name, customers, positives, negatives, enough, words)


def _outcome(
    rows: int,
    customers: int,
    positives: int,
    negatives: int,
    rate: float,
    terms: tuple[TermData, ...],
) -> OutcomeData:
    learned = sum(t.customers > 0 for t in terms)
    per_term = min(positives, negatives) / max(learned, 1)
    needed = rows_for_shrinkage(learned, rate)
    enough = per_term >= LEAST_PER_TERM and rows >= needed
    words = (
        f"enough? {'yes' if enough else 'no'}: {per_term:,.1f} customers with the rarer outcome a "
        f"term (asked: {LEAST_PER_TERM}), {rows:,} rows (asked: {needed:,})"
    )
    return OutcomeData(
        rows, customers, positives, negatives, learned, per_term, needed, enough, words
    )
