"""How sure is it that one score beats another? Differences on the same resampled customers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import norm

from ces_ml.errors import SpecError, show

__all__ = ["Difference", "paired_differences"]

_Floats = NDArray[np.float64]
#: Above so many rows the interval comes from influences (cluster DeLong) instead of resamples: it
#: costs one pass, and with so many rows the two agree to a few percent of their width.
MOST_ROWS_RESAMPLED = 200_000
#: What is compared, in order; the last where it is asked for.
_METRICS = ("roc_auc", "log_loss", "brier")
#: Probabilities are kept this far from 0 and 1 in the log loss, as scikit-learn does.
_EDGE = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Difference:
    """How far a metric of one score lies above that of another, on the same rows.

    Parameters
    ----------
    against : str
        Name of the other score.
    metric : {"roc_auc", "log_loss", "brier"}
        For ``roc_auc`` a value above 0 is a gain, for the others one below 0.
    value : float
        On all rows.
    low, high : float
        Interval over resamples of the customers who are judged; NaN where too few resamples held
        both outcomes. The weights are held fixed: it says how much the judgement depends on who
        happened to be held out, not how much the weights depend on who happened to train them.
    level : float
        Nominal coverage.
    """

    against: str
    metric: str
    value: float
    low: float
    high: float
    level: float


def paired_differences(
    y: NDArray[Any],
    ours: tuple[_Floats, _Floats | None],
    others: Mapping[str, tuple[_Floats, _Floats | None]],
    customers: NDArray[Any],
    *,
    sample_weight: _Floats | None = None,
    replicates: int = 500,
    level: float = 0.9,
    seed: int = 0,
    brier: bool = False,
) -> list[Difference]:
    """Return ours minus each other, in ROC AUC and log loss, with intervals by customer.

    Customers, not rows, are drawn with replacement, all rows of a customer together; every score
    is judged on the same draws, so what the scores have in common cancels. The interval is that
    of the percentiles of the differences (Efron, Tibshirani 1993). Above
    200,000 rows the interval is ``value ± z·se`` with the standard error of the
    influences, added up by customer (DeLong, DeLong, Clarke-Pearson 1988, DOI 10.2307/2531595;
    by cluster: Obuchowski 1997, DOI 10.2307/2533958).

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Outcomes, 0 or 1; both must occur.
    ours : (score, probability)
        Arrays of shape (n_rows,); the probability may be None.
    others : mapping of str to (score, probability)
        What ours is compared with. Where a probability is missing there is no log loss.
    customers : ndarray of shape (n_rows,)
        Who each row is about.
    sample_weight : ndarray of shape (n_rows,), optional
        How much every row counts, beside how often its customer is drawn.
    replicates : int, default=500
        How many resamples.
    level : float, default=0.9
        Nominal coverage of the intervals.
    seed : int, default=0
    brier : bool, default=False
        Whether the Brier score is compared too. It changes no other number.

    Returns
    -------
    list of Difference
        ROC AUC, then log loss and Brier score, for every other score in the order given.

    Raises
    ------
    SpecError
        If shapes differ, only one outcome occurs, or an option is out of range.

    Examples
    --------
    >>> y = np.array([0, 1] * 50)
    >>> noise = np.random.default_rng(0).normal(size=(2, 100))
    >>> good, coin = y + noise[0], noise[1]
    >>> [d] = paired_differences(y, (good, None), {"coin": (coin, None)}, np.arange(100))
    >>> d.against, d.metric, 0 < d.low < d.value < d.high
    ('coin', 'roc_auc', True)
    """
    y = np.asarray(y)
    scored = {"": ours, **{f"other {name}": pair for name, pair in others.items()}}
    _check(y, scored, customers, replicates, level)
    weight = np.ones(y.size) if sample_weight is None else np.asarray(sample_weight, np.float64)
    code = np.unique(customers.astype(str), return_inverse=True)[1].astype(np.int64)
    ranked = {name: _Ranked(y, pair[0], weight, code) for name, pair in scored.items()}
    stated = {
        name: pair[1]
        for name, pair in scored.items()
        if pair[1] is not None and ours[1] is not None
    }
    losses = {name: _Loss(_log_losses(y, p), weight, code) for name, p in stated.items()}
    judges: list[dict[str, Any]] = [ranked, losses]
    if brier:
        judges.append({n: _Loss((p - y) ** 2, weight, code) for n, p in stated.items()})
    n_customers = int(code.max()) + 1
    ends = _influenced if y.size > MOST_ROWS_RESAMPLED else _resampled
    intervals = ends(judges, n_customers, replicates, level, seed)
    once = np.ones(n_customers)
    return [
        Difference(name, metric, judge[""](once) - judge[key](once), *interval[key], level)
        for name in others
        for metric, judge, interval in zip(_METRICS, judges, intervals, strict=False)
        if (key := f"other {name}") in judge
    ]


class _Ranked:
    """The ROC AUC of one score as a function of how often each customer is drawn."""

    def __init__(
        self, y: NDArray[Any], score: _Floats, weight: _Floats, code: NDArray[np.int64]
    ) -> None:
        order = np.argsort(score, kind="stable")
        good = y[order] == 1
        best, rest = order[good], order[~good]
        self._good, self._bad = code[best], code[rest]
        self._w_good, self._w_bad = weight[best], weight[rest]
        self._below = np.searchsorted(score[rest], score[best], side="left")
        self._upto = np.searchsorted(score[rest], score[best], side="right")

    def __call__(self, times: _Floats) -> float:
        bad = np.concatenate([[0.0], np.cumsum(self._w_bad * times[self._bad])])
        good = self._w_good * times[self._good]
        pairs = float(good.sum() * bad[-1])
        if pairs <= 0:
            return float("nan")
        return float((good * (bad[self._below] + bad[self._upto])).sum()) / 2 / pairs

    def influence(self, n_customers: int) -> _Floats:
        """Return what each customer adds to the error of the AUC; the mean over customers is 0."""
        bad = np.concatenate([[0.0], np.cumsum(self._w_bad)])
        of_good = (bad[self._below] + bad[self._upto]) / 2 / bad[-1]
        auc = float(np.average(of_good, weights=self._w_good))
        # Of a bad row: the share of good ones above it, ties as one half.
        n, total = self._bad.size, self._w_good.sum()
        from_low = np.cumsum(np.bincount(self._below, self._w_good, minlength=n + 1))
        from_high = np.cumsum(np.bincount(self._upto, self._w_good, minlength=n + 1))
        of_bad = 1 - (from_low[:n] + from_high[:n]) / 2 / total
        parts = np.zeros(n_customers)
        parts += np.bincount(self._good, self._w_good * (of_good - auc) / total, n_customers)
        parts += np.bincount(self._bad, self._w_bad * (of_bad - auc) / bad[-1], n_customers)
        return parts


def _log_losses(y: NDArray[Any], probability: _Floats) -> _Floats:
    p = np.clip(probability, _EDGE, 1 - _EDGE)
    return np.asarray(-xlogy(y, p) - xlogy(1 - y, 1 - p), dtype=np.float64)


class _Loss:
    """The mean loss of one probability as a function of how often each customer is drawn."""

    def __init__(self, loss: _Floats, weight: _Floats, code: NDArray[np.int64]) -> None:
        self._loss, self._held = np.bincount(code, weight * loss), np.bincount(code, weight)

    def __call__(self, times: _Floats) -> float:
        # Not `@`: for vectors this short the threads of BLAS cost more than the sum.
        return float((times * self._loss).sum() / (times * self._held).sum())

    def influence(self, n_customers: int) -> _Floats:
        mean = self._loss.sum() / self._held.sum()
        return np.asarray((self._loss - mean * self._held) / self._held.sum(), dtype=np.float64)


def _resampled(
    judges: list[dict[str, Any]], n_customers: int, replicates: int, level: float, seed: int
) -> list[dict[str, tuple[float, float]]]:
    """Return the ends of the intervals, from differences over draws of customers."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, list[float]]] = [{n: [] for n in judge if n} for judge in judges]
    for _ in range(replicates):
        drawn = rng.integers(0, n_customers, n_customers)
        times = np.bincount(drawn, minlength=n_customers).astype(np.float64)
        for judge, held in zip(judges, found, strict=True):
            own = judge[""](times) if judge else 0.0
            for name, values in held.items():
                values.append(own - judge[name](times))
    tails = [50 * (1 - level), 100 - 50 * (1 - level)]
    return [
        {name: _ends(np.array(values), tails) for name, values in held.items()} for held in found
    ]


