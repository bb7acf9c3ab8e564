"""The command ``ces-ml rollback``: an alias goes back to the version before."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli.app import Store, app, out, reported

__all__ = ["rollback"]


@app.command(
    epilog="Examples:\n\n  ces-ml rollback churn --reason 'scores of new customers were wrong'\n\n"
    "  ces-ml rollback churn --alias champion --to 3 --reason 'the last good one' --store mlflow.db"
)
@reported
def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Registered model.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the history.")],
    alias: Annotated[str, typer.Option(help="Alias that is moved.")] = "champion",
    to: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Where to.", show_default="the version before"),
    ] = None,
    store: Store = None,
) -> None:
    """Move an alias back to a version that it has pointed at before."""
    from ces_ml.cli.tables import plain
    from ces_ml.tracking import rollback as roll

    move = roll(name, alias, to=to, reason=reason, store=store)
    if move is None:
        out.print(Text.assemble(plain(name), f"@{alias} is already version {to}"))
        return
    words = f"@{alias} is back at version {move.after}, from version {move.before}"
    out.print(Text.assemble(plain(name), words))
