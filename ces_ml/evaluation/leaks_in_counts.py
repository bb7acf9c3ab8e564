"""Leaks that counts and outcomes show: events that almost determine the outcome."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.errors import show
from ces_ml.evaluation.certainty import Auc, auc_by_customer, rate_at_least
from ces_ml.evaluation.findings import Finding
from ces_ml.spec import CountTable

__all__ = [
    "Presence",
    "audited_enough",
    "customer_codes",
    "deciding_events",
    "dense_column",
    "enough_of_both",
    "presence_by_event",
    "term_powers",
]

#: An event decides the outcome if a customer who has it has that outcome with at least this
#: chance, and the odds of it are at least so many times those of all customers. Half of that is
#: worth a word.
DECIDES_RATE, DECIDES_ODDS = 0.9, 20.0
NEARLY_RATE, NEARLY_ODDS = 0.8, 10.0
#: A single term that separates the outcomes so well (distance of its AUC from a coin) decides too.
DECIDES_POWER = 0.45
#: The chance that an audit without any leak reports a deciding event; shared by all events.
DOUBT = 0.01
#: Customers of each outcome from which on anything is claimed.
FEWEST = 20


@dataclass(frozen=True)
class Presence:
    """What having an event at all says about the outcome.

    Parameters
    ----------
    customers : int
        Customers with the event in a window of theirs.
    outcome : int
        The outcome that they have more often than others.
    rate, base : float
        How often they have it, and how often all customers do; each customer weighs the same.
    rate_at_least : float
        Lower limit of the rate, over customers and events.
    """

    customers: int
    outcome: int
    rate: float
    base: float
    rate_at_least: float

    @property
    def odds_ratio_at_least(self) -> float:
        """How many times the odds of everybody, at least; infinite where the rate is certain."""
        if self.rate_at_least >= 1.0:
            return math.inf
        if self.rate_at_least <= 0.0:
            return 0.0
        odds = self.rate_at_least / (1 - self.rate_at_least)
        return odds * (1 - self.base) / self.base if self.base else math.inf


def presence_by_event(table: CountTable) -> dict[str, Presence]:
    """Return, for every counted event type that occurs, what having it says about the outcome.

    Parameters
    ----------
    table : CountTable
        With outcomes of both kinds.
    """
    y, customer = table.outcomes.astype(np.int64), table.customer.factorize()[0]
    X = sp.csc_array(table.X)
    places: dict[str, list[int]] = {}
    for t, term in enumerate(table.spec.terms):
        places.setdefault(term.event, []).append(t)
    n_customers = int(customer.max()) + 1
    of_all = np.bincount(customer, minlength=n_customers)
    base = float((np.bincount(customer, weights=y, minlength=n_customers) / of_all).mean())
    found = {}
    for event, columns in places.items():
        having = np.zeros(len(table), dtype=bool)
        for t in columns:
            having[X.indices[X.indptr[t] : X.indptr[t + 1]]] = True
        rows = np.flatnonzero(having)
        if len(rows) == 0:
            continue
        n_rows = np.bincount(customer[rows], minlength=n_customers)
        n_good = np.bincount(customer[rows], weights=y[rows], minlength=n_customers)
        n_held = int((n_rows > 0).sum())
        good = float((n_good[n_rows > 0] / n_rows[n_rows > 0]).sum())
        outcome = int(good / n_held >= base)
        hits = good if outcome else n_held - good
        found[event] = Presence(
            customers=n_held,
            outcome=outcome,
            rate=hits / n_held,
            base=base if outcome else 1 - base,
            rate_at_least=rate_at_least(hits, n_held, DOUBT / max(1, len(places))),
        )
    return found


def deciding_events(
    table: CountTable,
    presence: Mapping[str, Presence],
    powers: Mapping[str, Auc],
) -> list[Finding]:
    """Return events whose presence, or count, almost determines the outcome.

    Parameters
    ----------
    table : CountTable
    presence : mapping of str to Presence
        By event type, from `presence_by_event`.
    powers : mapping of str to Auc
        By name of term.

    Returns
    -------
    list of Finding
        Of kind ``decides_outcome``, one an event type.
    """
    found = []
    best: dict[str, Auc] = {}
    for term in table.spec.terms:
        auc = powers.get(term.name)
        if auc is None:
            continue
        held = best.get(term.event)
        if held is None or auc.power_at_least() > held.power_at_least():
            best[term.event] = auc
    for event, seen in presence.items():
        auc = best.get(event, Auc(math.nan, math.inf))
        odds = seen.odds_ratio_at_least
        decides = seen.rate_at_least >= DECIDES_RATE and odds >= DECIDES_ODDS
        decides |= auc.power_at_least() >= DECIDES_POWER
        if not decides and (seen.rate_at_least < NEARLY_RATE or odds < NEARLY_ODDS):
            continue
        kind = ("bad", "good")[seen.outcome]
        what = (
            f"{100 * seen.rate:.1f} % of the {seen.customers:,} customers with {show(event, 60)} "
            f"have the {kind} outcome, of all customers {100 * seen.base:.1f} %; its AUC alone is "
            f"{auc.value:.3f}"
        )
        found.append(
            Finding(
                "decides_outcome",
                "failure" if decides else "warning",
                what,
                "leave it out with `exclude`, or, if it truly comes before the outcome and will "
                "be known when scores are made, allow it",
                event,
                {
                    "customers": seen.customers,
                    "rate": seen.rate,
                    "base": seen.base,
                    "rate_at_least": seen.rate_at_least,
                    "auc": auc.value,
                },
            )
        )
    return found


def term_powers(table: CountTable, rows: NDArray[np.int64]) -> dict[str, Auc]:
    """Return the AUC of every term on the audited rows; none where one outcome has few customers.

    Parameters
    ----------
    table : CountTable
    rows : ndarray of int, of shape (n_audited,)

    Returns
    -------
    dict of str to Auc
        By name of term.
    """
    y, customer = table.outcomes[rows], customer_codes(table, rows)
    if not enough_of_both(y, customer):
        return {}
    X = sp.csc_array(table.X[rows])
    return {
        name: auc_by_customer(y, dense_column(X, t), customer) for t, name in enumerate(table.names)
    }


def audited_enough(table: CountTable, rows: NDArray[np.int64]) -> list[Finding]:
    """Return a note where one outcome has too few customers for the audit to say anything."""
    y, customer = table.outcomes[rows], customer_codes(table, rows)
    counts = [len(np.unique(customer[y == outcome])) for outcome in (0, 1)]
    if min(counts) >= FEWEST:
        return []
    return [
        Finding(
            "too_small",
            "note",
            f"{counts[1]:,} customers with the good outcome and {counts[0]:,} with the bad one "
            "were looked at",
            f"power, lead time and exposure are checked from {FEWEST} customers of each on",
            None,
            {"good": counts[1], "bad": counts[0]},
        )
    ]


def enough_of_both(y: NDArray[Any], customer: NDArray[np.int64]) -> bool:
    """Return whether enough customers have each outcome for anything to be claimed."""
    return all(len(np.unique(customer[y == outcome])) >= FEWEST for outcome in (0, 1))


def customer_codes(table: CountTable, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the customers of the rows, numbered from 0."""
    return np.asarray(table.customer.iloc[rows].factorize()[0], dtype=np.int64)


def dense_column(X: Any, t: int) -> NDArray[np.float64]:
    """Return a column of a csc_array as a dense array."""
    values = np.zeros(X.shape[0])
    place = slice(X.indptr[t], X.indptr[t + 1])
    values[X.indices[place]] = X.data[place]
    return values
