"""Users rolled up to accounts: each event goes where its user was when it happened."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ces_ml.errors import EventLogError, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import AccountMapping, build_counts
from ces_ml.spec import CountSpec, Term
from ces_ml.training import TrainingConfig
from ces_ml.training.counting import count_for_training

from .engines import ENGINES
from .refusals import refused

DAY = 86_400_000_000
BASE = 1_704_067_200_000_000  # 2024-01-01
MAPPING = AccountMapping(valid_from_col="joined", valid_to_col="left")
SPEC = CountSpec(
    terms=(
        Term(event="login", window="20d"),
        Term(event="login", measure="sum", window="20d"),
        Term(event="buy", window="5d"),
        Term(event="login", measure="active_days", window="20d"),
    )
)
SCHEMA = EventSchema(customer_col="user", value_col="value")
AS_OF = "2024-01-20"


def times(moments: list[int | None]) -> pa.Array:
    return pa.array(moments, pa.timestamp("us", "UTC"))


def mapping_table(rows: list[tuple[object, object, int | None, int | None]]) -> pa.Table:
    users, accounts, starts, ends = zip(*rows, strict=True)
    return pa.table(
        {
            "user_id": pa.array(users),
            "account_id": pa.array(accounts),
            "joined": times(list(starts)),
            "left": times(list(ends)),
        }
    )


@st.composite
def rolled_up(draw: st.DrawFn) -> tuple[pa.Table, pa.Table, list[object]]:
    """A log, a mapping, and the account of every event as a slow loop finds it."""
    users = ["a", "it's", "🎉", "007", "nobody"]
    edges = [BASE + k * DAY for k in range(0, 20, 4)]
    moments = st.sampled_from(edges) | st.integers(BASE, BASE + 19 * DAY)
    mapping: list[tuple[object, object, int | None, int | None]] = []
    for user in users[:-1]:
        cuts = sorted(set(draw(st.lists(st.sampled_from(edges), max_size=4))))
        bounds: list[int | None] = [None, *cuts, None]
        for start, end in pairwise(bounds):
            if draw(st.booleans()):
                mapping.append((user, draw(st.sampled_from(["A", "B", "it's; --"])), start, end))
    if not mapping:
        mapping.append(("a", "A", None, None))
    n = draw(st.integers(1, 40))
    who = draw(st.lists(st.sampled_from([*users, None]), min_size=n, max_size=n))
    when = draw(st.lists(moments | st.sampled_from([e - 1 for e in edges]), min_size=n, max_size=n))
    what = draw(st.lists(st.sampled_from(["login", "buy"]), min_size=n, max_size=n))
    worth = draw(st.lists(st.integers(-8, 8), min_size=n, max_size=n))
    owners: list[object] = []
    for user, at in zip(who, when, strict=True):
        held = [
            account
            for u, account, start, end in mapping
            if u == user and (start is None or start <= at) and (end is None or at < end)
        ]
        assert len(held) <= 1
        owners.append(held[0] if held else None)
    log = pa.table(
        {
            "user": pa.array(who, pa.string()),
            "event_type": what,
            "timestamp": times(when),
            "value": pa.array(worth, pa.float64()),
        }
    )
    return log, mapping_table(mapping), owners


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=60, deadline=None)
@given(drawn=rolled_up())
def test_counts_of_accounts_are_those_of_events_relabelled_by_a_slow_loop(
    engine: str, drawn: tuple[pa.Table, pa.Table, list[object]]
) -> None:
    log, mapping, owners = drawn
    options = {"as_of": AS_OF, "engine": engine, "observed_until": AS_OF}
    relabelled = log.set_column(0, "account_id", pa.array(owners, pa.string()))
    schema = SCHEMA.model_copy(update={"customer_col": "account_id"})

    def count(*arguments: object, **more: object) -> object:
        try:
            return build_counts(*arguments, SPEC, **options, **more)
        except EventLogError as error:
            return error.problem

    expected = count(relabelled, schema=schema)
    found = count(log, schema=SCHEMA, accounts=MAPPING, account_table=mapping)
    if isinstance(expected, str):
        assert found == expected
        return
    pd.testing.assert_frame_equal(found.to_pandas(), expected.to_pandas())
    report, wanted = dict(found.report), dict(expected.report)
    users = [u for u, o in zip(log["user"].to_pylist(), owners, strict=True) if o is None and u]
    assert report.pop("no_account") == len(users)
    assert report.pop("users_without_account") == len(set(users))
    assert report["null_customer"] == log["user"].null_count
    wanted["null_customer"] -= len(users)
    assert report == wanted


def simple(**columns: object) -> pd.DataFrame:
    frame = {"user": ["u", "u", "v"], "event_type": "login", "timestamp": "2024-01-05"}
    return pd.DataFrame(frame | columns)


def test_without_times_a_user_belongs_to_its_account_for_ever() -> None:
    seats = pd.DataFrame({"user_id": ["u", "v"], "account_id": ["acme", "acme"]})
    schema = EventSchema(customer_col="user")
    table = build_counts(
        simple(), CountSpec.of(["login"], window="7d"), schema=schema, account_table=seats
    )
    assert table.to_pandas()[["account_id", "login"]].values.tolist() == [["acme", 3]]


def test_an_account_column_of_the_log_gives_way_to_the_mapping() -> None:
    seats = pd.DataFrame({"user_id": ["u", "v"], "account_id": ["acme", "other"]})
    schema = EventSchema(customer_col="user")
    log = simple(account_id="wrong")
    table = build_counts(
        log, CountSpec.of(["login"], window="7d"), schema=schema, account_table=seats
    )
    assert table.customer.tolist() == ["acme", "other"]


def test_log_and_mapping_may_be_tables_of_one_database(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as con:
        con.register("log", simple())
        con.execute("CREATE TABLE events AS SELECT * FROM log")
        con.execute("CREATE TABLE seats AS SELECT 'u' AS user_id, 'acme' AS account_id")
    options = {"schema": EventSchema(customer_col="user"), "table": "events"}
    mapping = AccountMapping(path=str(path), table="seats")
    table = build_counts(path, CountSpec.of(["login"], window="7d"), accounts=mapping, **options)
    assert table.to_pandas()[["account_id", "login"]].values.tolist() == [["acme", 2]]
    unnamed = mapping.model_copy(update={"table": None})
    match = r"no table of the database is named\n.*2 tables"
    refused(EventLogError, match, path, accounts=unnamed, **options)


def test_an_address_of_a_mapping_stays_as_it_is() -> None:
    assert AccountMapping(path="s3a://lake/seats").located("/jobs").path == "s3a://lake/seats"
    assert AccountMapping(path="seats.csv").located("/jobs").path == "/jobs/seats.csv"


def test_a_mapping_of_numbers_joins_a_log_of_numbers() -> None:
    seats = pd.DataFrame({"user_id": [1, 2], "account_id": [10, 10]})
    schema = EventSchema(customer_col="user")
    table = build_counts(
        simple(user=[1, 1, 2]),
        CountSpec.of(["login"], window="7d"),
        schema=schema,
        account_table=seats,
    )
    assert table.to_pandas()[["account_id", "login"]].values.tolist() == [[10, 3]]


def test_text_is_never_joined_to_numbers() -> None:
    seats = pd.DataFrame({"user_id": [7], "account_id": ["acme"]})
    match = r"different types\n.*VARCHAR in the log, BIGINT in the mapping\n.*\n.*007 and 7"
    schema = EventSchema(customer_col="user")
    refused(EventLogError, match, simple(user=["007"] * 3), schema=schema, account_table=seats)


@settings(max_examples=30, deadline=None)
@given(drawn=rolled_up(), window=st.sampled_from([4, 5, 12, 20]))
def test_a_count_per_seat_is_divided_by_the_users_of_the_window(
    drawn: tuple[pa.Table, pa.Table, list[object]], window: int
) -> None:
    log, mapping, owners = drawn
    terms = [Term(event="login", window=f"{window}d", per=per) for per in (None, "seat")]
    active = Term(event="login", measure="distinct", property="user", window=f"{window}d")
    spec = CountSpec(terms=(*terms, active))
    options = {"as_of": AS_OF, "observed_until": AS_OF}
    try:
        table = build_counts(
            log, spec, schema=SCHEMA, accounts=MAPPING, account_table=mapping, **options
        )
    except EventLogError:
        return
    end = BASE + 19 * DAY
    start = end - window * DAY
    seats: dict[object, set[object]] = {}
    seen: dict[object, set[object]] = {}
    for row in mapping.to_pylist():
        since, until = (row[c] and int(row[c].timestamp() * 1e6) for c in ("joined", "left"))
        if (since is None or since < end) and (until is None or until > start):
            seats.setdefault(row["account_id"], set()).add(row["user_id"])
    for event, owner in zip(log.to_pylist(), owners, strict=True):
        at = int(event["timestamp"].timestamp() * 1e6)
        if event["event_type"] == "login" and start <= at < end:
            seen.setdefault(owner, set()).add(event["user"])
    for account, (total, per_seat, users) in zip(table.customer, table.X.toarray(), strict=True):
        assert per_seat == pytest.approx(total / max(len(seats.get(account, ())), 1))
        assert users == len(seen.get(account, ()))


def test_a_count_per_seat_without_accounts_is_refused() -> None:
    spec = CountSpec.of(["login"], window="7d", per="seat")
    match = r"per seat, but users do not roll up to accounts\n.*per: seat without accounts"
    refused(SpecError, match, simple(), spec, schema=EventSchema(customer_col="user"))


def utc(day: int) -> int:
    return int(datetime(2024, 1, day, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    "rows",
    [
        [("u", "A", None, utc(5)), ("u", "B", utc(4), None)],
        [("u", "A", None, None), ("u", "B", utc(4), None)],
        [("u", "A", utc(4), None), ("u", "A", utc(4), None)],
        [("u", "B", utc(4), None), ("u", "A", None, None)],
        [("u", "A", utc(1), utc(9)), ("v", "C", None, None), ("u", "B", utc(2), utc(3))],
    ],
)
def test_a_user_in_two_accounts_at_a_time_is_refused(rows: list[tuple]) -> None:
    match = r"user 'u' belongs to two accounts at a time\n.*until (2024-01-|ever).*from 2024-01-0"
    schema = EventSchema(customer_col="user")
    refused(
        EventLogError,
        match,
        simple(),
        schema=schema,
        accounts=MAPPING,
        account_table=mapping_table(rows),
    )


def test_a_clash_after_the_last_year_that_python_knows_is_told_too() -> None:
    rows = [("u", "A", None, utc(5) + 10**18), ("u", "B", utc(4) + 10**18, None)]
    match = r"two accounts at a time\n.*until 1,001,704,412,800,000,000 microseconds after 1970"
    schema = EventSchema(customer_col="user")
    options = {"accounts": MAPPING, "account_table": mapping_table(rows)}
    refused(EventLogError, match, simple(), schema=schema, **options)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([(None, "A", None, None)], r"rows without a user or an account\n.*1 rows"),
        ([("u", None, None, None)], "rows without a user or an account"),
        ([("u", "A", utc(5), utc(4))], r"ends before it begins\n.*for example of user 'u'"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(rows: list[tuple], match: str) -> None:
    table = mapping_table([("w", "W", None, None), *rows])
    schema = EventSchema(customer_col="user")
    refused(EventLogError, match, simple(), schema=schema, accounts=MAPPING, account_table=table)


def test_a_column_that_the_mapping_lacks_is_refused() -> None:
    table = mapping_table([("u", "A", None, None)]).rename_columns(["id", "account_id", "a", "b"])
    match = r"account mapping has no such column\n.*'user_id'"
    schema = EventSchema(customer_col="user")
    refused(EventLogError, match, simple(), schema=schema, accounts=MAPPING, account_table=table)


@pytest.mark.parametrize("missing", ["customer_col", "timestamp_col", "event_col"])
def test_the_column_that_the_log_lacks_is_the_one_that_is_named(missing: str) -> None:
    seats = pd.DataFrame({"user_id": ["u", "v"], "account_id": ["acme", "acme"]})
    schema = EventSchema(customer_col="user").model_copy(update={missing: "nowhere"})
    match = r"event log has no such column\n.*'nowhere'"
    refused(EventLogError, match, simple(), schema=schema, account_table=seats)


def test_a_user_that_is_no_number_is_no_user_without_account() -> None:
    seats = pd.DataFrame({"user_id": [1], "account_id": ["acme"]})
    log = pa.table(
        {
            "user": pa.array([1.0, float("nan"), 2.0], from_pandas=False),
            "event_type": ["login"] * 3,
            "timestamp": times([BASE] * 3),
        }
    )
    schema = EventSchema(customer_col="user")
    table = build_counts(
        log, CountSpec.of(["login"], window="7d"), schema=schema, account_table=seats
    )
    dropped = ("null_customer", "no_account", "users_without_account")
    assert [table.report[d] for d in dropped] == [1, 1, 1]


def test_specifications_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SpecError, match="can't be told apart"):
        AccountMapping(user_col="x", account_col="x")
    with pytest.raises(SpecError, match="can't be told apart"):
        AccountMapping(account_col="as_of")
    match = "accounts and users can't be one column"
    for name in ("user", "User"):  # names that differ in capitals only are one to DuckDB
        mapping = AccountMapping(account_col=name)
        schema = EventSchema(customer_col="user")
        refused(SpecError, match, simple(), schema=schema, accounts=mapping)
    schema = EventSchema(customer_col="user")
    for mapping in (AccountMapping(), AccountMapping(table="seats")):
        match = "no account mapping is named"
        refused(SpecError, match, simple(), schema=schema, accounts=mapping)
    match = "format of the account mapping is named, but nothing reads it"
    mapping = AccountMapping(path="seats", format="delta")
    refused(SpecError, match, simple(), schema=schema, accounts=mapping)


@pytest.mark.parametrize("role", ["event_col", "timestamp_col", "value_col", "arrival_col"])
def test_accounts_are_called_like_nothing_that_is_read_from_the_log(role: str) -> None:
    seats = pd.DataFrame({"user_id": ["u"], "THE_COL": [7]})
    schema = EventSchema(customer_col="user").model_copy(update={role: "the_col"})
    log = simple().rename(columns={"event_type": "the_col"})
    match = rf"account column has another role in the log\n.*{role} 'the_col'"
    mapping = AccountMapping(account_col="THE_COL")
    refused(SpecError, match, log, schema=schema, accounts=mapping, account_table=seats)


def test_a_configuration_names_the_mapping(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    rows = [
        {"user": f"u{k % 30}", "event_type": "buy" if k % 7 == 0 else "login"} for k in range(600)
    ]
    log = pd.DataFrame(rows)
    log["timestamp"] = pd.date_range("2024-01-01", periods=600, freq="4h")
    log.to_csv(tmp_path / "log.csv", index=False)
    seats = pd.DataFrame({"user_id": [f"u{k}" for k in range(28)]})
    seats["account_id"] = [f"acme {k % 9}" for k in range(28)]
    seats.to_csv(tmp_path / "seats.csv", index=False)
    (tmp_path / "job" / "job.yaml").write_text(
        "name: b2b\n"
        "events: {path: ../log.csv, customer_col: user, accounts: {path: ../seats.csv}}\n"
        "outcome: {task: conversion, event: buy, horizon: 2d, repeatable: true}\n"
        "as_of: every 7d from 2024-01-15 to 2024-03-30\n"
        "counts: [{window: 14d}]\n"
    )
    config = TrainingConfig.from_file(tmp_path / "job" / "job.yaml")
    table, profile = count_for_training(config)
    assert table.keys.columns[0] == "account_id"
    assert set(table.customer) == {f"acme {k}" for k in range(9)}
    assert profile.dropped["no_account"] == 40
    assert table.report["users_without_account"] == 2
