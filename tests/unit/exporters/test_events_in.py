"""Events in, counts out: the modules of one file count as the slow reference does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings

from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

from ..features.logs import Question, questions
from ..features.reference import Event, Refused, answer
from . import consumers as readers

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["python", "javascript"])
@SETTINGS
@given(question=questions(with_outcome=False, dated=True))
def test_random_logs_are_counted_as_the_reference_counts_them(
    format: str, consumers: dict[str, Any], question: Question
) -> None:
    try:
        wanted = answer(
            question.log,
            question.spec,
            question.as_of,
            arrival=question.arrival,
            observed_until=question.observed_until,
        )
    except Refused:
        return
    whole = weight_set_of(question)
    asked = []
    for customer, moment in wanted.keys:
        mine = [e for e in question.log if str(e.customer) == customer]
        asked.append(([row_of(question, e) for e in mine if e.customer is not None], moment))
    try:
        found = consumers[format].count(whole, asked)
    except readers.Refused as refusal:
        # The only question that JavaScript can't answer: a number that it can't hold.
        if format == "python" or "beyond 2^53" not in str(refusal):
            raise
        event("refused")
        return
    for counted, cells, sizes in zip(found, wanted.X, wanted.size, strict=True):
        for name, cell, size in zip(whole.names, cells, sizes, strict=True):
            term = next(t for t in whole.terms if t.name == name)
            event(f"{term.measure}{' until' if term.until else ''}")
            assert counted[name] == pytest.approx(cell, rel=1e-12, abs=1e-9 + 1e-13 * size)


def weight_set_of(question: Question) -> WeightSet:
    return WeightSet(
        name="random",
        terms=tuple(WeightedTerm(**t.model_dump(), weight=1.0) for t in question.spec.terms),
        intercept=0.0,
        events=question.schema,
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
    )


def row_of(question: Question, e: Event) -> list[list[Any]]:
    """An event as the pairs of a dict, so that any name of a column is possible."""
    names = question.names
    pairs = [[names[0], str(e.customer)], [names[1], e.kind], [names[2], e.at]]
    pairs += [[names[3], e.values["value"]], [names[5], e.arrived]]
    held = {k: e.values.get(k) for k in (names[4], *names[6:9])}
    return pairs + [[k, v] for k, v in held.items() if v is not None]
