"""Writing a training result to the tracking store."""

from __future__ import annotations

import os
from pathlib import Path

from ces_ml.tracking import RunInfo, Tracker, git_tags
from ces_ml.training.job import TrainingResult
from ces_ml.training.run_files import figures_of, tables_of, texts_of
from ces_ml.training.run_values import metrics_of, params_of, tags_of
from ces_ml.training.tried import tried_for

__all__ = ["record"]


def record(
    result: TrainingResult,
    tracker: Tracker | None = None,
    *,
    register_as: str | None = None,
    source: str | os.PathLike[str] | None = None,
    children: bool | None = None,
    parent_run_id: str | None = None,
) -> RunInfo:
    """Log a training result as one MLflow run.

    Parameters
    ----------
    result : TrainingResult
    tracker : Tracker, optional
        The store and experiment of the configuration when not given.
    register_as : str, optional
        Name of the registered model that gets a new version.
    source : path-like, optional
        The configuration's file: the git commit of its folder is noted, and whether files there
        were changed since. The working directory when not given; nothing where git knows neither.
    children : bool, optional
        Whether every alpha that folds were asked about, and every fold of the backtest, becomes a
        child run with its weights. As ``tracking.children`` of the configuration when not given.
        Each takes three requests, 0.1 s on SQLite; tables hold the same without.
    parent_run_id : str, optional
        The run that this one stands below; see `Tracker.group`.

    Returns
    -------
    RunInfo

    Raises
    ------
    TrackingError
        If the store can't be opened or written.
    """
    config = result.config
    tracker = tracker or Tracker(config.tracking.store, config.tracking.experiment)
    wanted = config.tracking.children if children is None else children
    return tracker.log_run(
        result.weight_set,
        run_name=config.name,
        params=params_of(result),
        metrics=metrics_of(result),
        tags={**tags_of(result), **git_tags(Path(source).parent if source else Path.cwd())},
        texts=texts_of(result),
        figures=figures_of(result),
        tables=tables_of(result),
        register_as=register_as,
        parent_run_id=parent_run_id,
        children=tried_for(result) if wanted else (),
    )
