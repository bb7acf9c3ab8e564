"""The command ``ces-ml score``: events and weights in, scores out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli import prepare as preparing
from ces_ml.cli.app import AsOf, Store, Weights, app, out, progress_bar, reported

__all__ = ["score"]


@app.command(
    epilog="Examples:\n\n  ces-ml score weights.json events.parquet -o scores.parquet\n\n  "
    "ces-ml score models:/churn@champion 'log/*.parquet' -o scores.csv --as-of 2025-06-01\n\n  "
    "ces-ml score churn.json --config churn.yaml -o scores.parquet\n\n  "
    "ces-ml score churn.json log/ -o history.duckdb --table churn --memory-limit 2GB "
    "--as-of 'every 28d from 2025-01-01 to 2025-06-30'\n\n  "
    "ces-ml score churn.json s3a://lake/events -o s3a://lake/scores --engine spark"
)
@reported
def score(
    weights: Weights,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="Where to write: .parquet, .csv or .duckdb; with --engine spark also a folder of "
            "Parquet files, or an address such as s3a://….",
        ),
    ],
    events: preparing.Options.events = None,
    config: preparing.Options.config = None,
    as_of: AsOf = None,
    reasons: Annotated[int, typer.Option(min=0, help="Contributions reported a customer.")] = 3,
    table: Annotated[
        str, typer.Option(help="Table of the .duckdb file that is written or replaced.")
    ] = "scores",
    spreadsheet_safe: Annotated[
        bool,
        typer.Option(
            "--spreadsheet-safe",
            help="In a .csv, put ' before ids and names that a spreadsheet would run as formulas.",
        ),
    ] = False,
    memory_limit: Annotated[
        str | None, typer.Option(help="Beyond it the work goes through the disk, e.g. 2GB.")
    ] = None,
    threads: preparing.Options.threads = None,
    store: Store = None,
    engine: preparing.Options.engine = None,
) -> None:
    """Score every customer of an event log."""
    from ces_ml.cli.tables import plain, print_report
    from ces_ml.tracking import load_weight_set
    from ces_ml.training import score_to_file

    given = {"memory_limit": memory_limit, "threads": threads}
    with progress_bar(2 + 100) as progress:
        progress("loading the weight set")
        weight_set = load_weight_set(weights, store)
        progress("counting and scoring")
        log = preparing.read_events(events, config, engine=engine)
        result = score_to_file(
            weight_set,
            log.source,
            output,
            as_of=as_of,
            schema=None if config is None else log.event_schema,
            n_reasons=reasons,
            engine=log.engine,
            table=table,
            spreadsheet_safe=spreadsheet_safe,
            progress=_by_percent(progress),
            **log.options | {k: v for k, v in given.items() if v is not None},
        )
    out.print(Text(f"{result.rows:,} rows written to {result.path}"), soft_wrap=True)
    for band in reversed(weight_set.bands):
        out.print(Text.assemble(f"  {result.bands[band.name]:>9,}  ", plain(band.name)))
    print_report(out, result.report, result.not_counted)


def _by_percent(progress: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return what turns rows into steps of a hundredth."""
    shown = 0

    def written(rows: int, total: int) -> None:
        nonlocal shown
        while shown < 100 * rows // total:
            shown += 1
            progress(f"{rows:,} of {total:,} rows written")

    return written
