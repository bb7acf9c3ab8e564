"""Why a score changed: an exact split into parts that add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.spec.terms import Term
from ces_ml.weights.apply import contributions, raw_scores, scores
from ces_ml.weights.weight_set import WeightSet

__all__ = ["PARTS", "ChangeCounts", "ScoreChange", "split_change"]

#: The parts of a change, in the order in which the path from the old score to the new takes them.
#:
#: - ``aged_out``: events that left the window.
#: - ``faded``: decay of the events that stay; for a rate, being spread over more days or seats.
#: - ``new``: what became known in between. Without it the score would have moved by the first two.
#: - ``new_weight``, ``added``, ``removed``: another weight set, term by term.
#: - ``intercept``, ``scale``: the same raw score, read on another scale; in the score only.
PARTS = ("aged_out", "faded", "new", "new_weight", "added", "removed", "intercept", "scale")
#: Of the size of the raw scores; a shorter step gives no slope that is worth its digits.
_SHORT = 1e-6


@dataclass(frozen=True)
class ChangeCounts:
    """Counts of customers on the way from one moment to a later one, before cap and transform.

    Each is an array of shape (n_customers, n_terms), dense or sparse.

    Parameters
    ----------
    before : array
        At the first moment.
    kept : array
        At the first moment, of the events that are still in their windows at the second.
    faded : array
        At the second moment, of the same events.
    after : array
        At the second moment.
    """

    before: Any
    kept: Any
    faded: Any
    after: Any

    def take(self, rows: NDArray[np.int64]) -> ChangeCounts:
        """Return the counts of some customers."""
        steps = (self.before, self.kept, self.faded, self.after)
        return ChangeCounts(*(n[rows] for n in steps))


@dataclass(frozen=True)
class ScoreChange:
    """Changes of scores, and what they are made of.

    Parameters
    ----------
    totals : DataFrame of shape (n_customers, …)
        The keys, ``raw_before``, ``raw_after``, ``raw_change``, ``score_before``, ``score_after``,
        ``score_change``, and the points of the score by part.
    parts : DataFrame of shape (n_parts, …)
        The keys, ``part`` (one of `PARTS`), ``term`` (null for intercept and scale),
        ``raw_points`` and ``score_points``, without those that are 0: the largest first, customer
        by customer. They add up to ``raw_change`` and ``score_change``.
    report : dict of str to int
        What was read to count.
    """

    totals: pd.DataFrame
    parts: pd.DataFrame
    report: dict[str, int]


def split_change(
    weight_set: WeightSet,
    counts: ChangeCounts,
    against: WeightSet | None = None,
    counts_against: Any = None,
    keys: pd.DataFrame | None = None,
) -> ScoreChange:
    """Split changes of scores, exactly.

    The raw score follows a path: first events age out, then those that stay fade, then new
    behaviour comes, then the weights change. A part is the change of ``w·g(n)`` on its step, so cap
    and transform are taken as they are and the parts telescope to the whole change. In particular
    ``aged_out + faded`` is what would have happened had the customer done nothing.

    The score of 0–100 is a monotone map of the raw score. Its change is given to the parts in
    proportion to their raw points: the mean slope of the map on the way, which is what integrated
    gradients (and Aumann–Shapley) give for a function of a sum. What the map itself changed is
    ``intercept`` and ``scale``.

    Parameters
    ----------
    weight_set : WeightSet
        The weights of the first moment.
    counts : ChangeCounts
    against : WeightSet, optional
        The weights of the second moment, where they are others.
    counts_against : array of shape (n_customers, n_terms of `against`), optional
        What `against` counts at the second moment; needed with it.
    keys : DataFrame of shape (n_customers, any), optional
        Columns that say who a row is.

    Returns
    -------
    ScoreChange

    References
    ----------
    .. [1] M. Sundararajan, A. Taly, Q. Yan (2017), Axiomatic Attribution for Deep Networks.
    """
    steps = [
        sp.csc_array(contributions(weight_set, sp.csr_array(n)))
        for n in (counts.before, counts.kept, counts.faded, counts.after)
    ]
    names = list(weight_set.names)
    found = [
        _entries(part, names, steps[k + 1] - steps[k])
        for k, part in enumerate(("aged_out", "faded", "new"))
    ]
    new = weight_set
    raw_before = raw_scores(weight_set, sp.csr_array(counts.before))
    raw_after = raw_scores(weight_set, sp.csr_array(counts.after))
    if against is not None:
        new = against
        raw_after = raw_scores(against, sp.csr_array(counts_against))
        theirs = sp.csc_array(contributions(against, sp.csr_array(counts_against)))
        found += _of_weights(weight_set, against, steps[3], theirs)
    long = pd.concat(found, ignore_index=True)
    n = len(raw_before)
    keys = pd.DataFrame(index=range(n)) if keys is None else keys.reset_index(drop=True)
    middle = scores(weight_set, raw_after)
    before = scores(weight_set, raw_before)
    long["score_points"] = _on_the_scale(weight_set, long, raw_before, raw_after, before, middle)
    if against is not None:
        between = scores(weight_set.model_copy(update={"intercept": new.intercept}), raw_after)
        last = scores(new, raw_after)
        long = pd.concat(
            [long, _whole("intercept", between - middle), _whole("scale", last - between)],
            ignore_index=True,
        )
    after = scores(new, raw_after)
    totals = keys.assign(
        raw_before=raw_before,
        raw_after=raw_after,
        raw_change=raw_after - raw_before,
        score_before=before,
        score_after=after,
        score_change=after - before,
    )
    for part in PARTS if against is not None else PARTS[:3]:
        mine = long["part"] == part
        points = np.bincount(long["row"][mine], long["score_points"][mine], minlength=n)
        totals[part] = points
    return ScoreChange(totals, _in_order(long, keys), {})


def _entries(part: str, names: list[str], change: Any) -> pd.DataFrame:
    """Return the changes that are not 0, one a row and term."""
    held = sp.coo_array(change)
    kept = held.data != 0
    terms = np.array([*names, None], dtype=object)[:-1]
    return _frame(part, held.row[kept], terms[held.col[kept]], held.data[kept])


def _frame(part: str, row: Any, term: Any, raw: Any) -> pd.DataFrame:
    return pd.DataFrame({"row": np.asarray(row, np.int64), "part": part}).assign(
        term=pd.array(term, dtype="string"), raw_points=np.asarray(raw, np.float64)
    )


def _whole(part: str, points: NDArray[np.float64]) -> pd.DataFrame:
    """Return a part that belongs to no term."""
    rows = np.flatnonzero(points)
    frame = _frame(part, rows, np.full(len(rows), None, dtype=object), np.zeros(len(rows)))
    return frame.assign(score_points=points[rows])


def _of_weights(
    weight_set: WeightSet, against: WeightSet, mine: Any, theirs: Any
) -> list[pd.DataFrame]:
    """Return the changes between two weight sets at one moment; terms are matched by definition."""
    places: dict[Term, list[int]] = {}
    for t, term in enumerate(weight_set.spec.terms):
        places.setdefault(_definition(term), []).append(t)
    pairs, added = [], []
    for t, term in enumerate(against.spec.terms):
        same = places.get(_definition(term))
        if same:
            pairs.append((same.pop(0), t))
        else:
            added.append(t)
    removed = [t for left in places.values() for t in left]
    a, b = ([p[k] for p in pairs] for k in (0, 1))
    names = list(against.names)
    return [
        _entries("new_weight", [names[t] for t in b], theirs[:, b] - mine[:, a]),
        _entries("added", [names[t] for t in added], theirs[:, added]),
        _entries("removed", [weight_set.names[t] for t in removed], -mine[:, removed]),
    ]


def _definition(term: Term) -> Term:
    return term.model_copy(update={"name": ""})


def _on_the_scale(
    weight_set: WeightSet,
    long: pd.DataFrame,
    raw_before: NDArray[np.float64],
    raw_after: NDArray[np.float64],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the points of the score of every entry; they add up to ``after − before``."""
    step = raw_after - raw_before
    least = _SHORT * (1.0 + np.abs(raw_before) + np.abs(raw_after))
    short = np.abs(step) < least
    low = np.minimum(raw_before, raw_after) - least
    high = np.maximum(raw_before, raw_after) + least
    near = (scores(weight_set, high) - scores(weight_set, low)) / (high - low)
    slope = np.where(short, near, (after - before) / np.where(short, 1.0, step))
    row = long["row"].to_numpy()
    raw = long["raw_points"].to_numpy()
    points: NDArray[np.float64] = slope[row] * raw
    # What is left is rounding, or a knot inside a step without length: the largest part takes it.
    rest = after - before - np.bincount(row, points, minlength=len(step))
    order = np.lexsort((np.abs(raw), row))
    ends = np.flatnonzero(np.diff(row[order], append=-1))
    points[order[ends]] += rest[row[order[ends]]]
    return points


def _in_order(long: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    size = -np.abs(long["score_points"].to_numpy())
    raw = -np.abs(long["raw_points"].to_numpy())
    long = long.iloc[np.lexsort((raw, size, long["row"].to_numpy()))].reset_index(drop=True)
    who = keys.iloc[long["row"].to_numpy()].reset_index(drop=True)
    return pd.concat([who, long.drop(columns="row")], axis=1)
