"""What a training result leaves in a run as files: texts, figures and tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import yaml

from ces_ml.linear import AlphaChoice, prices_table
from ces_ml.report import (
    alpha_figure,
    backtest_figure,
    calibration_figure,
    distribution_figure,
    gains_figure,
    weight_card,
    weights_figure,
)
from ces_ml.tracking import without_password
from ces_ml.training.config import AlphaByFolds, TrainingConfig
from ces_ml.training.job import TrainingResult

__all__ = ["figures_of", "penalty_in_words", "set_values", "tables_of", "texts_of"]


def texts_of(result: TrainingResult) -> dict[str, str]:
    """Return the weight card and the configuration, by path."""
    card = weight_card(
        result.weight_set,
        penalty=penalty_in_words(result),
        sure=result.sure.words if result.sure else "",
        prices=prices_table(result.prices),
        differences=[asdict(d) for d in result.differences],
        bar=result.bar.words if result.bar else "",
        data=_data_rows(result),
    )
    text = yaml.safe_dump(set_values(result.config), sort_keys=False, allow_unicode=True)
    return {"weight_card.md": card, "config.yaml": text}


def figures_of(result: TrainingResult) -> dict[str, bytes]:
    """Return PNG by path: the weights, and all that can be drawn of the held-out rows."""
    figures = {"weights.png": weights_figure(result.weight_set)}
    if result.gains:
        flags = result.bar.flags if result.bar else "high"
        figures["gains.png"] = gains_figure(result.gains, flags=flags)
    if result.distribution:
        bands = result.weight_set.bands
        figures["scores_by_outcome.png"] = distribution_figure(result.distribution, bands)
    return {
        **figures,
        **_calibration_figure(result),
        **_alpha_figure(result),
        **_backtest_figure(result),
    }


def tables_of(result: TrainingResult) -> dict[str, list[dict[str, Any]]]:
    """Return rows by path; a table that the job did not make is left out."""
    prices = prices_table(result.prices)
    return {
        "comparison.json": result.comparison,
        "audit.json": [f.as_row() for f in result.audit.findings],
        "differences.json": [asdict(d) for d in result.differences],
        "metric_intervals.json": [asdict(i) for i in result.metric_intervals],
        "enough_data.json": _data_rows(result),
        "sample.json": [{"what": k, "rows": v} for k, v in result.sample.items()],
        **_alpha_tables(result),
        **({"price_of_rules.json": prices} if prices else {}),
        **_points_table(result),
        **_backtest_tables(result),
        **({"calibration.json": result.calibration.table} if result.calibration else {}),
        **({"gains.json": list(map(dict, result.gains))} if result.gains else {}),
        **(
            {"scores_by_outcome.json": list(map(dict, result.distribution))}
            if result.distribution
            else {}
        ),
    }


def set_values(config: TrainingConfig) -> dict[str, Any]:
    """Return the configuration without what is at its default; what was asked for stays whole.

    The password in the address of a store is left out.
    """
    body = config.model_dump(mode="json", exclude_defaults=True)
    if isinstance(config.model.alpha, AlphaByFolds):
        body["model"]["alpha"] = config.model.alpha.model_dump(mode="json")
    if config.points is not None:
        body["points"] = config.points.model_dump(mode="json")
    if config.backtest is not None:
        body["backtest"] = config.backtest.model_dump(mode="json")
    if config.tracking.store is not None:
        body["tracking"]["store"] = without_password(config.tracking.store)
    return body


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


def _data_rows(result: TrainingResult) -> list[dict[str, Any]]:
    if result.data is None:
        return []
    outcome = result.data.outcome
    rows: list[dict[str, Any]] = [{"what": "outcome", **asdict(outcome)}]
    return rows + [{"what": t.name, **asdict(t)} for t in result.data.terms]
