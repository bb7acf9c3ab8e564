"""What the command line prints: tables of weights, metrics, bands and samples."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ces_ml.cli.audit_lines import print_audit
from ces_ml.evaluation import Difference
from ces_ml.linear import RulePrice, prices_table
from ces_ml.report import sample_in_words, score_in_words, visible
from ces_ml.spec.words import measured_as
from ces_ml.training import TrainingResult, penalty_in_words
from ces_ml.weights import WeightedTerm, WeightSet

__all__ = ["plain", "print_next", "print_report", "print_result", "print_weight_set"]

#: Metrics shown, with the words shown for them.
SHOWN_METRICS = {
    "roc_auc": "ROC AUC",
    "average_precision": "avg precision",
    "lift_at_10": "lift at 10 %",
    "log_loss": "log loss",
    "brier": "Brier",
}
#: Rules whose prices are shown, and terms without enough data.
MOST_PRICES, MOST_LACKING = 12, 8
#: Least width of names; 80 columns hold less beside g(n), and least beside intervals and points.
_NAME, _NAME_BESIDE_G, _NAME_BESIDE_BOTH = 24, 14, 8
#: Event types that are named when a weight set does not count them.
_MOST_NOT_COUNTED = 5


def plain(text: str, limit: int = 48) -> Text:
    """Return untrusted text for the terminal: escapes shown, no markup read, cut at `limit`."""
    return Text(visible(text, limit))


def print_result(console: Console, result: TrainingResult) -> None:
    """Print what a training job learned."""
    weight_set = result.weight_set
    console.rule(plain(weight_set.name))
    console.print(_weights(weight_set, result.solver.active))
    if result.sure is not None:
        console.print(Text(visible(result.sure.words), style="dim"), soft_wrap=True)
    _print_points(console, weight_set)
    if result.prices:
        console.print(_prices(result.prices))
    console.print(_metrics(result.comparison))
    if result.differences:
        console.print(_gains(result.differences))
    print_verdict(console, weight_set)
    console.print(_bands(weight_set))
    if result.bar is not None:
        console.print(Text(result.bar.words, style="dim"), soft_wrap=True)
    _print_data(console, result)
    _print_calibration(console, result)
    sample = result.sample
    console.print(f"[dim]sample: {sample['rows']:,} rows; {result.split.description}[/dim]")
    if result.all_rows is not None:
        console.print(Text(result.all_rows.words, style="dim"), soft_wrap=True)
    print_report(console, sample)
    print_audit(console, result.audit)
    if result.profile.naive:
        console.print("[dim]times without a zone were taken as UTC[/dim]")
    console.print(Text(f"penalty: {penalty_in_words(result)}", style="dim"))
    console.print(f"[dim]solver: {result.solver.message}[/dim]")


def print_weight_set(console: Console, weight_set: WeightSet) -> None:
    """Print a weight set that was trained before."""
    console.rule(plain(weight_set.name))
    console.print(_weights(weight_set, ()))
    _print_points(console, weight_set)
    for rule in weight_set.rules:
        console.print(Text.assemble("rule: ", plain(rule, 120)))
    if weight_set.account_col is not None:
        column = plain(weight_set.account_col)
        console.print(Text.assemble("customers: accounts, users rolled up by ", column))
    source, card = weight_set.provenance, weight_set.points
    if source is not None:
        rows: list[dict[str, Any]] = [{"name": weight_set.name, **source.metrics}]
        if card is not None:
            rows.append({"name": "integer points", **card.metrics})
        console.print(_metrics(rows))
    print_verdict(console, weight_set)
    console.print(_bands(weight_set))
    console.print(f"[dim]{weight_set.fingerprint}[/dim]", soft_wrap=True)


def print_next(console: Console, commands: Iterable[tuple[str, str]]) -> None:
    """Print what to type next, one command a line."""
    console.print("\n[bold]Next[/bold]")
    for words, command in commands:
        if command.startswith("ces-ml "):
            command = program() + command.removeprefix("ces-ml")
        console.print(f"  {words}")
        console.print(Text(f"    {command}", style="cyan"), soft_wrap=True)


def program() -> str:
    """Return how this program can be called from here: ``ces-ml`` if that is on the PATH."""
    called = os.path.abspath(sys.argv[0])
    if os.path.basename(called) != "ces-ml" or shutil.which("ces-ml") == called:
        return "ces-ml"
    return shlex.quote(os.path.relpath(called))


def _weights(weight_set: WeightSet, active: tuple[str, ...]) -> Table:
    terms = sorted(weight_set.terms, key=lambda t: (-abs(t.weight), t.name))
    points = weight_set.points.values if weight_set.points else {}
    held = [t for t in terms if t.weight or points.get(t.name)]
    levels = [t.interval.level for t in terms if t.interval is not None]
    sure = [f"{levels[0]:.0%} interval".replace("%", " %"), "evidence"] if levels else []
    shown = {t.name: _g_of(t) for t in held}
    alike = len(held) > 1 and len(set(shown.values())) == 1  # then it is said once
    g = f"g(n) = {plain(shown[held[0].name], 120)}" if alike else "g(n)"
    table = Table(title=f"weights (change of the log-odds per unit of {g})", title_justify="left")
    most = _NAME_BESIDE_BOTH if sure and points else _NAME if alike else _NAME_BESIDE_G
    name = min(most, max((len(visible(t.name)) for t in held), default=4))
    # An interval says more than a bar, and a terminal has no room for both.
    shown_as = sure or [""]
    for column in (
        "term",
        "weight",
        *shown_as,
        *(["points"] if points else []),
        *([] if alike else ["g(n)"]),
    ):
        right = column in ("weight", "points") or "interval" in column
        table.add_column(
            column,
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=column not in ("term", "g(n)"),
            min_width=name if column == "term" else None,
        )
    largest = max((abs(t.weight) for t in held), default=1.0)
    for term in held:
        bar = "█" * max(1, round((12 if points else 20) * abs(term.weight) / largest))
        colour = "blue" if term.weight > 0 else "red"
        shown_points = [f"{points[term.name]:+d}".replace("+0", "0")] if points else []
        table.add_row(
            plain(term.name),
            f"{term.weight:+.3f}",
            *([_ends(term), term.evidence or "–"] if sure else [f"[{colour}]{bar}[/]"]),
            *shown_points,
            *([] if alike else [plain(shown[term.name], 120)]),
        )
    zeros = len(terms) - len(held)
    rules = f"; rules that bind: {', '.join(visible(rule) for rule in active)}" if active else ""
    if zeros or rules:
        table.caption = Text(f"{zeros} terms have weight 0{rules}")
    return table


def _g_of(term: WeightedTerm) -> str:
    """Return how the count of a term enters the score."""
    bare = term.model_copy(update={"cap": None, "transform": "identity"})
    inside = ", ".join([f"{term.measure} {term.window}", *measured_as(bare)[1:]])
    inside = f"min({inside}; {term.cap:g})" if term.cap else inside
    return inside if term.transform == "identity" else f"{term.transform}({inside})"


def _ends(term: WeightedTerm) -> str:
    found = term.interval
    return "–" if found is None else f"{found.low:+.3f} to {found.high:+.3f}".replace("-", "−")


def _print_points(console: Console, weight_set: WeightSet) -> None:
    """Say in one line what a point is worth and what points cost."""
    card = weight_set.points
    if card is not None:
        console.print(
            f"[dim]a point is worth {card.scale:.3g} of weight; log loss given up on training "
            f"rows: {card.log_loss_given_up:+.4f}[/dim]"
        )


def _print_calibration(console: Console, result: TrainingResult) -> None:
    """Say in one line how true the probabilities are on held-out rows."""
    found, mapped = result.calibration, result.weight_set.calibration
    if found is not None:
        line = f"slope {found.slope:.2f} (true: 1), intercept {found.intercept:+.2f} (true: 0), "
        line = line if "slope" in found.metrics else ""
        console.print(
            f"[dim]calibration: {line}expected error {found.ece:.4f}, by chance alone "
            f"{found.ece_by_chance:.4f}{f'; after {mapped.method}' if mapped else ''}[/dim]"
        )


def _prices(prices: Sequence[RulePrice]) -> Table:
    rows = prices_table(prices)
    table = Table(
        title="price of the rules that bind: what changes on held-out rows when one is dropped",
        title_justify="left",
    )
    for column in ("rule", "log loss", "ROC AUC", "weights that change most"):
        right = column in ("log loss", "ROC AUC")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows[:MOST_PRICES]:
        changes = [_change(row[k]) for k in ("log_loss_change", "auc_change")]
        words = row["weights_changed"] or row["note"] or "none"
        table.add_row(plain(row["rule"], 80), *changes, plain(words, 160))
    if len(rows) > MOST_PRICES:
        table.caption = f"… {len(rows) - MOST_PRICES} more in price_of_rules.json of the run"
    return table


def _change(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:+.4f}" if abs(value) >= 5e-5 else "0"


def print_verdict(console: Console, weight_set: WeightSet) -> None:
    """Say whether the weights beat counting."""
    if weight_set.verdict is not None:
        style = "bold green" if weight_set.verdict.worth_promoting else "bold yellow"
        words = visible(weight_set.verdict.words, 400)
        console.print(Text.assemble("verdict: ", (words, style)), soft_wrap=True)


def _print_data(console: Console, result: TrainingResult) -> None:
    """Name the terms that the training rows say too little about, the worst first."""
    if result.data is None:
        return
    console.print(Text(f"data: {result.data.outcome.words}", style="dim"), soft_wrap=True)
    lacking = result.data.lacking
    for term in lacking[:MOST_LACKING]:
        line = Text.assemble("  ", plain(term.name), f": {term.words}", style="dim")
        console.print(line, soft_wrap=True)
    if len(lacking) > MOST_LACKING:
        more = f"  … {len(lacking) - MOST_LACKING} more in enough_data.json of the run"
        console.print(Text(more, style="dim"))


def _metrics(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="on held-out rows", title_justify="left")
    table.add_column("score")
    for words in SHOWN_METRICS.values():
        table.add_column(words, justify="right")
    for k, row in enumerate(rows):
        cells = [f"{row[m]:.3f}" if m in row else "–" for m in SHOWN_METRICS]
        name = "learned weights" if k == 0 else score_in_words(row["name"])
        table.add_row(name, *cells, style="bold" if k == 0 else "")
    return table


def _gains(differences: Sequence[Difference]) -> Table:
    level = f"{differences[0].level:.0%}".replace("%", " %")
    table = Table(
        title=f"the weights minus each other score, with {level} intervals by customer",
        title_justify="left",
    )
    found = {(d.against, d.metric): d for d in differences}
    table.add_column("minus")
    for words in ("ROC AUC", "log loss"):
        table.add_column(words, justify="right")
    for name in dict.fromkeys(d.against for d in differences):
        cells = [_gain(found.get((name, metric))) for metric in ("roc_auc", "log_loss")]
        table.add_row(score_in_words(name), *cells)
    return table


def _gain(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    d = difference
    ends = f" ({d.low:+.3f} to {d.high:+.3f})" if math.isfinite(d.low) else ""
    return f"{d.value:+.3f}{ends}".replace("-", "−")


def _bands(weight_set: WeightSet) -> Table:
    outcome = weight_set.outcome.task if weight_set.outcome else "outcome"
    good = {
        "churn": "retained",
        "conversion": "converted",
        "upsell": "upgraded",
        "cross_sell": "cross-sold",
    }.get(outcome, "y=1")
    table = Table(title="bands of the score, on held-out rows", title_justify="left")
    for column in ("band", "score from", "rows", good):
        table.add_column(column, justify="left" if column == "band" else "right")
    for band in weight_set.bands:
        rate = "–" if band.rate is None else f"{100 * band.rate:.1f} %"
        if band.low is not None and band.high is not None:
            rate += f" ({100 * band.low:.1f}–{100 * band.high:.1f})"
        table.add_row(plain(band.name), f"{band.from_score:.1f}", f"{band.rows or 0:,}", rate)
    return table


def print_report(
    console: Console, report: Mapping[str, int], not_counted: Mapping[str, int] | None = None
) -> None:
    """Print what was dropped, left out or not counted, and how treated rows compare.

    Of the event types that were not counted the most frequent are named, where they are given.
    """
    for line in sample_in_words(report):
        console.print(f"[dim]  {line}[/dim]")
    not_counted = not_counted or {}
    for event, events in list(not_counted.items())[:_MOST_NOT_COUNTED]:
        console.print(Text.assemble(f"  {events:>9,}  ", plain(event), style="dim"))
    if len(not_counted) > _MOST_NOT_COUNTED:
        console.print(f"[dim]  and {len(not_counted) - _MOST_NOT_COUNTED} more[/dim]")
