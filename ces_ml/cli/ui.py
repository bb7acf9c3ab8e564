"""The command ``ces-ml ui``: the pages of a store."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli.app import Store, app, out, reported

__all__ = ["ui"]


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
    from ces_ml.cli.tables import plain
    from ces_ml.tracking import experiment_links, start_ui

    base = f"http://{host}:{port}"
    for name, link in experiment_links(base, store):
        out.print(Text.assemble(plain(name, 60), f": {link}"), soft_wrap=True)
    out.print(f"all: {base}/#/experiments?workflowType=machine_learning", soft_wrap=True)
    raise typer.Exit(start_ui(store, host=host, port=port))
