"""The commands about a log itself: look at it, prepare it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli import prepare as preparing
from ces_ml.cli.app import app, out, progress_bar, reported

__all__ = ["inspect", "prepare"]


@app.command(
    epilog="Examples:\n\n  ces-ml inspect events.parquet\n\n  "
    "ces-ml inspect 'log/*.csv' --customer-col user --html log.html\n\n  "
    "ces-ml inspect 'export/*.json.gz' --preset amplitude\n\n  ces-ml inspect --config churn.yaml"
)
@reported
def inspect(
    events: preparing.Options.events = None,
    config: preparing.Options.config = None,
    preset: preparing.Options.preset = None,
    set_: preparing.Options.column = None,
    customer_col: Annotated[
        str | None, typer.Option(help="Column of the customer.", show_default="customer_id")
    ] = None,
    event_col: Annotated[
        str | None, typer.Option(help="Column of the event type.", show_default="event_type")
    ] = None,
    timestamp_col: Annotated[
        str | None, typer.Option(help="Column of the time.", show_default="timestamp")
    ] = None,
    arrival_col: Annotated[
        str | None, typer.Option(help="Column that says when a row became known.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write tables and figures as one HTML page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Look at an event log before counting it: gaps, bursts, duplicates, order, event types."""
    from ces_ml.cli.inspection_tables import print_inspection
    from ces_ml.features import inspect_events
    from ces_ml.files import write_text
    from ces_ml.report import inspection_page

    columns = {
        "customer_col": customer_col,
        "event_col": event_col,
        "timestamp_col": timestamp_col,
        "arrival_col": arrival_col,
    }
    keys = [f"{key}={name}" for key, name in columns.items() if name is not None]
    log = preparing.read_events(events, config, preset, [*(set_ or []), *keys])
    with progress_bar(6) as progress:
        found = inspect_events(log.source, log.event_schema, table=log.table, progress=progress)
    if html is not None:
        write_text(html, inspection_page(found, f"Event log {Path(found.source).name}"))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
        return
    print_inspection(out, found)
    if html is not None:
        out.print(Text(f"page written to {html}"), soft_wrap=True)


@app.command(epilog=preparing.EXAMPLES)
@reported
def prepare(
    output: preparing.Options.output,
    events: preparing.Options.events = None,
    config: preparing.Options.config = None,
    preset: preparing.Options.preset = None,
    set_: preparing.Options.column = None,
    memory_limit: preparing.Options.memory_limit = None,
    threads: preparing.Options.threads = None,
) -> None:
    """Write an event log once in the form that is counted fastest."""
    with progress_bar(1) as progress:
        log = preparing.prepare_log(
            events,
            output,
            config,
            preset,
            set_ or [],
            progress,
            memory_limit=memory_limit,
            threads=threads,
        )
    preparing.print_prepared(out, log, output)
