"""Accounts on Spark: what DuckDB counts, refuses and reports, Spark does in the same words."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from ces_ml.errors import CesError
from ces_ml.events import EventSchema
from ces_ml.features import AccountMapping, DuckDBEngine, SparkEngine
from ces_ml.spec import CountSpec, CountTable, OutcomeSpec, Term, parse_as_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark")]

DAY = 86_400_000_000
#: Two days before New York, where the tests' Spark lives, loses an hour.
BASE = int(pd.Timestamp("2024-03-08", tz="UTC").timestamp()) * 1_000_000
USERS = ["a", "it's", "🎉", "007", "", " 7", "b`c", "\\", "n\nl", '"', "moved", "nobody"]
ACCOUNTS = ["A", "it's; --", "", "🎉", "\\'"]
SCHEMA = EventSchema(customer_col="user", value_col="value")
TIMED = AccountMapping(valid_from_col="joined", valid_to_col="left")
SPEC = CountSpec(
    terms=(
        Term(event="login", window="20d", half_life="3d"),
        Term(event="login", measure="sum", window="20d", per="seat", transform="log1p"),
        Term(event="login", measure="active_days", window="6d", per="seat"),
        Term(event="buy", window="6d", per="seat", cap=2.0),
        Term(event="buy", window="20d", per="day"),
        Term(event="buy", measure="distinct", property="user", window="20d"),
    )
)


def times(moments: list[int | None]) -> pa.Array:
    return pa.array(moments, pa.timestamp("us", "UTC"))


def mapping_of(rows: list[tuple[Any, Any, int | None, int | None]]) -> pa.Table:
    users, accounts, starts, ends = (list(column) for column in zip(*rows, strict=True))
    columns = {"user_id": pa.array(users), "account_id": pa.array(accounts)}
    return pa.table(columns | {"joined": times(starts), "left": times(ends)})


def memberships(rng: np.random.Generator) -> pa.Table:
    """Users who join, leave and change; one who never was; a membership of no length."""
    rows: list[tuple[Any, Any, int | None, int | None]] = []
    for user in USERS[:-2]:
        cuts = sorted({int(day) for day in rng.choice(np.arange(0, 20, 4), 3)})
        bounds = [None, *(BASE + day * DAY for day in cuts), None]
        rows += [
            (user, str(rng.choice(ACCOUNTS)), start, end)
            for start, end in pairwise(bounds)
            if rng.random() < 0.7
        ]
    rows.append(("moved", "A", BASE + 4 * DAY, BASE + 4 * DAY))
    rows.append(("moved", "A", None, BASE + 4 * DAY))
    rows.append(("moved", "🎉", BASE + 4 * DAY, None))
    return mapping_of(rows)


def events(rng: np.random.Generator, n: int = 500) -> pa.Table:
    """A log with many events at the edges of memberships, and some of nobody."""
    edges = BASE + rng.integers(0, 5, n) * 4 * DAY - rng.integers(0, 2, n)
    moments = np.where(rng.random(n) < 0.3, edges, BASE + rng.integers(0, 19 * DAY, n))
    who = [None if rng.random() < 0.05 else str(rng.choice(USERS)) for _ in range(n)]
    return pa.table(
        {
            "user": pa.array(who),
            "Account_ID": ["of the log"] * n,
            "event_type": rng.choice(["login", "buy", "other"], n),
            "timestamp": times(moments.tolist()),
            "value": rng.integers(-8, 8, n) / 2,
        }
    )


def same(found: CountTable, expected: CountTable) -> None:
    pd.testing.assert_frame_equal(found.keys, expected.keys, check_dtype=False)
    np.testing.assert_allclose(found.X.toarray(), expected.X.toarray(), rtol=1e-12, atol=1e-12)
    assert (found.y is None) == (expected.y is None)
    if found.y is not None:
        assert found.y.tolist() == expected.y.tolist()
    assert dict(found.report) == dict(expected.report)
    assert dict(found.not_counted) == dict(expected.not_counted)


def stacked(blocks: list[CountTable]) -> CountTable:
    """Return what a file of counts holds, written block by block."""
    return replace(
        blocks[0],
        keys=pd.concat([b.keys for b in blocks], ignore_index=True),
        X=sp.vstack([b.X for b in blocks]),
        y=np.concatenate([b.outcomes for b in blocks]),
    )


def test_accounts_have_the_counts_outcomes_and_seats_that_duckdb_finds(spark: Any) -> None:
    rng = np.random.default_rng(7)
    log, mapping = events(rng), memberships(rng)
    rows = parse_as_of(["2024-03-16", "2024-03-20T12:34:56.789"])
    outcome = OutcomeSpec(task="upsell", event="buy", repeatable=True, horizon="3d")
    options = {"accounts": TIMED, "account_table": mapping}
    with DuckDBEngine(log, SCHEMA, **options) as engine:
        expected = engine.table(SPEC, rows, outcome)
    assert set(expected.customer) == set(ACCOUNTS)
    assert 0 < expected.outcomes.sum() < len(expected)
    assert expected.report["no_account"] > 50
    held = spark.sparkContext._jsc.getPersistentRDDs().size()
    frame = spark.createDataFrame(mapping)
    with SparkEngine(log, SCHEMA, accounts=TIMED, account_table=frame) as engine:
        blocks = list(engine.blocks(SPEC, rows, outcome, size=4))
        same(stacked(blocks), expected)
        counts = engine.counts(SPEC, rows, outcome)
        assert counts.customer_col == "account_id"
        same(counts.to_table(), expected)
    assert spark.sparkContext._jsc.getPersistentRDDs().size() == held
    assert [t.name for t in spark.catalog.listTables("global_temp") if "ces_ml" in t.name] == []


def test_part_of_a_log_is_rolled_up_as_it_is_by_duckdb() -> None:
    rng = np.random.default_rng(8)
    log, names = events(rng), np.array(USERS)
    codes = [None if u is None else USERS.index(u) for u in log["user"].to_pylist()]
    log = log.set_column(0, "user", pa.array(codes, pa.int64()))
    seats = pd.DataFrame({"id": np.arange(len(names) - 2, dtype=np.int32)})
    seats["firm"] = seats["id"] % 3 + 10
    mapping = AccountMapping(user_col="id", account_col="firm")
    term = Term(event="login", window="20d", where="user > 2 and firm > 10")
    spec = CountSpec(terms=(term, Term(event="buy", window="4d", per="seat")))
    options = {"accounts": mapping, "account_table": seats, "since": "2024-03-10T02:30"}
    with DuckDBEngine(log, SCHEMA, **options) as engine:
        expected = engine.table(spec)
    assert expected.customer.tolist() == [10, 11, 12]
    assert (expected.X.toarray() > 0).sum(axis=0).tolist() == [2, 3]
    with SparkEngine(log, SCHEMA, **options) as engine:
        same(engine.table(spec), expected)


MEMBERSHIPS = [
    ("007", "A", BASE + 2 * DAY + 3_600_000_000, None),
    ("it's", "A", None, BASE + DAY),
    ("it's", "🎉", BASE + DAY, BASE + 9 * DAY // 2 + 1),
]


def forms(spark: Any, folder: Path) -> dict[str, Any]:
    """One mapping in every form that Spark reads."""
    arrow = mapping_of(MEMBERSHIPS)

    def timed(kind: pa.DataType) -> pa.Table:
        moments = (arrow[name].cast(pa.timestamp(kind.unit, "UTC")) for name in ("joined", "left"))
        joined, left = (column.cast(pa.int64()).cast(kind) for column in moments)
        return arrow.set_column(2, "joined", joined).set_column(3, "left", left)

    found: dict[str, Any] = {"pandas": timed(pa.timestamp("us")).to_pandas()}
    found |= {"polars": pl.from_arrow(arrow), "spark": spark.createDataFrame(arrow)}
    for name, kind in {
        "us.parquet": pa.timestamp("us", "UTC"),
        "ns[x].parquet": pa.timestamp("ns", "UTC"),
        "naive ns.parquet": pa.timestamp("ns"),
    }.items():
        pq.write_table(timed(kind), folder / name, version="2.6")
        found[name] = folder / name
    text = arrow.to_pandas()
    for name in ("joined", "left"):
        text[name] = text[name].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    text.to_csv(folder / "seats.csv", index=False)
    text.to_json(folder / "seats.jsonl", orient="records", lines=True)
    found |= {name: folder / name for name in ("seats.csv", "seats.jsonl")}
    found["spark"].createOrReplaceTempView("the_seats")
    found["spark"].write.orc(str(folder / "orc"))
    found["table"] = TIMED.model_copy(update={"table": "the_seats"})
    found["format"] = TIMED.model_copy(update={"path": str(folder / "orc"), "format": "orc"})
    return found


def test_a_mapping_is_the_same_in_every_form(spark: Any, tmp_path: Path) -> None:
    log = events(np.random.default_rng(9), 20)
    pq.write_table(log, tmp_path / "log.parquet")
    ns = log["timestamp"].cast(pa.timestamp("ns", "UTC"))
    pq.write_table(log.set_column(3, "timestamp", ns), tmp_path / "ns log.parquet", version="2.6")
    with DuckDBEngine(log, SCHEMA, accounts=TIMED, account_table=mapping_of(MEMBERSHIPS)) as engine:
        expected = engine.profile()
    for name, table in forms(spark, tmp_path).items():
        # Spark reads nanoseconds as numbers: in one file, in the other, or in both.
        beside_ns = name in ("us.parquet", "ns[x].parquet")
        file = tmp_path / ("ns log.parquet" if beside_ns else "log.parquet")
        named = isinstance(table, AccountMapping)
        options = {"accounts": table} if named else {"accounts": TIMED, "account_table": table}
        with SparkEngine(file, SCHEMA, **options) as engine:
            found = engine.session.fetch("SELECT * FROM accounts ORDER BY user_id, from_us")
            assert [tuple(row.values()) for row in found.to_pylist()] == MEMBERSHIPS, name
            if "parquet" in name:
                assert engine.profile() == expected, name
    spark.catalog.dropTempView("the_seats")


def seats(**columns: Any) -> pa.Table:
    return pa.table({"user_id": ["u", "v"], "account_id": ["A", "A"]} | columns)


def at(day: int) -> int:
    return BASE + day * DAY


def profile_of(engine: Any, log: pd.DataFrame, options: dict[str, Any]) -> None:
    with engine(log, **({"schema": EventSchema(customer_col="user")} | options)) as opened:
        opened.profile()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"accounts": AccountMapping()}, "no account mapping is named"),
        ({"accounts": AccountMapping(account_col="USER")}, "can't be one column"),
        ({"account_table": seats().rename_columns(["id", "x"])}, "has no such column"),
        ({"account_table": seats(user_id=[7, 8])}, r"different types\n.*VARCHAR in .*, BIGINT in"),
        ({"account_table": seats(user_id=[True, False])}, "type that can't identify a customer"),
        ({"account_table": seats(), "schema": EventSchema()}, r"no such column\n.*'customer_id'"),
        (
            {"account_table": seats(joined=["2024-03-01", "today"]), "accounts": TIMED},
            "has no such column",
        ),
        (
            {
                "account_table": seats(joined=["2024-03-01", "today"], left=["", ""]),
                "accounts": TIMED,
            },
            r"text that is not a time\n.*1 rows, for example 'today'",
        ),
        *(
            ({"account_table": mapping_of(rows), "accounts": TIMED}, match)
            for rows, match in [
                ([(None, "A", None, None), ("u", None, None, None)], r"without a user or.*\n.*2 r"),
                ([("it's", "A", at(5), at(4))], r"ends before it begins\n.*user \"it's\""),
                ([("u", "A", None, at(5)), ("u", "B", at(4), None)], r"'u' belongs to two acc"),
                (
                    [("v", "B", None, None), ("v", "A", None, None), ("v", "A", at(1), at(2))],
                    r"'v' belongs to two accounts at a time\n.*'A' until ever and 'B' from ever; 2",
                ),
            ]
        ),
    ],
)
def test_what_duckdb_refuses_spark_refuses_in_the_same_words(
    options: dict[str, Any], match: str
) -> None:
    log = pd.DataFrame({"user": ["u", "u"], "event_type": "login", "timestamp": "2024-03-09"})
    told = []
    for engine in (DuckDBEngine, SparkEngine):
        with pytest.raises(CesError, match=match) as caught:
            profile_of(engine, log, options)
        told.append((type(caught.value), str(caught.value)))
    assert told[0] == told[1]


def test_counts_per_seat_without_accounts_are_refused_in_spark_too() -> None:
    log = pd.DataFrame({"user": ["u", "u"], "event_type": "login", "timestamp": "2024-03-09"})
    spec = CountSpec.of(["login"], window="7d", per="seat")
    with SparkEngine(log, EventSchema(customer_col="user")) as engine:
        for count in (engine.counts, engine.table):
            with pytest.raises(CesError, match="per seat, but users do not roll up to accounts"):
                count(spec)
