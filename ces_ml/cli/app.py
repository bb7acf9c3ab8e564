"""What all commands share: the program, its two streams, its errors and its progress bar."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from ces_ml.errors import CesError, CesWarning

if TYPE_CHECKING:
    pass

__all__ = [
    "AsOf",
    "Store",
    "Weights",
    "app",
    "err",
    "out",
    "print_error",
    "progress_bar",
    "reported",
]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
app = typer.Typer(
    name="ces-ml",
    help="Learn the weights of a Customer Engagement Score from outcomes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_Command = TypeVar("_Command", bound=Callable[..., Any])

Store = Annotated[
    str | None,
    typer.Option(help="MLflow tracking URI or path of a .db file.", show_default="./mlflow.db"),
]
Weights = Annotated[
    str,
    typer.Argument(metavar="WEIGHTS", help="A weight-set file, models:/NAME@ALIAS, or a run id."),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Moment of the counts: a date, 'every 28d from DATE to DATE', or '14d after EVENT'.",
        show_default="the end of the log",
    ),
]


def reported(command: _Command) -> _Command:
    """Turn errors into words on standard error and exit code 2, and warnings into one line."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning  # type: ignore[assignment]
            try:
                return command(*args, **kwargs)
            except CesError as error:
                print_error(error)
                raise typer.Exit(2) from error
            except KeyboardInterrupt as error:
                err.print(Text("; ".join(["stopped", *map(str, error.args)])), soft_wrap=True)
                raise typer.Exit(130) from error
            except (MemoryError, OSError) as error:
                text = f"{type(error).__name__}: {error}"
                err.print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)
                raise typer.Exit(2) from error
            except (typer.Exit, typer.Abort, typer.BadParameter):
                raise
            except Exception as error:
                if "CES_ML_DEBUG" in os.environ:
                    raise
                text = f"{type(error).__name__}: {error}\n  next:    this is a defect of ces-ml; "
                text += "run again with CES_ML_DEBUG=1 and report what it prints"
                err.print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)
                raise typer.Exit(1) from error

    return wrapped  # type: ignore[return-value]


def print_error(error: CesError) -> None:
    """Print the four parts of an error on standard error."""
    err.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)


def show_warning(message: Warning | str, category: type[Warning], *rest: Any) -> None:
    if issubclass(category, CesWarning) or category.__name__ == "ConvergenceWarning":
        err.print(Text.assemble(("warning: ", "yellow"), str(message)), soft_wrap=True)


@contextmanager
def progress_bar(stages: int) -> Iterator[Callable[[str], None]]:
    """Show a bar over the stages of a job on a terminal; nothing elsewhere."""
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("starting", total=stages, completed=-1)

        def next_stage(words: str) -> None:
            bar.update(task, advance=1, description=words)

        yield next_stage
