"""Scores that cost nothing: what learned weights must beat to be worth having."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from ces_ml.errors import EventLogError, SpecError, did_you_mean, show
from ces_ml.spec import CountTable, Term

__all__ = ["BASELINES", "COUNTING", "baseline_scores", "calibrated", "counted_once", "halfway"]

#: Every baseline and what it is, in the order of tables.
BASELINES: dict[str, str] = {
    "total_count": "how many events the customer did, all alike",
    "decayed_count": "the same, where older events count less",
    "equal_weights": "the counts as the model sees them, each with weight +1 or, where so stated, "
    "−1",
    "hand_set": "the weights that a person set by hand",
}
#: The baselines that only count: whoever learns weights must beat the best of them.
COUNTING: tuple[str, ...] = ("total_count", "decayed_count", "equal_weights")
#: Inverse strength of the ridge on the slope of a standardised score: far too weak to matter
#: where the classes overlap, enough to keep the slope finite where they do not.
_C = 100.0


def baseline_scores(
    table: CountTable,
    *,
    signs: Mapping[str, int] | None = None,
    hand_set: Mapping[str, float] | None = None,
    total: NDArray[np.float64] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return the raw score of every baseline for every row.

    Parameters
    ----------
    table : CountTable
        Counts of n_rows rows.
    signs : mapping of str to int, optional
        −1, 0 or 1 by name of term, for ``equal_weights``; +1 where nothing is stated.
    hand_set : mapping of str to float, optional
        Weight of g(n) by name of term, 0 where nothing is stated. Without any there is no
        ``hand_set`` baseline.
    total : ndarray of shape (n_rows,), optional
        How many events each customer did without decay, where the table does not say because all
        counts of some event decay.

    Returns
    -------
    dict of str to ndarray of shape (n_rows,)
        ``total_count``: the sum of the counts before cap and transform, over terms with measure
        ``count`` (all terms where none has it); an event counted over several windows enters with
        its longest only. ``decayed_count``: the same over the counts that decay, where some do and
        the sum is another. ``equal_weights``: ``Σ_t sign_t·g(n_t)``.
        ``hand_set``: ``Σ_t w_t·g(n_t)``.

    Raises
    ------
    SpecError
        If a name is not a term of the table, a sign is not −1, 0 or 1, or a weight is not finite.

    Examples
    --------
    >>> import pandas as pd, scipy.sparse as sp
    >>> from ces_ml.spec import CountSpec
    >>> keys = pd.DataFrame({"customer": ["a", "b"], "as_of": pd.to_datetime(["2024-01-01"] * 2)})
    >>> spec = CountSpec.of(["login", "refund"], window="30d")
    >>> table = CountTable(keys, sp.csr_array([[5.0, 0.0], [2.0, 4.0]]), spec)
    >>> scores = baseline_scores(table, signs={"refund": -1})
    >>> scores["total_count"].tolist(), scores["equal_weights"].tolist()
    ([5.0, 6.0], [5.0, -2.0])
    """
    signs = signs or {}
    _check_names("signs", signs, table.names)
    wrong = {name: sign for name, sign in signs.items() if sign not in (-1, 0, 1)}
    if wrong:
        raise SpecError(
            "a stated sign is not a sign",
            got=show(wrong),
            allowed="-1, 0 or 1",
            hint="state sizes as hand-set weights, signs as signs",
        )
    Z = table.design()
    terms = table.spec.terms
    whole, decayed = counted_once(terms), counted_once(terms, decays=True)
    found = {"total_count": table.X @ whole if total is None else total}
    if total is not None or not np.array_equal(whole, decayed):
        found["decayed_count"] = table.X @ decayed
    found["equal_weights"] = Z @ np.array([float(signs.get(name, 1)) for name in table.names])
    if hand_set:
        _check_names("hand-set weights", hand_set, table.names)
        w = np.array([float(hand_set.get(name, 0.0)) for name in table.names])
        if not np.isfinite(w).all():
            raise SpecError(
                "a hand-set weight is not a finite number",
                got=show(dict(hand_set)),
                allowed="finite numbers",
                hint="correct the weight",
            )
        found["hand_set"] = Z @ w
    return {name: np.asarray(raw, dtype=np.float64) for name, raw in found.items()}


