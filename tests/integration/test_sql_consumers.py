"""Exported SQL run by the databases it is for, beside the scorer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ces_ml.events import EventSchema
from ces_ml.exporters.sql import DIALECTS, TERM_KINDS, conformance, sql_text
from ces_ml.features import build_counts
from ces_ml.spec import Term
from ces_ml.weights.apply import contributions

from .sql_cases import AS_OF, AS_OF_US, SCHEMA, Case, events, hostile_case, random_case, weigh
from .sql_consumers import CONSUMERS, KINDS, Consumer

FAST = ("duckdb", "sqlite")
PARAMETERS = [
    pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CONSUMERS
]


@pytest.fixture(scope="module", params=PARAMETERS)
def consumer(request: pytest.FixtureRequest) -> Iterator[Consumer]:
    given = [request.getfixturevalue("spark")] if request.param == "spark" else []
    made = CONSUMERS[request.param](*given)
    try:
        yield made
    finally:
        made.close()


def agree(found: list[dict[str, Any]], case: Case) -> None:
    """Every customer has the score, band, probability and reasons that the scorer gives."""
    expected = case.expected.set_index(case.weight_set.events.customer_col)
    got = pd.DataFrame(found).set_index(case.weight_set.events.customer_col)
    assert sorted(map(str, got.index)) == sorted(map(str, expected.index))
    got.index = got.index.map(str)
    expected.index = expected.index.map(str)
    got = got.loc[expected.index]
    for column in ("raw_score", "score", "probability"):
        assert np.allclose(got[column].astype(float), expected[column], rtol=1e-12, atol=1e-9), (
            column
        )
    assert got["band"].tolist() == expected["band"].tolist()
    for k in (1, 2, 3):
        points = expected[f"points_{k}"].fillna(0.0)
        assert np.allclose(
            got[f"points_{k}"].astype(float).fillna(0.0), points, rtol=1e-12, atol=1e-9
        )
        told = got[f"reason_{k}"]
        assert told.isna().tolist() == (points == 0).tolist()
        assert told.dropna().tolist() == expected[f"reason_{k}"].dropna().tolist()


def test_random_specs_and_logs_give_the_scores_of_the_scorer(consumer: Consumer) -> None:
    for seed in range(consumer.seeds):
        case = random_case(seed)
        consumer.load(case.log)
        agree(consumer.rows(sql_text(case.weight_set, dialect=consumer.dialect, as_of=AS_OF)), case)


def test_hostile_names_are_counted_and_nothing_else_happens(consumer: Consumer) -> None:
    case = hostile_case()
    consumer.load(case.log)
    agree(consumer.rows(sql_text(case.weight_set, dialect=consumer.dialect, as_of=AS_OF)), case)
    assert len(consumer.rows("SELECT customer_id FROM events")) == len(case.log)


def test_every_kind_of_term_that_is_said_to_run_gives_the_counts_of_the_engine(
    consumer: Consumer,
) -> None:
    said = conformance()[consumer.dialect]
    kinds = {kind: term for kind, term in TERM_KINDS.items() if said[kind] == "runs"}
    assert set(said.values()) == {"runs", "refused"}
    rng = np.random.default_rng(7)
    terms = tuple(term.model_copy(update={"name": kind}) for kind, term in kinds.items())
    case = Case(weigh(rng, terms), events(rng, ("login", "buy", "logout"), 500))
    consumer.load(case.log)
    query = sql_text(case.weight_set, dialect=consumer.dialect, as_of=AS_OF, output="terms")
    table = build_counts(case.log, case.weight_set.spec, as_of=AS_OF, schema=SCHEMA)
    n = table.X.toarray()
    assert (n != 0).any(axis=0).all(), "every kind counts something"
    C = contributions(case.weight_set, n)
    found = {(row["customer_id"], row["term"]): row for row in consumer.rows(query)}
    expected = {
        (customer, kind): (n[i, t], C[i, t])
        for i, customer in enumerate(table.customer)
        for t, kind in enumerate(kinds)
        if n[i, t] != 0
    }
    assert found.keys() == expected.keys()
    for key, (count, points) in expected.items():
        assert float(found[key]["n"]) == pytest.approx(count, rel=1e-12, abs=1e-12), key
        assert float(found[key]["points"]) == pytest.approx(points, abs=1e-9), key


def test_the_golden_rows_prove_themselves(consumer: Consumer) -> None:
    for seed in range(consumer.seeds):
        weight_set = random_case(seed).weight_set
        rows = consumer.rows(sql_text(weight_set, dialect=consumer.dialect, shape="check"))
        assert [row["ok"] for row in rows] == [1] * len(weight_set.golden_rows)
    golden = weight_set.golden_rows
    for change in ({"score": golden[1].score + 2e-9}, {"band": golden[1].band + " "},
                   {"raw_score": golden[1].raw_score - 2e-9}):  # fmt: skip
        wrong = golden[1].model_copy(update=change)
        edited = weight_set.model_copy(update={"golden_rows": (golden[0], wrong)})
        rows = consumer.rows(sql_text(edited, dialect=consumer.dialect, shape="check"))
        assert {row["golden_row"]: row["ok"] for row in rows} == {0: 1, 1: 0}


def test_a_view_gives_the_scores(consumer: Consumer) -> None:
    case = random_case(11)
    consumer.load(case.log)
    text = sql_text(
        case.weight_set, dialect=consumer.dialect, as_of=AS_OF, shape="view", view="it's a view"
    )
    name = DIALECTS[consumer.dialect].quoted("it's a view")
    consumer.run(f"DROP VIEW IF EXISTS {name}")
    if consumer.dialect == "spark":  # a view for ever can't stand on a table of the session
        text = text.replace("CREATE OR REPLACE VIEW", "CREATE OR REPLACE TEMPORARY VIEW")
        text = text.rstrip().rstrip(";")
    consumer.run(text)
    agree(consumer.rows(f"SELECT * FROM {name}"), case)
    consumer.run(f"DROP VIEW {name}")


def test_arrival_and_a_second_id_are_read_as_the_engine_reads_them(consumer: Consumer) -> None:
    schema = EventSchema(value_col="value", arrival_col="seen_at", anonymous_col="device")
    for seed in (21, 22)[: consumer.seeds]:
        case = random_case(seed, schema)
        rng = np.random.default_rng(seed)
        nobody = rng.random(len(case.log)) < 0.4
        case.log["customer_id"] = case.log["customer_id"].mask(nobody, rng.choice(["", None]))
        case.log["device"] = rng.choice(["d1", "D1", "", None], len(case.log)).astype(object)
        consumer.load(case.log)
        agree(consumer.rows(sql_text(case.weight_set, dialect=consumer.dialect, as_of=AS_OF)), case)


def test_every_type_of_times_is_the_same_moment(consumer: Consumer) -> None:
    case = random_case(31)
    for kind in DIALECTS[consumer.dialect].times:
        consumer.load(case.log, time=kind)
        query = sql_text(
            case.weight_set, dialect=consumer.dialect, as_of=AS_OF, timestamp_type=kind
        )
        agree(consumer.rows(query), case)


def test_columns_and_tables_of_any_name_are_read(consumer: Consumer) -> None:
    names = {"customer_id": "it's \"odd\" `id` [x]", "event_type": "back\\slash {{ e }} --",
             "value": "select", "timestamp": "Zeit é", "shop": "properties.shop"}  # fmt: skip
    terms = (
        Term(event="login", window="30d"),
        Term(event="buy", measure="sum", window="30d"),
        Term(event="buy", window="30d", where="\"properties.shop\" = 'Web' and returned"),
    )
    schema = EventSchema(
        customer_col=names["customer_id"],
        event_col=names["event_type"],
        timestamp_col=names["timestamp"],
        value_col="properties.value",
    )
    rng = np.random.default_rng(3)
    log = events(rng, ("login", "buy"), 200)
    case = Case(
        weigh(rng, terms, schema), log.rename(columns=names | {"value": "properties.value"})
    )
    kinds = {v: KINDS[k] for k, v in names.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, kind in kinds.items():
            patch.setitem(KINDS, name, kind)
        stored = log.rename(columns={**names, "shop": "the shop"})
        consumer.load(stored, table="odd 'table")
    query = sql_text(
        case.weight_set, dialect=consumer.dialect, as_of=AS_OF, events_table="odd 'table",
        columns={"properties.value": "select", "properties.shop": "the shop"},
    )  # fmt: skip
    agree(consumer.rows(query), case)


def test_customer_ids_may_be_numbers(consumer: Consumer) -> None:
    case = random_case(41)
    numbers = {c: k - 3 for k, c in enumerate(sorted(set(case.log["customer_id"])))}
    log = case.log.assign(customer_id=case.log["customer_id"].map(numbers))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KINDS, "customer_id", "us")
        consumer.load(log)
    query = sql_text(case.weight_set, dialect=consumer.dialect, as_of=AS_OF, customer_type="number")
    rows = consumer.rows(query)
    assert all(type(row["customer_id"]) is int for row in rows)
    agree(rows, Case(case.weight_set, log))


def test_a_table_of_counts_gives_the_same_scores(consumer: Consumer) -> None:
    case = random_case(51)
    table = build_counts(case.log, case.weight_set.spec, as_of=AS_OF, schema=SCHEMA)
    frame = pd.DataFrame(table.X.toarray(), columns=[f"c{t}" for t in range(table.X.shape[1])])
    frame.insert(0, "customer_id", table.customer)
    with pytest.MonkeyPatch.context() as patch:
        for name in frame.columns[1:]:
            patch.setitem(KINDS, name, "float")
        consumer.load(frame.astype(object).mask(frame == 0), table="counted")
    columns = {name: f"c{t}" for t, name in enumerate(case.weight_set.names)}
    query = sql_text(
        case.weight_set, dialect=consumer.dialect, as_of=AS_OF, counts_table="counted",
        columns=columns,
    )  # fmt: skip
    agree(consumer.rows(query), case)


def test_the_moment_may_be_a_parameter_or_now(consumer: Consumer) -> None:
    case = random_case(61)
    consumer.load(case.log)
    now = sql_text(case.weight_set, dialect=consumer.dialect)
    for row in consumer.rows(now):
        assert abs(row["as_of_us"] / 1e6 - time.time()) < 3600
    query = sql_text(case.weight_set, dialect=consumer.dialect, as_of="parameter")
    found = consumer.asked(query, AS_OF_US)
    agree(found, case)
    assert {row["as_of_us"] for row in found} == {AS_OF_US}


def test_settings_that_change_what_quotes_and_joins_mean_change_nothing(
    consumer: Consumer,
) -> None:
    case = hostile_case()
    consumer.load(case.log)
    query = sql_text(case.weight_set, dialect=consumer.dialect, as_of=AS_OF)
    with consumer.other_settings():
        agree(consumer.rows(query), case)


def test_made_up_events_prove_the_counts_and_show_a_wrong_window(consumer: Consumer) -> None:
    schema = EventSchema(value_col="value", arrival_col="seen_at", anonymous_col="device")
    for seed in range(2):
        weight_set = random_case(seed, schema if seed % 2 else SCHEMA).weight_set
        options = {"dialect": consumer.dialect, "shape": "check_events"}
        rows = consumer.rows(sql_text(weight_set, **options))
        assert [row["ok"] for row in rows] == [1] * 5
        assert len({row["raw_score"] for row in rows}) > 2
        kinds = [k for k in DIALECTS[consumer.dialect].times if seed == 1]
        for kind in kinds:
            query = sql_text(weight_set, **options, timestamp_type=kind, arrival_type=kind)
            assert [row["ok"] for row in consumer.rows(query)] == [1] * 5
    rng = np.random.default_rng(0)
    terms = tuple(Term(event=e, window=w) for e, w in (("a", "7d"), ("b", "30d"), ("c", "1d")))
    query = sql_text(weigh(rng, terms), **options)
    for right, wrong in (
        ("e.ts_us >= c.as_of_us - v.window_us", "e.ts_us > c.as_of_us - v.window_us"),
        ("e.ts_us < c.as_of_us", "e.ts_us <= c.as_of_us"),
        ("f.known_us < m.as_of_us", "f.known_us <= m.as_of_us"),
        ("v.code AS code", "0 AS code"),
    ):
        assert query.count(right) == 1
        assert 0 in {row["ok"] for row in consumer.rows(query.replace(right, wrong))}, wrong
