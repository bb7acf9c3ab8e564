"""The commands ``ces-ml show`` and ``ces-ml export``: weights to look at, weights to hand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ces_ml.cli.app import Store, Weights, app, out, reported

__all__ = ["export", "show"]


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
