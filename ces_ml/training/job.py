"""The training job: events in, an evaluated weight set out."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from ces_ml.errors import CesWarning, ConfigError, EventLogError
from ces_ml.evaluation import (
    TimeSplit,
    baseline_scores,
    calibrated,
    choose_bands,
    comparison,
    split_by_time,
)
from ces_ml.features import LogProfile, open_engine
from ces_ml.linear import ConstrainedLogisticRegression, SolverResult
from ces_ml.spec.as_of import parse_as_of
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountSpec, match_events
from ces_ml.training.config import TrainingConfig
from ces_ml.weights import (
    Band,
    GoldenRow,
    Provenance,
    Scale,
    WeightedTerm,
    WeightSet,
    band_names,
    probabilities,
    raw_scores,
    scores,
)
from ces_ml.weights.scale import KNOT_DIGITS, tidy

__all__ = ["TrainingResult", "count_for_training", "train", "train_many"]

Progress = Callable[[str], None]
_PACKAGES = ("ces-ml", "numpy", "scipy", "pandas", "duckdb", "daqp", "scikit-learn")
#: Held-out rows at these quantiles of the raw score become golden rows.
_GOLDEN_AT = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class TrainingResult:
    """What a training job leaves behind.

    Parameters
    ----------
    config : TrainingConfig
    weight_set : WeightSet
        Fitted on the training rows; scale from them, bands from the held-out rows.
    comparison : list of dict
        Metrics on the held-out rows: the weights first, then every baseline.
    sample : dict of str to int
        What was read, left out and why.
    split : TimeSplit
    solver : SolverResult
        Iterations, KKT residual, rules that are active.
    profile : LogProfile
        What the log holds.
    """

    config: TrainingConfig
    weight_set: WeightSet
    comparison: list[dict[str, Any]]
    sample: Mapping[str, int]
    split: TimeSplit
    solver: SolverResult
    profile: LogProfile

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the weights on the held-out rows."""
        return {k: v for k, v in self.comparison[0].items() if k != "name"}


def train(
    config: TrainingConfig, events: Any = None, *, progress: Progress = lambda stage: None
) -> TrainingResult:
    """Learn a weight set from an event log and evaluate it on later, held-out rows.

    Parameters
    ----------
    config : TrainingConfig
    events : path, frame, table or relation, optional
        The log; ``config.events.path`` when not given.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    TrainingResult

    Raises
    ------
    EventLogError
        If the log can't be read or can't answer, or all outcomes are of one class.
    SpecError, ConstraintError
        If counts, outcome or rules do not fit the log.

    Warns
    -----
    CesWarning
        If most rows are left out because the outcome had happened before.
    ConvergenceWarning
        If the optimum was not reached.

    Examples
    --------
    >>> from ces_ml.datasets import make_event_history
    >>> config = TrainingConfig.parse({
    ...     "name": "trial_conversion",
    ...     "outcome": {"task": "conversion", "event": "subscription_started", "horizon": "14d"},
    ...     "as_of": "14d after trial_started",
    ...     "counts": [{"events": ["login", "demo_booked", "support_ticket"], "window": "28d",
    ...                 "half_life": "14d", "transform": "log1p"}],
    ...     "model": {"rules": ["login >= 0", "support_ticket <= 0"]},
    ... })
    >>> result = train(config, make_event_history(2000).events)
    >>> sorted(result.weight_set.weights)
    ['demo_booked', 'login', 'support_ticket']
    """
    progress("counting events")
    table, profile = count_for_training(config, events)
    progress("splitting by time and customer")
    split = split_by_time(
        table,
        config.outcome,
        test_from=config.split.test_from,
        test_share=config.split.test_share,
        customers=config.split.customers,
        seed=config.seed,
    )
    progress("fitting weights")
    model = _fit(config, table, split)
    progress("evaluating on held-out rows")
    weight_set, rows = _evaluated(config, table, split, model)
    return TrainingResult(
        config=config,
        weight_set=weight_set,
        comparison=rows,
        sample=dict(table.report),
        split=split,
        solver=model.solver_result_,
        profile=profile,
    )


def train_many(configs: Sequence[TrainingConfig], *, n_jobs: int = 1) -> list[TrainingResult]:
    """Train several weight sets, in `n_jobs` processes; the results stand in the given order.

    Tracking is left to the caller, so that one process alone writes to the store.
    """
    results: list[TrainingResult] = Parallel(n_jobs=n_jobs)(delayed(train)(c) for c in configs)
    return results


def count_for_training(config: TrainingConfig, events: Any = None) -> tuple[CountTable, LogProfile]:
    """Count what the configuration asks for, with outcomes.

    Returns
    -------
    (CountTable, LogProfile)

    Raises
    ------
    EventLogError
        If all outcomes are of one class, or as `build_counts`.
    ConfigError
        If no log is named.
    """
    source = config.events.path if events is None else events
    if source is None:
        raise ConfigError(
            "no event log is named",
            got="no events.path",
            allowed="the path of a Parquet or CSV file",
            hint="add `events: {path: …}`, or pass events from Python",
        )
    opened = open_engine(
        source,
        config.events.event_schema,
        engine=config.events.engine,
        observed_until=config.events.observed_until,
    )
    with opened as engine:
        profile = engine.profile()
        known = list(profile.event_types)
        own = match_events(config.outcome.kept_out, known)
        spec = CountSpec.from_rules(config.counts, known, exclude=own)
        table = engine.table(spec, parse_as_of(config.as_of_rule), config.outcome)
    happened, rows = table.report.get("left_out_already_happened", 0), len(table)
    if happened > rows:
        warnings.warn(
            f"{happened:,} rows are left out because the outcome had happened before, more than "
            f"the {rows:,} that stay: if it can happen again, set `repeatable: true` in outcome",
            CesWarning,
            stacklevel=3,
        )
    positives = int(table.outcomes.sum())
    if positives in (0, len(table)):
        raise EventLogError(
            "all outcomes are of one class, so there is nothing to learn from",
            got=f"{len(table):,} rows, all with y = {int(positives > 0)}",
            allowed="rows with y = 1 and rows with y = 0",
            hint="check the outcome's event, horizon and as_of",
        )
    return table, profile


