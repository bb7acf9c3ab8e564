"""The contract of every counting engine: what the slow reference answers, it answers.

A new engine joins `ces_ml.features.build.ENGINES` and is tested here without a change.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings

from ces_ml.errors import CesError, CesWarning
from ces_ml.features import open_engine
from ces_ml.features.build import ENGINES
from ces_ml.spec import CountTable, Term

from .logs import Question, questions, spans_to_arrow, to_arrow
from .reference import Refused, answer

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
#: A question to Spark is a dozen jobs; no example is tried again for the sake of a smaller one.
FEW = settings(
    SETTINGS, max_examples=12, phases=[p for p in Phase if p not in (Phase.shrink, Phase.explain)]
)


def ask(question: Question, engine: str) -> CountTable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CesWarning)  # as_of long after the log's end
        with open_engine(
            to_arrow(question), question.schema, engine=engine, **question.options
        ) as opened:
            spans = spans_to_arrow(question)
            return opened.table(question.spec, question.as_of, question.outcome, treated=spans)


@pytest.mark.parametrize("engine", [e for e in ENGINES if e != "spark"])
@SETTINGS
@given(question=questions(with_outcome=False))
def test_an_engine_counts_as_the_reference_does(engine: str, question: Question) -> None:
    compare(question, engine)


@pytest.mark.slow
@pytest.mark.parametrize("engine", [e for e in ENGINES if e != "spark"])
@SETTINGS
@given(question=questions(with_outcome=True))
def test_an_engine_judges_outcomes_as_the_reference_does(engine: str, question: Question) -> None:
    compare(question, engine)


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
@FEW
@given(question=questions(with_outcome=False))
def test_spark_counts_as_the_reference_does(question: Question) -> None:
    compare(question, "spark")


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
@FEW
@given(question=questions(with_outcome=True))
def test_spark_judges_outcomes_as_the_reference_does(question: Question) -> None:
    compare(question, "spark")


def form(question: Question) -> str:
    outcome = question.outcome
    if outcome is None:
        return "no outcome"
    parts = ("labels", "growth", "families", "silence_of", "within")
    named = [p for p in parts if getattr(outcome, p)]
    return " ".join(named or [outcome.task, "again" if outcome.repeatable else "once"])


def compare(question: Question, engine: str) -> None:
    try:
        expected = answer(
            question.log,
            question.spec,
            question.as_of,
            question.outcome,
            arrival=question.arrival,
            observed_until=question.observed_until,
            given=question.given,
            spans=question.spans,
        )
    except Refused as refusal:
        event(f"refused: {refusal}")
        with pytest.raises(CesError, match=re.escape(str(refusal))):
            ask(question, engine)
        return
    event("answered")
    if question.outcome is not None:
        event(f"answered: {form(question)}, both outcomes: {len(set(expected.y or ())) == 2}")
    table = ask(question, engine)
    moments = table.as_of.dt.as_unit("us").astype("int64").tolist()
    assert list(zip(map(str, table.customer), moments, strict=True)) == expected.keys
    assert dict(table.report) == expected.report
    assert (None if table.y is None else table.y.tolist()) == expected.y
    weight = table.sample_weight
    assert (None if weight is None else weight.tolist()) == expected.weight
    X, right = table.X.toarray(), np.array(expected.X).reshape(len(expected.X), -1)
    assert X.shape == right.shape
    for t, term in enumerate(question.spec.terms):
        if exact(term):
            assert X[:, t].tolist() == right[:, t].tolist(), term
        else:
            rounding = 1e-12 * np.array(expected.size)[:, t] + 1e-300
            assert np.all(np.abs(X[:, t] - right[:, t]) <= 1e-9 * np.abs(right[:, t]) + rounding)


def exact(term: Term) -> bool:
    """Whether the count is a whole number, which no order of addition changes."""
    whole = term.measure in ("count", "active_days", "distinct") and term.half_life is None
    return whole and term.cap_per_day is None and term.per is None
