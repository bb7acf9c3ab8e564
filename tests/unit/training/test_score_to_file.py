"""Scores that are streamed to files are those that are made in memory."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ces_ml.errors import CesWarning, EventLogError, OutputError, SpecError
from ces_ml.features import build_counts
from ces_ml.features.accounts import AccountMapping
from ces_ml.scoring import Scorer
from ces_ml.spec import CountSpec, Term
from ces_ml.training import (
    ScoringResult,
    declines,
    explain_change,
    score_events,
    score_to_file,
    write_scores,
)
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet


def weight_set_of(*terms: Term) -> WeightSet:
    named = CountSpec(terms=terms).terms
    return WeightSet(
        name="test",
        terms=tuple(
            WeightedTerm(**t.model_dump(), weight=w)
            for t, w in zip(named, [0.5, -0.75, 0.25], strict=False)
        ),
        intercept=-0.5,
        scale=Scale(method="min_max", knots=((-1.0, 0.0), (2.0, 100.0))),
        bands=(Band(name="low", from_score=0), Band(name="high", from_score=50)),
    )


WEIGHTS = weight_set_of(
    Term(event="login", window="30d", transform="log1p"),
    Term(event="error", window="30d", half_life="7d", transform="log1p", cap=3),
    Term(event="login", window="30d", measure="active_days", per="day"),
)


def make_log(n: int = 400, ids: list[object] | None = None) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ids = ids or [f"c{k:03d}" for k in range(60)]
    return pd.DataFrame(
        {
            "customer_id": rng.choice(np.array(ids, dtype=object), n),
            "event_type": rng.choice(["login", "error", "other"], n),
            "timestamp": pd.Timestamp("2025-01-01")
            + pd.to_timedelta(rng.integers(0, 10**6, n), "s"),
            "value": rng.normal(size=n),
        }
    )


LOG = make_log()


def in_memory(
    weight_set: WeightSet, log: object, n_reasons: int = 3, **options: Any
) -> ScoringResult:
    """Count first, then score: what one query must come to."""
    options.setdefault("schema", weight_set.events)
    table = build_counts(log, weight_set.spec, **options)
    scores = Scorer(weight_set, n_reasons).score(table)
    return ScoringResult(scores, table.report, table.not_counted)


def read(path: Path, table: str = "scores") -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path, parse_dates=["as_of"], dtype={"customer_id": str})
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("SET TimeZone='UTC'")
        return con.sql(f'SELECT * FROM "{table}"').df()


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        found, expected, check_dtype=False, rtol=0, atol=1e-9, check_column_type=False
    )


@pytest.mark.parametrize("name", ["new/s.parquet", "s.csv", "s.duckdb"])
@pytest.mark.parametrize("as_of", [None, "every 2d from 2025-01-02 to 2025-01-12"])
def test_every_kind_of_file_holds_what_is_scored_in_memory(
    tmp_path: Path, name: str, as_of: str | None
) -> None:
    expected = in_memory(WEIGHTS, LOG, as_of=as_of)
    result = score_to_file(WEIGHTS, LOG, tmp_path / name, as_of=as_of)
    found = read(result.path)
    same(found, expected.scores)
    assert result.rows == len(found)
    assert result.bands == {b: int((found["band"] == b).sum()) for b in ("low", "high")}
    assert min(result.bands.values()) > 0
    assert result.report == expected.report
    assert (
        result.not_counted == expected.not_counted == {"other": (LOG.event_type == "other").sum()}
    )
    assert [p.name for p in result.path.parent.iterdir()] == [result.path.name]


@pytest.mark.parametrize("as_of", [None, "every 2d from 2025-01-02 to 2025-01-12"])
@pytest.mark.parametrize("ids", ["str", "object", "category", "int64", "int32"])
def test_one_query_makes_the_frame_that_counting_first_makes(as_of: str | None, ids: str) -> None:
    customers = LOG["customer_id"]
    log = LOG.assign(customer_id=customers.str[1:].astype(ids) if "int" in ids else customers)
    log = log.astype({"customer_id": ids})
    expected, found = (f(WEIGHTS, log, as_of=as_of) for f in (in_memory, score_events))
    pd.testing.assert_frame_equal(found.scores, expected.scores, rtol=0, atol=1e-9)
    assert (found.report, found.not_counted) == (expected.report, expected.not_counted)


@pytest.mark.parametrize("n_reasons", [0, 1, 99])
def test_the_number_of_reasons_is_that_of_the_scorer(tmp_path: Path, n_reasons: int) -> None:
    expected = in_memory(WEIGHTS, LOG, n_reasons=n_reasons).scores
    found = score_to_file(WEIGHTS, LOG, tmp_path / "s.parquet", n_reasons=n_reasons)
    same(read(found.path), expected)


def test_options_of_the_engine_do_not_change_scores(tmp_path: Path) -> None:
    expected = in_memory(WEIGHTS, LOG).scores
    found = score_to_file(WEIGHTS, LOG, tmp_path / "s.parquet", threads=1, memory_limit="200MB")
    same(read(found.path), expected)


def test_many_batches_make_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make_log(9000, [f"c{k}" for k in range(5000)])
    expected = in_memory(WEIGHTS, log).scores
    monkeypatch.setattr("ces_ml.features.duckdb_session._BATCH", 2048)
    seen = []
    found = score_to_file(
        WEIGHTS, log, tmp_path / "s.parquet", progress=lambda *rows: seen.append(rows)
    )
    assert len(seen) > 1
    assert seen[-1] == (len(expected), len(expected))
    same(read(found.path), expected)


@pytest.mark.parametrize("name", ["s.parquet", "s.csv", "s.duckdb"])
def test_counts_per_seat_are_scored_block_by_block(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seats = weight_set_of(Term(event="login", window="30d", per="seat"))
    users = sorted(LOG.customer_id.unique())
    options = {
        "accounts": AccountMapping(),
        "account_table": pd.DataFrame(
            {"user_id": users, "account_id": [f"A{k % 7}" for k in range(len(users))]}
        ),
    }
    expected = in_memory(seats, LOG, **options).scores
    monkeypatch.setattr("ces_ml.training.scoring_job._BLOCK", 2)
    found = score_to_file(seats, LOG, tmp_path / name, **options)
    same(read(found.path), expected)
    assert sum(found.bands.values()) == found.rows == len(expected)


@pytest.mark.parametrize(
    "ids", [[7, 9, 10, 2**53 + 1], [uuid.UUID(int=n) for n in (0, 1, 2**127)]], ids=["int", "uuid"]
)
@pytest.mark.parametrize("name", ["s.parquet", "s.csv", "s.duckdb"])
def test_ids_of_every_type_stay_exact(tmp_path: Path, ids: list[object], name: str) -> None:
    log = make_log(50, [str(i) for i in ids])
    source = duckdb.connect()
    kind = "BIGINT" if isinstance(ids[0], int) else "UUID"
    source.register("log", log)
    relation = source.sql(f"SELECT * REPLACE (CAST(customer_id AS {kind}) AS customer_id) FROM log")
    found = score_to_file(WEIGHTS, relation, tmp_path / name)
    assert sorted(map(str, read(found.path)["customer_id"])) == sorted(map(str, ids))


@pytest.mark.parametrize("name", ["s.parquet", "s.csv", "s.duckdb"])
def test_a_job_that_fails_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    kept = score_to_file(WEIGHTS, LOG, tmp_path / name)
    before = kept.path.read_bytes()
    sums = weight_set_of(Term(event="login", window="30d", measure="sum", property="value"))
    log = LOG.assign(value=1e308)
    with pytest.raises(EventLogError, match="larger than any number"):
        score_to_file(sums, log, tmp_path / name)
    assert kept.path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_an_unknown_kind_of_output_is_refused_before_the_log_is_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"can't be told from its name(.|\n)*mean '.parquet'"):
        score_to_file(WEIGHTS, tmp_path / "nothing.parquet", tmp_path / "s.parqet")


class TestWeightsOfAccounts:
    USERS = sorted(LOG.customer_id.unique())
    TABLE = pd.DataFrame({"user_id": USERS, "account_id": [f"A{k % 7}" for k in range(len(USERS))]})
    WEIGHTS = WEIGHTS.model_copy(update={"account_col": "account_id"})

    def test_they_score_a_log_with_its_mapping_or_a_log_of_accounts(self, tmp_path: Path) -> None:
        found = score_events(self.WEIGHTS, LOG, account_table=self.TABLE).scores
        assert found["account_id"].tolist() == [f"A{k}" for k in range(7)]
        log = LOG.merge(self.TABLE, left_on="customer_id", right_on="user_id")
        by_account = self.WEIGHTS.scored_events
        same(score_events(self.WEIGHTS, log, schema=by_account).scores, found)
        written = score_to_file(self.WEIGHTS, log, tmp_path / "s.parquet", schema=by_account)
        same(read(written.path), found)

    def test_they_do_not_score_users(self, tmp_path: Path) -> None:
        refused = r"learned on accounts, and the log has users(.|\n)*account_id(.|\n)*accounts:"
        with pytest.raises(EventLogError, match=refused):
            score_events(self.WEIGHTS, LOG)
        with pytest.raises(EventLogError, match=refused):
            score_to_file(self.WEIGHTS, LOG, tmp_path / "s.parquet")
        with pytest.raises(EventLogError, match=refused):
            explain_change(self.WEIGHTS, LOG, start="2025-01-05", end="2025-01-10")
        with pytest.raises(EventLogError, match=refused):
            declines(self.WEIGHTS, LOG, as_of="2025-01-10", over="1d", history=6)
        assert not list(tmp_path.iterdir())


class TestADatabase:
    def test_gets_a_table_of_the_name_that_is_asked_for(self, tmp_path: Path) -> None:
        path, table = tmp_path / "s.duckdb", 'it\'s "hostile"; --'
        with duckdb.connect(str(path)) as con:
            con.execute("CREATE TABLE other AS SELECT 1 AS x")
        expected = score_to_file(WEIGHTS, LOG, tmp_path / "s.parquet")
        score_to_file(WEIGHTS, LOG[:50], path, table=table)
        score_to_file(WEIGHTS, LOG, path, table=table)
        with duckdb.connect(str(path)) as con:
            con.execute("SET TimeZone='UTC'")
            assert con.sql("SELECT x FROM other").fetchall() == [(1,)]
            quoted = table.replace('"', '""')
            same(con.sql(f'SELECT * FROM "{quoted}"').df(), read(expected.path))

    def test_may_be_the_one_that_the_log_lies_in(self, tmp_path: Path) -> None:
        path = tmp_path / "all.duckdb"
        with duckdb.connect(str(path)) as con:
            con.register("frame", LOG)
            con.execute("CREATE TABLE events AS SELECT * FROM frame")
        found = score_to_file(WEIGHTS, str(path), path, table="scores")
        same(read(found.path), in_memory(WEIGHTS, LOG).scores)

    def test_that_is_none_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "s.duckdb"
        path.write_text("no database at all, but long enough to be looked at" * 100)
        with pytest.raises(OutputError, match="can't be written"):
            score_to_file(WEIGHTS, LOG, path)
        assert path.read_text().startswith("no database")

    def test_with_a_view_of_that_name_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "s.duckdb"
        with duckdb.connect(str(path)) as con:
            con.execute("CREATE VIEW scores AS SELECT 1 AS x")
        with pytest.raises(OutputError, match="can't be written"):
            score_to_file(WEIGHTS, LOG, path)


class TestFormulasInACsv:
    IDS = ("=cmd|' /C calc'!A0", "+1", "-2", "@SUM(A1)", "\t=1", 'plain, "quoted"')
    FORMULA = weight_set_of(Term(name="=1+1", event="login", window="30d"))

    def log(self) -> pd.DataFrame:
        return make_log(300, list(self.IDS))

    def test_are_written_as_they_are_with_a_warning(self, tmp_path: Path) -> None:
        with pytest.warns(CesWarning, match=r"\d+ ids or names in 's.csv' begin like a formula"):
            found = score_to_file(self.FORMULA, self.log(), tmp_path / "s.csv")
        assert sorted(read(found.path)["customer_id"]) == sorted(self.IDS)

    def test_are_quoted_where_people_read_it(
        self, tmp_path: Path, recwarn: pytest.WarningsRecorder
    ) -> None:
        found = score_to_file(self.FORMULA, self.log(), tmp_path / "s.csv", spreadsheet_safe=True)
        frame = read(found.path)
        expected = [i if i.startswith("plain") else f"'{i}" for i in self.IDS]
        assert sorted(frame["customer_id"]) == sorted(expected)
        assert set(frame["reason_1"].dropna()) == {"'=1+1"}
        assert frame["points_1"].min() >= 0
        assert not [w for w in recwarn if issubclass(w.category, CesWarning)]

    def test_matter_in_no_other_format(
        self, tmp_path: Path, recwarn: pytest.WarningsRecorder
    ) -> None:
        found = score_to_file(
            self.FORMULA, self.log(), tmp_path / "s.parquet", spreadsheet_safe=True
        )
        assert sorted(pq.read_table(found.path)["customer_id"].to_pylist()) == sorted(self.IDS)
        assert not [w for w in recwarn if issubclass(w.category, CesWarning)]

    def test_are_quoted_in_a_frame_that_is_written(self, tmp_path: Path) -> None:
        scores = in_memory(self.FORMULA, self.log()).scores
        path = write_scores(scores, tmp_path / "s.csv", spreadsheet_safe=True)
        assert set(read(path)["reason_1"].dropna()) == {"'=1+1"}
