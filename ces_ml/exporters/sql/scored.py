"""From counts to contributions, scores, bands and reasons, as common table expressions."""

from __future__ import annotations

from ces_ml.errors import WeightSetError
from ces_ml.exporters.sql.options import SqlOptions
from ces_ml.exporters.sql.relations import CUSTOMER, Relations, row_list, row_relation
from ces_ml.sql.filters import value_sql
from ces_ml.weights.score_sql import (
    band_sql,
    contribution_sql,
    probability_sql,
    raw_score_sql,
    score_sql,
)
from ces_ml.weights.weight_set import WeightSet

__all__ = ["TOLERANCE", "checked_relations", "formula_relations", "scored_relations"]

#: How far a score may lie from that of ces-ml.
TOLERANCE = 1e-9
_REASON = ("reason", "points")


def scored_relations(weight_set: WeightSet, options: SqlOptions) -> tuple[Relations, str]:
    """Return relations over ``counts(customer_id, as_of_us, n0, n1, …)`` and the last query."""
    words = options.words
    shown = f"s.{CUSTOMER}"
    if options.customer_type == "text" and not words.key:
        shown = words.readable.format(shown)
    shown += f" AS {words.quoted(weight_set.events.customer_col)}"
    made = formula_relations(weight_set, options, (CUSTOMER, "as_of_us"))
    n_reasons = min(options.reasons, len(weight_set.terms))
    if options.output == "terms" or n_reasons:
        made |= _by_term(weight_set, options)
    if options.output == "terms":
        columns = f"{shown},\n  s.as_of_us AS as_of_us, s.term AS term, s.n AS n"
        return made, f"SELECT {columns}, s.points AS points\nFROM by_term s\nWHERE s.n <> 0"
    made |= _reasons(n_reasons)
    band = band_sql(weight_set.bands, "s.score", words.formula_words)
    picked = [f"s.{c}_{k} AS {c}_{k}" for k in range(1, n_reasons + 1) for c in _REASON]
    columns = ",\n  ".join(
        [
            shown,
            "s.as_of_us AS as_of_us, s.score AS score, s.raw_score AS raw_score",
            f"{band} AS band",
            "s.probability AS probability",
            *picked,
        ]
    )
    return made, f"SELECT {columns}\nFROM {'reasons' if n_reasons else 'scored'} s"


def _reasons(n_reasons: int) -> Relations:
    """Return ``reasons``: ``scored`` with its largest contributions, read once."""
    if not n_reasons:
        return {}
    kept = ("as_of_us", "score", "raw_score", "probability")
    picked = [f"MAX(t.{c}) AS {c}" for c in kept]
    picked += [
        f"MAX(CASE WHEN t.place = {k} AND t.points <> 0 THEN t.{column} END) AS {name}_{k}"
        for k in range(1, n_reasons + 1)
        for column, name in zip(("term", "points"), _REASON, strict=True)
    ]
    listed = ",\n  ".join(picked)
    return {
        "ranked": f"SELECT {CUSTOMER}, {', '.join(kept)}, term, points, ROW_NUMBER() OVER (\n"
        f"  PARTITION BY {CUSTOMER} ORDER BY ABS(points) DESC, k) AS place\nFROM by_term",
        "reasons": f"SELECT t.{CUSTOMER} AS {CUSTOMER},\n  {listed}\n"
        f"FROM ranked t GROUP BY t.{CUSTOMER}",
    }


def checked_relations(weight_set: WeightSet, options: SqlOptions) -> tuple[Relations, str]:
    """Return relations that score the golden rows, and the query that compares.

    Raises
    ------
    WeightSetError
        If the weight set has no golden rows.
    """
    words, rows = options.words, weight_set.golden_rows
    if not rows:
        raise WeightSetError(
            "the weight set has no golden rows to check the SQL with",
            got="golden_rows: none",
            allowed="at least one",
            hint="take the weight set from a training run, which writes them",
        )

    def number(value: float) -> str:
        return words.number.format(value_sql(float(value)))

    names = ("golden_row", "raw_expected", "score_expected", "band_expected")
    counted = tuple(f"n{t}" for t in range(len(weight_set.terms)))
    held = [
        [
            str(k),
            number(row.raw_score),
            number(row.score),
            words.literal(row.band),
            *(number(row.counts.get(name, 0.0)) for name in weight_set.names),
        ]
        for k, row in enumerate(rows)
    ]
    made = {row_relation(words, "counts", names + counted): row_list(words, names + counted, held)}
    made |= formula_relations(weight_set, options, names)
    band = band_sql(weight_set.bands, "s.score", words.formula_words)
    near = number(TOLERANCE)
    made["judged"] = (
        f"SELECT s.golden_row AS golden_row, s.raw_score AS raw_score,\n"
        "  s.raw_expected AS raw_expected, s.score AS score, s.score_expected AS score_expected,\n"
        f"  {band} AS band, s.band_expected AS band_expected\nFROM scored s"
    )
    right = (
        f"ABS(raw_score - raw_expected) <= {near} AND ABS(score - score_expected) <= {near} "
        f"AND {words.exact.format('band')} = {words.exact.format('band_expected')}"
    )
    columns = "golden_row, raw_score, raw_expected, score, score_expected, band, band_expected"
    return made, f"SELECT {columns},\n  CASE WHEN {right} THEN 1 ELSE 0 END AS ok\nFROM judged"


def formula_relations(
    weight_set: WeightSet, options: SqlOptions, carried: tuple[str, ...]
) -> Relations:
    """Return ``points``, ``summed`` and ``scored`` over ``counts``; `carried` columns go along."""
    words = options.words.formula_words
    counted = options.counts_table is None and options.shape != "check"
    terms = range(len(weight_set.terms))
    keys = ", ".join(carried)
    contributions = ",\n  ".join(
        f"{contribution_sql(term, f'n{t}', words, counted=counted)} AS c{t}"
        for t, term in enumerate(weight_set.terms)
    )
    n = ", ".join(f"n{t}" for t in terms)
    c = ", ".join(f"c{t}" for t in terms)
    return {
        "points": f"SELECT {keys}, {n},\n  {contributions}\nFROM counts",
        "summed": f"SELECT {keys}, {n}, {c},\n  {raw_score_sql([f'c{t}' for t in terms])} "
        "AS raw_score\nFROM points",
        "scored": f"SELECT {keys}, {n}, {c}, raw_score,\n"
        f"  {score_sql(weight_set, 'raw_score', words)} AS score,\n"
        f"  {probability_sql(weight_set, 'raw_score', words)} AS probability\nFROM summed",
    }


def _by_term(weight_set: WeightSet, options: SqlOptions) -> Relations:
    """Return ``by_term(…, k, term, n, points)``: a row of ``scored`` for each of its terms."""
    words = options.words
    names = ("k", "term")
    rows = [[str(t), words.literal(name)] for t, name in enumerate(weight_set.names)]

    def of_term(letter: str) -> str:
        cases = " ".join(f"WHEN {t} THEN s.{letter}{t}" for t in range(len(weight_set.terms)))
        return f"CASE t.k {cases} END"

    return {
        row_relation(words, "term_names", names): row_list(words, names, rows),
        "by_term": f"SELECT s.{CUSTOMER} AS {CUSTOMER}, s.as_of_us AS as_of_us,\n"
        "  s.score AS score, s.raw_score AS raw_score, s.probability AS probability, t.k AS k,\n"
        f"  t.term AS term, {of_term('n')} AS n,\n  {of_term('c')} AS points\n"
        "FROM scored s CROSS JOIN term_names t",
    }
