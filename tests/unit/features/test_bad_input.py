"""What is wrong with a log is said in four parts; what can be left out is counted."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ces_ml.errors import CesWarning, EventLogError, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import build_counts
from ces_ml.spec import CountRule, CountSpec, CountTable, OutcomeSpec, Term

from .engines import ENGINES
from .refusals import LOG, SPEC, refused


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def column(name: str, values: Any) -> pd.DataFrame:
    log = LOG.copy()
    log[name] = pd.Series(values, dtype=object) if isinstance(values, list) else values
    return log


@pytest.mark.parametrize("role", ["customer_col", "event_col", "timestamp_col", "arrival_col"])
def test_a_missing_column_is_named_with_the_nearest_one(engine: str, role: str) -> None:
    schema = EventSchema(**{role: "amuont"})
    refused(
        EventLogError,
        "no such column\n.*'amuont'\n.*did you mean 'amount'",
        LOG,
        schema=schema,
        engine=engine,
    )


def test_a_missing_property_is_named_with_the_nearest_one(engine: str) -> None:
    spec = CountSpec.of(["login"], window="30d", measure="sum", property="Amount")
    refused(
        EventLogError,
        "no such column, which a count reads\n.*'Amount'\n.*did you mean 'amount'",
        LOG,
        spec,
        engine=engine,
    )


DAY, NAIVE = "2024-01-01", pd.Timestamp("2024-01-01")
NO_TIME, MIXED = r"text that is not a time\n.*", r"mixes times with and without a zone\n.*"
TIMES: list[tuple[Any, str]] = [
    ([DAY, "soon", "later"], NO_TIME + "2 rows, for example 'later'"),
    ([DAY, "2024-13-01", None], NO_TIME + "1 rows, for example '2024-13-01'"),
    ([DAY, "infinity", None], NO_TIME + "1 rows, for example 'infinity'"),
    ([DAY, "epoch", None], NO_TIME + "1 rows, for example 'epoch'"),
    ([DAY, "", None], NO_TIME + "1 rows, for example ''"),
    (
        [DAY, "1704067200", None],
        NO_TIME + "1 rows, for example '1704067200'\n.*\n.*numbers need their unit: timestamp_unit",
    ),
    ([DAY, "05/01/2024", None], NO_TIME + "1 rows, for example '05/01/2024'"),
    ([DAY + " 10:00", DAY + " 10:00Z", None], MIXED + "1 rows with a zone, 1 without"),
    ([DAY, DAY + " 10:00:00+02:00", None], MIXED + "1 rows with a zone, 1 without"),
    ([DAY + " 10:00:00", DAY + " 10:00:00 EST", DAY], MIXED + "1 rows with a zone, 2 without"),
    ([NAIVE, NAIVE.tz_localize("UTC"), None], MIXED + "1 rows with a zone, 1 without"),
    (np.array([1, 2, 3]), "does not hold times\n.*BIGINT"),
    (np.array([1.5, 2, 3]), "does not hold times\n.*DOUBLE"),
    (np.array([True, False, True]), "does not hold times\n.*BOOLEAN"),
    ([1704067200, 1704067201, None], "does not hold times\n.*2 rows .* 1704067200 .int."),
    ([NAIVE, DAY, None], "does not hold times\n.*1 rows of another type, .* '2024-01-01' .str."),
]


@pytest.mark.parametrize(("times", "match"), TIMES)
@pytest.mark.parametrize("role", ["timestamp", "arrived"])
def test_times_that_can_t_be_read_are_refused(
    engine: str, role: str, times: Any, match: str
) -> None:
    schema = EventSchema(arrival_col="arrived" if role == "arrived" else None)
    refused(EventLogError, match, column(role, times), schema=schema, engine=engine)


@pytest.mark.parametrize("time", ["294247-01-10", "9001-01-01"])
def test_times_past_every_calendar_are_refused(engine: str, time: str) -> None:
    match = "times that no calendar knows\n.*\n.*\n.*milliseconds"
    refused(EventLogError, match, column("timestamp", [time] * 3), engine=engine)


def test_nulls_are_dropped_counted_and_reported(engine: str) -> None:
    log = pd.concat([LOG] * 3, ignore_index=True)
    log.loc[[0], "customer_id"] = None
    log.loc[[1, 4], "event_type"] = None
    log.loc[[2, 5, 8], "timestamp"] = None
    table = build_counts(log, SPEC, engine=engine)
    assert dict(table.report) == {
        "rows_read": 9,
        "null_customer": 1,
        "null_event_type": 2,
        "null_timestamp": 3,
        "event_types_not_counted": 1,
        "events_not_counted": 1,
        "rows": 1,
    }
    assert table.customer.tolist() == ["a"]
    assert table.X.toarray().tolist() == [[2]]


@pytest.mark.parametrize("null", ["customer_id", "event_type", "timestamp"])
def test_a_log_of_nulls_only_holds_no_events(engine: str, null: str) -> None:
    log = LOG.astype({null: object})
    log[null] = None
    error = refused(EventLogError, "holds no events that can be counted", log, engine=engine)
    assert "3 rows" in str(error.got)
    assert "3 with null" in str(error.got)


def test_a_log_without_rows_holds_no_events(engine: str) -> None:
    refused(EventLogError, "holds no events .*\n.*0 rows", LOG.head(0), engine=engine)


@pytest.mark.parametrize("as_of", ["2023-12-01", "2024-01-01", ["2024-01-15", "2023-12-01"]])
def test_as_of_before_the_log_is_refused(engine: str, as_of: Any) -> None:
    match = r"lies outside the log\n.*\(1 of \d dates\)\n.*from 2024-01-01T.* to 2024-02-10T"
    refused(EventLogError, match, LOG, as_of=as_of, engine=engine)


def test_as_of_long_after_the_log_is_refused(engine: str) -> None:
    match = r"lies outside the log\n.*2024-06-01.*\n.*less than the longest window"
    refused(EventLogError, match, LOG, as_of="2024-06-01", engine=engine)


def test_as_of_a_little_after_the_log_warns_by_how_much(engine: str) -> None:
    with pytest.warns(CesWarning, match="as_of is 4.0 days after the log's last event"):
        table = build_counts(LOG, SPEC, as_of="2024-02-14", engine=engine)
    assert len(table) == 2


def test_a_log_observed_longer_than_its_last_event_reaches_further(engine: str) -> None:
    silent = OutcomeSpec(task="churn", silence_of="*", horizon="7d", active_within="30d")
    options = {"as_of": "2024-02-20", "outcome": silent, "engine": engine}
    refused(EventLogError, "lies outside the log", LOG, **options)
    table = build_counts(LOG, SPEC, **options, observed_until="2024-02-27")
    assert table.outcomes.tolist() == [0]
    anchored = {**options, "as_of": "10d after login"}
    assert len(build_counts(LOG, SPEC, **anchored, observed_until="2024-02-27")) == 2
    assert len(build_counts(LOG, SPEC, **anchored)) == 1


def test_an_observation_that_ends_at_no_moment_is_refused(engine: str) -> None:
    refused(SpecError, "not a moment in time\n.*'soon'", LOG, observed_until="soon", engine=engine)


BOUGHT = OutcomeSpec(task="conversion", event="purchase", horizon="20d", gap="1d", repeatable=True)


def test_a_horizon_past_the_end_names_the_latest_as_of(engine: str) -> None:
    match = r"no outcome is known yet.*\n.*2 rows.*2024-02-10.*\n.*as_of up to 2024-01-20T00:00:00"
    options: dict[str, Any] = {"outcome": BOUGHT, "engine": engine}
    refused(EventLogError, match, LOG, as_of=["2024-01-21", "2024-02-01"], **options)
    refused(EventLogError, "no outcome is known yet", LOG, as_of="2024-01-20T00:00:01", **options)
    assert build_counts(LOG, SPEC, as_of="2024-01-20", **options).outcomes.tolist() == [0]


def test_a_sample_that_loses_everybody_says_why(engine: str) -> None:
    outcome = OutcomeSpec(task="conversion", event="purchase", horizon="1d")
    match = "nobody is left in the sample\n.*censored: 0, left_out_already_happened: 1,"
    refused(EventLogError, match, LOG, as_of="2024-01-25", outcome=outcome, engine=engine)


def test_censored_rows_are_counted_and_never_labelled(engine: str) -> None:
    table = build_counts(
        LOG, SPEC, as_of=["2024-01-10", "2024-01-25"], outcome=BOUGHT, engine=engine
    )
    assert table.outcomes.tolist() == [1]
    assert table.report["candidates"] == 2
    assert table.report["left_out_censored"] == 1


def test_an_anchor_that_never_occurs_is_named_with_the_nearest(engine: str) -> None:
    match = "anchor event of as_of never occurs\n.*'purchse'\n.*did you mean 'purchase'"
    refused(EventLogError, match, LOG, as_of="3d after purchse", engine=engine)


@pytest.mark.parametrize("key", ["event", "silence_of"])
def test_an_outcome_that_never_occurs_is_named_with_the_nearest(engine: str, key: str) -> None:
    outcome = OutcomeSpec(task="churn", **{key: "logni"}, horizon="7d", active_within="30d")
    match = "no event type in the log matches\n.*'logni'\n.*did you mean 'login'"
    refused(SpecError, match, LOG, as_of="2024-01-10", outcome=outcome, engine=engine)


def test_a_rule_that_matches_nothing_is_named_with_the_nearest(engine: str) -> None:
    rules = [CountRule(events="purchases", window="30d")]
    refused(SpecError, "matches\n.*\n.*did you mean 'purchase'", LOG, rules, engine=engine)


@pytest.mark.parametrize(
    ("ids", "match"),
    [
        ([1.5, 2.0, None], "fractions or too large for a float\n.*1 rows of type DOUBLE"),
        ([2.0**53, 2.0, 1.0], "fractions or too large"),
        ([np.inf, 2.0, 1.0], "fractions or too large"),
    ],
)
def test_ids_that_are_fractions_are_refused(engine: str, ids: Any, match: str) -> None:
    log = LOG.assign(customer_id=np.array(ids, dtype=float))
    refused(EventLogError, f"customer ids .* are {match}", log, engine=engine)
    log = LOG.assign(event_type=np.array(ids, dtype=float))
    refused(EventLogError, f"event types .* are {match}", log, engine=engine)


@pytest.mark.parametrize(
    ("ids", "match"),
    [
        ([1, "a", 2], "column 'customer_id' mixes types\n.*'a'"),
        ([2**70, 1, 2], "column 'customer_id' mixes types\n.*too large"),
        (np.array([True, False, True]), "can't identify a customer\n.*BOOLEAN"),
        ([b"a", b"b", b"c"], "can't identify a customer\n.*BLOB"),
        ([Decimal("1.5"), Decimal(2), Decimal(3)], "can't identify a customer\n.*DECIMAL"),
        ([{"id": 1}, {"id": 2}, {"id": 3}], "can't identify a customer\n.*STRUCT"),
        (pd.to_datetime(["2024-01-01"] * 3), "can't identify a customer\n.*TIMESTAMP"),
    ],
)
def test_ids_that_can_t_identify_a_customer_are_refused(engine: str, ids: Any, match: str) -> None:
    refused(EventLogError, match, column("customer_id", ids), engine=engine)


@pytest.mark.parametrize("events", [[b"x"] * 3, [[1]] * 3, pd.to_datetime(["2024-01-01"] * 3)])
def test_event_types_that_can_t_name_an_event_are_refused(engine: str, events: Any) -> None:
    refused(EventLogError, "can't name an event", column("event_type", events), engine=engine)


VALUES = [
    (pl.Series([1.0, float("nan"), 2.0]), "can't be summed\n.*1 rows with NaN, infinity or text"),
    (pl.Series([1.0, float("inf"), float("-inf")]), "can't be summed\n.*2 rows"),
    (pl.Series(["1.5", "two", "3"]), "can't be summed\n.*1 rows"),
    (pl.Series([[1], [2], [3]]), "can't be summed\n.*type BIGINT"),
    (pl.Series([1e308, 1.0, 1e308]), "larger than any number\n.*1 sums beyond 1.8e308"),
]


@pytest.mark.parametrize(("values", "match"), VALUES)
def test_values_that_can_t_be_summed_are_refused(
    engine: str, values: pl.Series, match: str
) -> None:
    log = pl.from_pandas(LOG).with_columns(
        pl.lit("a").alias("customer_id"), pl.lit("login").alias("event_type"), values.alias("v")
    )
    spec = CountSpec.of(["login"], window="90d", measure="sum")
    refused(EventLogError, match, log, spec, schema=EventSchema(value_col="v"), engine=engine)
    spec = CountSpec.of(["login"], window="90d", measure="sum", property="v")
    refused(EventLogError, match, log, spec, engine=engine)
    assert len(build_counts(log, SPEC, engine=engine)) == 1  # a column that nothing sums may be so


def test_overflows_that_cancel_are_refused_as_well(engine: str) -> None:
    n = 5_000
    log = pd.DataFrame(
        {
            "customer_id": 1,
            "event_type": "x",
            "timestamp": pd.Timestamp("2024-01-01"),
            "v": np.repeat([1e308, -1e308], n),
        }
    )
    spec = CountSpec.of(["x"], window="1d", measure="sum", property="v")
    refused(EventLogError, "larger than any number", log, spec, engine=engine)


@pytest.mark.parametrize(
    "values",
    [
        [1.5, None, 3.0],
        [1.5, np.nan, 3],
        ["1.5", None, " 3 "],
        [Decimal("1.5"), None, Decimal(3)],
    ],
)
def test_missing_values_count_as_nothing_whatever_holds_the_numbers(
    engine: str, values: list[Any]
) -> None:
    log = column("v", values).assign(customer_id="a", event_type="login")
    spec = CountSpec.of(["login"], window="90d", measure="sum", property="v")
    assert build_counts(log, spec, engine=engine).X.toarray().tolist() == [[4.5]]


def test_a_sum_without_a_value_column_is_refused(engine: str) -> None:
    spec = CountSpec(terms=(Term(event="login", window="30d", measure="sum", name="spent"),))
    refused(
        EventLogError, "term 'spent' sums a value but no column is named", LOG, spec, engine=engine
    )


def test_an_unknown_engine_is_refused() -> None:
    refused(SpecError, "unknown engine\n.*'duckbd'\n.*did you mean 'duckdb'", LOG, engine="duckbd")


@pytest.mark.parametrize(
    "options", [{"threads": 0}, {"threads": "two"}, {"memory_limit": "lots"}, {"memory_limit": ""}]
)
def test_options_that_make_no_sense_are_refused(engine: str, options: dict[str, Any]) -> None:
    match = f"an option of the engine.*\n.*{re.escape(repr(next(iter(options.values()))))}"
    refused(SpecError, match, LOG, **options, engine=engine)


def test_two_columns_of_one_name_are_refused(engine: str) -> None:
    log = pd.concat([LOG, LOG[["amount"]]], axis=1)
    refused(EventLogError, "two columns of the same name\n.*'amount'", log, engine=engine)


def test_a_column_that_nothing_needs_may_hold_anything(engine: str) -> None:
    log = LOG.assign(
        payload=[{"a": 1}, [1], "x"], mixed=[1, "2", None], number=[1j, 2j, 3j], big=[2**70, 1, 2]
    )
    table: CountTable = build_counts(log, SPEC, engine=engine)
    assert table.X.toarray().tolist() == [[0], [1]]
    spec = CountSpec.of(["login"], window="90d", measure="sum", property="payload")
    refused(EventLogError, "can't be summed", log, spec, engine=engine)


def test_a_value_column_of_nulls_only_sums_to_nothing(engine: str) -> None:
    spec = CountSpec.of(["login"], window="90d", measure="sum", property="v")
    for log in (column("v", [None] * 3), pl.from_pandas(LOG).with_columns(v=pl.lit(None))):
        assert build_counts(log, spec, engine=engine).X.toarray().tolist() == [[0], [0]]
