"""Gathering counts in Spark: whatever terms a group fills, each row lists them in their order."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ces_ml.features import SparkEngine, build_counts
from ces_ml.features.spark_counts import sparse_rows
from ces_ml.features.spark_rows import counts_sql
from ces_ml.spec import CountSpec, Term, parse_as_of
from ces_ml.sql.plan import CountPlan

NAMES, WINDOWS = ("login", "buy", "it's"), ("3d", "10d")
EVENTS_FIRST = [Term(event=e, window=w) for e, w in product(NAMES, WINDOWS)]
WINDOWS_FIRST = [Term(event=e, window=w) for w, e in product(WINDOWS, NAMES)]
ALIKE = {
    "one window": [Term(event=e, window="10d") for e in NAMES],
    "windows of an event follow each other": EVENTS_FIRST,
    "events of a window follow each other": WINDOWS_FIRST,
}
UNLIKE = {
    "a group fills more than others": [*EVENTS_FIRST, Term(event="end", window="3d")],
    "a group fills terms at both ends": [*WINDOWS_FIRST, Term(event="buy", window="7d")],
    "two queries, each group in one": [
        *EVENTS_FIRST,
        Term(event="end", window="10d", cap_per_day=1),
    ],
    "two queries, a group in both": [
        *WINDOWS_FIRST,
        *(Term(event=e, window="10d", cap_per_day=1) for e in NAMES),
    ],
}
ORDERS = ALIKE | UNLIKE


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_positions_increase_and_counts_are_those_of_duckdb(order: str, spark: Any) -> None:
    rng = np.random.default_rng(5)
    times = pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 400, 120), "h")
    log = pd.DataFrame(
        {
            "customer_id": rng.choice(["a", "b", "c"], 120),
            "event_type": rng.choice([*NAMES, "end"], 120),
            "timestamp": times,
        }
    )
    spec = CountSpec(terms=tuple(ORDERS[order]))
    expected = build_counts(log, spec, as_of="2024-03-12")
    assert expected.X.sum() > 0
    with SparkEngine(log, spark=spark) as engine:
        counts = engine.counts(spec, parse_as_of("2024-03-12"))
        found = counts.frame.orderBy("customer_id").toArrow()
    assert found["customer_id"].to_pylist() == list(expected.customer)
    for row in found["indices"].to_pylist():
        assert row == sorted(set(row))
    X = sparse_rows(found, len(spec.terms))
    np.testing.assert_array_equal(X.toarray(), expected.X.toarray())


@pytest.mark.parametrize("order", ALIKE)
def test_groups_that_fill_alike_terms_share_one_expression(order: str) -> None:
    text = sql_of(ALIKE[order])
    assert "CASE code" not in text
    assert "FLATTEN(COLLECT_LIST" not in text


def sql_of(terms: list[Term]) -> str:
    spec = CountSpec(terms=tuple(terms))
    plan = CountPlan.of(spec.terms)
    return counts_sql(plan, spec, arrival=False, design=False, outcome=False, weight=None)
