"""The commands ``ces-ml changes`` and ``ces-ml declines``: why scores moved, and whose fell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli import prepare as preparing
from ces_ml.cli.app import Store, Weights, app, out, progress_bar, reported

__all__ = ["changes", "declines"]

_MOST_SHOWN = 10


@app.command(
    epilog="Examples:\n\n  ces-ml changes weights.json events.parquet --from 2025-05-01 --to "
    "2025-06-01 -o changes.parquet\n\n  ces-ml changes weights.json events.parquet --from "
    "2025-05-01 --to 2025-06-01 --customer 1234\n\n  ces-ml changes old.json events.parquet --from "
    "2025-05-01 --to 2025-06-01 --against models:/churn@champion -o changes.csv"
)
@reported
def changes(
    weights: Weights,
    events: preparing.Options.events = None,
    start: Annotated[str, typer.Option("--from", help="The first moment: a date.")] = ...,  # type: ignore[assignment]
    end: Annotated[str, typer.Option("--to", help="The second moment: a date.")] = ...,  # type: ignore[assignment]
    against: Annotated[
        str | None, typer.Option(help="The weights at the second moment, if they are others.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the parts of all changes: .parquet or .csv."),
    ] = None,
    totals: Annotated[
        Path | None, typer.Option(help="Write one row a customer: .parquet or .csv.")
    ] = None,
    customer: Annotated[
        list[str] | None, typer.Option(help="Only this customer; may be repeated.")
    ] = None,
    config: preparing.Options.config = None,
    store: Store = None,
) -> None:
    """Say why scores changed between two moments, in parts that add up."""
    from ces_ml.cli.change_tables import print_change, print_changes
    from ces_ml.tracking import load_weight_set
    from ces_ml.training import explain_change, write_scores

    with progress_bar(3) as progress:
        progress("loading the weight sets")
        weight_set = load_weight_set(weights, store)
        other = None if against is None else load_weight_set(against, store)
        progress("counting")
        log = preparing.read_events(events, config)
        found = explain_change(
            weight_set,
            log.source,
            start=start,
            end=end,
            against=other,
            customers=customer,
            schema=None if config is None else log.event_schema,
            **log.options,
        )
        progress("writing")
        for path, frame in ((output, found.parts), (totals, found.totals)):
            if path is not None:
                write_scores(frame, path)
    if customer:
        for k in range(min(len(found.totals), _MOST_SHOWN)):
            print_change(out, found, k)
    else:
        print_changes(out, found)
    for path in (p for p in (output, totals) if p is not None):
        out.print(Text(f"written to {path}"), soft_wrap=True)


@app.command(
    epilog="Examples:\n\n  ces-ml declines weights.json events.parquet --as-of 2025-06-01 -o "
    "declines.csv\n\n  ces-ml declines models:/churn@champion events.parquet --as-of 2025-06-01 "
    "--over 28d --control discoveries --level 0.1"
)
@reported
def declines(
    weights: Weights,
    events: preparing.Options.events = None,
    as_of: Annotated[str, typer.Option("--as-of", help="The moment of the alert: a date.")] = ...,  # type: ignore[assignment]
    over: Annotated[str, typer.Option(help="Between which moments a change is measured.")] = "7d",
    history: Annotated[int, typer.Option(help="Earlier changes that say what noise is.")] = 12,
    level: Annotated[
        float, typer.Option(help="Share of false alerts among customers who did not change.")
    ] = 0.01,
    control: Annotated[
        str,
        typer.Option(help="rate, or discoveries: then level is the share of false ones of all."),
    ] = "rate",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write all customers judged: .parquet or .csv."),
    ] = None,
    config: preparing.Options.config = None,
    store: Store = None,
) -> None:
    """Find customers whose score fell beyond the noise of their own history, and say why."""
    from ces_ml.cli.change_tables import print_declines
    from ces_ml.tracking import load_weight_set
    from ces_ml.training import declines as find
    from ces_ml.training import write_scores

    with progress_bar(3) as progress:
        progress("loading the weight set")
        weight_set = load_weight_set(weights, store)
        progress("counting and judging")
        log = preparing.read_events(events, config)
        found = find(
            weight_set,
            log.source,
            as_of=as_of,
            over=over,
            history=history,
            level=level,
            control=control,  # type: ignore[arg-type]
            schema=None if config is None else log.event_schema,
            **log.options,
        )
        progress("writing")
        if output is not None:
            write_scores(found.falls, output)
    print_declines(out, found)
    if output is not None:
        out.print(Text(f"written to {output}"), soft_wrap=True)
