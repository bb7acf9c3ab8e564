"""The commands ``ces-ml show`` and ``ces-ml export``: weights to look at, weights to hand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli.app import Store, Weights, app, out, reported
from ces_ml.errors import SpecError

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
    "ces-ml export RUN --format json -o weights.json --store mlflow.db\n\n  "
    "ces-ml export weights.json --format sql --dialect postgresql --shape view "
    "--events-table analytics.events -o score.sql"
)
@reported
def export(
    weights: Weights,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write.")],
    format: Annotated[
        str, typer.Option(help="Format of the export; an unknown one lists those there are.")
    ] = "json",
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="An option of the format; repeatable."),
    ] = None,
    dialect: Annotated[
        str | None, typer.Option(help="With --format sql: duckdb, postgresql, snowflake, …")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(help="With --format sql: query, view, dbt or check.")
    ] = None,
    events_table: Annotated[
        str | None, typer.Option(help="With --format sql: the log, such as analytics.events.")
    ] = None,
    store: Store = None,
) -> None:
    """Write weights in a form that another scorer reads."""
    from ces_ml.formats import export as write
    from ces_ml.tracking import load_weight_set

    options = _options(option or [])
    named = {"dialect": dialect, "shape": shape, "events_table": events_table}
    options |= {name: value for name, value in named.items() if value is not None}
    weight_set = load_weight_set(weights, store)
    written = write(weight_set, output, format, **options)
    out.print(Text(f"weights written to {written}"), soft_wrap=True)
    out.print(f"[dim]{weight_set.fingerprint}[/dim]", soft_wrap=True)


def _options(texts: list[str]) -> dict[str, str]:
    """Return options by name; the exporters read their values from text."""
    options = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name or name in ("path", "format", "weight_set"):
            raise SpecError(
                "an option of the export is not NAME=VALUE",
                got=repr(text),
                allowed="for example --option dialect=postgresql",
                hint="correct the option; the format is given with --format",
            )
        options[name] = value
    return options
