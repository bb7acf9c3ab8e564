"""Every measure and option of a count, by hand on logs that a person can add up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ces_ml.errors import EventLogError, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import build_counts
from ces_ml.spec import CountRule, CountSpec, CountTable, Duration, Term

from .engines import ENGINES
from .refusals import refused

HOUR = pd.Timedelta("1h")
AS_OF = pd.Timestamp("2024-03-01", tz="UTC")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def log(*rows: tuple[Any, ...], **columns: Any) -> pd.DataFrame:
    """Events of one customer, given as (event type, hours before as_of[, column values])."""
    frame = pd.DataFrame(
        {
            "customer_id": "a",
            "event_type": [r[0] for r in rows],
            "timestamp": [AS_OF - r[1] * HOUR for r in rows],
        }
    )
    return frame.assign(**columns)


def one(events: Any, engine: str, *terms: Term, **options: Any) -> list[float]:
    """The counts of the only customer."""
    table = build_counts(
        events, CountSpec(terms=terms), as_of=AS_OF.to_pydatetime(), engine=engine, **options
    )
    assert len(table) == 1
    return list(table.X.toarray()[0])


def term(event: str = "x", window: str = "10d", **options: Any) -> Term:
    return Term(event=event, window=window, **options)


def test_windows_stand_side_by_side_in_any_order(engine: str) -> None:
    events = log(("x", 1), ("x", 30), ("x", 100))
    windows = ("2d", "10d", "2h")
    assert one(events, engine, *(term(window=w) for w in windows)) == [2, 3, 1]


RATED = log(("x", 1), ("x", 2), ("x", 3), stars=[5.0, None, 2.0], bad=[3.0, 3.0, 3.0])


def test_a_mean_is_less_its_neutral_value_and_leaves_out_what_is_missing(engine: str) -> None:
    found = one(
        RATED,
        engine,
        term(measure="mean", property="stars"),
        term(measure="mean", property="stars", neutral=3),
        term(measure="mean", property="stars", neutral=5),
        term("never", measure="mean", property="stars", neutral=3),
    )
    assert found == [3.5, 0.5, -1.5, 0.0]


def test_a_mean_at_its_neutral_value_is_no_entry_of_the_matrix(engine: str) -> None:
    events = log(*(("x", h) for h in range(1, 8)), stars=[3.3] * 7)
    spec = CountSpec(terms=(term(measure="mean", property="stars", neutral=3.3, half_life="1h"),))
    table = build_counts(events, spec, as_of=AS_OF.to_pydatetime(), engine=engine)
    assert table.X.nnz == 0


def test_a_fading_mean_leans_to_the_newest_and_ends_where_no_weight_is_left(engine: str) -> None:
    events = log(("x", 1), ("x", 2), ("old", 800), stars=[4.0, 1.0, 9.0])
    found = one(
        events,
        engine,
        term(measure="mean", property="stars", half_life="1h"),
        term("old", "60d", measure="mean", property="stars", neutral=5, half_life="1h"),
        term("old", "60d", measure="mean", property="stars", neutral=5, half_life="50min"),
    )
    assert found == pytest.approx([(4 / 2 + 1 / 4) / (1 / 2 + 1 / 4), 4.0, 0.0], rel=1e-12)


def test_decay_over_a_thousand_years_neither_overflows_nor_is_lost(engine: str) -> None:
    events = pd.DataFrame(
        {
            "customer_id": "a",
            "event_type": "x",
            "timestamp": np.array(["1024-03-01", "2024-02-29T23:59:59"], dtype="datetime64[us]"),
            "v": [1e300, 2.0],
        }
    )
    whole = {"window": "400000d", "half_life": "1s"}
    found = one(
        events,
        engine,
        term(**whole),
        term(measure="sum", property="v", **whole),
        term(measure="mean", property="v", **whole),
        term(window="400000d", half_life="365000d"),
    )
    assert found == pytest.approx([0.5, 1.0, 2.0, 1 + 2 ** (-365_243 / 365_000)], rel=1e-6)


@pytest.mark.parametrize(
    "took",
    [
        [90.0, None, 30.0],
        ["90", None, " 30 "],
        pd.to_timedelta([90, None, 30], unit="s"),
        pa.array([90_000, None, 30_000], pa.duration("ms")),
    ],
)
def test_a_duration_is_a_column_of_seconds_or_intervals_in_its_unit(engine: str, took: Any) -> None:
    events = pa.Table.from_pandas(log(("x", 1), ("x", 2), ("x", 3)))
    events = events.append_column("took", pa.array(took))
    found = one(
        events,
        engine,
        term(measure="duration", property="took"),
        term(measure="duration", property="took", unit="1min"),
        term(measure="duration", property="took", unit="1s", half_life="1h"),
    )
    assert found == pytest.approx([120 / 3600, 2.0, 90 / 2 + 30 / 8], rel=1e-12)
    assert one(events, engine, term(measure="duration"), schema=EventSchema(value_col="took")) == [
        pytest.approx(120 / 3600)
    ]


SESSIONS = log(
    ("in", 100), ("out", 97),  # 3 h
    ("in", 50), ("in", 49), ("out", 48),  # the first never ended; 1 h
    ("out", 47),  # ends nothing
    ("in", 40), ("out", 38), ("in", 38), ("out", 37.5),  # back to back: 2 h, 0.5 h
    ("in", 30), ("other", 29), ("in", 30), ("out", 26),  # twice at one moment: 4 h
    ("out", 20), ("in", 20),  # no end after the start
    ("in", 1), ("out", -1),  # not over at as_of
)  # fmt: skip


def test_a_pair_counts_at_its_end_with_its_whole_length(engine: str) -> None:
    hours = {"measure": "duration", "until": "out"}
    found = one(
        SESSIONS,
        engine,
        term("in", **hours),
        term("in", "99h", **hours),
        term("in", "97h", **hours),
        term("in", "96h", unit="1min", **hours),
        term("in", half_life="1h", **hours),
        term("in", cap_per_day=2, **hours),
        term("never", **hours),
        term("in", until="never", measure="duration"),
    )
    faded = sum(h * 2.0**-end for h, end in ((3, 97), (1, 48), (2, 38), (0.5, 37.5), (4, 26)))
    # By UTC day: 97 h is 5 days back, 48 h 2, 38 h and 37.5 h 2, 26 h 2.
    assert found[:4] == [10.5, 10.5, 10.5, 7.5 * 60]
    assert found[4] == pytest.approx(faded, rel=1e-12)
    assert found[5:] == [4.0, 0.0, 0.0]
    alone = one(SESSIONS, engine, term("in", "97h", **hours))  # no longer window beside it
    assert alone == [10.5]


def test_starts_without_an_end_are_reported(engine: str) -> None:
    spec = CountSpec(terms=(term("in", measure="duration", until="out"),))
    table = build_counts(SESSIONS, spec, as_of=AS_OF.to_pydatetime(), engine=engine)
    assert table.report["unpaired_starts"] == 3  # at 50, one of two at 30, at 20
    assert "unpaired_starts" not in build_counts(SESSIONS, CountSpec.of(["in"], window="1d")).report


def test_a_start_that_arrives_later_does_not_change_the_pairs_of_the_past(engine: str) -> None:
    events = log(("in", 30), ("in", 29), ("out", 28), ("seen", -48))
    events["arrived"] = events["timestamp"]
    events.loc[1, "arrived"] = AS_OF + HOUR
    spec = CountSpec(terms=(term("in", measure="duration", until="out"),))
    moments = [AS_OF.to_pydatetime(), (AS_OF + 2 * HOUR).to_pydatetime()]
    schema = EventSchema(arrival_col="arrived")
    table = build_counts(events, spec, as_of=moments, schema=schema, engine=engine)
    assert table.X.toarray().tolist() == [[2.0], [1.0]]


def test_several_starts_may_share_an_end(engine: str) -> None:
    events = log(("call", 5), ("chat", 4), ("done", 3), ("chat", 2), ("done", 1))
    family = term("talk", members=("call", "chat"), measure="duration", until="done")
    alone = term("call", measure="duration", until="done")
    assert one(events, engine, family, alone) == [2.0, 2.0]


def test_distinct_counts_different_values_as_text_without_nulls(engine: str) -> None:
    rows = [("x", h) for h in (1, 2, 3, 4, 5, 300)]
    events = pa.Table.from_pandas(log(*rows)).append_column(
        "page", pa.array(["a", "A", "a ", None, "a", "z"])
    )
    events = events.append_column("n", pa.array([0.0, -0.0, float("nan"), 1.0, 1.0, 5.0]))
    events = events.append_column("day", pa.array([1, 1, 2, None, 2, 9], pa.date32()))
    for name, different in (("page", 3.0), ("n", 2.0), ("day", 2.0)):
        assert one(events, engine, term(measure="distinct", property=name)) == [different]


def test_a_cap_per_day_cuts_what_a_utc_day_adds_and_the_window_cuts_the_day(engine: str) -> None:
    # as_of is midnight: hours 1 to 24 are yesterday, 25 to 48 the day before.
    events = log(
        *[("x", h) for h in (1, 2, 3, 24, 25, 26, 49)], v=[9.0, -1.0, 1.0, -30.0, 2.0, 2.0, 5.0]
    )
    found = one(
        events,
        engine,
        term(cap_per_day=2),
        term(window="25h", cap_per_day=2),
        term(cap_per_day=3.5),
        term(cap_per_day=5, cap=1, measure="sum", property="v"),
    )
    assert found == [5.0, 3.0, 6.5, -5.0 + 4.0 + 5.0]


def test_a_day_whose_sum_is_past_all_numbers_is_refused_and_not_capped(engine: str) -> None:
    events = log(*[("x", 1)] * 4, v=[1e308, 1e308, -1e308, -1e308])
    spec = CountSpec(terms=(term(measure="sum", property="v", cap_per_day=1),))
    refused(EventLogError, "larger than any number", events, spec, engine=engine)


def test_a_rate_is_per_day_since_the_first_known_event_inside_the_window(engine: str) -> None:
    events = log(("first", 96), ("x", 1), ("x", 2), ("x", 30), v=[0.0, 3.0, 3.0, 2.0])
    found = one(
        events,
        engine,
        term(per="day"),
        term(window="2d", per="day"),
        term(window="6h", per="day"),
        term(measure="sum", property="v", per="day", cap=1.5),
        term(measure="active_days", per="day"),
        term(cap_per_day=1, per="day"),
    )
    assert found == [3 / 4, 3 / 2, 2.0, 8 / 4, 2 / 4, 2 / 4]


def test_a_customer_who_came_an_hour_ago_has_been_there_for_a_day(engine: str) -> None:
    assert one(log(("x", 0.5), ("x", 1)), engine, term(per="day")) == [2.0]


def test_exposure_begins_when_the_first_event_had_arrived(engine: str) -> None:
    events = log(("first", 240), ("x", 24), arrived=[AS_OF - 48 * HOUR, AS_OF - 24 * HOUR])
    schema = EventSchema(arrival_col="arrived")
    assert one(events, engine, term(per="day"), schema=schema) == [0.5]


SALES = log(
    *[("buy", h) for h in range(1, 7)],
    amount=[50.0, 150.0, 250.0, None, 100.0, np.nan],
    currency=["EUR", "GBP", "USD", "EUR", None, "it's"],
    returned=pd.array([False, None, True, False, False, True], dtype="boolean"),
    n=pd.array([1, 2, 3, 2**53 + 1, None, 6], dtype="Int64"),
)


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("amount > 100", [2, 3]),
        ("amount >= 100", [2, 3, 5]),
        ("amount != 100", [1, 2, 3]),
        ("not amount > 100", [1, 5]),
        ("amount is null", [4, 6]),
        ("amount is not null", [1, 2, 3, 5]),
        ("currency = 'EUR'", [1, 4]),
        ("currency in ('EUR', 'it''s')", [1, 4, 6]),
        ("currency not in ('EUR')", [2, 3, 6]),
        ("currency < 'F'", [1, 4]),
        ("returned", [3, 6]),
        ("not returned", [1, 4, 5]),
        ("returned = false", [1, 4, 5]),
        ("returned in (true)", [3, 6]),
        ("amount > 100 and currency in ('EUR', 'GBP') and not returned", []),
        ("amount > 100 and (returned or currency = 'GBP')", [2, 3]),
        ("amount > 200 and (returned or currency = 'GBP')", [3]),
        ("not (returned or currency = 'EUR')", []),
        ("amount > 100 or currency = 'EUR'", [1, 2, 3, 4]),
        ("n = 9007199254740993", [4]),
        ("n = 9007199254740992", []),
        ("n > 1.5 and n < 4", [2, 3]),
        ("event_type = 'buy' and customer_id = 'a'", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_filter_keeps_the_events_for_which_it_is_true(
    engine: str, where: str, kept: list[int], tmp_path: Any
) -> None:
    weights = 2.0 ** np.arange(6)  # each event is a bit of the sum
    events = SALES.assign(bit=weights)
    bits = term("buy", measure="sum", property="bit", where=where)
    expected = [float(sum(weights[k - 1] for k in kept))]
    assert one(events, engine, bits) == expected
    events.to_parquet(tmp_path / "log.parquet")
    assert one(tmp_path / "log.parquet", engine, bits) == expected
    if "9007199254740" not in where:  # text is compared as DOUBLE
        events.to_csv(tmp_path / "log.csv", index=False)
        assert one(tmp_path / "log.csv", engine, bits) == expected


@pytest.mark.parametrize(
    ("column", "where", "kept"),
    [
        (pd.Series(["EUR", "USD", None], dtype="category"), "v = 'EUR'", 1),
        (pa.array([Decimal("0.1"), Decimal("0.2"), None]), "v = 0.1", 1),
        (pa.array([1, 2, None], pa.uint8()), "v > 1 or v is null", 2),
        (pa.array([1, 2, None], pa.timestamp("us")), "v is not null", 2),
        (pa.array([None, None, None]), "v > 1 or v = 'x' or v or not v", 0),
        (pa.array([None, None, None]), "v is null", 3),
        (pa.array([[1], None, [2]]), "v is null", 1),
        (pa.array([float("nan"), 1.0, None]), "v is null", 2),
        (pa.array([float("nan"), 1.0, None]), "v > 0", 1),
        (pa.array(["x\0y", "x", None]), "v != 'x'", 1),
    ],
)
def test_a_filter_reads_columns_of_every_simple_type(
    engine: str, column: Any, where: str, kept: int
) -> None:
    events = pa.Table.from_pandas(log(("x", 1), ("x", 2), ("x", 3))).append_column(
        "v", column if isinstance(column, pa.Array) else pa.array(column)
    )
    assert one(events, engine, term(where=where)) == [kept]


def test_filters_apply_to_every_measure_and_stand_side_by_side(engine: str) -> None:
    found = one(
        SALES,
        engine,
        term("buy"),
        term("buy", where="amount > 100"),
        term("buy", where="amount > 100", half_life="1h"),
        term("buy", measure="sum", property="amount", where="currency = 'EUR'"),
        term("buy", measure="mean", property="amount", where="currency = 'EUR'", neutral=20),
        term("buy", measure="distinct", property="currency", where="not returned"),
        term("buy", measure="active_days", where="amount > 1000"),
        term("buy", cap_per_day=1, where="amount > 100"),
        term("buy", per="day", where="amount > 100"),
    )
    assert found == pytest.approx([6, 2, 2**-2 + 2**-3, 50, 30, 1, 0, 1, 2], rel=1e-12)


@pytest.mark.parametrize(
    ("where", "match"),
    [
        ("currency > 100", "column 'currency' can't be compared with a number\n.*VARCHAR"),
        ("currency in (1, 'EUR')", "column 'currency' can't be compared with a number"),
        ("amount = '100'", "column 'amount' can't be compared with text\n.*DOUBLE"),
        ("amount in (1, 'EUR')", "column 'amount' can't be compared with text"),
        ("amount", "column 'amount' can't be compared with true or false\n.*DOUBLE"),
        ("currency", "column 'currency' can't be compared with true or false\n.*VARCHAR"),
        ("returned = 1", "column 'returned' can't be compared with a number\n.*BOOLEAN"),
        ("timestamp > '2024'", "column 'timestamp' can't be compared with text\n.*TIMESTAMP"),
        ("amuont > 1", "no such column, which the filter 'amuont > 1' names\n.*'amuont'\n"
         ".*did you mean 'amount'"),
    ],
)  # fmt: skip
def test_a_filter_that_does_not_fit_its_column_is_refused(
    engine: str, where: str, match: str
) -> None:
    spec = CountSpec(terms=(term("buy", where=where),))
    refused(EventLogError, match, SALES, spec, engine=engine)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"measure": "mean"}, "term 'x' averages a value but no column is named\n.*mean"),
        ({"measure": "duration"}, "term 'x' adds up durations but no column is named"),
        ({"measure": "mean", "property": "currency"}, "'currency' holds values that can't be"),
        ({"measure": "duration", "property": "returned"}, "does not hold lengths of time\n.*BOOL"),
        ({"measure": "duration", "property": "timestamp"}, "does not hold lengths of time\n.*TIME"),
        ({"measure": "distinct", "property": "curency"}, "no such column, which a count reads\n"
         ".*'curency'\n.*did you mean 'currency'"),
        ({"measure": "distinct", "property": "tags"}, "'tags' can't be told apart\n.*VARCHAR\\["),
    ],
)  # fmt: skip
def test_a_column_that_does_not_fit_its_measure_is_refused(
    engine: str, options: dict[str, Any], match: str
) -> None:
    events = SALES.assign(tags=[["a"]] * 6)
    refused(EventLogError, match, events, CountSpec(terms=(term(**options),)), engine=engine)


def test_a_family_counts_its_members_as_one(engine: str) -> None:
    events = log(("page:a", 1), ("page:b", 25), ("page:b", 26), ("page", 2), ("login", 3))
    rules = [
        CountRule.parse({"events": "page:*", "as": "page", "window": ["7d", "25h"]}),
        CountRule(events="page:*", family="days", window="7d", measure="active_days"),
        CountRule(events="page:b", window="7d"),
    ]
    table = build_counts(events, rules, as_of=AS_OF.to_pydatetime(), engine=engine)
    assert table.names == ("page 7d", "page 25h", "days", "page:b")
    assert table.X.toarray().tolist() == [[3, 2, 2, 2]]
    assert dict(table.not_counted) == {"login": 1, "page": 1}


def test_members_are_frozen_when_a_rule_is_resolved(engine: str) -> None:
    rule = CountRule(events="page:*", family="page", window="7d")
    spec = CountSpec.from_rules([rule], ["page:a", "page:b", "login"])
    later = log(("page:a", 1), ("page:new", 2), ("page:new", 3), ("other", 4))
    table = build_counts(later, spec, as_of=AS_OF.to_pydatetime(), engine=engine)
    assert table.X.toarray().tolist() == [[1]]
    assert list(table.not_counted.items()) == [("page:new", 2), ("other", 1)]
    assert table.report["events_not_counted"] == 3


def test_event_types_of_few_customers_are_folded_into_one(engine: str) -> None:
    rows = [(c, e) for c in "abc" for e in ("login", "buy")]
    rows += [("a", "rare 1"), ("a", "rare 1"), ("b", "rare 2"), ("c", "rare 2")]
    events = pd.DataFrame(rows, columns=["customer_id", "event_type"])
    events["timestamp"] = AS_OF - HOUR
    rules = [CountRule(window="7d", min_support=3)]
    table: CountTable = build_counts(events, rules, as_of=AS_OF.to_pydatetime(), engine=engine)
    assert table.names == ("buy", "login", "other")
    assert table.X.toarray().tolist() == [[1, 1, 2], [1, 1, 1], [1, 1, 1]]
    assert table.spec.terms[2].members == ("rare 1", "rare 2")
    rules = [CountRule(window="7d", min_support=2, other="tail")]
    table = build_counts(events, rules, as_of=AS_OF.to_pydatetime(), engine=engine)
    assert table.names == ("buy", "login", "rare 2", "tail")
    rules = [CountRule(window="7d", min_support=1)]
    table = build_counts(events, rules, as_of=AS_OF.to_pydatetime(), engine=engine)
    assert table.names == ("buy", "login", "rare 1", "rare 2")


def test_a_rule_with_support_needs_to_know_it() -> None:
    with pytest.raises(SpecError, match=r"how many customers an event type has\n.*min_support: 3"):
        CountSpec.from_rules([CountRule(window="7d", min_support=3)], ["x"])


@pytest.mark.parametrize("window", ["36h", "51d", "52d", "104d", "300d", "800d"])
def test_active_days_are_the_same_with_masks_and_without(engine: str, window: str) -> None:
    rng = np.random.default_rng(7)
    as_of = AS_OF - 5.5 * HOUR
    events = log(("x", 5.6), *(("x", h) for h in rng.uniform(0.01, 24 * 900, 700)))
    start = as_of - pd.Timedelta(Duration(window).us, "us")
    inside = events[(events["timestamp"] < as_of) & (events["timestamp"] >= start)]
    days = inside["timestamp"].dt.floor("D").nunique()
    spec = CountSpec(terms=(term(window=window, measure="active_days"),))
    table = build_counts(events, spec, as_of=as_of.to_pydatetime(), engine=engine)
    assert table.X.toarray().tolist() == [[days]]
