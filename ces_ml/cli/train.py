"""The command ``ces-ml train``: weights learned from an event log."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ces_ml.cli.app import Store, app, out, progress_bar, reported
from ces_ml.cli.prepare import Options

if TYPE_CHECKING:
    from ces_ml.tracking import RunInfo
    from ces_ml.training import TrainingConfig, TrainingResult
    from ces_ml.weights import Verdict

__all__ = ["train"]


@app.command(
    epilog="Examples:\n\n  ces-ml train churn.yaml\n\n  ces-ml train churn.yaml --register churn "
    "--output churn.json\n\n  ces-ml train churn.yaml upsell.yaml --jobs 2\n\n  "
    "ces-ml train churn.yaml --engine spark"
)
@reported
def train(
    configs: Annotated[
        list[Path], typer.Argument(metavar="CONFIG.yaml...", help="One or more configurations.")
    ],
    store: Store = None,
    experiment: Annotated[str | None, typer.Option(help="MLflow experiment.")] = None,
    register: Annotated[
        str | None, typer.Option(help="Register the weights under this model name.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the weights as JSON (one CONFIG).")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Configurations trained at once.")] = 1,
    track: Annotated[bool, typer.Option(help="Log the run to MLflow.")] = True,
    allow_leaks: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Go on whatever the leak audit finds, and say why."),
    ] = None,
    engine: Options.engine = None,
) -> None:
    """Learn weights from the event log that a configuration names, and track them."""
    from ces_ml.cli.tables import print_result
    from ces_ml.exporters import export
    from ces_ml.tracking import Tracker
    from ces_ml.training import TrainingConfig, record

    if len(configs) > 1 and (output or register):
        raise typer.BadParameter("--output and --register take one CONFIG")
    if register and not track:
        raise typer.BadParameter("--register needs tracking: leave out --no-track")
    read = [TrainingConfig.from_file(path) for path in configs]
    read = [c.model_copy(update={"events": c.events.on(engine)}) for c in read]
    if allow_leaks is not None:
        read = [config.allowing_leaks(allow_leaks) for config in read]
    for result in _trained(read, jobs):
        # Everything is kept before anything is printed: the reader of the output may go away.
        written = export(result.weight_set, output) if output else None
        place = result.config.tracking
        info = None
        if track:
            tracker = Tracker(store or place.store, experiment or place.experiment)
            info = record(result, tracker, register_as=register)
        print_result(out, result)
        if written:
            out.print(f"weights written to {written}", soft_wrap=True)
        if info is not None:
            _print_run(info, store or place.store, result.verdict)


def _trained(configs: list[TrainingConfig], jobs: int) -> list[TrainingResult]:
    """Train one configuration stage by stage, or several at once."""
    from ces_ml.training import stages, train_many
    from ces_ml.training import train as train_one

    if len(configs) == 1:
        with progress_bar(len(stages(configs[0]))) as progress:
            return [train_one(configs[0], progress=progress)]
    with progress_bar(1) as progress:
        progress(f"training {len(configs)} weight sets")
        return train_many(configs, n_jobs=jobs)


def _print_run(info: RunInfo, store: str | None, verdict: Verdict | None) -> None:
    """Print where a run is and what to do with it."""
    from ces_ml.cli.tables import plain, print_next

    if info.model_name:
        words = f"registered as version {info.model_version} of "
        out.print(Text.assemble(words, plain(info.model_name, 200)), soft_wrap=True)
    at = f" --store {shlex.quote(store)}" if store else ""
    name = f" --name {shlex.quote(info.model_name)}" if info.model_name else ""
    if verdict is not None and not verdict.worth_promoting:
        name += " --override 'WHY'"
    print_next(
        out,
        [
            ("look at the run", f"ces-ml ui{at}" if not info.url else info.url),
            ("promote it", f"ces-ml promote {info.run_id}{name}{at}"),
            ("score customers", f"ces-ml score {info.run_id} EVENTS -o scores.parquet{at}"),
        ],
    )
