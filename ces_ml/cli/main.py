"""The program ``ces-ml``: every command, in the order in which ``--help`` lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from ces_ml._version import __version__

# A command stands in the program once its module is imported, in the order of the imports.
# isort: off
from ces_ml.cli import (
    logs,
    count,
    train,
    track,
    past,
    compare,
    promote,
    history,
    rollback,
    score,
    changes,
    weight_files,
    verify,
    ui,
    demo,
)
from ces_ml.cli.app import app

# isort: on

__all__ = ["app", "main"]

#: The modules of the commands.
COMMANDS = (
    logs,
    count,
    train,
    track,
    past,
    compare,
    promote,
    history,
    rollback,
    score,
    changes,
    weight_files,
    verify,
    ui,
    demo,
)


def main() -> None:
    """Run the command line; the entry point of the program ``ces-ml``."""
    app()


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


if __name__ == "__main__":
    main()
