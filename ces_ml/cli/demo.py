"""What the demonstration prints at its end."""

from __future__ import annotations

import os

from rich.console import Console

from ces_ml.cli.tables import print_next, print_result
from ces_ml.training.demo import DemoScore

__all__ = ["print_demo"]


def print_demo(console: Console, done: list[DemoScore], folder: str) -> None:
    """Print what was learned, where it is, and what to type next."""
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
