"""Exports of well-known tools, in their own shape, are counted with a preset alone.

The files in `exports` are hand-made from the documentation that `EventSchema.preset` cites.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ces_ml.errors import CesWarning, ConfigError, EventLogError, SpecError
from ces_ml.events import PRESETS, EventSchema
from ces_ml.features import build_counts
from ces_ml.spec import CountSpec, Term
from ces_ml.training.config import EventsConfig

from .refusals import refused

EXPORTS = Path(__file__).parent / "exports"
AS_OF = "2024-03-05"


def counts(file: str, schema: EventSchema, *terms: Term) -> dict[str, list[float]]:
    """Counts by customer, as of a day when some events had happened but not arrived."""
    spec = CountSpec(terms=terms)
    table = build_counts(EXPORTS / file, spec, as_of=AS_OF, schema=schema, observed_until=AS_OF)
    return dict(zip(table.customer, table.X.toarray().tolist(), strict=True))


def number_of(event: str) -> Term:
    return Term(event=event, window="30d")


@pytest.mark.parametrize(
    ("preset", "file", "events", "expected"),
    [
        (
            "segment",
            "segment_tracks.csv",
            ("article_bookmarked", "order_completed"),
            # The visitor is a customer of its own; the order of the 3rd arrived on the 9th.
            {
                "507f191e810c19729de860ea": [1, 0],
                "97980cfea0067": [1, 0],
                "019mr8mf4r": [0, 1],
            },
        ),
        (
            "segment_json",
            "segment_calls.jsonl",
            ("Article Bookmarked", "Order Completed"),
            {"507f191e810c19729de860ea": [1, 0], "97980cfea0067": [0, 1]},
        ),
        (
            "ga4",
            "ga4_events.jsonl",
            ("page_view", "purchase"),
            {"1026454.4271112504": [1, 1], "u-7": [0, 2]},
        ),
        (
            "snowplow",
            "snowplow_atomic.tsv",
            ("page_view", "add_to_basket"),
            {"5beb1f92-d4b2-4e0d-b2f4-2c0a4d3ad1b3": [1, 0], "jon.doe": [0, 1]},
        ),
        (
            "mixpanel",
            "mixpanel_export.jsonl",
            ("Signed up", "Purchase"),
            {"91304156-cafc-4673-a237-623d1129c801": [1, 1], "user 2": [0, 1]},
        ),
        (
            "amplitude",
            "amplitude_export.json",
            ("open app", "upgrade"),
            {"5f1b2c3d-device": [1, 0], "datamonster@gmail.com": [0, 1]},
        ),
    ],
)
def test_an_export_is_counted_with_its_preset(
    preset: str, file: str, events: tuple[str, ...], expected: dict[str, list[float]]
) -> None:
    schema = EventSchema.preset(preset)
    assert counts(file, schema, *map(number_of, events)) == expected


def test_every_preset_has_a_sample() -> None:
    assert len(list(EXPORTS.iterdir())) == len(PRESETS)


def test_values_inside_properties_are_summed() -> None:
    revenue = Term(event="Order Completed", measure="sum", window="30d")
    schema = EventSchema.preset("segment_json", value_col="properties.revenue", arrival_col=None)
    found = counts("segment_calls.jsonl", schema, revenue)
    assert found == {"507f191e810c19729de860ea": [0.0], "97980cfea0067": [pytest.approx(40.0)]}
    amount = Term(event="Purchase", measure="sum", property="properties.Amount", window="30d")
    found = counts("mixpanel_export.jsonl", EventSchema.preset("mixpanel"), amount)
    assert found == {"91304156-cafc-4673-a237-623d1129c801": [5.0], "user 2": [1.0]}


def test_the_value_of_ga4_is_in_dollars() -> None:
    value = Term(event="purchase", measure="sum", window="30d")
    found = counts("ga4_events.jsonl", EventSchema.preset("ga4"), value)
    assert found == {"1026454.4271112504": [24.5], "u-7": [11.25]}


def test_microseconds_of_ga4_are_kept() -> None:
    schema = EventSchema.preset("ga4")
    spec = CountSpec.of(["page_view", "purchase"], window="30d")
    table = build_counts(
        EXPORTS / "ga4_events.jsonl", spec, as_of="2024-03-01T10:00:00.000001Z", schema=schema
    )
    assert table.X.toarray().tolist() == [[1, 0]]


def test_without_its_anonymous_column_a_visitor_is_dropped_and_reported() -> None:
    schema = EventSchema.preset("segment", anonymous_col=None)
    spec = CountSpec.of(["article_bookmarked"], window="30d")
    table = build_counts(EXPORTS / "segment_tracks.csv", spec, as_of=AS_OF, schema=schema)
    assert sorted(table.customer) == ["019mr8mf4r", "97980cfea0067"]
    assert table.report["null_customer"] == 1


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"unknown preset.*\n.*'segmnt'\n.*did you mean 'segment'"):
        EventSchema.preset("segmnt")
    with pytest.raises(SpecError, match=r"events: unknown preset|unknown preset"):
        EventsConfig.parse({"preset": "segmnt"})


def test_a_configuration_names_a_preset_and_what_differs() -> None:
    events = EventsConfig.parse({"path": "log.jsonl", "preset": "mixpanel", "arrival_col": None})
    assert events.event_schema == EventSchema.preset("mixpanel", arrival_col=None)
    assert events.event_schema.timestamp_unit == "s"
    assert events.event_schema.arrival_unit is None
    again = EventsConfig.parse(events.model_dump(mode="json", exclude_defaults=True))
    assert again == events


def test_a_unit_without_its_column_is_refused() -> None:
    with pytest.raises(SpecError, match="arrival_unit is given without an arrival column"):
        EventSchema(arrival_unit="ms")
    with pytest.raises(ConfigError, match="timestamp_unit has a value that is not allowed"):
        EventsConfig.parse({"timestamp_unit": "sec"})


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_seconds_read_in_a_smaller_unit_are_refused(unit: str) -> None:
    schema = EventSchema.preset("mixpanel", timestamp_col="properties.time", timestamp_unit=unit)
    path = EXPORTS / "mixpanel_export.jsonl"
    refused(EventLogError, f"do not fit their unit\n.*in {unit}, end 0.0", path, schema=schema)


def test_microseconds_read_as_seconds_are_refused() -> None:
    schema = EventSchema.preset("ga4", timestamp_col="event_timestamp", timestamp_unit="s")
    match = "do not fit their unit\n.*years after 1970\n.*1972"
    refused(EventLogError, match, EXPORTS / "ga4_events.jsonl", schema=schema)


def test_text_that_is_no_number_does_not_fit_a_unit() -> None:
    schema = EventSchema.preset("segment", timestamp_col="timestamp", timestamp_unit="s")
    match = r"times that are no numbers\n.*4 rows, for example '2024-03-01T10:00:00.235Z'"
    refused(EventLogError, match, EXPORTS / "segment_tracks.csv", schema=schema)


def test_numbers_without_a_unit_are_refused_with_the_way_out() -> None:
    schema = EventSchema.preset("mixpanel", timestamp_col="properties.time")
    match = "text that is not a time"
    refused(EventLogError, match, EXPORTS / "mixpanel_export.jsonl", schema=schema)


def test_a_missing_anonymous_column_is_refused() -> None:
    schema = EventSchema.preset("segment", anonymous_col="anonymus_id")
    match = "no such column\n.*anonymous_col.*\n.*did you mean 'anonymous_id'"
    refused(EventLogError, match, EXPORTS / "segment_tracks.csv", schema=schema)


def test_a_value_column_that_the_log_lacks_is_noticed_though_no_term_uses_it() -> None:
    schema = EventSchema.preset("segment", value_col="event_txt")
    spec = CountSpec.of(["order_completed"], window="30d")
    with pytest.warns(CesWarning, match="'event_txt' is not one of the 11 columns.*'event_text'"):
        build_counts(EXPORTS / "segment_tracks.csv", spec, as_of=AS_OF, schema=schema)
