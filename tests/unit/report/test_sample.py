from __future__ import annotations

import pytest

from ces_ml.report.sample import REASONS, sample_in_words
from ces_ml.spec import OutcomeSpec
from ces_ml.sql.happening import reasons_to_leave_out

OUTCOMES = [
    {"task": "conversion", "event": "x", "horizon": "7d", "treated": {"events": "y"}},
    {"task": "conversion", "event": "x", "within": "7d after y"},
    {"task": "churn", "silence_of": "*", "horizon": "7d", "active_within": "7d"},
    {"task": "upsell", "event": "x", "horizon": "7d", "growth": {}},
    {"task": "cross_sell", "families": "x", "horizon": "7d"},
]


@pytest.mark.parametrize("data", OUTCOMES)
def test_every_reason_to_leave_a_row_out_has_words(data: dict) -> None:
    reasons = reasons_to_leave_out(OutcomeSpec.parse(data), first_us=0, end_us=1, families=1)
    assert {f"left_out_{reason}" for reason, _ in reasons} <= set(REASONS)


@pytest.mark.parametrize("name", REASONS)
def test_one_is_told_apart_from_many(name: str) -> None:
    assert sample_in_words({name: 0}) == []
    (one,), (many,) = sample_in_words({name: 1}), sample_in_words({name: 1234})
    assert one.startswith("1 ")
    assert many.startswith("1,234 ")
    assert one.removeprefix("1 ") != many.removeprefix("1,234 ")
    assert not {"rows", "events", "types"} & set(one.replace(":", "").split()[:4])


def test_treated_rows_are_compared_with_the_others() -> None:
    report = {"treated": 1, "treated_good": 1, "untreated": 2000, "untreated_good": 500}
    assert sample_in_words(report) == [
        "1 row treated, 100.0 % with the good outcome; "
        "2,000 rows untreated, 25.0 % with the good outcome"
    ]
    nobody = {"treated": 0, "treated_good": 0, "untreated": 3, "untreated_good": 0}
    assert sample_in_words(nobody) == [
        "0 rows treated; 3 rows untreated, 0.0 % with the good outcome"
    ]
