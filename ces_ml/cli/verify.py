"""The commands ``ces-ml verify`` and ``ces-ml schema``: is this file what it says it is."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ces_ml.cli.app import Store, app, out, reported

__all__ = ["schema", "verify"]


@app.command(
    epilog="Examples:\n\n  ces-ml verify weights.json\n\n  "
    "ces-ml verify score.onnx --against models:/churn@champion --store mlflow.db"
)
@reported
def verify(
    file: Annotated[Path, typer.Argument(help="An export: .json, .py, .js, .mjs, .onnx, .pmml.")],
    against: Annotated[
        str | None,
        typer.Option(metavar="WEIGHTS", help="The weights that it must have been made of."),
    ] = None,
    store: Store = None,
) -> None:
    """Check an export: whole, its fingerprint, and its golden rows as its consumer scores them.

    Exit code 0 where all is well, 2 where anything is not.
    """
    from ces_ml.cli.tables import plain
    from ces_ml.exporters import verify_file
    from ces_ml.tracking import load_weight_set

    weight_set = None if against is None else load_weight_set(against, store)
    checks = verify_file(file, weight_set)
    table = Table("", "check", title=plain(file.name), title_justify="left")
    table.add_column("found", overflow="fold")
    for check in checks:
        mark = Text("ok", style="green") if check.ok else Text("wrong", style="bold red")
        table.add_row(mark, check.what, plain(check.found, 400))
    out.print(table)
    wrong = [check for check in checks if not check.ok]
    for check in wrong:
        out.print(Text(f"next: {check.hint}"), soft_wrap=True)
    if wrong:
        raise typer.Exit(2)


@app.command(epilog="Examples:\n\n  ces-ml schema > weight_set.v1.json")
@reported
def schema() -> None:
    """Print the JSON Schema of weight sets, for checking them in other languages."""
    source = files("ces_ml.weights").joinpath("schemas/weight_set.v1.json")
    typer.echo(source.read_text("utf-8"), nl=False)
