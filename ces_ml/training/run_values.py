"""What a training result leaves in a run as values: parameters, metrics and tags."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ces_ml.errors import show
from ces_ml.training.auditing import Audit
from ces_ml.training.job import TrainingResult
from ces_ml.training.run_files import set_values

__all__ = ["metrics_of", "params_of", "tags_of"]

#: Sections whose values are no part of what the weights are, or may name secret places.
_UNSAID = ("name", "events", "tracking", "audit")


def tags_of(result: TrainingResult) -> dict[str, str]:
    """Return what is said of the run in words."""
    tags = {
        "outcome": result.config.outcome.task,
        "split": result.split.description,
        "solver": result.solver.message,
        **_audit_tags(result.audit),
    }
    if result.sure is not None and result.sure.why_none:
        tags["no_intervals"] = result.sure.why_none
    if result.all_rows is not None:
        tags["rows_in_spark"] = result.all_rows.words
    if result.verdict is not None:
        tags["verdict"] = result.verdict.words
    return tags


def _audit_tags(audit: Audit) -> dict[str, str]:
    """Return the verdict and, where findings were allowed, which ones and why."""
    tags = {"leak_audit": audit.verdict}
    if audit.allowed:
        tags["leaks_allowed"] = "; ".join(
            f"{f.kind}{f' of {show(f.event)}' if f.event is not None else ''}: {f.allowed}"
            for f in audit.allowed
        )
    return tags


def params_of(result: TrainingResult) -> dict[str, str]:
    """Return how the weights were made: main choices, and all that the configuration sets."""
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
        **_configured(result),
    }


def _configured(result: TrainingResult) -> dict[str, str]:
    """Return what the configuration sets, one parameter a key, so that pages show differences."""
    found: dict[str, str] = {}
    for section, value in set_values(result.config).items():
        if section in _UNSAID:
            continue
        parts = value if isinstance(value, dict) else {"": value}
        for key, part in parts.items():
            name = f"config/{section}/{key}".rstrip("/")
            text = part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
            found[name] = text
    return found


def metrics_of(result: TrainingResult) -> dict[str, float]:
    """Return every number that says how good the weights are; intervals end in low and high."""
    found: dict[str, Any] = dict(result.metrics)
    for row in result.comparison[1:]:
        found |= {f"{row['name']}/{k}": v for k, v in row.items() if k != "name"}
    for own in result.metric_intervals:
        found |= {f"{own.metric}_low": own.low, f"{own.metric}_high": own.high}
    provenance = result.weight_set.provenance
    if provenance is not None:
        found |= {
            "train_rows": provenance.rows,
            "train_customers": provenance.customers,
            "train_positives": provenance.positives,
        }
    found["test_rows"] = int(result.split.test.sum())
    found |= {} if result.all_rows is None else result.all_rows.values
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
