"""What ``ces-ml compare``, ``promote``, ``history`` and ``rollback`` print."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ces_ml.cli.tables import SHOWN_METRICS, plain
from ces_ml.evaluation import Migration
from ces_ml.report import visible
from ces_ml.tracking import AliasHistory, RuleResult
from ces_ml.training import WeightSetComparison
from ces_ml.training.comparing import Change, Compared
from ces_ml.training.weight_changes import WeightRow

__all__ = ["print_comparison", "print_history", "print_rules"]

#: Terms, and flips of either kind, that are shown.
MOST_TERMS, MOST_FLIPS = 40, 8


def print_comparison(console: Console, comparison: WeightSetComparison) -> None:
    """Print what stands between the numbers and belief in them, then weights and changes."""
    for note in comparison.notes:
        console.print(Text.assemble(("note: ", "yellow"), visible(note)), soft_wrap=True)
    console.print(_weights(comparison))
    console.print(_metrics(comparison))
    for change in comparison.changes:
        _print_change(console, change)
    console.print(Text(visible(comparison.split), "dim"), soft_wrap=True)
    if comparison.rows:
        console.print(
            f"[dim]compared on {comparison.rows:,} rows of {comparison.customers:,} customers, "
            f"{comparison.good:,} with the good outcome[/dim]",
            soft_wrap=True,
        )


def _weights(comparison: WeightSetComparison) -> Table:
    table = Table(title="weights, the most important first", title_justify="left")
    table.add_column("term", overflow="fold", min_width=14)
    sure = any(i for row in comparison.weights for i in row.intervals)
    for one in comparison.sets:
        table.add_column(plain(one.name, 30), justify="right")
    table.add_column("rank", justify="right", no_wrap=True)
    shown = comparison.weights[:MOST_TERMS]
    remarks = [_remark(row) for row in shown]
    if any(remarks):
        table.add_column("", overflow="fold")
    for row, remark in zip(shown, remarks, strict=True):
        table.add_row(
            plain(row.term),
            *(_weight(row, k) for k in range(len(comparison.sets))),
            " → ".join("–" if rank is None else str(rank) for rank in row.ranks),
            *([remark] if any(remarks) else []),
        )
    captions = ["intervals in brackets"] if sure else []
    if len(comparison.weights) > MOST_TERMS:
        captions.append(f"{len(comparison.weights) - MOST_TERMS:,} more terms")
    table.caption = Text("; ".join(captions)) if captions else None
    return table


def _weight(row: WeightRow, k: int) -> str:
    weight, ends = row.weights[k], row.intervals[k]
    if weight is None:
        return "–"
    # Without a space inside the brackets, a narrow terminal breaks the line before them.
    words = f"{weight:+.3f}" + (f" ({ends[0]:+.2f}…{ends[1]:+.2f})" if ends else "")
    return words.replace("-", "−")


def _remark(row: WeightRow) -> Text:
    words = ["changes sign"] if row.flipped else []
    if row.weights[0] is None:
        words.append("new")
    elif all(w is None for w in row.weights[1:]):
        words.append("gone")
    if row.otherwise:
        words.append(f"counted otherwise: {visible(row.otherwise, 120)}")
    return Text("; ".join(words), "yellow" if words else "")


def _metrics(comparison: WeightSetComparison) -> Table:
    held = comparison.rows > 0
    table = Table(
        title="metrics on the same held-out rows" if held else "metrics noted at training",
        title_justify="left",
    )
    table.add_column("metric", no_wrap=True)
    for one in comparison.sets:
        table.add_column(plain(one.name, 30), justify="right")
    every = [one.metrics if held else one.recorded for one in comparison.sets]
    for key, words in SHOWN_METRICS.items():
        table.add_row(words, *(f"{found[key]:.3f}" if key in found else "–" for found in every))
    if held:
        table.add_row("error (by chance)", *(_calibration(one) for one in comparison.sets))
    return table


def _calibration(one: Compared) -> str:
    found = one.calibration
    return "–" if found is None else f"{found.ece:.3f} ({found.ece_by_chance:.3f})"


def _print_change(console: Console, change: Change) -> None:
    console.print(Text.assemble(plain(change.name), " in place of the first"), style="bold")
    for d in change.differences:
        value, low, high = (f"{v:+.4f}".replace("-", "−") for v in (d.value, d.low, d.high))
        level = f"{d.level:.0%}".replace("%", " %")
        console.print(f"  {SHOWN_METRICS[d.metric]} {value} ({level} interval {low} to {high})")
    same = change.agreement
    if same is not None:
        linear, ranks = (
            "none" if v is None else f"{v:.3f}".replace("-", "−")
            for v in (same.pearson, same.spearman)
        )
        console.print(f"  correlation of the scores {linear} (of ranks {ranks})")
    words = f"  signs that flip: {len(change.sign_flips)}"
    console.print(words + (":" if change.sign_flips else ""))
    for flip in change.sign_flips[:MOST_FLIPS]:
        ends = f" {flip.before:+.3f} → {flip.after:+.3f}".replace("-", "−")
        console.print(Text.assemble("    ", plain(flip.term), ends, ", clear" * flip.clear))
    console.print(f"  pairs of terms that change rank: {change.swapped:,} of {change.pairs:,}")
    for rank in change.rank_flips[:MOST_FLIPS]:
        console.print(Text.assemble("    ", plain(rank.below), " now above ", plain(rank.above)))
    if change.migration is not None:
        console.print(f"  {_moved(change.migration)}")
        console.print(_migration(change.migration))


def _moved(found: Migration) -> str:
    moved = f"{100 * found.changed:.1f} % of {found.customers:,} customers change band"
    if found.up is not None and found.down is not None:
        moved += f" ({100 * found.up:.1f} % up, {100 * found.down:.1f} % down)"
    return moved


def _migration(found: Migration) -> Table:
    table = Table()
    table.add_column("from \\ to")
    for band in reversed(found.after):
        table.add_column(plain(band), justify="right")
    for band, counts in reversed(list(zip(found.before, found.counts, strict=True))):
        table.add_row(plain(band), *(f"{n:,}" for n in reversed(counts)))
    return table


def print_rules(console: Console, results: Sequence[RuleResult], rules_of: str) -> None:
    """Print what became of every rule of the gate."""
    table = Table(title=Text(f"gate: {visible(rules_of)}"), title_justify="left")
    table.add_column("rule", no_wrap=True)
    table.add_column("required", overflow="fold")
    table.add_column("found", overflow="fold")
    table.add_column("passed", no_wrap=True)
    for r in results:
        passed = ("yes", "green") if r.passed else ("no", "bold red")
        table.add_row(
            plain(r.rule),
            plain(r.required, 200),
            plain(r.found, 300),
            Text(*passed) if r.applies else Text("–", "dim"),
        )
    console.print(table)


def print_history(console: Console, history: AliasHistory) -> None:
    """Print every move of the aliases of a weight set, and where they point."""
    table = Table(title=plain(history.name), title_justify="left")
    for column in ("when (UTC)", "alias", "from → to", "who", "why", "gate"):
        fixed = column in ("when (UTC)", "from → to")
        table.add_column(column, overflow="fold", no_wrap=fixed)
    for move in history.moves:
        why = [visible(move.because, 200)] if move.because else []
        why += [f"override: {visible(move.override, 200)}"] if move.override else []
        gate = move.gate or ("rollback" if move.action == "rollback" else "–")
        failed = f" ({', '.join(visible(rule, 40) for rule in move.failed)})"
        table.add_row(
            f"{move.moment:%Y-%m-%d %H:%M:%S}",
            plain(move.alias),
            plain(f"{move.before} → {move.after}"),
            plain(move.by),
            Text("; ".join(why)),
            Text(gate + (failed if move.failed else "")),
        )
    console.print(table)
    for alias, version in history.now.items():
        console.print(Text.assemble(plain(alias), " points at version ", plain(version)))
    for alias in history.moved_otherwise:
        line = " was moved by other means than ces-ml since"
        console.print(Text.assemble(("note: ", "yellow"), plain(alias), line))
