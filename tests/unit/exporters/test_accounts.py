"""Weights that were learned on accounts do not score users, wherever they are exported to."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pandas as pd
import pytest
from typer.testing import CliRunner

from ces_ml.cli.main import app
from ces_ml.errors import EventLogError, SpecError
from ces_ml.events import EventSchema
from ces_ml.exporters import export, render
from ces_ml.features import build_counts
from ces_ml.scoring import OnlineScorer, Scorer
from ces_ml.spec import CountSpec
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

AS_OF = "2025-01-06"
USERS = WeightSet(
    name="seats",
    terms=tuple(
        WeightedTerm(**term.model_dump(), weight=0.5)
        for term in CountSpec.of(["login", "buy"], window="30d").terms
    ),
    intercept=-1.0,
    events=EventSchema(customer_col="user", anonymous_col="device"),
    scale=Scale(method="min_max", knots=((0, 0), (5, 100))),
    bands=(Band(name="low", from_score=0), Band(name="high", from_score=50)),
)
WEIGHTS = USERS.model_copy(update={"account_col": "team"})
LOG = pd.DataFrame(
    {
        "team": ["A", "A", "A", "B"],
        "user": ["u1", "u2", None, "u3"],
        "device": ["d1", "d1", "d2", "d1"],
        "event_type": ["login", "buy", "buy", "login"],
        "timestamp": ["2025-01-02", "2025-01-03", "2025-01-04", "2025-01-05"],
    }
)
SCORES = {"A": 1.5, "B": 0.5}


def scored(frame: pd.DataFrame) -> dict[str, float]:
    return dict(zip(frame["team"], frame["raw_score"], strict=True))


def module_of(text: str) -> Any:
    module = ModuleType("scorer")
    exec(compile(text, "scorer.py", "exec"), module.__dict__)  # the consumer of the export
    return module


def test_old_files_keep_their_fingerprint_and_new_ones_say_whose_weights_they_are() -> None:
    assert USERS.model_copy(update={"account_col": None}).fingerprint == USERS.fingerprint
    assert WEIGHTS.fingerprint != USERS.fingerprint
    assert WeightSet.from_json(WEIGHTS.to_json()) == WEIGHTS
    assert WEIGHTS.scored_events == EventSchema(customer_col="team")
    assert USERS.scored_events is USERS.events


def test_the_account_is_a_key_of_a_frame_of_counts() -> None:
    counts = build_counts(LOG, WEIGHTS.spec, as_of=AS_OF, schema=WEIGHTS.scored_events)
    assert scored(Scorer(WEIGHTS).score(counts.to_pandas())) == SCORES


def test_sql_over_a_log_of_users_is_refused() -> None:
    refused = r"learned on accounts, and the log has users(.|\n)*by_account: true(.|\n)*'team'"
    for shape in ("query", "view", "dbt", "check_events"):
        with pytest.raises(SpecError, match=refused):
            render(WEIGHTS, "sql", shape=shape)
    with pytest.raises(SpecError, match="not on accounts"):
        render(USERS, "sql", by_account=True)


def test_sql_over_a_log_of_accounts_scores_them() -> None:
    con = duckdb.connect()
    con.register("events", LOG.astype({"timestamp": "datetime64[us]"}))
    found = con.sql(str(render(WEIGHTS, "sql", by_account="true", as_of=AS_OF))).df()
    assert scored(found) == SCORES
    counts = build_counts(LOG, WEIGHTS.spec, as_of=AS_OF, schema=WEIGHTS.scored_events)
    con.register("counts", counts.to_pandas())
    assert scored(con.sql(str(render(WEIGHTS, "sql", counts_table="counts"))).df()) == SCORES
    proof = con.sql(str(render(WEIGHTS, "sql", by_account=True, shape="check_events"))).df()
    assert len(proof) > 0
    assert (proof["ok"] == 1).all()


def test_the_python_module_scores_accounts_and_refuses_events_of_nobody() -> None:
    module = module_of(str(render(WEIGHTS, "python")))
    rows = LOG.to_dict("records")
    assert module.score_events(rows[:3], AS_OF)["raw_score"] == SCORES["A"]
    with pytest.raises(module.ScoreError, match="2 customers"):
        module.score_events(rows, AS_OF)
    of_user = [{k: v for k, v in rows[0].items() if k != "team"}]
    with pytest.raises(module.ScoreError, match=r"no account in 'team'(.|\n)*not for users"):
        module.score_events(of_user, AS_OF)


def test_the_javascript_module_scores_accounts_and_refuses_events_of_nobody(
    tmp_path: Path,
) -> None:
    path = export(WEIGHTS, tmp_path / "scorer.mjs", "javascript")
    rows = LOG.astype(object).where(LOG.notna(), None).to_json(orient="records")
    done = subprocess.run(
        [
            "node",
            "--input-type=module",
            "-e",
            f"import {{ scoreEvents }} from '{path}'; const rows = {rows};"
            f"console.log(scoreEvents(rows.slice(0, 3), '{AS_OF}').raw_score);"
            f"delete rows[0].team; scoreEvents([rows[0]], '{AS_OF}');",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert float(done.stdout) == SCORES["A"]
    assert 'an event has no account in "team"' in done.stderr


@pytest.mark.slow
def test_events_that_are_fed_name_their_account() -> None:
    online = OnlineScorer(WEIGHTS, granularity="1d")
    online.update_many(LOG)
    assert scored(online.score(["A", "B"], as_of=AS_OF)) == SCORES
    with pytest.raises(EventLogError, match=r"no such column(.|\n)*'team'"):
        OnlineScorer(WEIGHTS).update_many(LOG.drop(columns="team"))


def test_the_command_line_shows_whose_weights_they_are_and_scores_no_users(tmp_path: Path) -> None:
    WEIGHTS.save(tmp_path / "w.json")
    LOG.to_csv(tmp_path / "log.csv", index=False)
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "w.json")])
    assert "customers: accounts, users rolled up by team" in shown.output
    done = CliRunner().invoke(
        app, ["score", str(tmp_path / "w.json"), str(tmp_path / "log.csv"), "-o", "s.parquet"]
    )
    assert done.exit_code == 2
    assert "learned on accounts" in done.output
    assert not Path("s.parquet").exists()
