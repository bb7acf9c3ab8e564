"""Writing a training result to the tracking store."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import yaml

from ces_ml.errors import show
from ces_ml.linear import AlphaChoice, prices_table
from ces_ml.report import (
    alpha_figure,
    backtest_figure,
    calibration_figure,
    weight_card,
    weights_figure,
)
from ces_ml.tracking import RunInfo, Tracker
from ces_ml.training.auditing import Audit
from ces_ml.training.config import AlphaByFolds, TrainingConfig
from ces_ml.training.job import TrainingResult

__all__ = ["penalty_in_words", "record"]


def record(
    result: TrainingResult, tracker: Tracker | None = None, *, register_as: str | None = None
) -> RunInfo:
    """Log a training result as one MLflow run.

    Parameters
    ----------
    result : TrainingResult
    tracker : Tracker, optional
        The store and experiment of the configuration when not given.
    register_as : str, optional
        Name of the registered model that gets a new version.

    Returns
    -------
    RunInfo

    Raises
    ------
    TrackingError
        If the store can't be opened or written.
    """
    config, weight_set = result.config, result.weight_set
    prices = prices_table(result.prices)
    tracker = tracker or Tracker(config.tracking.store, config.tracking.experiment)
    return tracker.log_run(
        weight_set,
        run_name=config.name,
        params=_params(result),
        metrics=_metrics(result),
        tags={
            "outcome": config.outcome.task,
            "split": result.split.description,
            "solver": result.solver.message,
            **_audit_tags(result.audit),
            **(
                {"no_intervals": result.sure.why_none}
                if result.sure and result.sure.why_none
                else {}
            ),
            **({} if result.verdict is None else {"verdict": result.verdict.words}),
        },
        texts={
            "weight_card.md": weight_card(
                weight_set,
                penalty=penalty_in_words(result),
                sure=result.sure.words if result.sure else "",
                prices=prices,
                differences=[asdict(d) for d in result.differences],
                bar=result.bar.words if result.bar else "",
                data=_data_rows(result),
            ),
            "config.yaml": _as_yaml(config),
        },
        figures={
            "weights.png": weights_figure(weight_set),
            **_alpha_figure(result),
            **_calibration_figure(result),
            **_backtest_figure(result),
        },
        tables={
            "comparison.json": result.comparison,
            "audit.json": [f.as_row() for f in result.audit.findings],
            "differences.json": [asdict(d) for d in result.differences],
            "enough_data.json": _data_rows(result),
            "sample.json": [{"what": k, "rows": v} for k, v in result.sample.items()],
            **_alpha_tables(result),
            **({"price_of_rules.json": prices} if prices else {}),
            **_points_table(result),
            **_backtest_tables(result),
            **({"calibration.json": result.calibration.table} if result.calibration else {}),
        },
        register_as=register_as,
    )


def _as_yaml(config: TrainingConfig) -> str:
    """Return the configuration without what is at its default; what was asked for stays whole."""
    body = config.model_dump(mode="json", exclude_defaults=True)
    if isinstance(config.model.alpha, AlphaByFolds):
        body["model"]["alpha"] = config.model.alpha.model_dump(mode="json")
    if config.points is not None:
        body["points"] = config.points.model_dump(mode="json")
    if config.backtest is not None:
        body["backtest"] = config.backtest.model_dump(mode="json")
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True)


def penalty_in_words(result: TrainingResult) -> str:
    """Return how strong the penalty is and who chose it, in one sentence."""
    choice = result.alpha_choice
    if choice is None:
        return f"alpha {result.alpha:.3g}, as configured."
    at = int(np.flatnonzero(choice.alphas == choice.alpha)[0])
    rule = choice.rule.replace("_", " ")
    ends = {0: ", the largest tried", len(choice.alphas) - 1: ", the smallest tried"}
    return (
        f"alpha {choice.alpha:.3g}{ends.get(at, '')}, chosen by {len(choice.folds)} folds ({rule}) "
        f"from {len(choice.alphas)} between {choice.alphas[-1]:.2g} and {choice.alphas[0]:.2g}: "
        f"held-out log loss {choice.mean[at]:.4f} ± {choice.standard_error[at]:.4f}."
    )


def _alpha_rows(choice: AlphaChoice) -> list[dict[str, float]]:
    return [
        {
            "alpha": float(alpha),
            "log_loss": float(choice.mean[k]),
            "standard_error": float(choice.standard_error[k]),
            **{f"fold_{f}": float(v) for f, v in enumerate(choice.fold_losses[:, k], start=1)},
        }
        for k, alpha in enumerate(choice.alphas)
    ]


def _alpha_tables(result: TrainingResult) -> dict[str, list[dict[str, Any]]]:
    """Return losses of the folds, and weights, at every alpha that was tried."""
    choice, path = result.alpha_choice, result.path
    if choice is None or path is None:
        return {}
    weights = [
        {"alpha": float(alpha), "term": name, "weight": float(w)}
        for alpha, coefs in zip(path.alphas, path.coefs, strict=True)
        for name, w in zip(path.feature_names, coefs, strict=True)
    ]
    return {"alpha_folds.json": _alpha_rows(choice), "alpha_path.json": weights}


def _alpha_figure(result: TrainingResult) -> dict[str, bytes]:
    choice, path = result.alpha_choice, result.path
    if choice is None or path is None:
        return {}
    weights = {name: path.coefs[:, j].tolist() for j, name in enumerate(path.feature_names)}
    return {"alpha.png": alpha_figure(_alpha_rows(choice), weights, choice.alpha)}


def _calibration_figure(result: TrainingResult) -> dict[str, bytes]:
    found = result.calibration
    return {"calibration.png": calibration_figure(found.table, found.metrics)} if found else {}


def _backtest_figure(result: TrainingResult) -> dict[str, bytes]:
    past = result.backtest
    return {} if past is None else {"backtest.png": backtest_figure(past.table, past.weights)}


def _backtest_tables(result: TrainingResult) -> dict[str, list[dict[str, Any]]]:
    """Return metrics of every fold, its weights, and how much each weight moves."""
    past = result.backtest
    if past is None:
        return {}
    weights = [
        {"test_from": fold.test_from.isoformat(), "term": name, "weight": w}
        for fold in past.folds
        for name, w in fold.weights.items()
    ]
    return {
        "backtest.json": past.table,
        "backtest_weights.json": weights,
        "backtest_stability.json": past.stability,
    }


def _points_table(result: TrainingResult) -> dict[str, list[dict[str, Any]]]:
    weight_set, card = result.weight_set, result.weight_set.points
    if card is None:
        return {}
    rows = [
        {
            "term": term.name,
            "points": card.values[term.name],
            "worth": card.weights[term.name],
            "weight": term.weight,
        }
        for term in weight_set.terms
    ]
    return {"points.json": rows}


def _audit_tags(audit: Audit) -> dict[str, str]:
    """Return the verdict and, where findings were allowed, which ones and why."""
    tags = {"leak_audit": audit.verdict}
    if audit.allowed:
        tags["leaks_allowed"] = "; ".join(
            f"{f.kind}{f' of {show(f.event)}' if f.event is not None else ''}: {f.allowed}"
            for f in audit.allowed
        )
    return tags


def _data_rows(result: TrainingResult) -> list[dict[str, Any]]:
    if result.data is None:
        return []
    outcome = result.data.outcome
    rows: list[dict[str, Any]] = [{"what": "outcome", **asdict(outcome)}]
    return rows + [{"what": t.name, **asdict(t)} for t in result.data.terms]


def _params(result: TrainingResult) -> dict[str, str]:
    config, choice = result.config, result.alpha_choice
    return {
        "outcome": config.outcome.task,
        "horizon": str(config.outcome.horizon or config.outcome.within),
        "gap": str(config.outcome.gap),
        "as_of": ", ".join(config.as_of) or "rows of the labels",
        "windows": ", ".join(dict.fromkeys(str(t.window) for t in result.weight_set.terms)),
        "transforms": ", ".join(dict.fromkeys(t.transform for t in result.weight_set.terms)),
        "rules": "; ".join(config.model.rules),
        "alpha": repr(result.alpha),
        "alpha_chosen_by": "hand"
        if choice is None
        else f"{len(choice.folds)} folds, {choice.rule}",
        "l1_ratio": repr(config.model.l1_ratio),
        "prior_strength": repr(config.model.prior_strength),
        "scale": config.score.scale,
        "calibrate": config.score.calibrate,
        "seed": str(config.seed),
        "events": config.events.described or "passed from Python",
    }


def _metrics(result: TrainingResult) -> dict[str, float]:
    found: dict[str, Any] = dict(result.metrics)
    for row in result.comparison[1:]:
        found |= {f"{row['name']}/{k}": v for k, v in row.items() if k != "name"}
    provenance = result.weight_set.provenance
    if provenance is not None:
        found |= {
            "train_rows": provenance.rows,
            "train_customers": provenance.customers,
            "train_positives": provenance.positives,
        }
    found["test_rows"] = int(result.split.test.sum())
    found["kkt_residual"] = result.solver.kkt_residual
    if result.calibration is not None:
        found |= {f"calibration/{k}": v for k, v in result.calibration.metrics.items()}
    if result.backtest is not None:
        found |= result.backtest.summary
    choice, card = result.alpha_choice, result.weight_set.points
    if choice is not None:
        at = int(np.flatnonzero(choice.alphas == choice.alpha)[0])
        found["alpha_folds/log_loss"] = choice.mean[at]
        found["alpha_folds/standard_error"] = choice.standard_error[at]
    if card is not None:
        found["points/log_loss_given_up"] = card.log_loss_given_up
    audit = result.audit
    found |= {f"auc_by_lead/{lead}": auc for lead, auc in audit.score_by_lead.items()}
    found["audit_warnings"] = len(audit.of("warning"))
    found["audit_allowed"] = len(audit.allowed)
    for d in result.differences:
        key = f"difference/{d.against}/{d.metric}"
        found |= {key: d.value, f"{key}_low": d.low, f"{key}_high": d.high}
    if result.bar is not None:
        found["bar/held_in_35_percent"] = result.bar.held[-1]
        found["bar/first_over_last_band"] = result.bar.times
    for band in result.weight_set.bands:
        if band.rate is not None:
            found[f"band_rate/{band.name}"] = band.rate
    return {k: float(v) for k, v in found.items()}
