"""The command ``ces-ml train``: weights learned from an event log."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from ces_ml.cli.app import Store, app, err, out, print_error, progress_bar, reported
from ces_ml.cli.prepare import Options
from ces_ml.errors import CesError, NotLoggedError

if TYPE_CHECKING:
    from ces_ml.tracking import RunInfo, Tracker
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
    children: Annotated[
        bool | None,
        typer.Option(
            "--children/--no-children",
            help="Log every alpha and backtest fold as a run below the run of the weights.",
            show_default="as the configuration says",
        ),
    ] = None,
    outbox: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps a run that can't be logged.",
            show_default="ces-ml-outbox beside the store, or here",
        ),
    ] = None,
    allow_leaks: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Go on whatever the leak audit finds, and say why."),
    ] = None,
    engine: Options.engine = None,
) -> None:
    """Learn weights from the event log that a configuration names, and track them."""
    from ces_ml.cli.tables import print_result
    from ces_ml.tracking import Tracker, check_name, grouped
    from ces_ml.training import TrainingConfig

    if len(configs) > 1 and (output or register):
        raise typer.BadParameter("--output and --register take one CONFIG")
    if register and not track:
        raise typer.BadParameter("--register needs tracking: leave out --no-track")
    if register:
        check_name(register)
    read = [TrainingConfig.from_file(path) for path in configs]
    read = [c.model_copy(update={"events": c.events.on(engine)}) for c in read]
    if allow_leaks is not None:
        read = [config.allowing_leaks(allow_leaks) for config in read]
    # A store that is none is told before hours of training.
    trackers = [
        Tracker(store or c.tracking.store, experiment or c.tracking.experiment, outbox=outbox)
        for c in read
    ]
    results = _trained(read, jobs)
    failed = False
    with grouped(trackers if track else [], [c.name for c in read]) as parents:
        for k, result in enumerate(results):
            # Everything is kept before anything is printed: the reader may go away.
            written, unwritten = _written(result, output)
            info, unlogged = None, None
            if track:
                given = {"register_as": register, "source": configs[k], "children": children}
                info, unlogged = _logged(result, trackers[k], parents[k], given)
            print_result(out, result)
            if written:
                out.print(Text(f"weights written to {written}"), soft_wrap=True)
            if info is not None:
                _print_run(info, store or result.config.tracking.store, result.verdict)
            if unwritten is not None:
                print_error(unwritten)
            if unlogged is not None:
                _print_not_logged(unlogged, trackers[k].store)
            failed = failed or unwritten is not None or unlogged is not None
    if failed:
        raise typer.Exit(2)


def _written(result: TrainingResult, output: Path | None) -> tuple[Path | None, CesError | None]:
    """Write the weights to a file, or return why not: they are logged all the same."""
    from ces_ml.exporters import export

    if output is None:
        return None, None
    try:
        return export(result.weight_set, output), None
    except CesError as error:
        return None, error


def _logged(
    result: TrainingResult, tracker: Tracker, parent: str | None, given: dict[str, Any]
) -> tuple[RunInfo | None, NotLoggedError | None]:
    """Log a result, or return why not: the others are logged all the same."""
    from ces_ml.training import record

    try:
        return record(result, tracker, parent_run_id=parent, **given), None
    except NotLoggedError as error:
        return None, error


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


def _print_not_logged(error: NotLoggedError, store: str) -> None:
    """Print why the run is not in the store, where it is, and how it gets there."""
    from ces_ml.cli.tables import print_next
    from ces_ml.cli.track import resuming

    print_error(error)
    if error.entry is not None:
        weights = shlex.quote(str(error.entry / "weights.json"))
        print_next(
            err,
            [
                ("log the run when the store works again", resuming(error.entry.parent, store)),
                ("look at the weights until then", f"ces-ml show {weights}"),
            ],
        )


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
    # Without a server the pages are where `ces-ml ui` serves them.
    server = info.url.partition("/#/")[0] if info.url else "http://127.0.0.1:5000"
    print_next(
        out,
        [
            ("look at the run", info.url or f"ces-ml ui{at}"),
            ("compare it with others", info.experiment_page(server)),
            ("promote it", f"ces-ml promote {info.run_id}{name}{at}"),
            ("score customers", f"ces-ml score {info.run_id} EVENTS -o scores.parquet{at}"),
        ],
    )
