"""Scores that Spark writes to a folder are those of DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from ces_ml.cli.main import app
from ces_ml.datasets import make_event_history
from ces_ml.errors import OutputError, SpecError
from ces_ml.events import EventSchema
from ces_ml.exporters import export
from ces_ml.spec import CountSpec, Term
from ces_ml.training import score_events, score_to_file
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

SPEC = CountSpec(
    terms=(
        Term(event="login", window="28d", half_life="14d", transform="log1p"),
        Term(event="support_ticket", window="28d", cap=3),
        Term(event="demo_booked", window="90d", transform="sqrt"),
    )
)
WEIGHTS = WeightSet(
    name="spark scores",
    terms=tuple(
        WeightedTerm(**t.model_dump(), weight=w)
        for t, w in zip(SPEC.terms, (0.5, -0.75, 1.25), strict=True)
    ),
    intercept=-0.5,
    events=EventSchema(customer_col="user"),
    scale=Scale(method="min_max", knots=((-1.0, 0.0), (2.0, 100.0))),
    bands=(Band(name="low", from_score=0), Band(name="high", from_score=50)),
)
CALENDAR = "every 28d from 2025-02-01 to 2025-04-30"


def in_order(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.sort_values(["as_of", "user"]).reset_index(drop=True)


@pytest.mark.slow
def test_a_history_of_the_score_is_written_as_a_folder(spark: Any, tmp_path: Path) -> None:
    log = make_event_history(300, seed=2).events.rename(columns={"customer_id": "user"})
    log.to_parquet(tmp_path / "log.parquet")
    export(WEIGHTS, tmp_path / "weights.json")
    folder = tmp_path / "scores"
    arguments = [str(tmp_path / "weights.json"), str(tmp_path / "log.parquet")]
    arguments += ["-o", str(folder), "--as-of", CALENDAR, "--engine", "spark"]
    ran = CliRunner().invoke(app, ["score", *arguments])
    assert ran.exit_code == 0, ran.output
    expected = score_events(WEIGHTS, log, as_of=CALENDAR)
    assert f"{len(expected.scores):,} rows written to" in ran.output
    found = pd.read_parquet(folder)
    assert list(found.columns) == list(expected.scores.columns)
    pd.testing.assert_frame_equal(
        in_order(found), in_order(expected.scores), check_dtype=False, rtol=1e-9, atol=1e-9
    )
    assert found["as_of"].nunique() == 4
    file = str(tmp_path / "log.parquet")
    again = score_to_file(WEIGHTS, file, folder, as_of="2025-03-01", n_reasons=0, engine="spark")
    kept = pd.read_parquet(folder)
    assert again.path == folder
    assert again.rows == len(kept) == sum(again.bands.values())
    assert dict(kept["band"].value_counts()) == {b: n for b, n in again.bands.items() if n}
    assert again.report["rows_read"] == len(log)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="which holds something else"):
        score_to_file(WEIGHTS, file, other, engine="spark")
    assert [p.name for p in other.iterdir()] == ["notes.txt"]


def test_a_folder_is_an_output_of_spark_only(tmp_path: Path) -> None:
    log = pd.DataFrame({"user": ["a"], "event_type": ["login"], "timestamp": ["2025-01-01"]})
    with pytest.raises(SpecError, match="kind of output can't be told"):
        score_to_file(WEIGHTS, log, tmp_path / "scores")
