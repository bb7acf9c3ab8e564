"""The command ``ces-ml track``: runs that could not be logged, and logging them now."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ces_ml.cli.app import Store, app, err, out, print_error, progress_bar, reported

if TYPE_CHECKING:
    from ces_ml.tracking import KeptRun

__all__ = ["resuming", "track"]


@app.command(
    epilog="Examples:\n\n  ces-ml track\n\n  ces-ml track --resume\n\n  "
    "ces-ml track --resume --store http://tracking:5000 --outbox ces-ml-outbox"
)
@reported
def track(
    resume: Annotated[
        bool, typer.Option("--resume", help="Log the runs of the outbox, each of them once.")
    ] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="Show the runs of the outbox; so too without --resume.")
    ] = False,
    store: Store = None,
    outbox: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the runs.", show_default="ces-ml-outbox beside the store, or here"
        ),
    ] = None,
) -> None:
    """Show the runs that wait because their store failed, or log them."""
    from ces_ml.tracking import list_outbox, resume_outbox

    if resume and list_:
        raise typer.BadParameter("--resume and --list are two things to do: choose one")
    if not resume:
        _print_kept(list_outbox(store, outbox))
        return
    logged = failed = 0
    with progress_bar(1) as progress:
        for done in resume_outbox(store, outbox, progress):
            if done.error is not None:
                failed += 1
                err.print(Text(f"{done.entry.name} stays in the outbox"), soft_wrap=True)
                print_error(done.error)
            elif done.info is not None:
                logged += 1
                out.print(f"{done.entry.name} is logged as run {done.info.run_id}", soft_wrap=True)
    out.print(f"{logged} logged, {failed} left" if logged or failed else "nothing is waiting")
    if failed:
        raise typer.Exit(2)


def resuming(outbox: Path, store: str) -> str:
    """Return the command that logs an outbox; a password is left for the user to write."""
    from ces_ml.tracking import without_password

    at = shlex.quote(store) if without_password(store) == store else "STORE"
    return f"ces-ml track --resume --store {at} --outbox {shlex.quote(str(outbox))}"


def _print_kept(kept: list[KeptRun]) -> None:
    from ces_ml.cli.tables import plain, print_next

    if not kept:
        out.print("nothing is waiting")
        return
    table = Table("run", "kept (UTC)", "experiment", "store", "why")
    for one in kept:
        run = one.run
        if run is None:
            table.add_row(plain(one.entry.name, 80), "", "", "", plain(one.problem, 120))
            continue
        table.add_row(
            plain(run.run_name),
            f"{run.started:%Y-%m-%d %H:%M}",
            plain(run.experiment),
            plain(run.store, 120),
            plain(one.problem, 120),
        )
    out.print(table)
    for folder in dict.fromkeys(one.entry.parent for one in kept):
        out.print(Text(f"kept in {folder}"), soft_wrap=True)
    first = shlex.quote(str(kept[0].entry.parent))
    print_next(out, [("log them", f"ces-ml track --resume --outbox {first}")])
