"""The commands ``changes`` and ``declines`` as a user meets them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from ces_ml.cli.main import app
from ces_ml.spec import CountSpec
from ces_ml.training import explain_change
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

HOSTILE = "[red]buy[/red]\x1b[31m"


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "160"})


def weights(window: str) -> WeightSet:
    terms = CountSpec.of(["login", HOSTILE], window=window).terms
    return WeightSet(
        name="stay",
        terms=tuple(WeightedTerm(**t.model_dump(), weight=0.5) for t in terms),
        intercept=0.0,
        scale=Scale(method="min_max", knots=((0.0, 0.0), (10.0, 100.0))),
        bands=(Band(name="at_risk", from_score=0),),
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    n = 30_000
    day = rng.uniform(0, 150, n)
    log = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 60, n),
            "event_type": rng.choice(["login", HOSTILE], n),
            "timestamp": np.datetime64("2025-01-01", "us")
            + (day * 86_400e6).astype("int64").astype("timedelta64[us]"),
        }
    )
    log[~((log["customer_id"] == 7) & (day > 138))].to_parquet(tmp_path / "events.parquet")
    weights("30d").save(tmp_path / "old.json")
    weights("14d").save(tmp_path / "new.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


SPAN = ("--from", "2025-05-01", "--to", "2025-05-20")


def test_changes_of_all_customers_are_written_and_their_means_are_printed(home: Path) -> None:
    files = ("-o", "p.parquet", "--totals", "t.csv")
    found = call("changes", "old.json", "events.parquet", *SPAN, *files)
    assert found.exit_code == 0, found.output
    assert "60 customers: " in found.output
    assert "new behaviour" in found.output
    parts, totals = pd.read_parquet("p.parquet"), pd.read_csv("t.csv")
    wanted = explain_change(weights("30d"), "events.parquet", start=SPAN[1], end=SPAN[3])
    np.testing.assert_allclose(parts["raw_points"], wanted.parts["raw_points"], atol=1e-9)
    sums = parts.groupby("customer_id")["score_points"].sum()
    np.testing.assert_allclose(sums[totals["customer_id"]], totals["score_change"], atol=1e-9)


def test_one_customer_is_shown_as_a_table_whose_parts_add_up(home: Path) -> None:
    found = call("changes", "old.json", "events.parquet", *SPAN, "--customer", "7")
    assert found.exit_code == 0, found.output
    assert "customer 7: score " in found.output
    assert "left the window" in found.output
    assert r"[red]buy[/red]\x1b[31m" in found.output
    assert "\x1b[31m" not in found.output
    span = {"start": SPAN[1], "end": SPAN[3]}
    wanted = explain_change(weights("30d"), "events.parquet", customers=[7], **span)
    assert f"{wanted.totals['score_change'].iloc[0]:+.2f}" in found.output


def test_two_weight_sets_are_told_apart(home: Path) -> None:
    found = call("changes", "old.json", "events.parquet", *SPAN, "--against", "new.json")
    assert found.exit_code == 0, found.output
    assert "no longer counted" in found.output
    assert "another scale" in found.output


def test_declines_names_who_stopped_and_writes_everybody(home: Path) -> None:
    words = ("--as-of", "2025-05-30", "--over", "11d", "--history", "8", "-o", "d.csv")
    found = call("declines", "old.json", "events.parquet", *words)
    assert found.exit_code == 0, found.output
    assert "60 customers judged, 0 too new" in found.output
    said = " ".join(found.output.split())
    assert "Expected falsely: how many alerts chance alone would raise" in said
    assert "raw change and noise" in said
    assert "raw change" in found.output.split("falls beyond noise")[1]
    written = pd.read_csv("d.csv")
    assert len(written) == 60
    assert written["alert"].sum() >= 1
    assert written.loc[written["alert"], "customer_id"].tolist()[0] == 7
    assert "│ 7 " in found.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("changes", "--from", "2025-05-20", "--to", "2025-05-01"), "a moment and a later one"),
        (("changes", *SPAN, "--customer", "nobody"), "a customer is not known before the end"),
        (("changes", *SPAN, "--customer", "nobody"), "one of the 60 customers who are, such as"),
        (("changes", *SPAN, "-o", "x.txt"), "the kind of output can't be told"),
        (("declines", "--as-of", "2025-05-30", "--history", "2"), "the history is too short"),
        (("declines", "--as-of", "2025-05-30", "--control", "x"), "unknown control"),
    ],
)
def test_mistakes_end_with_exit_code_2_and_words(
    home: Path, words: tuple[str, ...], said: str
) -> None:
    command, *options = words
    found = call(command, "old.json", "events.parquet", *options)
    assert found.exit_code == 2
    assert said in found.stderr


def test_help_has_examples() -> None:
    for command in ("changes", "declines"):
        assert "Examples:" in call(command, "--help").output
