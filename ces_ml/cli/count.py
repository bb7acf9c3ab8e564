"""The command ``ces-ml count``: counts of an event log, straight to a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli import prepare as preparing
from ces_ml.cli.app import app, out, progress_bar, reported

__all__ = ["count"]


@app.command(
    epilog="Examples:\n\n  ces-ml count events.parquet --config churn.yaml -o counts.parquet\n\n  "
    "ces-ml count --config churn.yaml -o counts.parquet --memory-limit 2GB --design\n\n"
    "Then read it with ces_ml.read_counts, or fit it with ces_ml.linear.fit_parquet."
)
@reported
def count(
    config: Annotated[
        Path, typer.Option(help="YAML of a training job: its counts, outcome and log are taken.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write: .parquet.")],
    events: preparing.Options.events = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            help="Moment of the counts, in place of the one in CONFIG.",
            show_default="that of CONFIG",
        ),
    ] = None,
    design: Annotated[
        bool,
        typer.Option("--design", help="Write counts after cap and transform, as weights see them."),
    ] = False,
    memory_limit: Annotated[
        str | None, typer.Option(help="Beyond it counting goes through the disk, e.g. 2GB.")
    ] = None,
    threads: preparing.Options.threads = None,
    engine: preparing.Options.engine = None,
) -> None:
    """Write the counts and outcomes of a configuration to a file, in bounded memory."""
    from ces_ml.cli.tables import print_report
    from ces_ml.errors import SpecError
    from ces_ml.errors import show as shown
    from ces_ml.features import write_counts
    from ces_ml.training import TrainingConfig

    if output.suffix != ".parquet":
        raise SpecError(
            "the kind of output can't be told from its name",
            got=shown(str(output)),
            allowed=".parquet",
            hint="end the output path in .parquet",
        )
    job = TrainingConfig.from_file(config)
    log = preparing.read_events(events, config, engine=engine)
    given = {"memory_limit": memory_limit, "threads": threads}
    with progress_bar(1) as progress:
        progress("counting and writing")
        file = write_counts(
            log.source,
            job.counts,
            output,
            as_of=job.as_of_rule if as_of is None else as_of,
            outcome=job.outcome,
            schema=log.event_schema,
            engine=log.engine,
            design=design,
            **log.options,
            **{name: value for name, value in given.items() if value is not None},
        )
    size = output.stat().st_size / 1e6
    out.print(
        Text(
            f"{file.rows:,} rows, {len(file.terms):,} counts, {size:,.1f} MB, written to {output}"
        ),
        soft_wrap=True,
    )
    print_report(out, file.report, file.not_counted)
