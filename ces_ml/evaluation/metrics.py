"""How well a score ranks customers, and how true its probability is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from ces_ml.errors import EventLogError, SpecError

__all__ = [
    "METRICS",
    "Metric",
    "average_precision",
    "brier",
    "evaluate_scores",
    "lift_at_10",
    "log_loss",
    "roc_auc",
]


#: How much every row counts; None where all count alike.
Weights = NDArray[np.float64] | None


class Metric(NamedTuple):
    """A number that says how good a score is.

    Parameters
    ----------
    function : callable
        Takes outcomes, scores (or probabilities) and sample weights or None, all of shape
        (n_rows,); returns a float.
    greater_is_better : bool
        Whether a larger value means a better score.
    meaning : str
        What it says, in a few words, for tables.
    of : {"score", "probability"}
        What it is computed from.
    """

    function: Callable[..., float]
    greater_is_better: bool
    meaning: str
    of: Literal["score", "probability"] = "score"


def roc_auc(y: NDArray[Any], score: NDArray[np.float64], sample_weight: Weights = None) -> float:
    """Return the chance that a good outcome scores above a bad one; ties count one half.

    From 0 to 1; 0.5 is a coin. It misleads when the good outcome is rare and only the top of the
    list is acted on: most of its pairs are among customers whom nobody will look at.

    Examples
    --------
    >>> roc_auc(np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0]))
    0.75
    """
    return float(sklearn_metrics.roc_auc_score(y, score, sample_weight=sample_weight))


def average_precision(
    y: NDArray[Any], score: NDArray[np.float64], sample_weight: Weights = None
) -> float:
    """Return the mean precision over the good outcomes, from the top of the list down.

    From 0 to 1; a coin gives the outcome rate, so it can't be compared between data sets with
    different rates.

    Examples
    --------
    >>> round(average_precision(np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0])), 4)
    0.8333
    """
    found = sklearn_metrics.average_precision_score(y, score, sample_weight=sample_weight)
    return float(found)


def lift_at_10(y: NDArray[Any], score: NDArray[np.float64], sample_weight: Weights = None) -> float:
    """Return the outcome rate among the top 10 % by score, over the rate of all.

    The top holds a tenth of the rows, rounded up (a tenth of the weight, where rows are weighted).
    Where a tie straddles its edge the value is the mean over all ways to break the tie. From 0 to
    10 (less where more than a tenth of the rows have the good outcome); a coin gives 1. It misleads
    on few rows: with 200 rows the top is 20.

    Examples
    --------
    >>> lift_at_10(np.array([1] * 2 + [0] * 18), np.arange(20)[::-1])
    10.0
    >>> lift_at_10(np.array([1] * 2 + [0] * 18), np.zeros(20))
    1.0
    """
    y, score = np.asarray(y, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if sample_weight is not None:
        return _weighted_lift(y, score, np.asarray(sample_weight, dtype=np.float64))
    top = -(-y.size // 10)
    edge = np.partition(score, y.size - top)[y.size - top]
    above, tied = score > edge, score == edge
    good = y[above].sum() + (top - above.sum()) * y[tied].mean()
    return float(good / top / y.mean())


def _weighted_lift(
    y: NDArray[np.float64], score: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    _, place = np.unique(-score, return_inverse=True)
    held, good = np.bincount(place, weight), np.bincount(place, weight * y)
    top, above = weight.sum() / 10, np.cumsum(held) - held
    # Rows of equal scores enter together, as far as there is room.
    part = np.clip((top - above) / np.where(held > 0, held, 1.0), 0.0, 1.0)
    return float((part * good).sum() / top / (good.sum() / weight.sum()))


def log_loss(
    y: NDArray[Any], probability: NDArray[np.float64], sample_weight: Weights = None
) -> float:
    """Return the mean of −log(probability given to what happened).

    From 0 up, lower is better; the outcome rate given to everyone scores its entropy (0.69 at a
    rate of one half). A single confident mistake can dominate it.

    Examples
    --------
    >>> round(log_loss(np.array([0, 1]), np.array([0.5, 0.5])), 4)
    0.6931
    """
    found = sklearn_metrics.log_loss(y, probability, sample_weight=sample_weight, labels=[0, 1])
    return float(found)


def brier(
    y: NDArray[Any], probability: NDArray[np.float64], sample_weight: Weights = None
) -> float:
    """Return the mean squared difference between probability and outcome.

    From 0 to 1, lower is better; a rate r given to everyone scores r·(1 − r). With a rare outcome
    every value is near 0, and a useless probability looks excellent.

    Examples
    --------
    >>> brier(np.array([0, 1]), np.array([0.5, 0.5]))
    0.25
    """
    return float(sklearn_metrics.brier_score_loss(y, probability, sample_weight=sample_weight))


#: Every metric, in the order of tables.
METRICS: dict[str, Metric] = {
    "roc_auc": Metric(roc_auc, True, "chance that a good outcome scores above a bad one"),
    "average_precision": Metric(average_precision, True, "mean precision over the good outcomes"),
    "lift_at_10": Metric(lift_at_10, True, "outcome rate of the top 10 % over that of all"),
    "log_loss": Metric(log_loss, False, "mean −log(probability of what happened)", "probability"),
    "brier": Metric(brier, False, "mean squared error of the probability", "probability"),
}


def evaluate_scores(
    y: NDArray[Any],
    score: NDArray[np.float64],
    probability: NDArray[np.float64] | None = None,
    sample_weight: Weights = None,
) -> dict[str, float]:
    """Return every metric that the score, and the probability where it is known, allow.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Outcomes, 0 or 1; 1 is the good one. Both must occur.
    score : ndarray of shape (n_rows,)
        Scores, raw or from 0 to 100: only their order counts.
    probability : ndarray of shape (n_rows,), optional
        Probabilities of the good outcome. Without them there is no log loss and no Brier score.
    sample_weight : ndarray of shape (n_rows,), optional
        How much every row counts, above 0; all alike when not given.

    Returns
    -------
    dict of str to float
        Value by name, in the order of `METRICS`.

    Raises
    ------
    EventLogError
        If only one outcome occurs.
    SpecError
        If shapes differ, a score is not finite, a probability is outside 0 to 1, or a weight is not
        above 0.

    Examples
    --------
    >>> evaluate_scores(np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 3.0, 4.0]))
    {'roc_auc': 1.0, 'average_precision': 1.0, 'lift_at_10': 2.0}
    """
    y, score = np.asarray(y), np.asarray(score, dtype=np.float64)
    _check("score", y, score)
    _check_classes(y)
    given = {"score": score}
    if probability is not None:
        given["probability"] = np.asarray(probability, dtype=np.float64)
        _check("probability", y, given["probability"])
        outside = (given["probability"] < 0) | (given["probability"] > 1)
        if outside.any():
            raise SpecError(
                "probabilities lie outside 0 to 1",
                got=f"{int(outside.sum())} of {y.size}, such as {given['probability'][outside][0]}",
                allowed="0 to 1",
                hint="calibrate the score first, with `calibrated`",
            )
    if sample_weight is not None:
        sample_weight = np.asarray(sample_weight, dtype=np.float64)
        _check("sample weight", y, sample_weight)
        if not (sample_weight > 0).all():
            raise SpecError(
                "a sample weight is not above 0",
                got=f"{int((sample_weight <= 0).sum())} of {y.size}",
                allowed="weights above 0",
                hint="leave these rows out",
            )
    return {
        name: metric.function(y, given[metric.of], sample_weight)
        for name, metric in METRICS.items()
        if metric.of in given
    }


def _check(name: str, y: NDArray[Any], values: NDArray[np.float64]) -> None:
    if y.ndim != 1 or values.shape != y.shape:
        raise SpecError(
            f"outcomes and {name} do not stand row by row",
            got=f"shapes {y.shape} and {values.shape}",
            allowed="two arrays of the same shape (n_rows,)",
            hint="score the rows that the outcomes belong to",
        )
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise SpecError(
            f"the {name} is not finite everywhere",
            got=f"{bad} of {values.size} are NaN or infinite",
            allowed="finite numbers",
            hint="look for missing or endless counts in these rows",
        )


def _check_classes(y: NDArray[Any]) -> None:
    positives, rows = int((y == 1).sum()), y.size
    negatives = int((y == 0).sum())
    if positives + negatives < rows:
        raise SpecError(
            "outcomes are not 0 or 1",
            got=f"{rows - positives - negatives} other values among {rows}",
            allowed="0 and 1; 1 is the good one",
            hint="drop rows whose outcome is not known",
        )
    if not positives or not negatives:
        raise EventLogError(
            "a score can't be judged when only one outcome occurs",
            got=f"{positives} good and {negatives} bad outcomes",
            allowed="some of both",
            hint="evaluate on more rows, or on a longer horizon",
        )
