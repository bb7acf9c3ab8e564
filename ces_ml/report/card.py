"""The weight card: a weight set on one page of Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ces_ml.report.judgement import data_section, markdown_table, verdict_section
from ces_ml.report.plain_text import markdown_text
from ces_ml.spec.words import measured_as
from ces_ml.weights import IntegerPoints, Provenance, WeightedTerm, WeightSet

__all__ = ["weight_card"]


def weight_card(
    weight_set: WeightSet,
    *,
    penalty: str = "",
    sure: str = "",
    prices: Sequence[Mapping[str, Any]] = (),
    differences: Sequence[Mapping[str, Any]] = (),
    bar: str = "",
    data: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return the weight set as Markdown: verdict, weights, points, rules, bands, provenance.

    Names and rules may hold anything; they are shown literally.

    Parameters
    ----------
    weight_set : WeightSet
    penalty : str, optional
        How the strength of the penalty was found, in a sentence.
    sure : str, optional
        How to read the intervals, or why there are none.
    prices : sequence of dict, optional
        What each rule that binds costs, as `ces_ml.linear.prices_table` gives it.
    differences : sequence of dict, optional
        ``against``, ``metric``, ``value``, ``low`` and ``high`` of each comparison.
    bar : str, optional
        Where the score stands against the bar that a vendor sets, in a sentence.
    data : sequence of dict, optional
        ``what`` and ``words`` for the outcome and every term: whether there was enough data.

    Returns
    -------
    str
        GitHub-flavoured Markdown. Weights are sorted by magnitude.
    """
    parts = [
        f"# Weight card: {markdown_text(weight_set.name)}",
        _outcome(weight_set),
        *verdict_section(weight_set.verdict, differences),
        "## Weights",
        _weights(weight_set),
        markdown_text(sure) if sure else "",
        markdown_text(penalty) if penalty else "",
        *_points(weight_set),
        "## Rules",
        _list(weight_set.rules) or "No rules: the weights are free.",
        *_prices(prices),
        "## Bands",
        _bands(weight_set),
        markdown_text(f"On held-out rows {bar}.") if bar else "",
        *data_section(data),
        "## Provenance",
        _provenance(weight_set.provenance, weight_set.fingerprint),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _outcome(weight_set: WeightSet) -> str:
    outcome = weight_set.outcome
    if outcome is None:
        return ""
    named = (
        ("labels of a table", () if outcome.labels is None else (outcome.labels.y_col,)),
        ("first use of a family", outcome.families),
        ("growth of", () if outcome.growth is None else outcome.event),
        ("event", outcome.event),
        ("silence of", outcome.silence_of),
    )
    kind, what = next((kind, what) for kind, what in named if what)
    names = ", ".join(map(markdown_text, what))
    window = markdown_text(outcome.window_text)
    text = f"Learned from **{markdown_text(outcome.task)}** ({kind}: {names}), {window}."
    if outcome.treated is not None:
        weighed = {
            "exclude": "are left out",
            "weight": f"weigh {outcome.treated.weight or 1:g}",
            "keep": "are kept",
        }
        text += f" Treated rows {weighed[outcome.treated.how]}."
    return text


def _weights(weight_set: WeightSet) -> str:
    terms = sorted(weight_set.terms, key=lambda t: (-abs(t.weight), t.name))
    rows = [
        (
            markdown_text(t.name),
            f"{t.weight:+.4g}" if t.weight else "0",
            _interval(t),
            t.evidence or "–",
            _measured(t),
        )
        for t in terms
    ]
    table = markdown_table(
        ("term", "weight", "interval", "evidence", "measured as"), rows, right=(1,)
    )
    return (
        f"{table}\n\nA weight is the change of the log-odds of the good outcome per unit of the "
        f"count, after cap and transform. Intercept: {weight_set.intercept:+.4g}."
    )


def _interval(term: WeightedTerm) -> str:
    if term.interval is None:
        return "–"
    low, high = term.interval.low, term.interval.high
    return f"{low:+.4g} … {high:+.4g} ({term.interval.level:.0%})"


def _measured(term: WeightedTerm) -> str:
    return ", ".join(markdown_text(phrase) for phrase in measured_as(term))


def _points(weight_set: WeightSet) -> list[str]:
    """Return the section on points, if there are any."""
    card = weight_set.points
    if card is None:
        return []
    held = sorted(card.values.items(), key=lambda item: (-abs(item[1]), item[0]))
    rows = [(markdown_text(name), f"{value:+d}") for name, value in held if value]
    zeros = len(held) - len(rows)
    words = (
        f"Points per unit of the count, after cap and transform. One is worth {card.scale:.4g} of "
        f"weight; a customer without any has log-odds {card.intercept:+.4g}. "
        f"{_cost_of_points(card, weight_set.provenance)}"
    )
    if zeros:
        words = f"Terms without points: {zeros}. {words}"
    return ["## Points", markdown_table(("term", "points"), rows, right=(1,)), words]


def _cost_of_points(card: IntegerPoints, source: Provenance | None) -> str:
    cost = f"Log loss given up on the training rows: {card.log_loss_given_up:+.4f} nats."
    before = source.metrics if source is not None else {}
    parts = [
        f"{words} {card.metrics[key]:.4f} (weights {before[key]:.4f})"
        for key, words in (("roc_auc", "ROC AUC"), ("log_loss", "log loss"))
        if key in card.metrics and key in before
    ]
    return f"{cost} On held-out rows: {', '.join(parts)}." if parts else cost


def _prices(prices: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the section on what rules cost, if any binds."""
    if not prices:
        return []
    rows = [
        (
            markdown_text(str(row["rule"])),
            _number(row["multiplier"]),
            _number(row["log_loss_change"], signed=True),
            _number(row["auc_change"], signed=True),
            markdown_text(str(row["weights_changed"] or row["note"] or "none")),
        )
        for row in prices
    ]
    head = ("rule that binds", "multiplier", "log loss", "ROC AUC", "weights that change most")
    where = str(prices[0]["rows"]).replace(" ", "-")
    words = (
        f"What changes when one rule alone is dropped and the weights are fitted again; log loss "
        f"and ROC AUC on {where} rows. A falling log loss says that the rule costs, a rising one "
        "that it helps. Prices of several rules do not add up."
    )
    return ["## Price of rules", markdown_table(head, rows, right=(1, 2, 3)), words]


def _number(value: float, *, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "–"
    # Refits agree to about 1e-8: smaller changes are round-off.
    near = 0.0 if abs(value) < 5e-7 else value
    return "0" if near == 0 else f"{near:+.3g}" if signed else f"{near:.3g}"


def _bands(weight_set: WeightSet) -> str:
    bands = weight_set.bands
    ends = [f"{b.from_score:.4g}" for b in bands[1:]] + ["100"]
    known = [(b.rate, b.rows) for b in bands if b.rate is not None and b.rows]
    rows_of_all = sum(n for _, n in known)
    mean = sum(rate * n for rate, n in known) / rows_of_all if rows_of_all else 0.0
    rows = [
        (
            markdown_text(band.name),
            f"{band.from_score:.4g} to {end}",
            "–" if band.rate is None else f"{band.rate:.1%}",
            "–" if band.low is None or band.high is None else f"{band.low:.1%} … {band.high:.1%}",
            "–" if band.rate is None or not mean else f"{band.rate / mean:.2f}",
            "–" if band.rows is None else f"{band.rows:,}",
        )
        for band, end in zip(bands, ends, strict=True)
    ]
    head = ("band", "score", "good outcome", "90 % interval", "lift", "held-out rows")
    table = markdown_table(head, rows, right=(2, 3, 4, 5))
    return f"{table}\n\nScores from 0 to 100; scale: {weight_set.scale.method}."


def _provenance(source: Provenance | None, fingerprint: str) -> str:
    rows = [("fingerprint", f"`{fingerprint}`")]
    if source is not None:
        rows += [
            ("data digest", markdown_text(source.data_digest)),
            ("config digest", markdown_text(source.config_digest)),
            ("as of", " … ".join(map(markdown_text, source.as_of)) or "–"),
            ("rows", f"{source.rows:,}"),
            ("customers", f"{source.customers:,}"),
            ("good outcomes", f"{source.positives:,}"),
        ]
        rows += [(markdown_text(k), f"{v:.6g}") for k, v in sorted(source.metrics.items())]
        rows += [
            (f"version of {markdown_text(k)}", markdown_text(v))
            for k, v in sorted(source.versions.items())
        ]
    return markdown_table(("what", "value"), rows)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_text(item)}" for item in items)
