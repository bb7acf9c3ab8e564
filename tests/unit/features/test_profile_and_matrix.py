"""What a log is said to hold, and how a long result becomes a matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.events import EventSchema
from ces_ml.features import open_engine
from ces_ml.features.matrix import LongCounts, long_to_csr
from ces_ml.spec import Term
from ces_ml.spec.as_of import to_us
from ces_ml.sql import CountPlan

from .engines import ENGINES


@pytest.mark.parametrize("engine", ENGINES)
def test_a_profile_tells_rows_types_and_times_without_the_dropped_rows(
    engine: str, log: pd.DataFrame
) -> None:
    kept = log.dropna(subset=["customer_id", "event_type", "timestamp"])
    with open_engine(log, engine=engine) as opened:
        profile = opened.profile()
        assert opened.profile() is profile
    assert profile.rows == len(log)
    assert profile.dropped == {
        "null_customer": log["customer_id"].isna().sum(),
        "null_event_type": log["event_type"].isna().sum(),
        "null_timestamp": log["timestamp"].isna().sum(),
    }
    assert dict(profile.event_types) == kept["event_type"].value_counts().to_dict()
    assert list(profile.event_types) == sorted(profile.event_types)
    assert profile.first == kept["timestamp"].min().tz_localize("UTC")
    assert profile.last_us == to_us(kept["timestamp"].max().tz_localize("UTC").to_pydatetime())
    assert profile.naive
    assert profile.never_arrived == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_an_event_type_that_only_dropped_rows_have_is_not_in_the_profile(engine: str) -> None:
    frame = pd.DataFrame(
        {
            "customer_id": ["a", None, "a"],
            "event_type": ["login", "ghost", "ghost"],
            "timestamp": pd.to_datetime(["2024-01-01", "2020-01-01", None]),
            "arrived": pd.to_datetime([None, None, None]),
        }
    )
    with open_engine(frame, EventSchema(arrival_col="arrived"), engine=engine) as opened:
        profile = opened.profile()
    assert dict(profile.event_types) == {"login": 1}
    assert profile.first == profile.last
    assert profile.never_arrived == 1


cells = st.sampled_from([np.nan, 0.0, 1.0, -2.5, 1e300])


@settings(deadline=None)
@given(data=st.data())
def test_a_long_result_in_any_order_fills_the_matrix_cell_by_cell(data: st.DataObject) -> None:
    terms = [
        Term(event=event, window=window)
        for event, window in data.draw(
            st.lists(
                st.tuples(st.sampled_from("abc"), st.sampled_from(["1d", "2d"])),
                min_size=1,
                max_size=5,
                unique=True,
            )
        )
    ]
    plan, n_rows = CountPlan.of(terms), 4
    pairs = [(r, c) for r in range(n_rows) for c in range(len(plan.groups))]
    held = data.draw(st.lists(st.sampled_from(pairs), unique=True))
    columns = [
        np.array(data.draw(st.lists(cells, min_size=len(held), max_size=len(held))), dtype=float)
        for _ in plan.aggregates
    ]
    r = np.array([p[0] for p in held], dtype=np.int64)
    code = np.array([p[1] for p in held], dtype=np.int64)
    # Any two queries may share the aggregates between them.
    cut = data.draw(st.integers(0, len(columns)))
    numbered = dict(enumerate(columns))
    split = [{k: v for k, v in numbered.items() if (k < cut) == first} for first in (True, False)]
    halves = np.full(n_rows, 2.0)
    rates = data.draw(st.sets(st.integers(0, len(terms) - 1)))
    parts = [LongCounts(r, code, held) for held in split]
    X = long_to_csr(parts, plan, n_rows, dict.fromkeys(rates, halves))

    expected = np.zeros((n_rows, len(terms)))
    for k, (row, of) in enumerate(held):
        for t, (event, aggregate) in enumerate(plan.columns):
            if event == of and not np.isnan(columns[aggregate][k]):
                expected[row, t] = columns[aggregate][k] / (2 if t in rates else 1)
    assert X.shape == expected.shape
    assert X.dtype == np.float64
    assert np.array_equal(X.toarray(), expected)
    assert X.has_canonical_format
    assert X.nnz == np.count_nonzero(expected)  # no zero is stored
