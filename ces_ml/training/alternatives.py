"""Weight sets that are about as good as the fitted one, for a person to choose from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from ces_ml.errors import CesError
from ces_ml.evaluation import TimeSplit, loss_difference
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.refits import Refits
from ces_ml.linear.rows import column_spread
from ces_ml.spec.count_table import CountTable
from ces_ml.training import fitting
from ces_ml.training.backtesting import past_and_next
from ces_ml.training.config import TrainingConfig
from ces_ml.training.counting import counted_for_training, looked_at_in_words
from ces_ml.training.dividing import divided

__all__ = ["KINDS", "Alternative", "Alternatives", "alternative_stages", "alternatives"]

Progress = Callable[[str], None]
Floats = NDArray[np.float64]

#: Every kind of weight set that is looked for, and what it is.
KINDS: dict[str, str] = {
    "fitted": "the weights that training learns",
    "sparsest": "the fewest terms",
    "closest_to_hand_set": "the strongest pull toward the hand-set weights",
    "most_stable": "moves least from fit to fit through the log",
}
#: Strengths of the pull, and factors on the strength of the penalty, that are tried.
_PULLS = np.geomspace(1e-4, 1e2, 13)
_FACTORS = np.geomspace(1.0, 1e4, 9)
_STAGES = ("counting events", "fitting weights", *(f"looking for the {k}" for k in list(KINDS)[1:]))


@dataclass(frozen=True)
class Alternative:
    """A weight set and what it gives up.

    Parameters
    ----------
    name : str
        One of `KINDS`.
    meaning : str
        What speaks for it, with its number.
    weights : dict of str to float
    intercept : float
    log_loss : float
        Mean log loss on the held-out rows, in nats.
    loss_difference, low, high : float
        By how much it exceeds that of the fitted weights, with a 90 % interval (bootstrap by
        customer); all 0 for the fitted weights.
    """

    name: str
    meaning: str
    weights: dict[str, float]
    intercept: float
    log_loss: float
    loss_difference: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Alternatives:
    """The fitted weights, and those that are within noise of them.

    Parameters
    ----------
    config : TrainingConfig
    found : tuple of Alternative
        The fitted weights first.
    notes : tuple of str
        What was looked for and not found, and why; which rows were looked at, if not all.
    """

    config: TrainingConfig
    found: tuple[Alternative, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as values of JSON."""
        return {
            "name": self.config.name,
            "found": [asdict(one) for one in self.found],
            "notes": list(self.notes),
        }


def alternatives(
    config: TrainingConfig,
    events: Any = None,
    *,
    labels: Any = None,
    treated: Any = None,
    progress: Progress = lambda stage: None,
) -> Alternatives:
    """List weight sets that held-out rows can't tell from the fitted one, each under the rules.

    A set is *within noise* if the 90 % interval of the difference in held-out log loss (paired
    bootstrap by customer) reaches 0 or below: it is not shown to be worse, which on few rows is
    easy. Looked for are the fewest terms (``at most k events``, k from 1 up), the strongest pull
    toward `hand_set`, and the steadiest weights: those of a stronger penalty whose weights, in
    spreads of their counts, change least from fold to fold of the backtest. All are fitted on the
    training rows, and are weighed by the same held-out rows: what these say of a set that was
    chosen by them flatters it a little. Sets equal to the fitted one are not listed. Of rows that
    are too many for this process (``events.driver_rows`` with ``engine: spark``) all are those that
    `train` looks at: every row of some customers.

    Parameters
    ----------
    config : TrainingConfig
        As for `train`; ``backtest`` says over which folds weights are to be steady.
    events, labels, treated
        As in `train`.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    Alternatives

    Raises
    ------
    EventLogError, SpecError, ConstraintError, ConfigError
        As `train`.

    Examples
    --------
    >>> from ces_ml.datasets import make_event_history
    >>> config = TrainingConfig.parse({
    ...     "name": "trial_conversion",
    ...     "outcome": {"task": "conversion", "event": "subscription_started", "horizon": "14d"},
    ...     "as_of": "14d after trial_started",
    ...     "counts": [{"events": ["login", "demo_booked", "page_view"], "window": "28d"}],
    ... })
    >>> alternatives(config, make_event_history(1000).events).found[0].name
    'fitted'
    """
    counting, fitting_, *looking = _STAGES
    progress(counting)
    counted = counted_for_training(config, events, labels=labels, treated=treated, keep=False)
    table = counted.table
    split = divided(config, table, counted.test_from)
    progress(fitting_)
    lean = config.model_copy(
        update={
            "points": None,
            "model": config.model.model_copy(update={"price_of_rules": False}),
        }
    )
    model = fitting.fit(lean, table, split, progress=lambda stage: None).model
    judge = _Judge(config, table, split, model)
    found = [judge.alternative("fitted", KINDS["fitted"], model)]
    notes = list(looked_at_in_words(table.report))
    with warnings.catch_warnings():
        # Many fits are tried; the one that training keeps has warned by now.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for look, stage in zip((_sparsest, _closest, _steadiest), looking, strict=True):
            progress(stage)
            one, note = look(judge)
            found += [one] if one is not None else []
            notes += [note] if note else []
    return Alternatives(config, tuple(found), tuple(notes))


def alternative_stages() -> tuple[str, ...]:
    """Return the stages that `alternatives` reports, in order."""
    return _STAGES


