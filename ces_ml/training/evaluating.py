"""From a fit to a finished weight set: scale, bands, points, golden rows, and how good it is."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ces_ml.evaluation import (
    YARDSTICK,
    Difference,
    MetricInterval,
    TimeSplit,
    VendorBar,
    comparison,
    gains_table,
    honest_bands,
    metric_intervals,
    paired_differences,
    reach_verdict,
    score_distribution,
    vendor_bar,
    yardstick,
)
from ces_ml.evaluation.metrics import log_loss
from ces_ml.linear import ConstrainedLogisticRegression, Points, with_intervals
from ces_ml.spec.count_table import CountTable
from ces_ml.training.calibrating import recalibration
from ces_ml.training.config import TrainingConfig
from ces_ml.training.fitting import Fitted
from ces_ml.training.learned import Learned
from ces_ml.training.rivals import Rival, rivals
from ces_ml.training.sureness import Sureness, sureness
from ces_ml.weights import (
    Band,
    GoldenRow,
    IntegerPoints,
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

__all__ = ["POINTS", "Evaluation", "evaluated"]

#: What the integer points are called among the scores that are compared.
POINTS = "integer_points"
_PACKAGES = ("ces-ml", "numpy", "scipy", "pandas", "duckdb", "daqp", "scikit-learn")
#: Held-out rows at these quantiles of the raw score become golden rows.
_GOLDEN_AT = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Evaluation:
    """A finished weight set and how it stands on held-out rows.

    Parameters
    ----------
    weight_set : WeightSet
        With its verdict.
    comparison : list of dict
        Metrics: the weights first, then points and every rival.
    differences : tuple of Difference
        The weights minus each of the others, by resampled customers.
    bar : VendorBar
        Where the score stands against the bar that a vendor sets.
    sure : Sureness
        How sure the weights are; in the weight set too.
    intervals : tuple of MetricInterval
        Of ROC AUC and log loss of the weights.
    gains, distribution : list of dict
        See `gains_table` and `score_distribution`.
    """

    weight_set: WeightSet
    comparison: list[dict[str, Any]]
    differences: tuple[Difference, ...]
    bar: VendorBar
    sure: Sureness
    intervals: tuple[MetricInterval, ...]
    gains: list[dict[str, float]]
    distribution: list[dict[str, float]]


def evaluated(
    config: TrainingConfig, table: CountTable, split: TimeSplit, fitted: Fitted
) -> Evaluation:
    """Return the finished weight set, its metrics beside those of its rivals, and the verdict.

    Scale and calibration of the rivals come from the training rows. Half of the held-out
    customers choose the cuts of the bands, the others give their rates. Sample weights count in
    metrics, differences, calibration and the rates of bands; the scale says where a customer
    stands among all, so there every row counts alike.
    """
    train_rows, test_rows = table.take(split.train), table.take(split.test)
    bare, sure = _bare(config, table, split, fitted)
    raw_train = raw_scores(bare, train_rows.X)
    scaled = bare.model_copy(
        update={
            "scale": Scale.fit(raw_train, config.score.scale),
            "calibration": recalibration(config, table, split, fitted.model),
        }
    )
    held = _HeldOut.of(scaled, test_rows)
    y, weight, who = held.y, held.weight, held.who
    bands = honest_bands(held.score, y, who, sample_weight=weight, seed=config.seed)
    banded = scaled.model_copy(update={"bands": bands})
    others = _others(config, bare, train_rows, test_rows, fitted)
    # Compared in two steps, so that a weight set that is called like a baseline stays the first.
    rows = comparison(y, {config.name: (held.raw, held.probability)}, weight)
    rows += comparison(y, {n: (r.score, r.probability) for n, r in others.items()}, weight)
    points = None
    if fitted.points is not None:
        learned = probabilities(bare, raw_train)
        loss = log_loss(train_rows.outcomes, learned, train_rows.sample_weight)
        points = _integer_points(fitted.points, loss, _tidied(rows[1]))
    differences, own = _judged(config, held, others)
    turned = [n for n, r in others.items() if r.reversed]
    finished = banded.model_copy(
        update={
            "provenance": _provenance(
                config, fitted.learned or Learned.of(train_rows), _tidied(rows[0])
            ),
            "points": points,
            "verdict": reach_verdict(y, who, differences, reversed_scores=turned),
            "golden_rows": _golden_rows(banded, test_rows, held.raw),
        }
    )
    flags: Literal["low", "high"] = "low" if config.outcome.task == "churn" else "high"
    # model_copy checks nothing; parse once, so that what leaves the job is a valid weight set.
    return Evaluation(
        weight_set=WeightSet.parse(finished.model_dump()),
        comparison=rows,
        differences=differences,
        bar=vendor_bar(held.score, y, bands, flags=flags, sample_weight=weight),
        sure=sure,
        intervals=own,
        gains=gains_table(y, held.raw, weight, flags=flags),
        distribution=score_distribution(y, held.score, weight),
    )


@dataclass(frozen=True)
class _HeldOut:
    """The held-out rows as the weights see them; arrays of shape (n_rows,)."""

    y: NDArray[Any]
    weight: NDArray[np.float64] | None
    who: NDArray[Any]
    raw: NDArray[np.float64]
    score: NDArray[np.float64]
    probability: NDArray[np.float64]

    @classmethod
    def of(cls, weight_set: WeightSet, rows: CountTable) -> _HeldOut:
        raw = raw_scores(weight_set, rows.X)
        return cls(
            y=rows.outcomes,
            weight=rows.sample_weight,
            who=rows.customer.to_numpy(),
            raw=raw,
            score=scores(weight_set, raw),
            probability=probabilities(weight_set, raw),
        )


def _others(
    config: TrainingConfig,
    bare: WeightSet,
    train_rows: CountTable,
    test_rows: CountTable,
    fitted: Fitted,
) -> dict[str, Rival]:
    """Return what the weights are compared with: their integer points first, then the rivals."""
    others: dict[str, Rival] = {}
    if fitted.points is not None:
        card = _weighed_by(bare, fitted.points)
        points_raw = raw_scores(card, test_rows.X)
        others[POINTS] = Rival(points_raw, probabilities(card, points_raw))
    signs = _stated_signs(fitted.model)
    return others | rivals(config, train_rows, test_rows, fitted.model, signs)


def _judged(
    config: TrainingConfig, held: _HeldOut, others: dict[str, Rival]
) -> tuple[tuple[Difference, ...], tuple[MetricInterval, ...]]:
    """Return differences from the others, and intervals of the own metrics, by the same draws."""
    compared = {n: (r.oriented, r.probability) for n, r in others.items()}
    found = paired_differences(
        held.y,
        (held.raw, held.probability),
        {**compared, YARDSTICK: yardstick(held.y)},
        held.who,
        sample_weight=held.weight,
        replicates=config.evaluation.replicates,
        level=config.evaluation.level,
        seed=config.seed,
    )
    differences = tuple(d for d in found if d.against != YARDSTICK)
    return differences, tuple(metric_intervals(found))


def _bare(
    config: TrainingConfig,
    table: CountTable,
    split: TimeSplit,
    fitted: Fitted,
) -> tuple[WeightSet, Sureness]:
    """Return the weights with a scale and a band that only hold their places, and their sureness.

    Intervals are attached where there are some.
    """
    model = fitted.model
    bare = WeightSet(
        name=config.name,
        terms=tuple(
            WeightedTerm(**term.model_dump(), weight=float(w))
            for term, w in zip(table.spec.terms, model.coef_[0], strict=True)
        ),
        intercept=float(model.intercept_[0]),
        events=config.events.event_schema,
        account_col=accounts.account_col if (accounts := config.events.accounts) else None,
        outcome=config.outcome.portable,
        rules=config.model.rules,
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
    )
    sure = fitted.sure or sureness(model, table, split, level=config.evaluation.level)
    return (bare if sure.intervals is None else with_intervals(bare, sure.intervals)), sure


def _weighed_by(weight_set: WeightSet, points: Points) -> WeightSet:
    """Return the weight set with what the points stand for in place of its weights."""
    terms = tuple(
        term.model_copy(update={"weight": points.weights[term.name]}) for term in weight_set.terms
    )
    return weight_set.model_copy(update={"terms": terms, "intercept": points.intercept})


def _integer_points(
    points: Points, loss_of_weights: float, metrics: dict[str, float]
) -> IntegerPoints:
    return IntegerPoints(
        values=points.points,
        scale=points.scale,
        intercept=points.intercept,
        log_loss_given_up=points.loss - loss_of_weights,
        metrics=metrics,
    )


def _tidied(row: dict[str, Any]) -> dict[str, float]:
    return {k: tidy(v, KNOT_DIGITS) for k, v in row.items() if k != "name"}


def _stated_signs(model: ConstrainedLogisticRegression) -> dict[str, int]:
    """Return −1 for terms that the rules hold at or below zero, +1 for the others."""
    region = model.constraints_
    negative = (region.upper <= 0) & (region.lower < 0)
    return {n: -1 if down else 1 for n, down in zip(region.feature_names, negative, strict=True)}


def _provenance(config: TrainingConfig, learned: Learned, metrics: dict[str, float]) -> Provenance:
    return Provenance(
        data_digest=learned.digest,
        config_digest=config.digest,
        as_of=learned.as_of,
        rows=learned.rows,
        customers=learned.customers,
        positives=learned.positives,
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
