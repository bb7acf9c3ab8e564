"""The command ``ces-ml demo``, and what it prints at its end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ces_ml.cli.app import app, out, progress_bar, reported

if TYPE_CHECKING:
    from ces_ml.training.demo import DemoScore

__all__ = ["demo", "print_demo"]


@app.command(epilog="Examples:\n\n  ces-ml demo\n\n  ces-ml demo --folder /tmp/ces-ml-demo")
@reported
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path(
        "ces-ml-demo"
    ),
) -> None:
    """Run the whole path on a grocery log: count, fit, track, promote, score, export."""
    from ces_ml.training.demo import DEMO_STAGES, run_demo

    with progress_bar(DEMO_STAGES) as progress:
        done = run_demo(folder, progress=progress)
    print_demo(out, done, os.path.relpath(folder))


def print_demo(console: Console, done: list[DemoScore], folder: str) -> None:
    """Print what was learned, where it is, and what to type next."""
    from ces_ml.cli.tables import print_next, print_result

    for score in done:
        print_result(console, score.result)
        bands = score.scored.scores["band"].value_counts()
        counted = ", ".join(f"{bands[b]:,} {b}" for b in bands.index)
        console.print(f"{len(score.scored.scores):,} households scored: {counted}\n")
    console.rule("what was learned")
    for score in done:
        auc = {row["name"]: row["roc_auc"] for row in score.result.comparison}
        learned, counted = score.result.metrics["roc_auc"], auc["total_count"]
        top = sorted(score.result.weight_set.terms, key=lambda t: -t.weight)[:3]
        console.print(
            f"{score.result.config.name}: ROC AUC {learned:.3f} on later rows, against "
            f"{counted:.3f} for the total count; most weight: {', '.join(t.name for t in top)}"
        )
    first = done[0]
    at = os.path.join(folder, "mlflow.db")
    name = first.result.config.name
    print_next(
        console,
        [
            ("compare the runs in MLflow", f"ces-ml ui --store {at}"),
            (
                "change a rule, train again",
                f"ces-ml train {_relative(first.config_path)} --store {at}",
            ),
            (
                "score as of another day",
                f"ces-ml score models:/{name}@champion {os.path.join(folder, 'events.parquet')} "
                f"-o scores.csv --as-of 2017-12-01 --store {at}",
            ),
            ("read the weights", _relative(first.weights_path)),
            ("read the scores", _relative(first.scores_path)),
        ],
    )


def _relative(path: os.PathLike[str]) -> str:
    return os.path.relpath(path)