class _Judge:
    """The training rows to fit to, and the held-out rows that tell sets apart."""

    def __init__(
        self,
        config: TrainingConfig,
        table: CountTable,
        split: TimeSplit,
        model: ConstrainedLogisticRegression,
    ) -> None:
        self.config, self.table, self.model = config, table, model
        # float32, as the weights were fitted.
        self.Z = table.design().astype(np.float32)
        self.train, test = split.train, split.test
        self._Z_test, self._sign = self.Z[test], 1.0 - 2.0 * table.outcomes[test]
        self._customer = table.customer[test].to_numpy()
        weight = table.sample_weight
        self._weight = None if weight is None else weight[test]
        weight = None if weight is None else weight[self.train]
        y = table.outcomes[self.train]
        self.refits = Refits(model, self.Z[self.train], y, weight, table.names)
        self._fitted = self._loss(model)

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules of the configuration."""
        return self.config.model.rules

    def _loss(self, model: ConstrainedLogisticRegression) -> Floats:
        return np.asarray(np.logaddexp(0.0, self._sign * model.decision_function(self._Z_test)))

    def alternative(
        self, name: str, meaning: str, model: ConstrainedLogisticRegression
    ) -> Alternative:
        """Return the weights with what they give up."""
        loss = self._loss(model)
        gap = loss_difference(
            loss, self._fitted, self._customer, self._weight, seed=self.config.seed
        )
        return Alternative(
            name,
            meaning,
            dict(zip(self.table.names, model.coef_[0].tolist(), strict=True)),
            float(model.intercept_[0]),
            float(np.average(loss, weights=self._weight)),
            *gap,
        )

    def first_within_noise(
        self, name: str, tried: Iterable[tuple[str, ConstrainedLogisticRegression]]
    ) -> Alternative | None:
        """Return the first of the models that is within noise."""
        for meaning, model in tried:
            one = self.alternative(name, meaning, model)
            if one.low <= 0.0:
                return one
        return None


_Found = tuple[Alternative | None, str]


def _sparsest(judge: _Judge) -> _Found:
    """Try 1, 2, 3, … terms."""
    held = int(np.count_nonzero(judge.model.coef_))

    def tried() -> Iterable[tuple[str, ConstrainedLogisticRegression]]:
        for k in range(1, held):
            try:
                few = judge.refits.fit(constraints=(*judge.rules, f"at most {k} events"))
            except CesError:  # the rules ask for more terms than that
                continue
            yield f"{np.count_nonzero(few.coef_)} of {held} terms", few

    one = judge.first_within_noise("sparsest", tried())
    return one, "" if one else f"no fewer than {held} terms are within noise of the fitted weights"


def _closest(judge: _Judge) -> _Found:
    """Try pulls toward the hand-set weights, from the strongest down."""
    hand_set = judge.config.model.hand_set
    if not hand_set:
        return None, "no hand-set weights to be close to: add `hand_set` to model"
    now = judge.config.model.prior_strength
    # A term that a person gave no weight counts for nothing in the person's score.
    whole = {name: hand_set.get(name, 0.0) for name in judge.table.names}

    def tried() -> Iterable[tuple[str, ConstrainedLogisticRegression]]:
        for pull in _PULLS[::-1]:
            if pull > now:
                drawn = judge.refits.fit(prior=whole, prior_strength=float(pull))
                yield f"pull of {pull:.3g} toward hand_set, 0 where that names no term", drawn

    one = judge.first_within_noise("closest_to_hand_set", tried())
    return one, "" if one else "no pull toward the hand-set weights is within noise"


def _steadiest(judge: _Judge) -> _Found:
    """Try stronger penalties; of those within noise take the one whose weights move least."""
    try:
        folds = past_and_next(judge.config, judge.table)
    except CesError as error:
        return None, f"stability over time can't be judged: {error.problem}"
    weight, y = judge.table.sample_weight, judge.table.outcomes
    spread = column_spread(judge.Z, np.full(judge.Z.shape[0], 1.0 / judge.Z.shape[0]))
    past = [
        Refits(
            judge.model,
            judge.Z[train],
            y[train],
            None if weight is None else weight[train],
            judge.table.names,
        )
        for train, _ in folds
    ]
    base = max(float(judge.model.alpha), 1e-6)
    moved: dict[float, float] = {}
    near: list[Any] = [None] * len(past)
    best: tuple[float, Alternative] | None = None
    for factor in _FACTORS:
        alpha = base * float(factor)
        near = [rows.fit(near=n, alpha=alpha) for rows, n in zip(past, near, strict=True)]
        W = np.array([fit.coef_[0] for fit in near]) * spread
        size = float(np.linalg.norm(W, axis=1).mean())
        steps = float(np.linalg.norm(np.diff(W, axis=0), axis=1).mean())
        moved[factor] = steps / size if size > 0.0 else np.inf
        if factor == 1.0:
            continue
        one = judge.alternative(
            "most_stable",
            f"alpha {alpha:.3g}: from fold to fold the weights move by "
            f"{100 * moved[factor]:.0f} % of their size, the fitted by {100 * moved[1.0]:.0f} %",
            judge.refits.fit(alpha=alpha),
        )
        if one.low <= 0.0 and moved[factor] < (best[0] if best else moved[1.0]):
            best = (moved[factor], one)
    note = "no stronger penalty within noise gives steadier weights than the fitted"
    return (best[1], "") if best else (None, note)
