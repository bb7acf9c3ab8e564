"""The command line: arguments in, tables and exit codes out."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ces_ml._version import __version__
from ces_ml.cli import count, logs, past
from ces_ml.cli import prepare as preparing
from ces_ml.cli.app import AsOf, Store, Weights, app, out, progress_bar, reported

if TYPE_CHECKING:
    from ces_ml.tracking import RunInfo
    from ces_ml.training import TrainingConfig, TrainingResult
    from ces_ml.weights import Verdict

# The commands of `count`, `logs` and `past` stand in the program once these are imported.
__all__ = ["app", "count", "logs", "main", "past"]


def main() -> None:
    """Run the command line; the entry point of the program ``ces-ml``."""
    app()


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog="Examples:\n\n  ces-ml train churn.yaml\n\n  ces-ml train churn.yaml --register churn "
    "--output churn.json\n\n  ces-ml train churn.yaml upsell.yaml --jobs 2"
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


@app.command(
    epilog="Examples:\n\n  ces-ml promote 0123456789abcdef0123456789abcdef\n\n  "
    "ces-ml promote RUN --name churn --alias challenger --reason 'new campaign events'\n\n  "
    "ces-ml promote RUN --override 'pilot with one team'"
)
@reported
def promote(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the MLflow run.")],
    name: Annotated[
        str | None,
        typer.Option(help="Registered model.", show_default="the name of the weight set"),
    ] = None,
    alias: Annotated[str, typer.Option(help="Alias that is moved.")] = "champion",
    reason: Annotated[str | None, typer.Option(help="Why; kept in the history.")] = None,
    override: Annotated[
        str | None,
        typer.Option(help="Why weights that do not beat counting are promoted all the same."),
    ] = None,
    store: Store = None,
) -> None:
    """Point an alias at the weights of a run; weights must beat counting, or be overridden."""
    from ces_ml.cli.tables import plain, print_next
    from ces_ml.tracking import Tracker

    tracker = Tracker(store)
    weight_set = tracker.load(run)
    model = name or weight_set.name
    version = tracker.promote(run, model, alias, reason, override=override)
    out.print(Text.assemble(plain(model), f"@{alias} is now version {version}"))
    verdict = weight_set.verdict
    words = verdict.words if verdict else "none, these weights were never compared with counting"
    out.print(Text.assemble("verdict: ", plain(words, 120)))
    at = f" --store {shlex.quote(store)}" if store else ""
    ref = shlex.quote(f"models:/{model}@{alias}")
    print_next(
        out,
        [
            ("score customers", f"ces-ml score {ref} EVENTS -o scores.parquet{at}"),
            ("hand the weights on", f"ces-ml export {ref} -o weights.json{at}"),
        ],
    )


@app.command(
    epilog="Examples:\n\n  ces-ml score weights.json events.parquet -o scores.parquet\n\n  "
    "ces-ml score models:/churn@champion 'log/*.parquet' -o scores.csv --as-of 2025-06-01\n\n  "
    "ces-ml score churn.json --config churn.yaml -o scores.parquet"
)
@reported
def score(
    weights: Weights,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write: .parquet or .csv.")
    ],
    events: preparing.Options.events = None,
    config: preparing.Options.config = None,
    as_of: AsOf = None,
    reasons: Annotated[int, typer.Option(min=0, help="Contributions reported a customer.")] = 3,
    store: Store = None,
) -> None:
    """Score every customer of an event log."""
    from ces_ml.cli.tables import plain, print_report
    from ces_ml.tracking import load_weight_set
    from ces_ml.training import score_events, write_scores

    with progress_bar(3) as progress:
        progress("loading the weight set")
        weight_set = load_weight_set(weights, store)
        progress("counting and scoring")
        log = preparing.read_events(events, config)
        result = score_events(
            weight_set,
            log.source,
            as_of=as_of,
            schema=None if config is None else log.event_schema,
            n_reasons=reasons,
            **log.options,
        )
        progress("writing scores")
        written = write_scores(result.scores, output)
    scores = result.scores
    out.print(f"{len(scores):,} rows written to {written}", soft_wrap=True)
    for band in reversed(weight_set.bands):
        held = int((scores["band"] == band.name).sum())
        out.print(Text.assemble(f"  {held:>9,}  ", plain(band.name)))
    print_report(out, result.report, result.not_counted)


@app.command(
    epilog="Examples:\n\n  ces-ml show weights.json\n\n  ces-ml show models:/churn@champion "
    "--store mlflow.db"
)
@reported
def show(weights: Weights, store: Store = None) -> None:
    """Print the weights of a weight set, with points, rules, bands and held-out metrics."""
    from ces_ml.cli.tables import print_weight_set
    from ces_ml.tracking import load_weight_set

    print_weight_set(out, load_weight_set(weights, store))


@app.command(
    epilog="Examples:\n\n  ces-ml export models:/churn@champion -o churn.json\n\n  "
    "ces-ml export RUN --format json -o weights.json --store mlflow.db"
)
@reported
def export(
    weights: Weights,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write.")],
    format: Annotated[str, typer.Option(help="Format of the export: json.")] = "json",
    store: Store = None,
) -> None:
    """Write weights in a form that another scorer reads."""
    from ces_ml.exporters import export as write
    from ces_ml.tracking import load_weight_set

    weight_set = load_weight_set(weights, store)
    out.print(f"weights written to {write(weight_set, output, format)}", soft_wrap=True)
    out.print(f"[dim]{weight_set.fingerprint}[/dim]", soft_wrap=True)


@app.command(
    epilog="Examples:\n\n  ces-ml ui\n\n  ces-ml ui --store ces-ml-demo/mlflow.db --port 5001"
)
@reported
def ui(
    store: Store = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Open the MLflow UI on a store; Ctrl-C stops it."""
    from ces_ml.tracking import start_ui

    out.print(f"http://{host}:{port}/#/experiments?workflowType=machine_learning", soft_wrap=True)
    raise typer.Exit(start_ui(store, host=host, port=port))


@app.command(epilog="Examples:\n\n  ces-ml demo\n\n  ces-ml demo --folder /tmp/ces-ml-demo")
@reported
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path(
        "ces-ml-demo"
    ),
) -> None:
    """Run the whole path on a grocery log: count, fit, track, promote, score, export."""
    from ces_ml.cli.demo import print_demo
    from ces_ml.training.demo import DEMO_STAGES, run_demo

    with progress_bar(DEMO_STAGES) as progress:
        done = run_demo(folder, progress=progress)
    print_demo(out, done, os.path.relpath(folder))


if __name__ == "__main__":
    main()
