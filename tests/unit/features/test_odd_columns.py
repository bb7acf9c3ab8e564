"""Columns of unusual types and names are read as what they are."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ces_ml.errors import CesError, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import build_counts
from ces_ml.spec import CountSpec, Term

from .engines import ENGINES

SPEC = CountSpec.of(["login"], window="30d")
IDS = [uuid.UUID(int=2**127 + 5), uuid.UUID(int=7)]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def log(**columns: Any) -> pd.DataFrame:
    base = {
        "customer_id": ["a", "b"],
        "event_type": ["login", "login"],
        "timestamp": pd.to_datetime(["2024-01-01", "2024-01-02"]),
    }
    return pd.DataFrame({**base, **columns})


@pytest.mark.parametrize("holder", ["objects", "text", "Arrow", "Parquet"])
def test_uuids_come_back_as_text_in_their_usual_form(
    engine: str, holder: str, tmp_path: Path
) -> None:
    events: Any = log(customer_id=pd.Series(IDS, dtype=object))
    if holder == "text":
        events = log(customer_id=[str(i) for i in IDS])
    elif holder != "objects":
        events = pa.Table.from_pandas(log()).set_column(
            0, "customer_id", pa.array([i.bytes for i in IDS], pa.uuid())
        )
        if holder == "Parquet":
            duckdb = pytest.importorskip("duckdb")
            duckdb.connect().from_arrow(events).to_parquet(str(tmp_path / "log.parquet"))
            events = tmp_path / "log.parquet"
    table = build_counts(events, SPEC, engine=engine)
    assert table.customer.tolist() == sorted(str(i) for i in IDS)


@pytest.mark.parametrize(
    ("kind", "ids", "back"),
    [
        ("int8", [-5, 3], [-5, 3]),
        ("int64", [2**63 - 1, 2**53 + 1], [2**53 + 1, 2**63 - 1]),
        ("uint64", [2**64 - 1, 3], [2**64 - 1, 3]),
        ("float64", [10.0, 9.0], [10, 9]),
        ("Int64", [10, 9], [10, 9]),
        ("string", ["é", "e"], ["e", "é"]),
        ("category", ["b", "a"], ["a", "b"]),
    ],
)
def test_ids_come_back_as_they_were_in_the_order_of_their_text(
    engine: str, kind: str, ids: list[Any], back: list[Any]
) -> None:
    table = build_counts(log(customer_id=pd.Series(ids).astype(kind)), SPEC, engine=engine)
    assert table.customer.tolist() == back
    assert [type(c) for c in table.customer.tolist()] == [type(c) for c in back]


def test_integers_with_a_missing_one_are_not_turned_into_fractions(engine: str) -> None:
    events = log(customer_id=[7, None])
    assert events["customer_id"].dtype == float
    table = build_counts(events, SPEC, engine=engine)
    assert table.customer.tolist() == [7]
    assert table.report["null_customer"] == 1


@pytest.mark.parametrize(
    ("events", "name"),
    [
        (pd.Series([7, 7], dtype="int64"), "7"),
        (pd.Series([7.0, None]), "7"),
        (pd.Series([7, 8], dtype="category"), "7"),
        (pd.Series(["x", "y"], dtype="category"), "x"),
        (pd.Series([True, False]), "true"),
        (pd.Series([IDS[1], IDS[0]], dtype=object), str(IDS[1])),
    ],
)
def test_event_types_of_any_simple_type_are_counted_by_their_text(
    engine: str, events: pd.Series, name: str
) -> None:
    table = build_counts(log(event_type=events), CountSpec.of([name], window="30d"), engine=engine)
    assert table.X.toarray()[0].tolist() == [1]


def test_a_missing_event_code_is_a_null_and_not_an_event_called_nan(engine: str) -> None:
    frame = pl.DataFrame(log(event_type=[7.0, 7.0])).with_columns(
        event_type=pl.Series([7.0, float("nan")])
    )
    table = build_counts(frame, CountSpec.of(["7", "nan"], window="30d"), engine=engine)
    assert table.report["null_event_type"] == 1
    assert table.X.toarray().tolist() == [[1, 0]]


@pytest.mark.parametrize("values", [[True, False], [np.uint8(1), np.uint8(0)], [1, 0], ["1", "0"]])
def test_booleans_and_integers_are_summed_as_numbers(engine: str, values: list[Any]) -> None:
    spec = CountSpec.of(["login"], window="30d", measure="sum", property="v")
    table = build_counts(log(v=values), spec, engine=engine)
    assert table.X.toarray().tolist() == [[1], [0]]


INTERNAL = ["source", "ev", "cu", "vo", "fk", "r", "code", "age", "day", "j", "ts_us", "as_of_us"]
INTERNAL += ["window_us", "arrival_us", "p0", "a0"]


@pytest.mark.parametrize("name", INTERNAL)
def test_a_column_may_be_called_what_an_engine_uses_for_itself(engine: str, name: str) -> None:
    columns = ["customer_id", "event_type", "timestamp", "value"]
    frame = log(value=[2.5, 4.0])
    for k, taken in enumerate(columns):
        roles = dict(
            zip(["customer_col", "event_col", "timestamp_col", "value_col"], columns, strict=True)
        )
        roles[list(roles)[k]] = name
        spec = CountSpec.of(["login"], window="30d", measure="sum")
        renamed = frame.rename(columns={taken: name})
        table = build_counts(renamed, spec, schema=EventSchema(**roles), engine=engine)
        assert table.X.toarray().tolist() == [[2.5], [4.0]]
        assert table.keys.columns.tolist() == [roles["customer_col"], "as_of"]


def test_columns_may_swap_the_names_of_their_roles(engine: str) -> None:
    frame = log().rename(columns={"customer_id": "event_type", "event_type": "customer_id"})
    schema = EventSchema(customer_col="event_type", event_col="customer_id")
    table = build_counts(frame, SPEC, schema=schema, engine=engine)
    assert table.to_pandas()["login"].tolist() == [1, 1]
    assert table.keys["event_type"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "name",
    ['say "hi"', "it's", "a; DROP TABLE ev; --", "two\nlines", "🎉", " ", "$1", "?", "%s{0}"],
)
def test_a_column_may_have_any_name(engine: str, name: str, tmp_path: Path) -> None:
    frame = log().rename(columns={"customer_id": name})
    schema = EventSchema(customer_col=name)
    frame.to_parquet(tmp_path / "log.parquet")
    for events in (frame, tmp_path / "log.parquet"):
        table = build_counts(events, SPEC, schema=schema, engine=engine)
        assert table.keys[name].tolist() == ["a", "b"]


def test_a_column_name_with_nul_is_refused_in_words(engine: str) -> None:
    frame = log().rename(columns={"customer_id": "nul\0byte"})
    # Arrow cuts column names at NUL, Parquet does not.
    with pytest.raises(CesError, match=r"holds a NUL character|no such column\n.*nul.x00byte"):
        build_counts(frame, SPEC, schema=EventSchema(customer_col="nul\0byte"), engine=engine)


def test_one_column_may_be_summed_under_two_names_and_serve_two_terms(engine: str) -> None:
    spec = CountSpec(
        terms=(
            Term(event="login", window="30d", measure="sum", name="by default"),
            Term(event="login", window="30d", measure="sum", property="v", name="by name"),
            Term(event="login", window="1s", measure="sum", property="w", name="other"),
        )
    )
    table = build_counts(
        log(v=[1.0, 2.0], w=[10.0, 20.0]), spec, schema=EventSchema(value_col="v"), engine=engine
    )
    assert table.X.toarray().tolist() == [[1, 1, 0], [2, 2, 20]]


def test_the_customer_column_may_not_be_called_as_of() -> None:
    with pytest.raises(SpecError, match="customer column can't be called as_of"):
        EventSchema(customer_col="as_of")


def test_names_that_differ_only_to_a_careful_reader_are_different_events(engine: str) -> None:
    kinds = ["login", "Login", "login ", "caf\u00e9", "cafe\u0301", ""]
    frame = pd.DataFrame(
        {"customer_id": 1, "event_type": kinds, "timestamp": pd.Timestamp("2024-01-01")}
    )
    table = build_counts(frame, CountSpec.of(kinds, window="1d"), engine=engine)
    assert table.X.toarray().tolist() == [[1] * len(kinds)]
