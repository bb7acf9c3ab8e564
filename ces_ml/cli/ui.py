"""The command ``ces-ml ui``: the pages of a store."""

from __future__ import annotations

import os
import sys
import webbrowser
from contextlib import suppress
from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli.app import Store, app, out, reported

__all__ = ["ui"]


@app.command(
    epilog="Examples:\n\n  ces-ml ui\n\n  ces-ml ui --store ces-ml-demo/mlflow.db --port 5001"
    "\n\n  ces-ml ui --store http://tracking:5000 --experiment churn --open"
)
@reported
def ui(
    store: Store = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    experiment: Annotated[
        str | None, typer.Option(help="Experiment to show.", show_default="that of the newest run")
    ] = None,
    open_: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open",
            help="Open the page in a browser.",
            show_default="on a desktop, from a terminal",
        ),
    ] = None,
) -> None:
    """Show the runs of a store in the MLflow UI; Ctrl-C stops it.

    A store behind a server has pages of its own: the link is printed, and nothing is started.
    """
    from ces_ml.cli.tables import plain
    from ces_ml.tracking import experiment_links, open_store, page_of, start_ui

    def show(page: str) -> None:
        out.print(Text(page), soft_wrap=True)
        for name, link in experiment_links(page.partition("/#")[0], store):
            if link != page:
                out.print(Text.assemble(plain(name, 60), f": {link}"), soft_wrap=True)
        if open_ if open_ is not None else _on_a_desktop():
            with suppress(webbrowser.Error):
                webbrowser.open(page)

    if _is_server(store):
        show(page_of(open_store(store, make=False), experiment=experiment))
        return
    code = start_ui(store, host, port, experiment=experiment, ready=show)
    raise typer.Exit(code)


def _is_server(store: str | None) -> bool:
    from ces_ml.tracking import default_store

    return (store or default_store()).startswith(("http://", "https://"))


def _on_a_desktop() -> bool:
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    windows = sys.platform in ("darwin", "win32") or any(os.environ.get(s) for s in screens)
    return out.is_terminal and windows
