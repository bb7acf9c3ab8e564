"""The demonstration: the whole path on a grocery log."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ces_ml.datasets import complete_journey
from ces_ml.exporters import export
from ces_ml.files import replacing, write_text
from ces_ml.tracking import RunInfo, Tracker
from ces_ml.training.config import TrainingConfig
from ces_ml.training.job import TrainingResult, train
from ces_ml.training.recording import record
from ces_ml.training.scoring_job import ScoringResult, score_events, write_scores

__all__ = ["DEMO_SCORES", "DEMO_STAGES", "DemoScore", "run_demo"]

#: The weight sets that the demonstration trains; each has a configuration of this name.
DEMO_SCORES = ("coupon_conversion", "churn")
#: Stages that `run_demo` reports with the packaged configurations: six of each training job, then
#: tracking and scoring.
DEMO_STAGES = 1 + (6 + 2) * len(DEMO_SCORES)


@dataclass(frozen=True)
class DemoScore:
    """One weight set of the demonstration, from training to scores.

    Parameters
    ----------
    result : TrainingResult
    run : RunInfo
    version : str
        Version of the registered model that the alias ``champion`` points at.
    scored : ScoringResult
        Every household as of the end of the log.
    config_path, scores_path, weights_path : pathlib.Path
        What was written.
    """

    result: TrainingResult
    run: RunInfo
    version: str
    scored: ScoringResult
    config_path: Path
    scores_path: Path
    weights_path: Path


def run_demo(
    folder: str | os.PathLike[str], *, progress: Callable[[str], None] = lambda stage: None
) -> list[DemoScore]:
    """Count, fit, track, promote, score and export on the Complete Journey log.

    Parameters
    ----------
    folder : path-like
        Where events, configurations, the MLflow store, scores and weights are written.
        Configurations that are there already are used as they are.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    list of DemoScore

    Raises
    ------
    MissingDependencyError
        If the extra ``demo`` is not installed.
    OutputError
        If the folder can't be written.
    """
    home = Path(folder).resolve()
    progress("reading the grocery log")
    events = home / "events.parquet"
    log = complete_journey()
    with replacing(events) as temporary:
        log.to_parquet(temporary, index=False)
    tracker = Tracker(f"sqlite:///{home / 'mlflow.db'}", "ces-ml-demo")
    done = []
    for name in DEMO_SCORES:
        config_path = home / f"{name}.yaml"
        if not config_path.exists():  # an edited one stays, and is used
            packaged = files("ces_ml.training.demo_configs").joinpath(f"{name}.yaml")
            write_text(config_path, packaged.read_text("utf-8"))
        config = TrainingConfig.from_file(config_path)
        result = train(config, progress=_prefixed(progress, name))
        progress(f"{name}: tracking in MLflow and promoting")
        run = record(result, tracker, register_as=name)
        version = tracker.promote(run.run_id, name, "champion", reason="demonstration")
        progress(f"{name}: scoring every household")
        champion = tracker.load(f"models:/{name}@champion")
        scored = score_events(champion, events)
        done.append(
            DemoScore(
                result=result,
                run=run,
                version=version,
                scored=scored,
                config_path=config_path,
                scores_path=write_scores(scored.scores, home / f"{name}_scores.parquet"),
                weights_path=export(champion, home / f"{name}_weights.json"),
            )
        )
    return done


def _prefixed(progress: Callable[[str], None], name: str) -> Callable[[str], None]:
    return lambda stage: progress(f"{name}: {stage}")
