"""The text that counts: what it holds, and what never gets into it."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.spec import CountSpec, Term
from ces_ml.sql.counting import CountPlan, count_sql
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


def test_a_plan_computes_each_aggregate_once() -> None:
    assert PLAN.events == ("login", "buy")
    assert [w // 86_400_000_000 for w in PLAN.windows] == [30, 90]
    assert PLAN.properties == ("amount", "fee")
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
    assert "COUNT(CASE WHEN age <= 604800000000 THEN 1 END) AS a0" in text
    assert "COUNT(DISTINCT CASE WHEN age <= 2592000000000 THEN day END) AS a5" in text
    assert re.search(r"SUM\(CASE WHEN age <= \d+ THEN p0 \* EXP\(age \* -[\d.]+E-\d+\) END\)", text)
    assert "arrival" not in text
    assert "BETWEEN" not in text
    assert text.rstrip().endswith("GROUP BY r, code")


def test_with_arrival_times_an_event_must_have_arrived() -> None:
    text = count_sql(PLAN, arrival=True)
    assert "AND e.arrival_us < c.as_of_us\n" in text
    assert text.replace(" AND e.arrival_us < c.as_of_us", "") == count_sql(PLAN)


def test_every_fraction_is_a_double_and_never_a_decimal() -> None:
    for text in (count_sql(PLAN), anchored_sql(5, 6)):
        for number in re.findall(r"\d+\.\d+\S*", text):
            assert re.fullmatch(r"\d\.\d{17}E[+-]\d+\)?", number.rstrip(",")), number


@given(event=NAMES, column=NAMES, name=NAMES)
def test_no_name_ever_gets_into_the_text(event: str, column: str, name: str) -> None:
    terms = [
        Term(event=event, window="7d", name=name),
        Term(event=event, window="7d", measure="sum", property=column),
        Term(event=event, window="7d", measure="sum"),
    ]
    text = count_sql(CountPlan.of(terms, column + "!"))
    assert "«" not in text
    assert "'" not in text
    plain = [
        Term(event="x", window="7d", name="y"),
        Term(event="x", window="7d", measure="sum", property="z"),
        Term(event="x", window="7d", measure="sum"),
    ]
    assert text == count_sql(CountPlan.of(plain, "w"))


@pytest.mark.parametrize("arrival", [False, True])
def test_the_texts_run_on_the_relations_that_they_name_and_no_others(arrival: bool) -> None:
    late = ", 0::BIGINT AS arrival_us" if arrival else ""
    event = "'a' AS customer_id, 'login' AS event_type, 5::BIGINT AS ts_us"
    con = duckdb.connect()
    for name, columns in {
        "ev": f"{event}, 1.5E0 AS p0, 1E0 AS p1{late}",
        "cu": "0::BIGINT AS r, 'a' AS customer_id, 9::BIGINT AS as_of_us",
        "vo": "'login' AS event_type, 0 AS code, 9::BIGINT AS window_us",
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


def test_a_spec_and_its_terms_give_the_same_plan() -> None:
    spec = CountSpec(terms=TERMS)
    assert CountPlan.of(spec.terms, "amount") == PLAN
