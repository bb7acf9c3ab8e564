"""What the command line prints about changes and declines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ces_ml.cli.tables import plain
from ces_ml.scoring import PARTS

if TYPE_CHECKING:
    from ces_ml.scoring import ScoreChange
    from ces_ml.training import Declines

__all__ = ["print_change", "print_changes", "print_declines"]

#: The parts of a change in words.
_WORDS = {
    "aged_out": "left the window",
    "faded": "faded",
    "new": "new behaviour",
    "new_weight": "another weight",
    "added": "counted now",
    "removed": "no longer counted",
    "intercept": "another intercept",
    "scale": "another scale",
}
_MOST = 20
_DECLINES_ARE = (
    "Expected falsely: how many alerts chance alone would raise at this level. The score is 0 to "
    "100; raw change and noise (the spread of a customer's own earlier changes) are of the raw "
    "score, the sum of weights times counts."
)


def print_change(console: Console, found: ScoreChange, row: int) -> None:
    """Print the parts of one customer's change."""
    who = found.totals.columns[0]
    customer = found.totals[who].iloc[row]
    totals = found.totals.drop(columns=who).iloc[row]
    mine = found.parts[found.parts[who] == customer]
    before, after = totals["score_before"], totals["score_after"]
    title = Text.assemble("customer ", plain(str(customer)), f": score {before:.1f} → {after:.1f}")
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("term")
    table.add_column("raw", justify="right")
    table.add_column("score", justify="right")
    for part in mine.head(_MOST).itertuples():
        term = "" if part.term is None or part.term != part.term else str(part.term)
        points = (f"{part.raw_points:+.3f}", f"{part.score_points:+.2f}")
        table.add_row(_WORDS[str(part.part)], plain(term), *points)
    rest = mine.iloc[_MOST:]
    if len(rest):
        sums = (f"{rest['raw_points'].sum():+.3f}", f"{rest['score_points'].sum():+.2f}")
        table.add_row(f"{len(rest)} more", "", *sums)
    table.add_section()
    table.add_row("all", "", f"{totals['raw_change']:+.3f}", f"{totals['score_change']:+.2f}")
    console.print(table)


def print_changes(console: Console, found: ScoreChange) -> None:
    """Print what moved the scores of all customers."""
    totals = found.totals
    change = totals["score_change"]
    console.print(
        f"{len(totals):,} customers: {int((change > 0).sum()):,} rose, "
        f"{int((change < 0).sum()):,} fell; mean change {change.mean():+.2f}"
    )
    table = Table(title="mean change of the score by part", title_justify="left")
    table.add_column("what")
    table.add_column("points", justify="right")
    for part in (p for p in PARTS if p in totals):
        table.add_row(_WORDS[part], f"{totals[part].mean():+.3f}")
    console.print(table)


def print_declines(console: Console, found: Declines) -> None:
    """Print how many fell beyond noise, and the furthest."""
    report = found.report
    console.print(
        f"{report['judged']:,} customers judged, {report['left_out_too_new']:,} too new; "
        f"{report['alerts']:,} alerts (expected falsely: {report['expected_false_alerts']:,})"
    )
    console.print(f"[dim]{_DECLINES_ARE}[/dim]")
    alerts = found.alerts
    if alerts.empty:
        return
    table = Table(title="falls beyond noise", title_justify="left")
    for name in ("customer", "score", "raw change", "noise", "p"):
        table.add_column(name, justify="left" if name == "customer" else "right")
    table.add_column("most of it")
    for _, row in alerts.head(_MOST).iterrows():
        why = Text("")
        if isinstance(reason := row.get("reason_1"), str):
            why = Text.assemble(plain(reason), f": {_WORDS[row['part_1']]}")
        table.add_row(
            plain(str(row.iloc[0])),
            f"{row['score_before']:.1f} → {row['score_after']:.1f}",
            f"{row['raw_change']:+.3f}",
            f"{row['noise']:.3f}",
            f"{row['p_value']:.1g}",
            why,
        )
    console.print(table)
    if len(alerts) > _MOST:
        console.print(f"… and {len(alerts) - _MOST:,} more")
