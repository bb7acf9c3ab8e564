"""Weight sets side by side: what changes its sign, its rank, or how it is counted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ces_ml.spec.terms import Term
from ces_ml.weights import WeightedTerm, WeightSet

__all__ = [
    "RankFlip",
    "SignFlip",
    "WeightRow",
    "otherwise",
    "rank_flips",
    "sign_flips",
    "weight_rows",
]

Spread = Mapping[str, float]
_COUNTED = tuple(name for name in Term.model_fields if name not in ("name", "members"))
#: Two importances nearer than this are a tie, not an order.
_TIE = 1e-9


@dataclass(frozen=True)
class WeightRow:
    """One term in every weight set; None where a weight set does not have it.

    Parameters
    ----------
    term, event : str
        Names; any text.
    weights : tuple of float or None
    intervals : tuple of (low, high) or None
    evidence : tuple of str or None
    shares : tuple of float or None
        Its part of the weight set: ``|w|·s / Σ|w|·s``, with `s` the spread of ``g(n)`` on the
        held-out rows, or 1 where there are none.
    ranks : tuple of int or None
        By share; 1 is the largest.
    flipped : bool
        Whether a challenger's weight has the other sign than the first one's.
    otherwise : str
        How a challenger counts it otherwise than the first; empty where it does not.
    """

    term: str
    event: str
    weights: tuple[float | None, ...]
    intervals: tuple[tuple[float, float] | None, ...]
    evidence: tuple[str | None, ...]
    shares: tuple[float | None, ...]
    ranks: tuple[int | None, ...]
    flipped: bool
    otherwise: str


@dataclass(frozen=True)
class SignFlip:
    """A term (or, where no term is shared, an event) whose weight changes its sign.

    Parameters
    ----------
    term, event : str
    before, after : float
    clear : bool
        Whether both intervals lie on their sides of 0; False where one is not known.
    """

    term: str
    event: str
    before: float
    after: float
    clear: bool


@dataclass(frozen=True)
class RankFlip:
    """Two terms that trade places: `above` was the more important one.

    Parameters
    ----------
    above, below : str
    before, after : (float, float)
        Shares of the two, in this order.
    """

    above: str
    below: str
    before: tuple[float, float]
    after: tuple[float, float]


def sign_flips(before: WeightSet, after: WeightSet) -> tuple[SignFlip, ...]:
    """Return the flips of sign, by terms of one name; a weight of 0 has no sign.

    An event whose terms share no name is judged by all its terms: it flips where those of either
    weight set agree on a sign, and the signs differ.
    """
    old, new = ({t.name: t for t in ws.terms} for ws in (before, after))
    found = [
        SignFlip(name, t.event, t.weight, new[name].weight, _sure(t) and _sure(new[name]))
        for name, t in old.items()
        if name in new and t.weight * new[name].weight < 0
    ]
    shared = {t.event for name, t in old.items() if name in new}
    for event in dict.fromkeys(t.event for t in before.terms if t.event not in shared):
        sides = [[t for t in ws.terms if t.event == event and t.weight] for ws in (before, after)]
        signs = [{math.copysign(1, t.weight) for t in side} for side in sides]
        if all(len(s) == 1 for s in signs) and signs[0] != signs[1]:
            sums = [sum(t.weight for t in side) for side in sides]
            sure = all(_sure(t) for side in sides for t in side)
            found.append(SignFlip(event, event, sums[0], sums[1], sure))
    return tuple(found)


def _sure(term: WeightedTerm) -> bool:
    ends = term.interval
    return ends is not None and ends.low * ends.high > 0 and ends.low * term.weight > 0


def importance(weight_set: WeightSet, spread: Spread | None = None) -> dict[str, float]:
    """Return the share of every term: ``|w|·s / Σ|w|·s``; 0 where every weight is 0."""
    size = {t.name: abs(t.weight) * (spread or {}).get(t.name, 1.0) for t in weight_set.terms}
    total = sum(size.values())
    return {name: value / total if total else 0.0 for name, value in size.items()}


def rank_flips(
    before: Mapping[str, float], after: Mapping[str, float], most: int = 10
) -> tuple[tuple[RankFlip, ...], int, int]:
    """Return the clearest flips of rank, how many pairs flip, and how many there are.

    Parameters
    ----------
    before, after : mapping of str to float
        Importance by term; pairs are made of the terms of both.
    most : int, default=10
        Flips returned, those with the largest smaller one of the two gaps first.
    """
    names = [name for name in before if name in after]
    a, b = (np.array([side[n] for n in names], dtype=np.float64) for side in (before, after))
    swapped = 0
    best: list[tuple[float, int, int]] = []
    for i in range(len(names)):  # row by row: the whole square of many terms needs gigabytes
        gap_a, gap_b = a[i] - a, b - b[i]
        j = np.flatnonzero((gap_a > _TIE) & (gap_b > _TIE))
        swapped += len(j)
        gaps = np.minimum(gap_a[j], gap_b[j])
        best += [(-float(gaps[k]), i, int(j[k])) for k in np.argsort(-gaps, kind="stable")[:most]]
    found = tuple(
        RankFlip(names[i], names[j], (float(a[i]), float(a[j])), (float(b[i]), float(b[j])))
        for _, i, j in sorted(best)[:most]
    )
    return found, swapped, len(names) * (len(names) - 1) // 2


def otherwise(before: Term, after: Term) -> str:
    """Return how `after` is counted otherwise than `before`, in words; empty if it is not."""
    words = [
        f"{name.replace('_', ' ')} {_said(old)} → {_said(new)}"
        for name in _COUNTED
        if (old := getattr(before, name)) != (new := getattr(after, name))
    ]
    if before.counted != after.counted:
        words.append(f"{len(before.counted)} → {len(after.counted)} event types")
    return ", ".join(words)


def _said(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def weight_rows(
    sets: Sequence[WeightSet], spreads: Sequence[Spread] | None = None
) -> tuple[WeightRow, ...]:
    """Return one row a term of any of the weight sets, the largest share in any of them first."""
    terms = [{t.name: t for t in ws.terms} for ws in sets]
    shares = [importance(ws, spreads[k] if spreads else None) for k, ws in enumerate(sets)]
    ranks = [_ranks(share) for share in shares]
    names = list(dict.fromkeys(name for ws in sets for name in ws.names))
    flipped = {f.term for ws in sets[1:] for f in sign_flips(sets[0], ws)}
    names.sort(key=lambda n: (-max(share.get(n, 0.0) for share in shares), n))
    rows = []
    for name in names:
        held = [side.get(name) for side in terms]
        first = held[0]
        others = [
            words for t in held[1:] if t and first and (words := otherwise(_term(first), _term(t)))
        ]
        rows.append(
            WeightRow(
                term=name,
                event=next(t.event for t in held if t),
                weights=tuple(t.weight if t else None for t in held),
                intervals=tuple(
                    (t.interval.low, t.interval.high) if t and t.interval else None for t in held
                ),
                evidence=tuple(t.evidence if t else None for t in held),
                shares=tuple(share.get(name) for share in shares),
                ranks=tuple(rank.get(name) for rank in ranks),
                flipped=name in flipped,
                otherwise="; ".join(dict.fromkeys(others)),
            )
        )
    return tuple(rows)


def _term(term: WeightedTerm) -> Term:
    return Term(**term.model_dump(include=set(Term.model_fields)))


def _ranks(share: Mapping[str, float]) -> dict[str, int]:
    order = sorted(share, key=lambda name: (-share[name], name))
    return {name: k for k, name in enumerate(order, start=1)}
