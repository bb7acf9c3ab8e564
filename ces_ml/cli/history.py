"""The command ``ces-ml history``: where the aliases of a weight set have pointed."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ces_ml.cli.app import Store, app, out, reported

__all__ = ["history"]


@app.command(
    epilog="Examples:\n\n  ces-ml history churn\n\n  ces-ml history churn --alias champion --json "
    "--store mlflow.db"
)
@reported
def history(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Registered model.")],
    alias: Annotated[
        str | None, typer.Option(help="This alias alone.", show_default="all aliases")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in place of a table.")
    ] = False,
    store: Store = None,
) -> None:
    """List every promotion and rollback: when, from and to which version, who, why."""
    from ces_ml.cli.comparison_tables import print_history
    from ces_ml.tracking import alias_history

    found = alias_history(name, alias, store)
    if not as_json:
        print_history(out, found)
        return
    body = {"name": found.name, "now": found.now, "moves": [m.as_dict() for m in found.moves]}
    typer.echo(json.dumps(body, indent=2, ensure_ascii=False))