def _fit(
    config: TrainingConfig, table: CountTable, split: TimeSplit
) -> ConstrainedLogisticRegression:
    # float32: the last bits of a decayed sum depend on the order of addition, and half the memory
    # is enough. The solver adds in float64.
    Z = table.design().astype(np.float32)
    drawn = config.model.prior_strength > 0
    model = ConstrainedLogisticRegression(
        alpha=config.model.alpha,
        l1_ratio=config.model.l1_ratio,
        constraints=config.model.rules or None,
        prior=config.model.hand_set if drawn else None,
        prior_strength=config.model.prior_strength,
    )
    return model.fit(Z[split.train], table.outcomes[split.train], feature_names=table.names)


def _evaluated(
    config: TrainingConfig,
    table: CountTable,
    split: TimeSplit,
    model: ConstrainedLogisticRegression,
) -> tuple[WeightSet, list[dict[str, Any]]]:
    """Return the finished weight set and the comparison with the baselines."""
    train_rows, test_rows = table.take(split.train), table.take(split.test)
    bare = WeightSet(
        name=config.name,
        terms=tuple(
            WeightedTerm(**term.model_dump(), weight=float(w))
            for term, w in zip(table.spec.terms, model.coef_[0], strict=True)
        ),
        intercept=float(model.intercept_[0]),
        events=config.events.event_schema,
        outcome=config.outcome,
        rules=config.model.rules,
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
    )
    raw_train, raw = raw_scores(bare, train_rows.X), raw_scores(bare, test_rows.X)
    scaled = bare.model_copy(update={"scale": Scale.fit(raw_train, config.score.scale)})
    banded = scaled.model_copy(
        update={"bands": choose_bands(scores(scaled, raw), test_rows.outcomes)}
    )
    signs = _stated_signs(model)
    scored = {config.name: (raw, probabilities(bare, raw))}
    before = baseline_scores(train_rows, signs=signs, hand_set=config.model.hand_set or None)
    after = baseline_scores(test_rows, signs=signs, hand_set=config.model.hand_set or None)
    for name, score in after.items():
        scored[name] = (score, calibrated(before[name], train_rows.outcomes, score))
    rows = comparison(test_rows.outcomes, scored)
    metrics = {k: tidy(v, KNOT_DIGITS) for k, v in rows[0].items() if k != "name"}
    finished = banded.model_copy(
        update={
            "provenance": _provenance(config, train_rows, metrics),
            "golden_rows": _golden_rows(banded, test_rows, raw),
        }
    )
    # model_copy checks nothing; parse once, so that what leaves the job is a valid weight set.
    return WeightSet.parse(finished.model_dump()), rows


def _stated_signs(model: ConstrainedLogisticRegression) -> dict[str, int]:
    """Return −1 for terms that the rules hold at or below zero, +1 for the others."""
    region = model.constraints_
    negative = (region.upper <= 0) & (region.lower < 0)
    return {n: -1 if down else 1 for n, down in zip(region.feature_names, negative, strict=True)}


def _provenance(config: TrainingConfig, rows: CountTable, metrics: dict[str, float]) -> Provenance:
    return Provenance(
        data_digest=rows.digest(),
        config_digest=config.digest,
        as_of=tuple(m.isoformat() for m in (rows.as_of.min(), rows.as_of.max())),
        rows=len(rows),
        customers=rows.customer.nunique(),
        positives=int(rows.outcomes.sum()),
        versions={"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
        metrics=metrics,
    )


def _golden_rows(
    weight_set: WeightSet, rows: CountTable, raw: NDArray[np.float64]
) -> tuple[GoldenRow, ...]:
    """Choose rows over the range of the raw score, and a customer without events."""
    order = np.argsort(np.round(raw, KNOT_DIGITS), kind="stable")
    places = {int(order[round(q * (len(raw) - 1))]) for q in _GOLDEN_AT}
    chosen = [rows.X[[i]].toarray()[0] for i in sorted(places)]
    golden = []
    for counts in [np.zeros(len(weight_set.terms)), *chosen]:
        held = {
            n: tidy(c, KNOT_DIGITS) for n, c in zip(weight_set.names, counts.tolist(), strict=True)
        }
        n = np.array([list(held.values())])
        value = raw_scores(weight_set, n)
        score = scores(weight_set, value)
        golden.append(
            GoldenRow(
                counts={name: c for name, c in held.items() if c},
                raw_score=float(value[0]),
                score=float(score[0]),
                band=str(band_names(weight_set, score)[0]),
            )
        )
    return tuple(golden)
