"""How lately, how long and how often customers were active: half-open, and as it had arrived."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from ces_ml.errors import CesError, CesWarning
from ces_ml.events import EventSchema
from ces_ml.features import open_engine
from ces_ml.spec import CountSpec
from ces_ml.spec.as_of import parse_as_of, to_us

from .engines import ENGINES
from .logs import DAY, Question, questions, to_arrow
from .reference import seen


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=25, deadline=None)
@given(question=questions(with_outcome=False, dated=True))
def test_the_history_is_that_of_the_events_that_were_known(engine: str, question: Question) -> None:
    with (
        warnings.catch_warnings(),
        open_engine(to_arrow(question), question.schema, engine=engine) as opened,
    ):
        warnings.simplefilter("ignore", CesWarning)
        try:
            table = opened.table(question.spec, question.as_of)
        except CesError:
            return
        history = opened.history(question.spec)
    longest: dict[str, int] = {}
    for term in question.spec.terms:
        longest[term.event] = max(longest.get(term.event, 0), term.window.us)
    assert history.shape == (len(table), 3)
    log = [e for e in question.log if e.at is not None and None not in (e.customer, e.kind)]
    by_text = {str(e.customer): e.customer for e in log}
    for (customer, at), found in zip(table.keys.itertuples(index=False), history, strict=True):
        T = to_us(at.to_pydatetime())
        known = seen(log, by_text[str(customer)], T, question.arrival)
        ages = [(T - e.at, e.kind) for e in known if e.kind in longest]
        n = sum(age <= longest[kind] for age, kind in ages)
        days = [age / DAY for age, _ in ages] or [np.nan]
        np.testing.assert_allclose(found, [min(days), max(days), n], rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_events_at_as_of_or_not_arrived_or_of_other_types_are_not_seen(engine: str) -> None:
    log = pd.DataFrame(
        {
            "customer_id": ["a"] * 6 + ["b"],
            "event_type": ["x", "x", "x", "x", "y", "x", "y"],
            "timestamp": pd.to_datetime([f"2024-01-{day:02}" for day in (1, 6, 8, 10, 9, 7, 2)]),
        }
    )
    log["arrived"] = log["timestamp"] + pd.Timedelta(hours=1)
    log.loc[2, "arrived"] = pd.Timestamp("2024-01-10")
    log.loc[5, "arrived"] = None
    spec = CountSpec.of(["x"], window="5d")
    schema = EventSchema(arrival_col="arrived")
    with open_engine(log, schema, engine=engine, observed_until="2024-02-01") as opened:
        table = opened.table(spec, parse_as_of("2024-01-10"))
        history = opened.history(spec)
    assert table.customer.tolist() == ["a", "b"]
    np.testing.assert_array_equal(history, [[4, 9, 1], [np.nan, np.nan, 0]])
