"""Exported SQL run by the databases it is for, beside the scorer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ces_ml.exporters.sql import sql_text

from .sql_cases import AS_OF, Case, hostile_case, random_case
from .sql_consumers import CONSUMERS, Consumer

FAST = ("duckdb", "sqlite")
PARAMETERS = [
    pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CONSUMERS
]


@pytest.fixture(scope="module", params=PARAMETERS)
def consumer(request: pytest.FixtureRequest) -> Iterator[Consumer]:
    made = CONSUMERS[request.param]()
    try:
        yield made
    finally:
        made.close()


def agree(found: list[dict[str, Any]], case: Case, n_reasons: int = 3) -> None:
    """Every customer has the score, band, probability and reasons that the scorer gives."""
    expected = case.expected(n_reasons).set_index(case.weight_set.events.customer_col)
    got = pd.DataFrame(found).set_index(case.weight_set.events.customer_col)
    assert sorted(map(str, got.index)) == sorted(map(str, expected.index))
    got.index = got.index.map(str)
    expected.index = expected.index.map(str)
    got = got.loc[expected.index]
    for column in ("raw_score", "score", "probability"):
        assert np.allclose(got[column].astype(float), expected[column], rtol=1e-12, atol=1e-9), (
            column
        )
    assert got["band"].tolist() == expected["band"].tolist()
    for k in range(1, n_reasons + 1):
        points = expected[f"points_{k}"].fillna(0.0)
        assert np.allclose(
            got[f"points_{k}"].astype(float).fillna(0.0), points, rtol=1e-12, atol=1e-9
        )
        told = got[f"reason_{k}"]
        assert told.isna().tolist() == (points == 0).tolist()
        assert told.dropna().tolist() == expected[f"reason_{k}"].dropna().tolist()


@pytest.mark.parametrize("seed", range(4))
def test_random_specs_and_logs_give_the_scores_of_the_scorer(consumer: Consumer, seed: int) -> None:
    case = random_case(seed)
    consumer.load(case.log)
    agree(consumer.rows(sql_text(case.weight_set, dialect=consumer.dialect, as_of=AS_OF)), case)


def test_hostile_names_are_counted_and_nothing_else_happens(consumer: Consumer) -> None:
    case = hostile_case()
    consumer.load(case.log)
    agree(consumer.rows(sql_text(case.weight_set, dialect=consumer.dialect, as_of=AS_OF)), case)
    assert len(consumer.rows("SELECT customer_id FROM events")) == len(case.log)
