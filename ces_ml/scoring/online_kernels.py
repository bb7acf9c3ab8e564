"""The compiled passes over the online state. Importing this module imports numba.

A customer's state is one chain of cells a slot, newest first. A cell is ``(place, what, amount)``:
for sums the number of the bucket, 0 and the sum, decayed to the end of the bucket; for starts and
ends of pairs the microsecond, whether it is a start, and how many; for different values the bucket,
the code of the value, and how many. Event ids are a chain of ``(microsecond, id, 1)``. Cells of all
customers lie in one pool of arrays: ``link`` is the next older cell, −1 where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["cells_of", "compact", "count_live", "evaluate", "feed"]

DAY_US = 86_400_000_000
_ADDED, _PAIRS = 0, 1
#: As in ces_ml.sql.measures: less weight than this is no weight, and nearer to neutral is neutral.
_NO_WEIGHT, _NEUTRAL_ROUNDING = 1e-280, 1e-12


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on the first call; keep the code on disk where there is a writable place."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        compiled = numba.njit(**options)(function)
    return compiled


@jit
def _add(
    head: Any,
    chain: Any,
    link: Any,
    place: Any,
    what: Any,
    amount: Any,
    used: Any,
    at: Any,
    it: Any,
    more: Any,
) -> Any:
    """Add to the cell (at, it) of a chain, or put a new one in its order; return cells used."""
    before, cell = -1, head[chain]
    while cell >= 0 and (place[cell] > at or (place[cell] == at and what[cell] > it)):
        before, cell = cell, link[cell]
    if cell >= 0 and place[cell] == at and what[cell] == it:
        amount[cell] += more
        return used
    place[used], what[used], amount[used], link[used] = at, it, more, cell
    if before < 0:
        head[chain] = used
    else:
        link[before] = used
    return used + 1


@jit
def _add_event(
    i: Any, event: Any, customers: Any, pool: Any, used: Any, plan: Any, grain: Any
) -> Any:
    """Add one event to the slots of its type; return 1 if it is too old for all of them."""
    who, row, ts, _, numbers, filters, codes, _ = event
    head, _, latest, _ = customers
    link, place, what, amount = pool
    kind, value, present, filter_of, decay, reach, type_start, type_slot, type_is_start = plan
    c, t, n_chains = who[i], ts[i], len(kind)
    bucket = t // grain
    end, counted, late = (bucket + 1) * grain, False, False
    for k in range(type_start[row[i]], type_start[row[i] + 1]):
        s = type_slot[k]
        if filter_of[s] >= 0 and not filters[filter_of[s], i]:
            continue
        at, it, more = bucket, 0, 1.0
        if kind[s] == _PAIRS:
            at, it = t, type_is_start[k]
        elif end <= latest[c] - reach[s]:
            late = True
            continue
        elif kind[s] == _ADDED:
            if value[s] >= 0:
                if math.isnan(numbers[value[s], i]):
                    continue
                if not present[s]:
                    more = numbers[value[s], i]
            if decay[s] > 0.0:
                more *= math.exp(-decay[s] * (end - t))
        else:
            it = codes[value[s], i]
            if it < 0:
                continue
        counted = True
        chain = c * n_chains + s
        used[0] = _add(head, chain, link, place, what, amount, used[0], at, it, more)
    return 1 if late and not counted else 0


@jit
def feed(
    start: Any,
    event: Any,
    customers: Any,
    pool: Any,
    used: Any,
    plan: Any,
    grain: Any,
    found: Any,
) -> Any:
    """Add events from `start` on; stop where the pool may not hold the next one.

    Parameters
    ----------
    start : int
    event : tuple of arrays
        Customer, row of the type (−1: not counted), microsecond, microsecond known, numbers,
        filters, codes of values, ids (empty: none).
    customers : tuple of arrays
        ``head`` of shape (n_customers · n_chains), first known, latest event, latest arrival.
    pool : tuple of arrays
        ``link, place, what, amount``.
    used : array of one int
        Cells of the pool that are taken.
    plan : tuple of arrays
    grain : int
        Length of a bucket, in microseconds.
    found : array of two int
        Gets how many events were duplicates, and how many too old to matter.

    Returns
    -------
    int
        The first event that was not added.
    """
    who, row, ts, known, _, _, _, ids = event
    head, first, latest, seen = customers
    link, place, what, amount = pool
    kind, value, _, _, _, _, type_start, _, _ = plan
    n_slots, n_chains = len(value), len(kind)
    for i in range(start, len(who)):
        slots = 1 + (type_start[row[i] + 1] - type_start[row[i]] if row[i] >= 0 else 0)
        if used[0] + slots > len(link):
            return i
        c, t = who[i], ts[i]
        if len(ids) > 0:
            before, chain = used[0], c * n_chains + n_slots
            used[0] = _add(head, chain, link, place, what, amount, before, t, ids[i], 1.0)
            if used[0] == before:
                found[0] += 1
                continue
        first[c] = min(first[c], known[i])
        latest[c] = max(latest[c], t)
        seen[c] = max(seen[c], known[i])
        if row[i] >= 0:
            found[1] += _add_event(i, event, customers, pool, used, plan, grain)
    return len(who)


@jit
def _is_over(cell: Any, place: Any, kind: Any, limit: Any, grain: Any) -> Any:
    """Return whether a cell lies wholly before `limit`."""
    return place[cell] < limit if kind == _PAIRS else (place[cell] + 1) * grain <= limit


@jit
def count_live(customers: Any, pool: Any, kind: Any, reach: Any, grain: Any, n_slots: Any) -> Any:
    """Return how many cells `compact` would keep."""
    head, _, latest, _ = customers
    link, place, _, _ = pool
    n_chains, live = len(kind), 0
    for chain in range(len(head)):
        c, s = chain // n_chains, chain % n_chains
        cell, limit = head[chain], latest[c] - reach[s] if head[chain] >= 0 else 0
        while cell >= 0:
            over = _is_over(cell, place, kind[s], limit, grain)
            if over and (kind[s] != _PAIRS or s >= n_slots):
                break
            live += 1
            if over:  # the newest start or end before the window may belong to an end inside it
                break
            cell = link[cell]
    return live


@jit
def compact(
    customers: Any, pool: Any, fresh: Any, kind: Any, reach: Any, grain: Any, n_slots: Any
) -> Any:
    """Move the cells that still matter to a fresh pool, chain by chain; return how many."""
    head, _, latest, _ = customers
    link, place, what, amount = pool
    new_link, new_place, new_what, new_amount = fresh
    n_chains, used = len(kind), 0
    for chain in range(len(head)):
        if head[chain] < 0:
            continue
        c, s = chain // n_chains, chain % n_chains
        cell, limit, before = head[chain], latest[c] - reach[s], -1
        head[chain] = -1
        while cell >= 0:
            over = _is_over(cell, place, kind[s], limit, grain)
            if over and (kind[s] != _PAIRS or s >= n_slots):
                break
            new_link[used], new_place[used] = -1, place[cell]
            new_what[used], new_amount[used] = what[cell], amount[cell]
            if before < 0:
                head[chain] = used
            else:
                new_link[before] = used
            before, used = used, used + 1
            if over:
                break
            cell = link[cell]
    return used


@jit
def cells_of(
    c: Any, customers: Any, pool: Any, kind: Any, reach: Any, grain: Any, n_slots: Any
) -> Any:
    """Return the cells of a customer that still matter: chain, place, what, amount of each."""
    head, _, latest, _ = customers
    link, place, what, amount = pool
    n_chains = len(kind)
    found, chain = np.empty(0, np.int64), np.empty(0, np.int64)
    for turn in range(2):  # count, then write
        n = 0
        for s in range(n_chains):
            cell, limit = head[c * n_chains + s], latest[c] - reach[s]
            while cell >= 0:
                over = _is_over(cell, place, kind[s], limit, grain)
                if over and (kind[s] != _PAIRS or s >= n_slots):
                    break
                if turn == 1:
                    found[n], chain[n] = cell, s
                n += 1
                if over:
                    break
                cell = link[cell]
        if turn == 0:
            found, chain = np.empty(n, np.int64), np.empty(n, np.int64)
    return chain, place[found], what[found], amount[found]


@jit
def _added(
    cell: Any, pool: Any, low: Any, high: Any, decay: Any, as_of: Any, grain: Any, cap: Any
) -> Any:
    """Return the sum of the buckets in [low, high), each day of it cut to ±cap."""
    link, place, _, amount = pool
    total, of_day, day = 0.0, 0.0, 0
    daily, per_day = not math.isinf(cap), DAY_US // grain
    while cell >= 0 and place[cell] >= high:
        cell = link[cell]
    while cell >= 0 and place[cell] >= low:
        more = amount[cell]
        if decay > 0.0:
            more *= math.exp(-decay * (as_of - (place[cell] + 1) * grain))
        if daily:
            if place[cell] // per_day != day:
                total += min(max(of_day, -cap), cap)
                of_day, day = 0.0, place[cell] // per_day
            of_day += more
        else:
            total += more
        cell = link[cell]
    return total + min(max(of_day, -cap), cap) if daily else total


@jit
def _days(cell: Any, pool: Any, low: Any, high: Any, grain: Any) -> Any:
    link, place, _, _ = pool
    n, day, per_day = 0, -(1 << 62), DAY_US // grain
    while cell >= 0 and place[cell] >= high:
        cell = link[cell]
    while cell >= 0 and place[cell] >= low:
        if place[cell] // per_day != day:
            n, day = n + 1, place[cell] // per_day
        cell = link[cell]
    return float(n)


@jit
def _distinct(cell: Any, pool: Any, low: Any, high: Any) -> Any:
    link, place, what, _ = pool
    while cell >= 0 and place[cell] >= high:
        cell = link[cell]
    first, n = cell, 0
    while cell >= 0 and place[cell] >= low:
        cell, n = link[cell], n + 1
    held, cell = np.empty(n, np.int64), first
    for k in range(n):
        held[k], cell = what[cell], link[cell]
    held.sort()
    different = 0
    for k in range(n):
        if k == 0 or held[k] != held[k - 1]:
            different += 1
    return float(different)


@jit
def _pairs(cell: Any, pool: Any, window: Any, as_of: Any, unit: Any, decay: Any, cap: Any) -> Any:
    """Return the lengths of the pairs that end in [as_of − window, as_of)."""
    link, place, what, _ = pool
    total, of_day, day = 0.0, 0.0, 0
    while cell >= 0 and place[cell] >= as_of - window:
        older = link[cell]
        if what[cell] == 0 and place[cell] < as_of and older >= 0 and what[older] == 1:
            more = (place[cell] - place[older]) / 1e6 / unit
            if decay > 0.0:
                more *= math.exp(-decay * (as_of - place[cell]))
            if place[cell] // DAY_US != day:
                total += min(max(of_day, -cap), cap)
                of_day, day = 0.0, place[cell] // DAY_US
            of_day += more
        cell = older
    return total + min(max(of_day, -cap), cap)


@jit
def _mean(total: Any, weight: Any, neutral: Any) -> Any:
    if not weight > _NO_WEIGHT:
        return 0.0
    mean = total / weight
    if neutral != 0.0:
        mean -= neutral
        if abs(mean) <= abs(neutral) * _NEUTRAL_ROUNDING:
            return 0.0
    return mean


@jit
def evaluate(
    rows: Any, as_of: Any, customers: Any, pool: Any, n_chains: Any, column: Any, number: Any,
    grain: Any, X: Any,
) -> None:  # fmt: skip
    """Set ``X[i, t]`` to the count of term *t* of customer ``rows[i]`` (−1: unknown) at `as_of`.

    Buckets count from the one that ``as_of − window`` lies in, up to `as_of`.
    """
    head, first, _, _ = customers
    high = -((-as_of) // grain)
    for i in range(len(rows)):
        c = rows[i]
        if c < 0 or first[c] >= as_of:
            continue
        for t in range(len(column)):
            mode, window = column[t, 0], column[t, 3]
            unit, cap, decay = number[t, 0], number[t, 1], number[t, 2]
            cell, low = head[c * n_chains + column[t, 1]], (as_of - window) // grain
            if cell < 0:
                continue
            if mode == 2:
                n = _days(cell, pool, low, high, grain)
            elif mode == 3:
                n = _distinct(cell, pool, low, high)
            elif mode == 4:
                n = _pairs(cell, pool, window, as_of, unit, decay, cap)
            elif mode == 5:
                total = _added(cell, pool, low, high, decay, as_of, grain, np.inf)
                cell = head[c * n_chains + column[t, 2]]
                weight = _added(cell, pool, low, high, decay, as_of, grain, np.inf)
                n = _mean(total, weight, number[t, 3])
            else:
                n = _added(cell, pool, low, high, decay, as_of, grain, cap * unit) / unit
            if column[t, 4] == 1:
                n /= max(min(as_of - first[c], window) / DAY_US, 1.0)
            X[i, t] = n
