"""The query by which a warehouse proves the whole export: made-up events in, right scores out."""

from __future__ import annotations

from typing import Any

from ces_ml.errors import SpecError
from ces_ml.exporters.sql.golden_events import GOLDEN_AS_OF, golden_events, run_in_sqlite
from ces_ml.exporters.sql.options import SqlOptions
from ces_ml.exporters.sql.relations import (
    CUSTOMER,
    Relations,
    counted_relations,
    row_list,
    row_relation,
)
from ces_ml.exporters.sql.scored import TOLERANCE, formula_relations
from ces_ml.sql.filters import value_sql
from ces_ml.weights.score_sql import band_sql
from ces_ml.weights.weight_set import WeightSet

__all__ = ["proven_relations", "statement"]

_TABLE = "golden_events"


def statement(relations: Relations, last: str, options: SqlOptions) -> str:
    """Return one statement of relations and the query over them."""
    tables = ",\n".join(
        f"{name} AS{options.words.inlined if name == 'ev' else ''} (\n{query}\n)"
        for name, query in relations.items()
    )
    return f"WITH\n{tables}\n{last}"


def proven_relations(weight_set: WeightSet, options: SqlOptions) -> tuple[Relations, str]:
    """Return relations that count and score made-up events, and the query that compares.

    Raises
    ------
    SpecError
        If a table of counts is named, or Python's SQLite can't say what must come out.
    """
    if options.counts_table is not None:
        raise SpecError(
            "made-up events are counted, and a table of counts is named",
            got="counts_table with shape: check_events",
            allowed="shape: check, which needs no events",
            hint="correct `shape`",
        )
    options = options.model_copy(update={"as_of": GOLDEN_AS_OF})
    expected = _expected(weight_set, options)
    words = options.words
    key = "{}" if options.customer_type == "number" else (words.key or words.exact)
    if weight_set.events.anonymous_col is not None and options.customer_type == "text":
        key = words.exact

    def number(value: float) -> str:
        return words.number.format(value_sql(float(value)))

    names = ("customer", "known", "raw_expected", "score_expected", "band_expected")
    rows = []
    for customer in golden_events(weight_set, options).customers:
        raw, score, band = expected.get(customer, (0.0, 0.0, ""))
        text = customer if options.customer_type == "number" else words.literal(customer)
        known = "1" if customer in expected else "0"
        rows.append([key.format(text), known, number(raw), number(score), words.literal(band)])
    made = _scored(weight_set, options)
    made[row_relation(words, "expected", names)] = row_list(words, names, rows)
    band = band_sql(weight_set.bands, "score", words.formula_words)
    made["found"] = (
        f"SELECT {CUSTOMER} AS who, 1 AS seen, raw_score, score, {band} AS band FROM scored"
    )
    near = number(TOLERANCE)
    right = (
        f"e.known = 1 AND s.seen = 1 AND ABS(s.raw_score - e.raw_expected) <= {near} "
        f"AND ABS(s.score - e.score_expected) <= {near} "
        f"AND {words.exact.format('s.band')} = {words.exact.format('e.band_expected')}"
    )
    shown = words.readable.format("e.customer") if key == words.exact else "e.customer"
    return made, (
        f"SELECT {shown} AS customer, s.raw_score AS raw_score, e.raw_expected AS raw_expected,\n"
        "  s.score AS score, e.score_expected AS score_expected, s.band AS band,\n"
        f"  e.band_expected AS band_expected,\n  CASE WHEN {right} THEN 1\n"
        # A row that the join did not find holds nulls, or zeros in ClickHouse.
        "  WHEN e.known = 0 AND COALESCE(s.seen, 0) = 0 THEN 1 ELSE 0 END AS ok\n"
        "FROM expected e LEFT JOIN found s ON s.who = e.customer"
    )


def _scored(weight_set: WeightSet, options: SqlOptions) -> Relations:
    words, log = options.words, golden_events(weight_set, options)
    names = log.names(options)
    made = {row_relation(words, _TABLE, names): row_list(
        words, names, log.literals(weight_set, options)
    )}  # fmt: skip
    made |= counted_relations(weight_set, options, _TABLE)
    return made | formula_relations(weight_set, options, (CUSTOMER, "as_of_us"))


def _expected(weight_set: WeightSet, options: SqlOptions) -> dict[str, tuple[Any, ...]]:
    """Return raw score, score and band of every customer, by what SQLite makes of the events."""
    kinds = {}
    for role in ("timestamp", "arrival"):
        unit = getattr(weight_set.events, f"{role}_unit")
        kind = options.time_type(role, unit)
        kinds[f"{role}_type"] = kind if kind in ("s", "ms", "us", "ns") else "text"
    plain = options.model_copy(update={"dialect": "sqlite", **kinds})
    band = band_sql(weight_set.bands, "score", plain.words.formula_words)
    query = f"SELECT {CUSTOMER}, raw_score, score, {band} FROM scored"
    found = run_in_sqlite(statement(_scored(weight_set, plain), query, plain))
    return {str(customer): tuple(rest) for customer, *rest in found}
