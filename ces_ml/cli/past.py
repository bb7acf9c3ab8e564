"""The commands that ask more of a configuration: was it so in the past, is there another way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ces_ml.cli.app import app, out, progress_bar, reported
from ces_ml.errors import TrackingError

if TYPE_CHECKING:
    from ces_ml.training import Alternatives, BacktestResult

__all__ = ["alternatives", "backtest"]

Config = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="A configuration.")]
Track = Annotated[
    bool,
    typer.Option("--track", help="Log each of them to MLflow, below one run.", show_default=False),
]
Json = Annotated[Path | None, typer.Option("--output", "-o", help="Write everything as JSON here.")]


@app.command(
    epilog="Examples:\n\n  ces-ml backtest churn.yaml\n\n  ces-ml backtest churn.yaml -o past.json "
    "--figure past.png\n\n  ces-ml backtest churn.yaml --track"
)
@reported
def backtest(
    config: Config,
    output: Json = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw weights and metrics over time: a PNG file.")
    ] = None,
    track: Track = False,
) -> None:
    """Fit on the past and test on what came next, again and again through the log."""
    from ces_ml.cli.past_tables import print_backtest
    from ces_ml.files import replacing, write_text
    from ces_ml.report import backtest_figure
    from ces_ml.training import TrainingConfig, backtest_stages
    from ces_ml.training import backtest as run

    asked = TrainingConfig.from_file(config)
    with progress_bar(len(backtest_stages(asked))) as progress:
        result = run(asked, progress=progress)
    if output:
        write_text(output, json.dumps(result.as_dict(), indent=2) + "\n")
    if figure:
        with replacing(figure) as temporary:
            temporary.write_bytes(backtest_figure(result.table, result.weights))
    run_id, error = _logged(result) if track else (None, None)
    print_backtest(out, result)
    _print_kept([output, figure], run_id, error)


@app.command(
    epilog="Examples:\n\n  ces-ml alternatives churn.yaml\n\n  ces-ml alternatives churn.yaml -o "
    "alternatives.json"
)
@reported
def alternatives(config: Config, output: Json = None, track: Track = False) -> None:
    """List weight sets about as good as the fitted one: fewer terms, steadier, closer to today."""
    from ces_ml.cli.past_tables import print_alternatives
    from ces_ml.files import write_text
    from ces_ml.training import TrainingConfig, alternative_stages
    from ces_ml.training import alternatives as look

    asked = TrainingConfig.from_file(config)
    with progress_bar(len(alternative_stages())) as progress:
        found = look(asked, progress=progress)
    if output:
        write_text(output, json.dumps(found.as_dict(), indent=2) + "\n")
    run_id, error = _logged(found) if track else (None, None)
    print_alternatives(out, found)
    _print_kept([output], run_id, error)


def _logged(
    found: BacktestResult | Alternatives,
) -> tuple[str | None, TrackingError | None]:
    """Log what was found, or return why not: it is shown all the same."""
    from ces_ml.training import record_tried

    try:
        return record_tried(found), None
    except TrackingError as error:
        return None, error


def _print_kept(
    written: Sequence[Path | None], run_id: str | None, error: TrackingError | None
) -> None:
    """Print where everything is; a run that could not be logged ends the command."""
    for path in filter(None, written):
        out.print(Text(f"written to {path}"), soft_wrap=True)
    if run_id:
        out.print(f"logged below run {run_id}", soft_wrap=True)
    if error is not None:
        raise error
