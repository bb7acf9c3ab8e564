"""The text that counts: what it holds, and what never gets into it."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.spec import CountSpec, Term
from ces_ml.spec.where import Comparison
from ces_ml.sql.counting import count_sql, exposure_sql, unpaired_sql
from ces_ml.sql.plan import CountPlan, Group, Part, Property
from ces_ml.sql.population import anchored_sql, anchors_sql, dated_sql, first_known_sql

NAMES = st.text(min_size=1, max_size=20).map(lambda text: f"«{text}»")
TERMS = (
    Term(event="login", window="7d"),
    Term(event="login", window="30d"),
    Term(event="login", window="30d", cap=3, transform="log1p", name="capped"),
    Term(event="buy", window="7d"),
    Term(event="buy", window="30d", measure="sum", half_life="14d"),
    Term(event="buy", window="30d", measure="sum", property="amount"),
    Term(event="buy", window="90d", measure="sum", property="fee"),
    Term(event="login", window="30d", measure="active_days"),
    Term(event="login", window="30d", half_life="1d", name="fading"),
)
PLAN = CountPlan.of(TERMS, "amount")
#: Terms of every other kind.
LATER = (
    Term(event="buy", window="30d", measure="mean", property="stars", neutral=3, half_life="9d"),
    Term(event="buy", window="30d", measure="distinct", property="shop", where="shop != 'it''s'"),
    Term(event="views", members=("a", "b"), window="7d", cap_per_day=2.5),
    Term(event="a", window="500d", measure="active_days"),
    Term(event="in", until="out", window="7d", measure="duration", unit="1min"),
    Term(event="in", until="out", window="9d", measure="duration", cap_per_day=8),
    Term(event="call", window="7d", measure="duration", property="took", per="day"),
)
BOTH = CountPlan.of(TERMS + LATER, "amount")


def texts(plan: CountPlan, *, arrival: bool = False) -> str:
    return "\n".join(count_sql(plan, part, arrival=arrival) for part in plan.parts)


@pytest.mark.parametrize("arrival", [False, True])
def test_one_moment_for_all_needs_no_relation_of_rows(arrival: bool) -> None:
    for part in BOTH.parts:
        text = count_sql(BOTH, part, arrival=arrival, moment_us=1_700_000_000_000_000)
        assert not re.search(r"\bcu\b|\bc\.", text)
        assert "customer_id AS r" in text
        assert "ts_us < 1700000000000000" in text
        assert ("arrival_us < 1700000000000000" in text) == arrival


def test_a_plan_computes_each_aggregate_once() -> None:
    assert PLAN.groups == (Group(("login",)), Group(("buy",)))
    assert [w // 86_400_000_000 for w in PLAN.windows] == [30, 90]
    assert PLAN.properties == (Property("amount"), Property("fee"))
    assert PLAN.parts == (Part(),)
    assert len(PLAN.aggregates) == 7
    assert [c for c, _ in PLAN.columns] == [0, 0, 0, 1, 1, 1, 1, 0, 0]
    # The capped login and the plain one, and the 7 days of both events, share a column.
    assert [a for _, a in PLAN.columns] == [0, 1, 1, 0, 2, 3, 4, 5, 6]


def test_a_sum_by_default_and_by_name_is_one_aggregate() -> None:
    terms = [Term(event="x", window="1d", measure="sum", property=p) for p in (None, "amount")]
    assert len(CountPlan.of(terms, "amount").aggregates) == 1
    assert len(CountPlan.of(terms, "other").aggregates) == 2


def test_the_text_is_the_same_every_time() -> None:
    again = CountPlan.of([t.model_copy() for t in TERMS], "amount")
    assert count_sql(PLAN) == count_sql(again)


def test_the_text_counts_in_half_open_windows_of_integers() -> None:
    text = count_sql(PLAN)
    assert "e.ts_us < c.as_of_us AND e.ts_us >= c.as_of_us - v.window_us\n" in text
    assert "WHERE v.part = 0\n" in text
    assert "COUNT(CASE WHEN age <= 604800000000 THEN 1 END) AS a0" in text
    assert "BIT_OR(CASE WHEN age <= 2592000000000 AND back >= 0 AND back < 52 THEN" in text
    assert re.search(r"SUM\(CASE WHEN age <= \d+ THEN p0 \* EXP\(age \* -[\d.]+E-\d+\) END\)", text)
    assert "arrival" not in text
    assert "BETWEEN" not in text
    assert text.rstrip().endswith("GROUP BY r, code")


def test_with_arrival_times_an_event_must_have_arrived() -> None:
    text = count_sql(PLAN, arrival=True)
    assert "AND e.arrival_us < c.as_of_us\n" in text
    assert text.replace(" AND e.arrival_us < c.as_of_us", "") == count_sql(PLAN)


def test_what_can_not_share_a_query_gets_one_of_its_own() -> None:
    assert BOTH.parts == (Part(), Part(daily=True), Part(paired=True), Part(True, True))
    assert sorted(k for part in BOTH.parts for k in BOTH.of_part(part)) == [*range(14)]
    codes = {group: code for code, group in enumerate(BOTH.groups)}
    views, pair = codes[Group(("a", "b"))], codes[Group(("in",), "out")]
    assert [row for row in BOTH.vocabulary() if row[1] == views] == [
        ("a", views, 7 * 86_400_000_000, 1),
        ("b", views, 7 * 86_400_000_000, 1),
    ]
    assert pair not in {row[1] for row in BOTH.vocabulary()}
    assert BOTH.pairs() == [
        ("out", pair, 9 * 86_400_000_000, 0),
        ("in", pair, 9 * 86_400_000_000, 1),
    ]
    assert BOTH.filters == ("shop != 'it''s'",)


def test_active_days_of_long_windows_are_counted_without_masks() -> None:
    for days, masks in ((51, 1), (52, 2), (103, 2), (104, 3), (311, 6), (312, 0), (4000, 0)):
        text = count_sql(CountPlan.of([Term(event="x", window=f"{days}d", measure="active_days")]))
        assert text.count("BIT_OR") == masks, days
        assert text.count("COUNT(DISTINCT") == (masks == 0), days


def test_every_fraction_is_a_double_and_never_a_decimal() -> None:
    for text in (texts(BOTH), anchored_sql(5, 6)):
        for number in re.findall(r"\d+\.\d+\S*", text):
            assert re.fullmatch(r"\d\.\d{17}E[+-]\d+\)?", number.rstrip(",")), number


@given(event=NAMES, column=NAMES, name=NAMES)
def test_no_name_ever_gets_into_the_text(event: str, column: str, name: str) -> None:
    terms = [
        Term(event=event, window="7d", name=name),
        Term(event=event, window="7d", measure="sum", property=column),
        Term(event=event, window="7d", measure="sum"),
    ]
    terms += [
        Term(event=event, members=(event, event + "?"), window="7d", cap_per_day=2),
        Term(event=event, until=event + "!", window="7d", measure="duration"),
        Term(event=event, window="7d", measure="distinct", property=column),
        Term(event=event, window="7d", where=str(Comparison(column, "=", name))),
    ]
    text = texts(CountPlan.of(terms, column + "!"))
    assert "«" not in text
    assert "'" not in text
    plain = [
        Term(event="x", window="7d", name="y"),
        Term(event="x", window="7d", measure="sum", property="z"),
        Term(event="x", window="7d", measure="sum"),
    ]
    plain += [
        Term(event="x", members=("x", "y"), window="7d", cap_per_day=2),
        Term(event="x", until="y", window="7d", measure="duration"),
        Term(event="x", window="7d", measure="distinct", property="z"),
        Term(event="x", window="7d", where="z = 'y'"),
    ]
    assert text == texts(CountPlan.of(plain, "w"))


@pytest.mark.parametrize("arrival", [False, True])
def test_the_texts_run_on_the_relations_that_they_name_and_no_others(arrival: bool) -> None:
    late = ", 0::BIGINT AS arrival_us" if arrival else ""
    event = "'a' AS customer_id, 'login' AS event_type, 5::BIGINT AS ts_us"
    con = duckdb.connect()
    for name, columns in {
        "ev": f"{event}, 1.5E0 AS p0, 1E0 AS p1, 4E0 AS p2, 's' AS p3, 60E0 AS p4, TRUE AS f0"
        + late,
        "cu": "0::BIGINT AS r, 'a' AS customer_id, 9::BIGINT AS as_of_us",
        "vo": "'login' AS event_type, 0 AS code, 9::BIGINT AS window_us, 0 AS part",
        "pv": "'login' AS event_type, 0 AS code, 9::BIGINT AS window_us, 1 AS is_start",
        "mo": "9::BIGINT AS as_of_us",
        "an": "'login' AS event_type",
    }.items():
        con.execute(f"CREATE TABLE {name} AS SELECT {columns}")
    con.execute(f"CREATE TABLE fk AS {first_known_sql(arrival=arrival)}")
    assert con.sql(dated_sql()).fetchall() == [("a", 9)]
    con.execute(f"CREATE TABLE ar AS {anchors_sql('an', arrival=arrival)}")
    assert con.sql(anchored_sql(3, 8)).fetchall() == [("a", 8, 1)]
    assert con.sql(anchored_sql(3, 7)).fetchall() == []
    assert con.sql(anchored_sql(1, 8)).fetchall() == [("a", 6, 1)]
    found = con.sql(count_sql(PLAN, arrival=arrival))
    assert found.columns == ["r", "code", *(f"a{k}" for k in range(7))]
    (row,) = found.fetchall()
    assert row == pytest.approx((0, 0, 1, 1, 1.5, 1.5, 1.0, 1, 1.0), rel=1e-9)
    assert row[4] < row[5]  # four microseconds old: a little has faded
    assert BOTH.properties[2:] == (
        Property("stars"),
        Property("shop", "text"),
        Property("took", "seconds"),
    )
    for part in BOTH.parts:
        found = con.sql(count_sql(BOTH, part, arrival=arrival))
        assert found.columns == ["r", "code", *(f"a{k}" for k in BOTH.of_part(part))]
    assert con.sql(unpaired_sql()).fetchall() == [(1,)]
    assert con.sql(exposure_sql()).fetchall() == [(4,)]


def test_a_spec_and_its_terms_give_the_same_plan() -> None:
    spec = CountSpec(terms=TERMS)
    assert CountPlan.of(spec.terms, "amount") == PLAN
