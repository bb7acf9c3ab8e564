"""What the modules of one file do with customers, times and sums at their ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ces_ml.events import EventSchema
from ces_ml.weights import WeightSet

from .consumers import Python, Refused

Make = Callable[..., WeightSet]
AS_OF = 1_735_689_600_000_000_000  # 2025-01-01, in nanoseconds


@pytest.mark.parametrize("back", [512, 1024, 1_000_000])
def test_nanoseconds_as_a_float_never_move_to_a_later_microsecond(back: int, make: Make) -> None:
    module = Python().load(make({"event": "a"}, events=EventSchema(timestamp_unit="ns")))
    for at in (AS_OF - back, float(AS_OF - back)):
        event = {"customer_id": 1, "event_type": "a", "timestamp": at}
        assert module.count_events([event], AS_OF) == {"a": 1.0}
        assert module.count_events([event], AS_OF - back - 1000) == {"a": 0.0}


def test_a_customer_that_is_nan_is_no_other_customer(make: Make) -> None:
    events = [
        {"customer_id": "x", "event_type": "a", "timestamp": "2024-12-31"},
        {
            "customer_id": float("nan"),
            "anonymous": "x",
            "event_type": "a",
            "timestamp": "2024-12-31",
        },
    ]
    for anonymous in (None, "anonymous"):
        module = Python().load(make({"event": "a"}, events=EventSchema(anonymous_col=anonymous)))
        assert module.count_events(events, "2025-01-01") == {"a": 2.0}


@pytest.mark.parametrize("counts", [{"a": 1.7e308, "b": 1.7e308}, {"a": 1e308, "b": -1.7e308}])
@pytest.mark.parametrize("format", ["python", "javascript"])
def test_points_past_all_numbers_are_refused(
    counts: dict[str, float], format: str, make: Make, consumers: dict[str, Any]
) -> None:
    heavy = make({"event": "a"}, {"event": "b"})
    heavy = heavy.model_copy(
        update={"terms": tuple(t.model_copy(update={"weight": 1.5}) for t in heavy.terms)}
    )
    with pytest.raises(Exception, match="the points add up to no finite number"):
        consumers[format].score(heavy, [counts])


WHOLE = {"event_type": "a", "timestamp": "2024-12-31"}


@pytest.mark.parametrize(
    ("events", "schema", "words"),
    [
        (
            [{"event": "a", "timestamp": "2024-12-31"}] * 2,
            {},
            'column "event_type"; their columns are "event", "timestamp"',
        ),
        (
            [{"event_type": "a", "ts": 1}, {"event_type": "a", "at": 1}],
            {},
            'column "timestamp"; their columns are "event_type", "ts", "at"',
        ),
        ([{}], {}, 'column "event_type"; their columns are none'),
        (
            [WHOLE],
            {"arrival_col": "seen"},
            'column "seen"; their columns are "event_type", "timestamp"',
        ),
        ([{**WHOLE, "p": {"x": 1}}], {"event_col": "p.kind"}, 'column "p.kind"'),
    ],
)
@pytest.mark.parametrize("format", ["python", "javascript"])
def test_events_of_which_none_has_a_column_that_is_needed_are_refused(
    events: list[dict[str, Any]],
    schema: dict[str, str],
    words: str,
    format: str,
    make: Make,
    consumers: dict[str, Any],
) -> None:
    weight_set = make({"event": "a"}, events=EventSchema(**schema))
    asked = [([list(event.items()) for event in events], 1_735_689_600_000_000)]
    with pytest.raises(Refused) as refused:
        consumers[format].count(weight_set, asked)
    said = str(refused.value).replace("'", '"')
    assert f"none of the events has the {words}" in said


@pytest.mark.parametrize("format", ["python", "javascript"])
def test_no_events_and_empty_columns_count_nothing_and_are_no_error(
    format: str, make: Make, consumers: dict[str, Any]
) -> None:
    nested = make({"event": "a"}, events=EventSchema(event_col="p.kind"))
    plain = make({"event": "a"})
    at = 1_735_689_600_000_000
    empty = [["event_type", None], ["timestamp", "2024-12-31"]]
    assert consumers[format].count(plain, [([], at), ([empty], at)]) == [{"a": 0}] * 2
    inside = [["p", {"kind": None}], ["timestamp", "2024-12-31"]]
    assert consumers[format].count(nested, [([inside], at)]) == [{"a": 0}]
    one = [list(WHOLE.items()), [["timestamp", "2024-12-30"]]]
    assert consumers[format].count(plain, [(one, at)]) == [{"a": 1}]


@pytest.mark.parametrize("format", ["python", "javascript"])
def test_names_that_no_term_has_are_returned_as_unknown(
    format: str, make: Make, consumers: dict[str, Any]
) -> None:
    weight_set = make({"event": "a"}, {"event": "b"})
    first, second = consumers[format].score(weight_set, [{"A": 3, "a": 1, "</x>": 2}, {"b": 1}])
    assert first["unknown"] == ["A", "</x>"]
    assert second["unknown"] == []
