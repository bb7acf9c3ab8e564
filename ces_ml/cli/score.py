"""The command ``ces-ml score``: events and weights in, scores out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli import prepare as preparing
from ces_ml.cli.app import AsOf, Store, Weights, app, out, progress_bar, reported

__all__ = ["score"]


@app.command(
    epilog="Examples:\n\n  ces-ml score weights.json events.parquet -o scores.parquet\n\n  "
    "ces-ml score models:/churn@champion 'log/*.parquet' -o scores.csv --as-of 2025-06-01\n\n  "
    "ces-ml score churn.json --config churn.yaml -o scores.parquet --engine spark"
)
@reported
def score(
    weights: Weights,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write: .parquet or .csv.")
    ],
    events: preparing.Options.events = None,
    config: preparing.Options.config = None,
    as_of: AsOf = None,
    reasons: Annotated[int, typer.Option(min=0, help="Contributions reported a customer.")] = 3,
    store: Store = None,
    engine: preparing.Options.engine = None,
) -> None:
    """Score every customer of an event log."""
    from ces_ml.cli.tables import plain, print_report
    from ces_ml.tracking import load_weight_set
    from ces_ml.training import score_events, write_scores

    with progress_bar(3) as progress:
        progress("loading the weight set")
        weight_set = load_weight_set(weights, store)
        progress("counting and scoring")
        log = preparing.read_events(events, config, engine=engine)
        result = score_events(
            weight_set,
            log.source,
            as_of=as_of,
            schema=None if config is None else log.event_schema,
            n_reasons=reasons,
            engine=log.engine,
            **log.options,
        )
        progress("writing scores")
        written = write_scores(result.scores, output)
    scores = result.scores
    out.print(f"{len(scores):,} rows written to {written}", soft_wrap=True)
    for band in reversed(weight_set.bands):
        held = int((scores["band"] == band.name).sum())
        out.print(Text.assemble(f"  {held:>9,}  ", plain(band.name)))
    print_report(out, result.report, result.not_counted)
