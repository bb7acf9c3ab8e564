"""What the command line prints of backtests and of near-equal weight sets."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ces_ml.cli.tables import plain, print_report
from ces_ml.training import Alternatives, BacktestFold, BacktestResult

__all__ = ["print_alternatives", "print_backtest"]

#: Terms shown; the others are in the JSON.
MOST_TERMS = 20
#: Columns of metrics, with the words shown for them.
_METRICS = {
    "roc_auc": "ROC AUC",
    "total_count_roc_auc": "of total count",
    "log_loss": "log loss",
}
_CALIBRATION = {
    "slope": "slope (1)",
    "intercept": "intercept (0)",
    "ece": "expected error",
    "ece_by_chance": "by chance",
}


def print_backtest(console: Console, result: BacktestResult) -> None:
    """Print metrics and calibration over time, and how much each weight moves."""
    console.rule(plain(result.config.name))
    console.print(_metrics(result))
    console.print(_calibration(result))
    console.print(_stability(result))
    chosen = {fold.alpha_by for fold in result.folds}
    console.print(f"[dim]alpha chosen by {', '.join(sorted(chosen))} within each fit[/dim]")
    print_report(console, result.sample)


def _metrics(result: BacktestResult) -> Table:
    table = Table(title="tested on what came next", title_justify="left")
    table.add_column("from", no_wrap=True)
    for column in ("rows", "good", "learned from", *_METRICS.values()):
        table.add_column(column, justify="right")
    for fold in result.folds:
        sizes = (f"{n:,}" for n in (fold.test_rows, fold.test_positives, fold.train_rows))
        table.add_row(str(fold.test_from.date()), *sizes, *_cells(fold, _METRICS))
    return table


def _calibration(result: BacktestResult) -> Table:
    table = Table(title="how true the probabilities are", title_justify="left")
    table.add_column("from", no_wrap=True)
    for column in _CALIBRATION.values():
        table.add_column(column, justify="right")
    for fold in result.folds:
        table.add_row(str(fold.test_from.date()), *_cells(fold, _CALIBRATION))
    return table


def _cells(fold: BacktestFold, shown: dict[str, str]) -> list[str]:
    return [f"{fold.metrics[m]:.3f}" if m in fold.metrics else "–" for m in shown]


def _stability(result: BacktestResult) -> Table:
    table = Table(title="weights over time", title_justify="left")
    for column in ("term", "mean", "sd", "lowest", "highest", "sign flips", "rank flips"):
        left = column == "term"
        table.add_column(
            column, justify="left" if left else "right", overflow="fold" if left else "ellipsis"
        )
    rows = sorted(result.stability, key=lambda r: (-abs(r["mean"]), r["term"]))
    for row in rows[:MOST_TERMS]:
        mean, low, high = (f"{row[k]:+.3f}" for k in ("mean", "low", "high"))
        flips = (str(row[k]) for k in ("sign_flips", "rank_flips"))
        table.add_row(plain(row["term"]), mean, f"{row['sd']:.3f}", low, high, *flips)
    if len(rows) > MOST_TERMS:
        table.caption = f"… {len(rows) - MOST_TERMS} more terms"
    return table


def print_alternatives(console: Console, found: Alternatives) -> None:
    """Print the weight sets that are about as good, and what each gives up."""
    console.rule(plain(found.config.name))
    table = Table(title="on held-out rows", title_justify="left")
    for column in ("weights", "terms", "log loss", "more", "90 % interval", "why"):
        right = column not in ("weights", "interval", "why")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for one in found.found:
        gap = "–" if one.name == "fitted" else f"{one.loss_difference:+.4f}"
        interval = "–" if one.name == "fitted" else f"{one.low:+.4f} to {one.high:+.4f}"
        table.add_row(
            one.name.replace("_", " "),
            str(sum(1 for w in one.weights.values() if w)),
            f"{one.log_loss:.4f}",
            gap,
            interval,
            Text(one.meaning),
        )
    console.print(table)
    weights = Table(title="weights", title_justify="left")
    weights.add_column("term", overflow="fold")
    for one in found.found:
        weights.add_column(one.name.replace("_", " "), justify="right")
    first = found.found[0].weights
    terms = sorted(first, key=lambda name: (-abs(first[name]), name))
    for term in terms[:MOST_TERMS]:
        cells = (one.weights[term] for one in found.found)
        weights.add_row(plain(term), *(f"{w:+.3f}" if w else "0" for w in cells))
    if len(terms) > MOST_TERMS:
        weights.caption = f"… {len(terms) - MOST_TERMS} more terms"
    console.print(weights)
    for words in found.notes:
        console.print(Text(words, style="dim"))
