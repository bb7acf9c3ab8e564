"""What the command line prints of an inspected log."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ces_ml.cli.tables import plain
from ces_ml.spec.log_inspection import EventTypeSummary, LogInspection

__all__ = ["print_inspection"]

_TYPES, _BURSTS, _HOURS = 60, 8, 8


def print_inspection(console: Console, log: LogInspection) -> None:
    """Print what a log holds, what is worth a look, and its event types."""
    console.rule(plain(log.source, 100))
    zone = "; times without a zone were taken as UTC" if log.naive else ""
    console.print(
        f"{log.rows:,} rows, {log.customers:,} customers, {len(log.types):,} event types, "
        f"{len(log.days):,} days: {log.first:%Y-%m-%d %H:%M} to {log.last:%Y-%m-%d %H:%M}{zone}"
    )
    order = "in no order" if log.order == "none" else f"stand {log.order}"
    console.print(f"[dim]rows {order}; {log.duplicates:,} exact duplicates[/dim]")
    if log.notes:
        console.print("\n[bold]Worth a look[/bold]")
    for note in log.notes:
        console.print(Text.assemble(("  • ", "yellow"), note), soft_wrap=True)
    console.print()
    console.print(_types(log))
    if log.bursts:
        console.print(_bursts(log))
    if log.busy_hours:
        console.print(_hours(log))


def _types(log: LogInspection) -> Table:
    table = Table(title="event types", title_justify="left")
    table.add_column("event type", overflow="fold", min_width=16)
    for column in ("events", "a day", "customers"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for t in log.types[:_TYPES]:
        table.add_row(
            plain(t.event),
            f"{t.rows:,}",
            f"{t.rows / len(log.days):,.3g}",
            f"{100 * t.share:.1f} %",
            _flags(t),
        )
    if len(log.types) > _TYPES:
        table.caption = f"{len(log.types) - _TYPES:,} more; --json or --html shows all"
    return table


def _flags(t: EventTypeSummary) -> Text:
    words = [f"from {t.first:%Y-%m-%d}"] * t.begins_late
    words += [f"until {t.last:%Y-%m-%d}"] * t.stops_early
    if t.silent_days:
        words.append(f"silent {t.silent_days:,} d")
    return Text(", ".join(words), style="yellow")


def _bursts(log: LogInspection) -> Table:
    table = Table(title=f"largest bursts of a day, of {len(log.bursts):,}", title_justify="left")
    for column in ("day", "event type", "events", "usual"):
        table.add_column(column, justify="right" if column in ("events", "usual") else "left")
    for b in log.bursts[:_BURSTS]:
        event = Text("all events") if b.event is None else plain(b.event)
        table.add_row(str(b.day), event, f"{b.rows:,}", f"{b.usual:,.1f}")
    return table


def _hours(log: LogInspection) -> Table:
    title = f"busiest hours of a customer, of {log.n_busy_hours:,} from {log.busy_hour_from:,} on"
    table = Table(title=title, title_justify="left")
    for column in ("hour (UTC)", "customer", "events"):
        table.add_column(column, justify="right" if column == "events" else "left")
    for h in log.busy_hours[:_HOURS]:
        table.add_row(f"{h.hour:%Y-%m-%d %H:00}", plain(h.customer), f"{h.rows:,}")
    return table
