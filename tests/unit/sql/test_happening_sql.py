"""The text that judges outcomes: what it answers by itself, and what never gets into it."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.spec import OutcomeSpec
from ces_ml.sql.happening import (
    first_uses_sql,
    good_outcome,
    happens_once,
    judged_sql,
    outcome_sql,
    reasons_to_leave_out,
    treated_sql,
    window_sql,
)

NAMES = st.text(min_size=1, max_size=20).map(lambda text: f"«{text}»")
FORMS = {
    "once": {"task": "conversion", "event": "login", "horizon": "7d"},
    "again": {"task": "churn", "event": "login", "horizon": "7d", "repeatable": True},
    "silence": {"task": "churn", "silence_of": "*", "horizon": "7d", "active_within": "9d"},
    "growth": {"task": "upsell", "event": "login", "horizon": "7d", "growth": {"property": "x"}},
    "cross_sell": {"task": "cross_sell", "families": "login", "horizon": "7d"},
    "within": {"task": "conversion", "event": "login", "within": "7d after login"},
    "labels": {"task": "churn", "labels": {}, "horizon": "7d"},
}


@given(event=NAMES)
def test_no_name_of_an_outcome_gets_into_the_text(event: str) -> None:
    treated = {"treated": {"events": event, "how": "exclude"}}
    outcomes = [
        OutcomeSpec(task="upsell", event=event, horizon="7d", **treated),
        OutcomeSpec(task="churn", silence_of=event, horizon="7d", active_within="9d"),
        OutcomeSpec(task="upsell", event=event, horizon="7d", growth={"property": event}),
        OutcomeSpec(task="cross_sell", families=event, horizon="7d"),
        OutcomeSpec(task="churn", horizon="7d", labels={"y_col": event}),
    ]
    for outcome in outcomes:
        reasons = reasons_to_leave_out(outcome, first_us=0, end_us=9, families=1)
        texts = (window_sql(outcome), outcome_sql(outcome, arrival=True, value="p0"))
        assert "«" not in "".join([*texts, judged_sql(outcome, reasons), good_outcome(outcome)])


def test_every_fraction_of_growth_is_a_double_and_never_a_decimal() -> None:
    growth = {"property": "x", "factor": 1.2, "least": 0.1}
    outcome = OutcomeSpec(task="upsell", event="login", horizon="7d", growth=growth)
    text = outcome_sql(outcome, arrival=True, value="p0") + judged_sql(outcome, [])
    numbers = re.findall(r"\d+\.\d+[^\s),]*", text)
    assert numbers
    for number in numbers:
        assert re.fullmatch(r"\d\.\d{17}E[+-]\d+", number), number


@pytest.mark.parametrize("arrival", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_the_texts_run_on_the_relations_that_they_name_and_no_others(
    form: str, arrival: bool
) -> None:
    outcome = OutcomeSpec.parse(FORMS[form] | {"treated": {"how": "keep"}})
    late = ", 5::BIGINT AS arrival_us" if arrival else ""
    told = ", 1 AS y" if outcome.labels else ""
    con = duckdb.connect()
    for name, columns in {
        "ev": f"'a' AS customer_id, 'login' AS event_type, 5::BIGINT AS ts_us, 2E0 AS p0{late}",
        "ca": f"'a' AS customer_id, 9::BIGINT AS as_of_us{told}",
        "oe": "'login' AS event_type, 0 AS family",
        "wa": "'a' AS customer_id, 5::BIGINT AS anchor_us, 5::BIGINT AS arrived_us",
        "tr": "'a' AS customer_id, 9::BIGINT AS from_us, NULL::BIGINT AS to_us",
    }.items():
        con.execute(f"CREATE TABLE {name} AS SELECT {columns}")
    con.execute(f"CREATE TABLE cw AS {window_sql(outcome)}")
    if happens_once(outcome):
        con.execute(f"CREATE TABLE hf AS {first_uses_sql(arrival=arrival)}")
    con.execute(f"CREATE TABLE oc AS {outcome_sql(outcome, arrival=arrival, value='p0')}")
    con.execute(f"CREATE TABLE tw AS {treated_sql()}")
    reasons = reasons_to_leave_out(outcome, first_us=-(10**15), end_us=10**15, families=1)
    (row,) = con.sql(judged_sql(outcome, reasons)).fetchall()
    known = {"once": "already_happened", "within": "already_happened", "cross_sell": "all_used"}
    place = [r for r, _ in reasons].index(known[form]) if form in known else len(reasons)
    good = int(form in ("again", "labels"))
    assert row == ("a", 9, place, good, 1, int(form in ("once", "within")))
