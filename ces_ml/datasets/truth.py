"""What a simulated event history was drawn from: the weights that a fit should find again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.spec.terms import saturate

__all__ = ["TASKS", "TaskTruth", "Truth"]

#: The outcomes that are simulated; 1 is the good one: converted, retained, upgraded.
TASKS = ("conversion", "churn", "upsell")


@dataclass(frozen=True)
class TaskTruth:
    """How the outcome of one task was drawn.

    For a customer in the sample as of a moment ``T``, with ``n_t`` the count of event type *t*
    in ``[T − window, T)``, an event of age *a* counting ``2^(−a/half_life)``::

        P(y = 1) = sigmoid(Σ_t weights[t] · g(n_t) + intercept),    g(n) = transform(min(n, cap))

    Given the counts, `y` depends on nothing else.

    Parameters
    ----------
    task : {"conversion", "churn", "upsell"}
        Which outcome; for ``churn``, `y` is 1 for customers who are retained.
    weights : dict of str to float
        The true weight of every event type that a customer can do, also those of weight 0.
        A positive weight means engagement, in each task.
    intercept : float
        The constant term.
    window, horizon, gap : str
        Lengths of time: how far back events count, how long the outcome window is, and the time
        between `as_of` and that window.
    half_life : str or None
        The half-life of the counts.
    transform : {"identity", "log1p", "sqrt"}
        Applied to the counts after the cap.
    cap : float or None
        Counts above it were cut to it.
    as_of : str
        The moment of each customer's row, as an `as_of` rule.
    outcome_event : str
        The event that is the outcome. For ``churn`` it is the cancellation, so `y` is 1 when it
        does *not* happen. Customers who had it before `as_of` are not in the sample.
    measure : str, default="count"
        How event types became numbers.

    Examples
    --------
    >>> from ces_ml.datasets import make_event_history
    >>> truth = make_event_history(200, seed=1).truth.conversion
    >>> truth.as_of, truth.outcome_event, truth.weights["support_ticket"]
    ('14d after trial_started', 'subscription_started', -0.5)
    """

    task: str
    weights: dict[str, float]
    intercept: float
    window: str
    half_life: str | None
    transform: str
    cap: float | None
    horizon: str
    gap: str
    as_of: str
    outcome_event: str
    measure: str = "count"

    def probability(
        self, counts: Mapping[str, npt.ArrayLike] | pd.DataFrame
    ) -> npt.NDArray[np.float64]:
        """Return the true P(y = 1) of customers with these counts.

        Parameters
        ----------
        counts : mapping or DataFrame of shape (n_rows, n_events)
            For each event type the decayed counts before cap and transform. Event types that are
            not there count 0; columns that are not event types of `weights` are ignored.

        Returns
        -------
        ndarray of shape (n_rows,)
            Between 0 and 1. The best that any model of these counts can do.

        Examples
        --------
        >>> truth = TaskTruth("conversion", {"login": 0.5, "error_seen": -1.0}, -1.0, "28d", "14d",
        ...                   "log1p", None, "14d", "0d", "14d after trial_started",
        ...                   "subscription_started")
        >>> truth.probability({"login": [0, 10], "error_seen": [0, 3]}).round(3).tolist()
        [0.269, 0.234]
        """
        return sigmoid(self.raw_score(counts))

    def raw_score(
        self, counts: Mapping[str, npt.ArrayLike] | pd.DataFrame
    ) -> npt.NDArray[np.float64]:
        """Return the true raw score plus the intercept, of shape (n_rows,): the log-odds of y = 1.

        Parameters
        ----------
        counts : mapping or DataFrame of shape (n_rows, n_events)
            As for `probability`.

        Examples
        --------
        >>> from ces_ml.datasets import make_event_history
        >>> truth = make_event_history(200).truth.churn
        >>> bool(truth.raw_score({"login": [0.0]})[0] == truth.intercept)
        True
        """
        table = pd.DataFrame(counts)
        raw = np.full(len(table), self.intercept)
        for event, weight in self.weights.items():
            if event in table.columns:
                n = table[event].to_numpy(dtype=np.float64)
                raw += weight * saturate(n, self.cap, self.transform)
        return raw


@dataclass(frozen=True)
class Truth:
    """The truth of each task of a simulated event history.

    Parameters
    ----------
    conversion, churn, upsell : TaskTruth
        One a task. ``truth["churn"]`` is ``truth.churn``.

    Raises
    ------
    SpecError
        If a task is asked for that is not there.

    Examples
    --------
    >>> from ces_ml.datasets import make_event_history
    >>> truth = make_event_history(200).truth
    >>> [truth[task].horizon for task in ("conversion", "churn", "upsell")]
    ['14d', '28d', '28d']
    """

    conversion: TaskTruth
    churn: TaskTruth
    upsell: TaskTruth

    def __getitem__(self, task: str) -> TaskTruth:
        if task not in TASKS:
            raise SpecError(
                "no truth for this task",
                got=show(task),
                allowed=did_you_mean(str(task), TASKS),
                hint="ask for one of the simulated tasks",
            )
        truth: TaskTruth = getattr(self, task)
        return truth


def sigmoid(raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return 1 / (1 + exp(−raw)) without overflow, for any finite raw score."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * raw)))
