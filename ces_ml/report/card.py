"""The weight card: a weight set on one page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ces_ml.report.plain_text import markdown_text
from ces_ml.weights import Provenance, WeightedTerm, WeightSet

__all__ = ["weight_card"]


def weight_card(weight_set: WeightSet) -> str:
    """Return the weight set as Markdown: weights, rules, bands with their rates, provenance.

    Names and rules may hold anything; they are shown literally.

    Parameters
    ----------
    weight_set : WeightSet

    Returns
    -------
    str
        GitHub-flavoured Markdown. Weights are sorted by magnitude.
    """
    parts = [
        f"# Weight card: {markdown_text(weight_set.name)}",
        _outcome(weight_set),
        "## Weights",
        _weights(weight_set),
        "## Rules",
        _list(weight_set.rules) or "No rules: the weights are free.",
        "## Bands",
        _bands(weight_set),
        "## Provenance",
        _provenance(weight_set.provenance, weight_set.fingerprint),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _outcome(weight_set: WeightSet) -> str:
    outcome = weight_set.outcome
    if outcome is None:
        return ""
    what = outcome.event or outcome.silence_of
    kind = "event" if outcome.event else "silence of"
    names = ", ".join(map(markdown_text, what))
    return (
        f"Learned from **{outcome.task}** ({kind}: {names}), "
        f"horizon {outcome.horizon}, gap {outcome.gap}."
    )


def _weights(weight_set: WeightSet) -> str:
    terms = sorted(weight_set.terms, key=lambda t: (-abs(t.weight), t.name))
    rows = [
        (
            markdown_text(t.name),
            f"{t.weight:+.4g}" if t.weight else "0",
            _interval(t),
            _measured(t),
        )
        for t in terms
    ]
    table = _table(("term", "weight", "interval", "measured as"), rows, right=(1,))
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
    parts = [f"{term.measure} of {markdown_text(term.event)} in {term.window}"]
    if term.property is not None:
        parts.append(f"property {markdown_text(term.property)}")
    if term.half_life is not None:
        parts.append(f"half-life {term.half_life}")
    if term.cap is not None:
        parts.append(f"cap {term.cap:g}")
    if term.transform != "identity":
        parts.append(term.transform)
    return ", ".join(parts)


def _bands(weight_set: WeightSet) -> str:
    ends = [f"{b.from_score:.4g}" for b in weight_set.bands[1:]] + ["100"]
    rows = [
        (
            markdown_text(band.name),
            f"{band.from_score:.4g} to {end}",
            "–" if band.rate is None else f"{band.rate:.1%}",
            "–" if band.rows is None else f"{band.rows:,}",
        )
        for band, end in zip(weight_set.bands, ends, strict=True)
    ]
    table = _table(("band", "score", "good outcome", "held-out rows"), rows, right=(2, 3))
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
    return _table(("what", "value"), rows)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_text(item)}" for item in items)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    line = ["---:" if k in right else "---" for k in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, line, *rows))