def calibrated(
    train_score: NDArray[np.float64],
    y_train: NDArray[Any],
    test_score: NDArray[np.float64],
    sample_weight: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return probabilities for `test_score`, by logistic regression on the score alone.

    With them log loss and Brier score of any score can be compared. The slope may come out
    negative: then a high score means a bad outcome, which the ROC AUC (below one half) shows and
    the log loss hides.

    Parameters
    ----------
    train_score : ndarray of shape (n_train,)
        Scores of the rows to learn from; never of the rows to be judged.
    y_train : ndarray of shape (n_train,)
        Their outcomes; both 0 and 1 must occur.
    test_score : ndarray of shape (n_test,)
    sample_weight : ndarray of shape (n_train,), optional
        How much every row to learn from counts.

    Returns
    -------
    ndarray of shape (n_test,)
        Strictly between 0 and 1 but for rounding; the outcome rate when the score is constant.

    Raises
    ------
    EventLogError
        If only one outcome occurs.

    Examples
    --------
    >>> calibrated(np.array([3.0, 3.0]), np.array([0, 1]), np.array([3.0, 8.0])).tolist()
    [0.5, 0.5]
    """
    fitted = _logistic(train_score, y_train, sample_weight)
    if fitted is None:
        rate = np.average(np.asarray(y_train) == 1, weights=sample_weight)
        return np.full(np.shape(test_score), rate)
    model, centre, spread = fitted
    probability = model.predict_proba(((test_score - centre) / spread)[:, None])[:, 1]
    return np.asarray(probability, dtype=np.float64)


def halfway(
    train_score: NDArray[np.float64],
    y_train: NDArray[Any],
    sample_weight: NDArray[np.float64] | None = None,
) -> float:
    """Return what hand-set weights are multiplied with to stand beside learned ones.

    Hand-set weights have proportions but no size. Times this number they are log-odds, and half of
    them plus half of the learned weights is a score halfway between the two.

    Parameters
    ----------
    train_score : ndarray of shape (n_train,)
        Raw scores by the hand-set weights, of rows to learn from.
    y_train : ndarray of shape (n_train,)
        Their outcomes.
    sample_weight : ndarray of shape (n_train,), optional

    Returns
    -------
    float
        The slope of a logistic regression on the score alone; 0 where it would be negative, so
        that no weight changes its sign.

    Raises
    ------
    EventLogError
        If only one outcome occurs.

    Examples
    --------
    >>> y = np.array([0, 1, 0, 1, 1, 0] * 50)
    >>> score = y + np.array([0, -1, 1, 0, 1, 0] * 50)
    >>> one, ten = halfway(score, y), halfway(10.0 * score, y)
    >>> one > 0 and round(one / ten, 6) == 10
    True
    """
    fitted = _logistic(train_score, y_train, sample_weight)
    return 0.0 if fitted is None else max(float(fitted[0].coef_[0, 0]) / fitted[2], 0.0)


def _logistic(
    train_score: NDArray[np.float64],
    y_train: NDArray[Any],
    sample_weight: NDArray[np.float64] | None,
) -> tuple[LogisticRegression, float, float] | None:
    """Return a logistic regression on a score, its centre and spread; None if it is constant."""
    y = np.asarray(y_train)
    good = int((y == 1).sum())
    if good in (0, y.size):
        raise EventLogError(
            "a score can't be calibrated when only one outcome occurs",
            got=f"{good} good and {y.size - good} bad outcomes",
            allowed="some of both",
            hint="train on more rows, or on a longer horizon",
        )
    centre, spread = float(np.mean(train_score)), float(np.std(train_score))
    if spread <= 1e-12 * max(1.0, abs(centre)):
        return None
    model = LogisticRegression(C=_C, tol=1e-8, max_iter=1000)
    model.fit(((train_score - centre) / spread)[:, None], y, sample_weight=sample_weight)
    return model, centre, spread


def counted_once(terms: tuple[Term, ...], *, decays: bool = False) -> NDArray[np.float64]:
    """Return 1 for the columns that `total_count` adds up, 0 for the others.

    With `decays`: for those that ``decayed_count`` adds up, where an event has any.
    """
    best: dict[str, int] = {}
    for t, term in enumerate(terms):
        if term.measure != "count" or term.per is not None:
            continue
        held = best.get(term.event)
        if held is None or _whole(term, decays) > _whole(terms[held], decays):
            best[term.event] = t
    if not best:
        return np.ones(len(terms))
    chosen = np.zeros(len(terms))
    chosen[list(best.values())] = 1.0
    return chosen


def _whole(term: Term, decays: bool) -> tuple[bool, bool, int, bool, int]:
    """Order terms of one event by how much of its history they count: all, window, then decay."""
    everything = term.where is None and term.cap_per_day is None
    decaying = term.half_life is not None
    slow = term.half_life.us if term.half_life else 0
    return everything, decays and decaying, term.window.us, not decaying, slow


def _check_names(what: str, given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise SpecError(
            f"the {what} name a term that is not counted",
            got=show(unknown[0]),
            allowed=did_you_mean(unknown[0], names),
            hint="correct the name, or count the event",
        )
