"""Writing a training result to the tracking store."""

from __future__ import annotations

from typing import Any

import yaml

from ces_ml.report import weight_card, weights_figure
from ces_ml.tracking import RunInfo, Tracker
from ces_ml.training.job import TrainingResult

__all__ = ["record"]


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
        },
        texts={
            "weight_card.md": weight_card(weight_set),
            "config.yaml": yaml.safe_dump(
                config.model_dump(mode="json", exclude_defaults=True),
                sort_keys=False,
                allow_unicode=True,
            ),
        },
        figures={"weights.png": weights_figure(weight_set)},
        tables={
            "comparison.json": result.comparison,
            "sample.json": [{"what": k, "rows": v} for k, v in result.sample.items()],
        },
        register_as=register_as,
    )


def _params(result: TrainingResult) -> dict[str, str]:
    config = result.config
    return {
        "outcome": config.outcome.task,
        "horizon": str(config.outcome.horizon),
        "gap": str(config.outcome.gap),
        "as_of": ", ".join(config.as_of),
        "windows": ", ".join(dict.fromkeys(str(t.window) for t in result.weight_set.terms)),
        "transforms": ", ".join(dict.fromkeys(t.transform for t in result.weight_set.terms)),
        "rules": "; ".join(config.model.rules),
        "alpha": repr(config.model.alpha),
        "l1_ratio": repr(config.model.l1_ratio),
        "prior_strength": repr(config.model.prior_strength),
        "scale": config.score.scale,
        "seed": str(config.seed),
        "events": config.events.path or "passed from Python",
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
    for band in result.weight_set.bands:
        if band.rate is not None:
            found[f"band_rate/{band.name}"] = band.rate
    return {k: float(v) for k, v in found.items()}
