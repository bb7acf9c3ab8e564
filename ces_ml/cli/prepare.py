"""The command ``ces-ml prepare``: an event log, written once in its best form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from ces_ml.errors import ConfigError

if TYPE_CHECKING:
    from ces_ml.features import PreparedLog
    from ces_ml.training.config import EventsConfig

__all__ = ["EXAMPLES", "Options", "prepare_log", "print_prepared", "read_events"]

EXAMPLES = (
    "Examples:\n\n  ces-ml prepare events.csv -o log\n\n  "
    "ces-ml prepare 'export/*.json.gz' --preset amplitude -o log --memory-limit 2GB\n\n  "
    "ces-ml prepare --config churn.yaml -o log\n\n"
    "Then name the folder wherever a log is asked for; its columns need no names any more."
)


class Options:
    """Options of the command, as Typer reads them."""

    events = Annotated[
        str | None,
        typer.Argument(
            metavar="[EVENTS]",
            help="Parquet, CSV or JSON-lines file, glob, folder, or DuckDB database.",
        ),
    ]
    output = Annotated[Path, typer.Option("--output", "-o", help="Folder that is written.")]
    config = Annotated[
        Path | None,
        typer.Option(help="YAML with a section `events`: the log, its columns, its database."),
    ]
    preset = Annotated[
        str | None,
        typer.Option(help="segment, segment_json, ga4, snowplow, mixpanel or amplitude."),
    ]
    column = Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A key of the section `events`, such as customer_col=user; may be repeated.",
        ),
    ]
    memory_limit = Annotated[
        str | None, typer.Option(help="Beyond it the sort goes through the disk, e.g. 2GB.")
    ]
    engine = Annotated[
        str | None,
        typer.Option(
            help="What counts: duckdb or spark.", show_default="that of CONFIG, or duckdb"
        ),
    ]
    threads = Annotated[int | None, typer.Option(min=1, help="Threads.", show_default="all cores")]


def prepare_log(
    events: str | None,
    output: Path,
    config: Path | None,
    preset: str | None,
    keys: list[str],
    progress: Callable[[str], None],
    **options: Any,
) -> PreparedLog:
    """Read the arguments of the command and write the log.

    Raises
    ------
    ConfigError
        If no log is named, or a key is not allowed.
    """
    from ces_ml.features import prepare_events

    read = read_events(events, config, preset, keys)
    taken = {k: v for k, v in read.options.items() if k not in ("accounts", "observed_until")}
    progress("reading and sorting the log")
    return prepare_events(read.source, output, read.event_schema, **taken, **options)


def read_events(
    events: str | None,
    config: Path | None,
    preset: str | None = None,
    keys: Sequence[str] = (),
    *,
    engine: str | None = None,
) -> EventsConfig:
    """Return the section ``events`` that the arguments of a command mean.

    Raises
    ------
    ConfigError
        If no log is named, or a key is not allowed.
    """
    from ces_ml.training.config import EventsConfig, events_section

    section: dict[str, Any] = {}
    if config is not None:
        section = events_section(config)
    if preset is not None:
        section["preset"] = preset
    for pair in keys:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(
                "--set is given no value",
                got=repr(pair),
                allowed="KEY=VALUE, for example customer_col=user",
                hint="write the key of the section `events`, an equals sign, and its value",
            )
        section[key] = None if value in ("", "null") else value
    if events is not None:
        section = {k: v for k, v in section.items() if k != "adbc"} | {"path": events}
    if engine is not None:
        section["engine"] = engine
    read = EventsConfig.parse(section)
    if not read.named:
        raise ConfigError(
            "no event log is named",
            got="neither EVENTS nor a log in --config",
            allowed="the path of a log, or a configuration that names one",
            hint="add EVENTS to the command, or `events: {path: …}` to the configuration",
        )
    if config is None:
        return read
    placed = read.located(config.resolve().parent)
    return placed if events is None else placed.model_copy(update={"path": events})


def print_prepared(console: Console, log: PreparedLog, output: Path) -> None:
    """Print what was written."""
    console.print(
        f"{log.rows:,} events of {len(log.event_types):,} types, "
        f"{log.bytes / 1e6:,.1f} MB, written to {output}",
        soft_wrap=True,
    )
    span = log.profile()
    console.print(f"[dim]from {span.first.isoformat()} to {span.last.isoformat()}[/dim]")
    for reason, rows in log.dropped.items():
        if rows:
            console.print(Text(f"  {rows:,} rows with {reason.replace('_', ' ')}, left out", "dim"))
    if log.naive:
        console.print("[dim]times without a zone were taken as UTC[/dim]")
