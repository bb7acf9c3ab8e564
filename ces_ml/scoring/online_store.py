"""Where the states of all customers lie: one pool of cells that grows and is swept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.scoring.online_events import Events
from ces_ml.scoring.online_plan import OnlinePlan

__all__ = ["OnlineStore"]

_NEVER = np.iinfo(np.int64).max
_LEAST = 1024
#: A code is kept in 63 bits beside its bucket; the texts themselves are kept once.
_NO_TEXT = -1


class OnlineStore:
    """The cells of all customers, and which customer has which place.

    Parameters
    ----------
    plan : OnlinePlan

    Attributes
    ----------
    places : dict
        Place of every customer.
    head : ndarray of int32, of shape (n_places · n_chains,)
        First cell of every chain, −1 where it is empty.
    first, latest, seen : ndarray of int64, of shape (n_places,)
        Microseconds: when the customer was first known, the latest event, the latest arrival.
    pool : tuple of ndarray
        ``link, place, what, amount`` of the cells.
    texts : dict of str to int
        Codes of the values that ``distinct`` tells apart.
    """

    def __init__(self, plan: OnlinePlan) -> None:
        from ces_ml.scoring import online_kernels  # imports numba: only where a state is kept

        self._passes = online_kernels
        self.plan = plan
        self.places: dict[Any, int] = {}
        self.texts: dict[str, int] = {}
        self.words: list[str] = []
        self._free: list[int] = []
        self.head = np.empty(0, np.int32)
        self.first = self.latest = self.seen = np.empty(0, np.int64)
        self.pool = _pool(_LEAST)
        self.used = 0
        self.found = np.zeros(2, np.int64)

    @property
    def customers(self) -> tuple[Any, ...]:
        """What the passes read of the customers."""
        return self.head, self.first, self.latest, self.seen

    def feed(self, events: Events) -> None:
        """Add events to the states of their customers."""
        a = self.plan.arrays
        where = np.array([self.place_of(c) for c in events.customers], np.int64)
        who = where[events.who] if len(events.who) else events.who
        codes = np.array([self._codes(t) for t in events.texts], np.int64)
        codes = codes.reshape(len(events.texts), len(who))
        event = (
            who,
            events.row,
            events.ts,
            events.known,
            events.numbers,
            events.filters,
            codes,
            events.ids,
        )
        plan = tuple(
            a[k]
            for k in (
                "kind",
                "value",
                "present",
                "filter",
                "decay",
                "reach",
                "type_start",
                "type_slot",
                "type_is_start",
            )
        )
        done, grain = 0, self.plan.grain
        while True:
            used = np.array([self.used])
            done = self._passes.feed(
                done, event, self.customers, self.pool, used, plan, grain, self.found
            )
            self.used = int(used[0])
            if done == len(who):
                return
            self.sweep(len(a["kind"]) + 1)

    def place_of(self, customer: Any) -> int:
        """Return the place of a customer, a new one where it has none."""
        place = self.places.get(customer)
        if place is None:
            place = self._free.pop() if self._free else len(self.places)
            if place >= len(self.first):
                self._more_places()
            self.places[customer] = place
        return place

    def forget(self, customer: Any) -> None:
        """Drop the state of a customer."""
        place = self.places.pop(customer)
        self._clear(place)
        self._free.append(place)

    def _clear(self, place: int) -> None:
        n = self.plan.n_chains
        self.head[place * n : (place + 1) * n] = -1
        self.first[place], self.latest[place], self.seen[place] = _NEVER, -_NEVER, -_NEVER

    def _more_places(self) -> None:
        more = max(len(self.first), 64)
        n = self.plan.n_chains
        self.head = np.concatenate([self.head, np.full(more * n, -1, np.int32)])
        self.first = np.concatenate([self.first, np.full(more, _NEVER)])
        self.latest = np.concatenate([self.latest, np.full(more, -_NEVER)])
        self.seen = np.concatenate([self.seen, np.full(more, -_NEVER)])

    def _codes(self, texts: Any) -> NDArray[np.int64]:
        import pandas as pd

        where, words = pd.factorize(texts)
        known = np.array([self.code_of(w) for w in words] + [_NO_TEXT], np.int64)
        return known[where]

    def code_of(self, word: str) -> int:
        """Return the code of a text, a new one where it has none."""
        code = self.texts.setdefault(word, len(self.texts))
        if code == len(self.words):
            self.words.append(word)
        return code

    def sweep(self, room: int = 0) -> None:
        """Drop cells that no score can ask for any more, and make room for as many as are left."""
        a, grain, n_slots = self.plan.arrays, self.plan.grain, len(self.plan.slots)
        kept = (a["kind"], a["reach"], grain, n_slots)
        live = self._passes.count_live(self.customers, self.pool, *kept)
        fresh = _pool(max(2 * live + room, _LEAST))
        self.used = self._passes.compact(self.customers, self.pool, fresh, *kept)
        self.pool = fresh

    def counts(self, places: NDArray[np.int64], as_of_us: int) -> NDArray[np.float64]:
        """Return the counts of customers, of shape (n_places, n_terms); −1 is nobody."""
        a = self.plan.arrays
        X = np.zeros((len(places), len(a["column"])))
        self._passes.evaluate(
            places,
            as_of_us,
            self.customers,
            self.pool,
            self.plan.n_chains,
            a["column"],
            a["number"],
            self.plan.grain,
            X,
        )
        return X

    def cells(self, place: int) -> list[list[tuple[int, int, float]]]:
        """Return the cells of a customer that still matter, newest first, chain by chain."""
        a, grain, n_slots = self.plan.arrays, self.plan.grain, len(self.plan.slots)
        kept = (a["kind"], a["reach"], grain, n_slots)
        found = self._passes.cells_of(place, self.customers, self.pool, *kept)
        chains: list[list[tuple[int, int, float]]] = [[] for _ in range(self.plan.n_chains)]
        for chain, *cell in zip(*(f.tolist() for f in found), strict=True):
            chains[chain].append((cell[0], cell[1], cell[2]))
        return chains

    def put(
        self, customer: Any, known: tuple[int, int, int], chains: list[list[tuple[int, int, float]]]
    ) -> None:
        """Set the state of a customer, in place of the one it has."""
        place = self.place_of(customer)
        self._clear(place)
        cells = [cell for chain in chains for cell in chain]
        if self.used + len(cells) > len(self.pool[0]):
            self.sweep(2 * len(cells))
        self.first[place], self.latest[place], self.seen[place] = known
        start, self.used = self.used, self.used + len(cells)
        if not cells:
            return
        link, *columns = self.pool
        for column, values in zip(columns, zip(*cells, strict=True), strict=True):
            column[start : self.used] = values
        link[start : self.used] = np.arange(start + 1, self.used + 1)
        first = place * self.plan.n_chains
        for s, chain in enumerate(chains):
            if chain:
                self.head[first + s], start = start, start + len(chain)
                link[start - 1] = -1


def _pool(size: int) -> tuple[Any, ...]:
    return (
        np.empty(size, np.int32),
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty(size),
    )