def _ends(differences: _Floats, tails: list[float]) -> tuple[float, float]:
    known = differences[np.isfinite(differences)]
    if known.size < 0.9 * differences.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, tails)
    return float(low), float(high)


def _influenced(
    judges: list[dict[str, Any]], n_customers: int, replicates: int, level: float, seed: int
) -> list[dict[str, tuple[float, float]]]:
    """Return the ends of the intervals, from the influence of every customer."""
    once, z = np.ones(n_customers), float(norm.ppf(0.5 + level / 2))
    found = []
    for judge in judges:
        ends = {}
        for name in filter(None, judge):
            value = judge[""](once) - judge[name](once)
            parts = judge[""].influence(n_customers) - judge[name].influence(n_customers)
            error = float(np.sqrt(n_customers / max(n_customers - 1, 1) * (parts**2).sum()))
            ends[name] = (value - z * error, value + z * error)
        found.append(ends)
    return found


def _check(
    y: NDArray[Any],
    scored: Mapping[str, tuple[_Floats, _Floats | None]],
    customers: NDArray[Any],
    replicates: int,
    level: float,
) -> None:
    arrays = [a for pair in scored.values() for a in pair if a is not None]
    shapes = {np.shape(a) for a in (*arrays, customers)} | {y.shape}
    if len(shapes) > 1 or y.ndim != 1:
        raise SpecError(
            "scores, outcomes and customers do not stand row by row",
            got=show(sorted(map(str, shapes))),
            allowed="arrays of one shape (n_rows,)",
            hint="take all of them from the same rows",
        )
    good = int((y == 1).sum())
    if good in (0, y.size):
        raise SpecError(
            "scores can't be compared when only one outcome occurs",
            got=f"{good} good and {y.size - good} bad outcomes",
            allowed="some of both",
            hint="compare on more rows",
        )
    if replicates < 50 or not 0 < level < 1:
        raise SpecError(
            "no interval can be made of so few resamples, or at such a level",
            got=f"replicates {replicates}, level {level:g}",
            allowed="at least 50 replicates; a level between 0 and 1",
            hint="leave both at their defaults",
        )
