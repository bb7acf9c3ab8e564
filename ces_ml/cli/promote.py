"""The command ``ces-ml promote``: an alias moves to the weights of a run."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli.app import Store, app, out, reported

__all__ = ["promote"]


@app.command(
    epilog="Examples:\n\n  ces-ml promote 0123456789abcdef0123456789abcdef\n\n  "
    "ces-ml promote RUN --name churn --alias challenger --reason 'new campaign events'\n\n  "
    "ces-ml promote RUN --override 'pilot with one team'"
)
@reported
def promote(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the MLflow run.")],
    name: Annotated[
        str | None,
        typer.Option(help="Registered model.", show_default="the name of the weight set"),
    ] = None,
    alias: Annotated[str, typer.Option(help="Alias that is moved.")] = "champion",
    reason: Annotated[str | None, typer.Option(help="Why; kept in the history.")] = None,
    override: Annotated[
        str | None,
        typer.Option(help="Why weights that do not beat counting are promoted all the same."),
    ] = None,
    store: Store = None,
) -> None:
    """Point an alias at the weights of a run; weights must beat counting, or be overridden."""
    from ces_ml.cli.tables import plain, print_next
    from ces_ml.tracking import Tracker

    tracker = Tracker(store)
    weight_set = tracker.load(run)
    model = name or weight_set.name
    version = tracker.promote(run, model, alias, reason, override=override)
    out.print(Text.assemble(plain(model), f"@{alias} is now version {version}"))
    verdict = weight_set.verdict
    words = verdict.words if verdict else "none, these weights were never compared with counting"
    out.print(Text.assemble("verdict: ", plain(words, 120)))
    at = f" --store {shlex.quote(store)}" if store else ""
    ref = shlex.quote(f"models:/{model}@{alias}")
    print_next(
        out,
        [
            ("score customers", f"ces-ml score {ref} EVENTS -o scores.parquet{at}"),
            ("hand the weights on", f"ces-ml export {ref} -o weights.json{at}"),
        ],
    )
