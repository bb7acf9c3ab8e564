"""The command ``ces-ml compare``: weight sets side by side, on the same held-out rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ces_ml.cli.app import Store, app, err, out, progress_bar, reported

__all__ = ["compare"]


@app.command(
    epilog="Examples:\n\n  ces-ml compare models:/churn@champion 0123456789abcdef0123456789abcdef"
    "\n\n  ces-ml compare old.json new.json --config churn.yaml -o compared.html\n\n  "
    "ces-ml compare models:/churn/3 models:/churn/4 models:/churn/5 --json"
)
@reported
def compare(
    weights: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C…]",
            help="Weight-set files, models:/NAME@ALIAS, models:/NAME/VERSION or run ids; first the "
            "one in use.",
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            help="Log, rows, outcome and split to compare on.",
            show_default="what the last challenger's run has kept",
        ),
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="The log, where the configuration's is not the one.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the comparison as HTML here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")] = False,
    log: Annotated[
        bool, typer.Option(help="Keep the page as an artifact of the challengers' runs.")
    ] = True,
    store: Store = None,
) -> None:
    """Compare weight sets: weights, flips, metrics on the same rows, who changes band."""
    from ces_ml.cli.comparison_tables import print_comparison
    from ces_ml.files import write_text
    from ces_ml.training import TrainingConfig, compare_runs

    asked = None if config is None else TrainingConfig.from_file(config)
    with progress_bar(2) as progress:
        found = compare_runs(weights, asked, events, store=store, log=log, progress=progress)
    if as_json:
        typer.echo(json.dumps(found.comparison.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_comparison(out, found.comparison)
    said = err if as_json else out
    if output is not None:
        said.print(f"page written to {write_text(output, found.page)}", soft_wrap=True)
    for run_id in found.logged_to:
        said.print(f"kept in run {run_id}, artifacts in compare/", soft_wrap=True)
