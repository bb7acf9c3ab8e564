"""Rows and outcomes that come from a table beside the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ces_ml.errors import EventLogError, SpecError
from ces_ml.features import build_counts, open_engine
from ces_ml.spec import AsOfTable, CountSpec, LabelSpec, OutcomeSpec

from .engines import ENGINES
from .refusals import LOG, SPEC, refused

MOMENTS = ["2024-01-02", "2024-02-10", "2024-01-25", "2024-01-25", "2024-02-11", "2024-01-25", None]
ROWS = pd.DataFrame(
    {
        "customer_id": ["a", "b", "a", "c", "b", None, "a"],
        "as_of": pd.to_datetime(MOMENTS),
        "y": [1, 0, 0, 1, None, 1, 1],
    }
)
TOLD = OutcomeSpec(task="churn", horizon="90d", labels={})


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_labels_give_rows_and_outcomes_and_every_other_row_is_counted(engine: str) -> None:
    table = build_counts(LOG, SPEC, outcome=TOLD, labels=ROWS, engine=engine)
    assert table.customer.tolist() == ["a", "a"]
    assert table.as_of.dt.day.tolist() == [2, 25]
    assert table.outcomes.tolist() == [1, 0]
    assert table.to_pandas()["login"].tolist() == [1, 1]
    told = {k: v for k, v in table.report.items() if k.startswith(("given", "left_out"))}
    assert told == {
        "given_rows": 7,
        "given_null_customer": 1,
        "given_null_as_of": 1,
        "given_null_y": 1,
        "left_out_after_log": 0,
        "left_out_unknown": 2,  # c never, b not before its first event's own moment
    }
    assert table.report["candidates"] == table.report["rows"] == 2


def test_rows_of_unknown_customers_are_kept_where_asked(engine: str) -> None:
    outcome = OutcomeSpec(task="churn", horizon="90d", labels={"unknown": "keep"})
    table = build_counts(LOG, SPEC, outcome=outcome, labels=ROWS, engine=engine)
    assert table.customer.tolist() == ["a", "a", "c", "b"]
    assert table.to_pandas()["login"].tolist() == [1, 1, 0, 0]
    assert "left_out_unknown" not in table.report


def test_days_of_exposure_begin_with_the_first_event_where_all_rows_are_kept(engine: str) -> None:
    log = pd.DataFrame(
        {
            "customer_id": ["a", "a"],
            "event_type": ["login", "login"],
            "timestamp": pd.to_datetime(["2024-01-01T00:00", "2024-01-20T23:00"]),
        }
    )
    rows = pd.DataFrame({"customer_id": ["a"], "as_of": pd.to_datetime(["2024-01-21"])})
    spec = CountSpec.of(["login"], window="2d", per="day")
    for unknown in ("leave_out", "keep"):
        as_of = AsOfTable(rows, unknown=unknown)
        assert build_counts(log, spec, as_of=as_of, engine=engine).X.toarray() == [[0.5]]


def test_one_engine_may_keep_unknown_customers_in_one_table_and_not_in_the_next(
    engine: str,
) -> None:
    rows = ROWS.dropna()
    with open_engine(LOG, engine=engine) as opened:
        tables = [
            opened.table(SPEC, AsOfTable(rows, unknown=unknown))
            for unknown in ("leave_out", "keep", "leave_out")
        ]
    assert [len(t) for t in tables] == [2, 4, 2]


def test_a_table_without_outcomes_gives_every_row_its_own_as_of(engine: str) -> None:
    table = build_counts(LOG, SPEC, as_of=AsOfTable(ROWS), engine=engine)
    assert table.y is None
    assert table.to_pandas()["login"].tolist() == [1, 1, 1]
    assert table.customer.tolist() == ["a", "a", "b"]
    bought = OutcomeSpec(task="conversion", event="purchase", horizon="20d")
    judged = build_counts(LOG, SPEC, as_of=AsOfTable(ROWS), outcome=bought, engine=engine)
    assert judged.outcomes.tolist() == [1]
    assert judged.report["left_out_already_happened"] == 0
    assert judged.report["left_out_censored"] == 2


def test_rows_more_than_a_day_after_the_log_are_left_out(engine: str) -> None:
    last = pd.Timestamp("2024-02-10")
    rows = pd.DataFrame(
        {"customer_id": ["a", "b"], "as_of": [last + pd.Timedelta("1D"), last + pd.Timedelta("2D")]}
    )
    table = build_counts(LOG, SPEC, as_of=AsOfTable(rows), engine=engine)
    assert table.customer.tolist() == ["a"]
    assert table.report["left_out_after_log"] == 1
    options = {"observed_until": "2024-02-20", "engine": engine}
    assert len(build_counts(LOG, SPEC, as_of=AsOfTable(rows), **options)) == 2


@pytest.mark.parametrize(
    "written",
    [
        [True, False],
        [1.0, 0.0],
        ["1", "0"],
        [" TRUE", "false "],
        pd.array([1, 0], dtype="Int8"),
        pd.array([True, False], dtype="boolean"),
    ],
    ids=str,
)
def test_an_outcome_may_be_written_in_any_plain_way(written: Any) -> None:
    labels = ROWS.iloc[[0, 2]].assign(y=written)
    assert build_counts(LOG, SPEC, outcome=TOLD, labels=labels).outcomes.tolist() == [1, 0]


@pytest.mark.parametrize("wrong", [[2, 0], [0.5, 1.0], ["yes", "no"], [-1, 1]], ids=str)
def test_an_outcome_that_is_not_0_or_1_is_refused(wrong: list[Any]) -> None:
    labels = ROWS.iloc[[0, 2]].assign(y=wrong)
    match = r"outcomes in 'y' are not 0 or 1\n.*[12] rows?, for example"
    refused(EventLogError, match, LOG, outcome=TOLD, labels=labels)


def test_files_and_frames_of_any_kind_give_the_same_rows(tmp_path: Path) -> None:
    ROWS.to_csv(tmp_path / "l.csv", index=False)
    ROWS.to_parquet(tmp_path / "l.parquet")
    tables = [
        tmp_path / "l.csv",
        str(tmp_path / "l.parquet"),
        pa.Table.from_pandas(ROWS, preserve_index=False),
        pl.from_pandas(ROWS),
        ROWS.rename(columns={"as_of": "when", "y": "left", "customer_id": "who"}),
    ]
    names = LabelSpec(customer_col="who", as_of_col="when", y_col="left")
    right = build_counts(LOG, SPEC, outcome=TOLD, labels=ROWS).digest()
    for table in tables:
        renamed = isinstance(table, pd.DataFrame)
        outcome = OutcomeSpec(task="churn", horizon="90d", labels=names) if renamed else TOLD
        assert build_counts(LOG, SPEC, outcome=outcome, labels=table).digest() == right
    by_path = OutcomeSpec(task="churn", horizon="90d", labels={"path": str(tmp_path / "l.csv")})
    assert build_counts(LOG, SPEC, outcome=by_path).digest() == right


@pytest.mark.parametrize(
    ("ids", "given"),
    [([7, 7, 8], ["007", "7"]), (["007", "007", "8"], [7, 8]), ([7, 7, 8], ["a", "b"])],
)
def test_ids_of_another_type_are_refused_and_never_cast(ids: list[Any], given: list[Any]) -> None:
    log = LOG.assign(customer_id=ids)
    labels = ROWS.iloc[[0, 2]].assign(customer_id=given)
    match = (
        r"ids in the table of rows are not of the log's type\n.*(text|integers)\n.*as in the log"
    )
    refused(EventLogError, match, log, outcome=TOLD, labels=labels)


def test_integers_of_any_width_and_with_nulls_are_the_same_ids() -> None:
    log = LOG.assign(customer_id=np.array([7, 7, 8], dtype=np.int16))
    labels = ROWS.iloc[[0, 2, 5]].assign(customer_id=[7.0, 8.0, None])
    table = build_counts(log, SPEC, outcome=TOLD, labels=labels)
    assert table.customer.tolist() == [7]
    assert table.report["left_out_unknown"] == table.report["given_null_customer"] == 1


def test_the_same_customer_twice_at_one_as_of_is_refused_even_without_an_outcome() -> None:
    twice = pd.concat([ROWS, ROWS.iloc[[0, 0, 1]].assign(y=None)])
    match = r"stands twice at the same as_of.*\n.*2 pairs up to 3 times, .* customer 'a'"
    refused(EventLogError, match, LOG, outcome=TOLD, labels=twice)


def test_a_table_without_the_columns_is_refused_with_the_nearest() -> None:
    match = r"the table of labels has no such column\n.*'y'\n.*"
    refused(EventLogError, match, LOG, outcome=TOLD, labels=ROWS.drop(columns="y"))
    match = r"beside the log has no such column\n.*'as_of'\n.*mean 'as_off'"
    wrong = ROWS.rename(columns={"as_of": "as_off"})
    refused(EventLogError, match, LOG, outcome=TOLD, labels=wrong)
    match = r"column 'as_of' does not hold times\n.*BIGINT"
    refused(EventLogError, match, LOG, outcome=TOLD, labels=ROWS.assign(as_of=7))


def test_labels_that_are_given_twice_or_nowhere_are_refused() -> None:
    options: dict[str, Any] = {"outcome": TOLD, "labels": ROWS, "as_of": "2024-01-10"}
    refused(SpecError, "outcome does not come from labels alone", LOG, **options)
    bought = OutcomeSpec(task="conversion", event="purchase", horizon="20d")
    match = r"outcome does not come from labels alone\n.*an outcome without `labels`"
    refused(SpecError, match, LOG, outcome=bought, labels=ROWS)
    refused(SpecError, "no table of labels is named", LOG, outcome=TOLD)
    refused(SpecError, "the rows are given twice", LOG, outcome=TOLD, as_of="2024-01-10")


def test_rows_of_which_none_is_known_are_refused_with_the_reason() -> None:
    match = r"nobody is in the sample\n.*left_out_unknown: 1"
    refused(EventLogError, match, LOG, outcome=TOLD, labels=ROWS.iloc[[3]])


def test_one_engine_answers_several_questions_about_rows_in_turn(engine: str) -> None:
    with open_engine(LOG, engine=engine) as opened:
        first = opened.table(SPEC, TOLD.labels.table(ROWS), TOLD)
        dated = opened.table(CountSpec.of(["purchase"], window="30d"), None)
        again = opened.table(SPEC, TOLD.labels.table(ROWS), TOLD)
    assert first.digest() == again.digest()
    assert len(dated) == 2
