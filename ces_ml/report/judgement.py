"""The sections of a card that judge: verdict, comparisons, and whether there was enough data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ces_ml.report.plain_text import markdown_text
from ces_ml.weights import Verdict

__all__ = ["data_section", "markdown_table", "score_in_words", "verdict_section"]

#: What the scores that are compared are called on tables for people.
_WORDS = {
    "univariate_lift": "one event at a time",
    "hand_set": "hand-set weights",
    "halfway": "halfway to hand-set",
    "no_rules": "without rules",
    "boosting": "ceiling: boosting",
    "boosting_with_recency": "ceiling: boosting + recency",
}


def score_in_words(name: str) -> str:
    """Return what a score that was compared is called for people."""
    return _WORDS.get(name, name.replace("_", " "))


def verdict_section(verdict: Verdict | None, differences: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the section on the verdict, if one was reached."""
    if verdict is None:
        return []
    text = f"**{markdown_text(verdict.words)}**"
    if verdict.against:
        text += f" (best way of counting: {markdown_text(score_in_words(verdict.against))}"
        text += ", fewer is better)" if verdict.reversed else ")"
    parts = ["## Verdict", text + "."]
    gains = {(d["against"], d["metric"]): d for d in differences}
    rows = [
        (
            markdown_text(score_in_words(name)),
            *(_gain(gains.get((name, metric))) for metric in ("roc_auc", "log_loss")),
        )
        for name in dict.fromkeys(d["against"] for d in differences)
    ]
    if rows:
        level = f"{differences[0]['level']:.0%}".replace("%", " %")
        parts += [
            markdown_table(("the weights minus", "ROC AUC", "log loss"), rows, right=(1, 2)),
            f"On held-out rows, with {level} intervals over resampled customers. In ROC AUC a "
            "difference above 0 is a gain, in log loss one below 0.",
        ]
    return parts


def _gain(difference: Mapping[str, Any] | None) -> str:
    if difference is None:
        return "–"
    value, low, high = (difference[k] for k in ("value", "low", "high"))
    if not math.isfinite(low):
        return f"{value:+.4f}"
    return f"{value:+.4f} ({low:+.4f} … {high:+.4f})"


def data_section(data: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the section on whether there was enough data, if that was asked."""
    if not data:
        return []
    rows = [(markdown_text(str(d["what"])), markdown_text(str(d["words"]))) for d in data]
    words = (
        "Customers of the training rows. Asked for: 10 of the rarer outcome a term (Peduzzi et al. "
        "1996), rows for a shrinkage of at most 10 % (Riley et al. 2020), and 10 of each outcome "
        "among those who did an event."
    )
    return ["## Enough data?", markdown_table(("what", "enough?"), rows), words]


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()
) -> str:
    """Return a table of cells that are Markdown already; columns in `right` stand to the right."""
    line = ["---:" if k in right else "---" for k in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, line, *rows))
