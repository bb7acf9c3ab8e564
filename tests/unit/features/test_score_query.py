"""Counts and scores in one query are those of the counting engine and the formula on arrays."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ces_ml.errors import CesError, CesWarning, EventLogError
from ces_ml.events import EventSchema
from ces_ml.features import build_counts, open_engine
from ces_ml.features.score_query import one_query_can_score, score_stream
from ces_ml.scoring import Scorer
from ces_ml.spec import CountSpec, Term, parse_as_of
from ces_ml.weights import Band, Recalibration, Scale, WeightedTerm, WeightSet, contributions

from .logs import TEXTS, Question, questions, to_arrow

SETTINGS = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
NAMES = st.sampled_from([*TEXTS, "nul\0byte", "=cmd()", "at_risk"]).filter(bool)


@st.composite
def weight_sets(draw: st.DrawFn, question: Question) -> WeightSet:
    knots = draw(
        st.sampled_from([(), ((0.0, 50.0),), ((-3.0, 0.0), (0.0, 25.0), (0.5, 25.0), (4.0, 100.0))])
    )
    calibration = st.sampled_from(
        [
            None,
            Recalibration(method="platt", slope=0.3, intercept=0.2),
            Recalibration(method="isotonic", knots=((-1.0, 0.1), (2.0, 0.9))),
        ]
    )
    weights = st.sampled_from([0.0, 1.0, -1.0, 0.37, -2.5])
    return WeightSet(
        name="random",
        terms=tuple(
            WeightedTerm(**t.model_dump(), weight=draw(weights)) for t in question.spec.terms
        ),
        intercept=-0.4,
        events=question.schema,
        scale=Scale(method="quantiles" if knots else "probability", knots=knots),
        bands=tuple(
            Band(name=draw(NAMES), from_score=s) for s in draw(st.sampled_from([(0,), (0, 25, 60)]))
        ),
        calibration=draw(calibration),
    )


def streamed(
    log: object, weight_set: WeightSet, as_of: object, n_reasons: int = 3, **options: object
) -> pa.Table:
    with open_engine(log, weight_set.events, **options) as engine:
        rows = engine.rows_to_count(weight_set.spec, as_of)
        customer_col = engine.schema.customer_col
        batches = score_stream(
            engine.session, weight_set, rows, customer_col=customer_col, n_reasons=n_reasons
        )
        found = pa.Table.from_batches(list(batches))
        report = {k: str(v) for k, v in rows.report.items()}
    return found.replace_schema_metadata(report)


def counted(log: object, weight_set: WeightSet, as_of: object, **options: object):
    return build_counts(log, weight_set.spec, as_of=as_of, schema=weight_set.events, **options)


def compare(found: pa.Table, weight_set: WeightSet, table, n_reasons: int) -> None:
    expected = Scorer(weight_set, n_reasons).score(table)
    assert found.column_names == list(expected)
    assert found.num_rows == len(expected)
    customer = weight_set.events.customer_col
    assert list(map(str, found[customer].to_pylist())) == list(map(str, expected[customer]))
    assert found["as_of"].type == pa.timestamp("us", "UTC")
    moments = expected["as_of"].dt.as_unit("us").astype("int64").tolist()
    assert found["as_of"].cast(pa.int64()).to_pylist() == moments
    C = contributions(weight_set, table.X.toarray())
    size = 1 + np.abs(C).sum(axis=1)
    for column in ("raw_score", "probability", "score"):
        right = expected[column].to_numpy()
        steep = 30 if column == "score" else 1
        assert np.all(np.abs(found[column].to_numpy() - right) <= 1e-9 + 1e-13 * steep * size)
    score = found["score"].to_numpy()
    near = np.zeros(len(score), bool)
    for band in weight_set.bands[1:]:
        near |= np.abs(score - band.from_score) < 1e-9
    bands = np.array(found["band"].to_pylist(), dtype=object)
    assert (bands == expected["band"].to_numpy())[~near].all()
    _same_reasons(found, expected, C, n_reasons)


def _same_reasons(found: pa.Table, expected: pd.DataFrame, C: np.ndarray, n_reasons: int) -> None:
    """Equal points; equal names too, unless two contributions differ by rounding only."""
    for k in range(1, min(n_reasons, C.shape[1]) + 1):
        points = np.array(found[f"points_{k}"].to_pylist(), dtype=float)
        right = expected[f"points_{k}"].to_numpy(dtype=float)
        np.testing.assert_allclose(
            np.nan_to_num(points), np.nan_to_num(right), rtol=1e-9, atol=1e-9
        )
        for row, (name, other) in enumerate(
            zip(found[f"reason_{k}"].to_pylist(), expected[f"reason_{k}"], strict=True)
        ):
            other = None if pd.isna(other) else other
            sizes = np.sort(np.abs(C[row]))
            apart = np.diff(sizes) > 1e-9 * (1 + sizes[1:])
            if apart.all() or (C[row] == np.round(C[row])).all():
                assert name == other


@settings(max_examples=8, **SETTINGS)
@given(question=questions(with_outcome=False), data=st.data())
def test_one_query_scores_as_counting_and_scoring_do(
    question: Question, data: st.DataObject
) -> None:
    both_ways(question, data)


@pytest.mark.slow
@settings(max_examples=150, **SETTINGS)
@given(question=questions(with_outcome=False), data=st.data())
def test_one_query_scores_many_logs_as_counting_and_scoring_do(
    question: Question, data: st.DataObject
) -> None:
    both_ways(question, data)


def both_ways(question: Question, data: st.DataObject) -> None:
    weight_set = data.draw(weight_sets(question))
    n_reasons = data.draw(st.sampled_from([0, 1, 3]))
    log = to_arrow(question)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CesWarning)
        try:
            table = counted(log, weight_set, question.as_of, **question.options)
        except CesError as refused:
            event("refused")
            with pytest.raises(CesError, match=re.escape(refused.problem)):
                streamed(log, weight_set, question.as_of, n_reasons, **question.options)
            return
        event("answered")
        found = streamed(log, weight_set, question.as_of, n_reasons, **question.options)
    told = {k.decode(): int(v) for k, v in found.schema.metadata.items()}
    assert told == dict(table.report)
    compare(found, weight_set, table, n_reasons)


LOG = pd.DataFrame(
    {
        "customer_id": ["b", "a", "a", "c", "b", "a"],
        "event_type": ["x", "x", "y", "z", "y", "y"],
        "timestamp": pd.date_range("2025-01-01", periods=6, freq="D"),
        "amount": [1.0, 2.0, 1e308, 0.0, 1e308, 1e308],
    }
)


def weighted(*terms: Term, **options: object) -> WeightSet:
    named = CountSpec(terms=terms).terms
    return WeightSet(
        name="test",
        terms=tuple(WeightedTerm(**t.model_dump(), weight=1.0) for t in named),
        intercept=0,
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
        **options,
    )


def test_equal_contributions_keep_the_order_of_the_terms() -> None:
    terms = [Term(event=e, window="30d") for e in ("z", "y", "x")]
    found = streamed(LOG[:2], weighted(*terms), None)
    assert found["reason_1"].to_pylist() == ["x", "x"]
    log = pd.concat(
        [LOG[["customer_id", "event_type", "timestamp"]].assign(event_type=e) for e in "xyz"]
    )
    found = streamed(log, weighted(*terms), None)
    assert found["reason_1"].to_pylist() == ["z", "z", "z"]
    assert found["reason_3"].to_pylist() == ["x", "x", "x"]


def test_terms_that_differ_by_cap_alone_are_both_counted() -> None:
    terms = (
        Term(name="few", event="y", window="30d", cap=1),
        Term(name="all", event="y", window="30d"),
        Term(name="two", event="y", window="30d", cap=1.5),
    )
    found = streamed(LOG, weighted(*terms), None)
    assert found["raw_score"].to_pylist() == [1 + 2 + 1.5, 3.0, 0.0]


def test_a_sum_past_all_numbers_is_refused_even_where_a_cap_would_hide_it() -> None:
    term = Term(event="y", window="30d", measure="sum", property="amount", cap=5)
    with pytest.raises(EventLogError, match="larger than any number"):
        streamed(LOG, weighted(term), None)
    with pytest.raises(EventLogError, match="larger than any number"):
        counted(LOG, weighted(term), None)


@pytest.mark.parametrize("hole", ["customer_id", "event_type", "timestamp"])
def test_rows_with_holes_are_reported_and_make_nobody_known(hole: str) -> None:
    log = LOG.astype({"timestamp": "datetime64[us]"}).copy()
    log.loc[3, hole] = None
    weight_set = weighted(Term(event="y", window="30d"), Term(event="z", window="30d"))
    table = counted(log, weight_set, None)
    found = streamed(log, weight_set, None)
    told = {k.decode(): int(v) for k, v in found.schema.metadata.items()}
    assert told == dict(table.report)
    assert found["customer_id"].to_pylist() == ["a", "b"]
    compare(found, weight_set, table, 3)


def test_a_calendar_is_scored_in_one_query() -> None:
    weight_set = weighted(Term(event="y", window="2d", per="day"), Term(event="x", window="30d"))
    as_of = parse_as_of("every 1d from 2025-01-02 to 2025-01-07")
    table = counted(LOG, weight_set, as_of)
    found = streamed(LOG, weight_set, as_of)
    assert len(set(found["as_of"].to_pylist())) == 6
    compare(found, weight_set, table, 3)


def test_accounts_are_scored_in_one_query() -> None:
    from ces_ml.features.accounts import AccountMapping

    mapping = pd.DataFrame({"user_id": ["a", "b", "c"], "account": ["A", "A", "C"]})
    options = {
        "accounts": AccountMapping(user_col="user_id", account_col="account"),
        "account_table": mapping,
    }
    weight_set = weighted(Term(event="y", window="30d", transform="log1p"))
    expected = Scorer(weight_set).score(counted(LOG, weight_set, None, **options))
    found = streamed(LOG, weight_set, None, **options)
    assert found["account"].to_pylist() == ["A", "C"]
    np.testing.assert_allclose(found["raw_score"], expected["raw_score"], rtol=1e-12)


def test_seats_are_left_to_the_counting_engine() -> None:
    assert one_query_can_score(weighted(Term(event="x", window="1d", per="day")))
    assert not one_query_can_score(weighted(Term(event="x", window="1d", per="seat")))


def test_the_schema_may_rename_every_column() -> None:
    log = LOG.rename(columns={"customer_id": "it's", "timestamp": "when"})
    schema = EventSchema(customer_col="it's", timestamp_col="when")
    weight_set = weighted(Term(event="y", window="30d"), events=schema)
    assert streamed(log, weight_set, None).column_names[0] == "it's"
