"""MLflow's own tools use a logged weight set: predict, serve, Spark, evaluate."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ces_ml.scoring import Scorer
from ces_ml.spec import CountSpec
from ces_ml.tracking import Tracker
from ces_ml.tracking.ui import ui_environment
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

NAMES = ("login", "view:/pricing?x=1", 'it\'s "quoted" ✓', "support")
OUTPUT = ["score", "raw_score", "band", "probability"] + [
    f"{part}_{k}" for k in (1, 2, 3) for part in ("reason", "points")
]


@pytest.fixture(scope="module")
def weight_set() -> WeightSet:
    terms = CountSpec.of(list(NAMES), window="30d", transform="log1p").terms
    return WeightSet(
        name="churn",
        terms=tuple(
            WeightedTerm(**t.model_dump(), weight=w)
            for t, w in zip(terms, [0.5, 0.25, 0.125, -0.75], strict=True)
        ),
        intercept=-1.0,
        scale=Scale(method="probability"),
        bands=(Band(name="at_risk", from_score=0), Band(name="advocate", from_score=40)),
    )


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.integers(0, 5, (20, len(NAMES))), columns=list(NAMES))


@pytest.fixture(scope="module")
def expected(weight_set: WeightSet, counts: pd.DataFrame) -> pd.DataFrame:
    return Scorer(weight_set).score(counts)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return Tracker(tmp_path_factory.mktemp("tools") / "mlflow.db", "tools")


@pytest.fixture(scope="module")
def logged(tracker: Tracker, weight_set: WeightSet) -> str:
    """Reference of the registered weight set."""
    info = tracker.log_run(weight_set, run_name="base", params={}, metrics={}, register_as="churn")
    tracker.promote(info.run_id, "churn")
    return "models:/churn@champion"


@pytest.fixture
def environment(tracker: Tracker) -> dict[str, str]:
    # MLflow looks for its server's program on the path, as in an activated environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**ui_environment(), "MLFLOW_TRACKING_URI": tracker.store, "PATH": path}


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert len(found) == len(expected)
    for column in ("score", "raw_score", "probability", "points_1"):
        assert found[column].tolist() == pytest.approx(expected[column].tolist())
    for column in ("band", "reason_1", "reason_3"):
        assert found[column].tolist() == ["" if pd.isna(v) else v for v in expected[column]]
    assert (found["reason_3"] == "").any()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "json"])
def test_mlflow_predict_scores_whole_numbers_from_a_file(
    form: str,
    logged: str,
    environment: dict[str, str],
    counts: pd.DataFrame,
    expected: pd.DataFrame,
    tmp_path: Path,
) -> None:
    given, answer = tmp_path / f"in.{form}", tmp_path / "out.json"
    if form == "csv":
        counts.to_csv(given, index=False)
    else:
        given.write_text(json.dumps({"dataframe_split": counts.to_dict(orient="split")}))
    command = [sys.executable, "-m", "mlflow", "models", "predict", "-m", logged]
    command += ["--env-manager", "local", "-i", str(given), "-t", form, "-o", str(answer)]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True)
    found = pd.DataFrame(json.loads(answer.read_text(encoding="utf-8"))["predictions"])
    assert list(found.columns) == OUTPUT
    same(found, expected)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def served(logged: str, environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """Address of `mlflow models serve`."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", logged]
    command += ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/ping", timeout=5).close()
                break
            except OSError:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.2)
                assert process.returncode is None
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def ask(address: str, body: Any) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{address}/invocations",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = io.TextIOWrapper(answer, "utf-8").read()
    return list(json.loads(text, parse_constant=not_json)["predictions"])


def not_json(text: str) -> None:
    """Refuse NaN and infinity, which other languages can't read."""
    raise AssertionError(f"{text} is no JSON")


@pytest.mark.slow
def test_mlflow_serve_keeps_every_row_whatever_is_missing_or_unknown(
    served: str, weight_set: WeightSet, counts: pd.DataFrame, expected: pd.DataFrame
) -> None:
    found = ask(served, {"dataframe_split": counts.to_dict(orient="split")})
    assert list(found[0]) == OUTPUT
    same(pd.DataFrame(found), expected)
    # One by one, without what did not happen, with what nobody knows, with null.
    rows = [
        {"customer_id": "a", "login": 3, "unknown": "x"},
        {"customer_id": "b", "login": None, "support": 2.0},
        {"customer_id": "c"},
    ]
    found = ask(served, {"dataframe_records": rows})
    whole = pd.DataFrame({"login": [3, 0, 0], "support": [0, 2, 0]})
    assert [r["customer_id"] for r in found] == ["a", "b", "c"]
    raw = Scorer(weight_set).score(whole.reindex(columns=list(NAMES), fill_value=0))["raw_score"]
    assert [r["raw_score"] for r in found] == pytest.approx(raw.tolist())
    assert (found[2]["reason_1"], found[2]["points_1"]) == ("", None)
    # A body in which nothing is known is refused, not answered with no rows.
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(served, {"dataframe_records": [{"unknown": 1}, {"unknown": 2}]})
    assert refused.value.code >= 400
    assert "no column that the weights know" in refused.value.read().decode()


@pytest.mark.slow
def test_a_spark_udf_returns_all_of_a_score(
    spark: Any,
    logged: str,
    tracker: Tracker,
    counts: pd.DataFrame,
    expected: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import mlflow
    from pyspark.sql import functions

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.store)
    monkeypatch.chdir(tmp_path)
    score = mlflow.pyfunc.spark_udf(spark, logged, env_manager="local")
    names = [f"c{k}" for k in range(len(NAMES))]
    rows = [
        (k, *map(int, row), None) for k, row in enumerate(counts.itertuples(index=False, name=None))
    ]
    schema = ", ".join(["place int", *(f"{n} bigint" for n in names), "unknown double"])
    frame = spark.createDataFrame(rows, schema)
    known = [functions.col(n).alias(e) for n, e in zip(names, NAMES, strict=True)]
    scored = frame.withColumn("s", score(functions.struct(*known, "unknown")))
    found = [row["s"].asDict() for row in scored.orderBy("place").collect()]
    assert list(found[0]) == OUTPUT
    same(pd.DataFrame(found), expected)


@pytest.mark.slow
def test_mlflow_evaluate_judges_the_probability(
    logged: str,
    tracker: Tracker,
    counts: pd.DataFrame,
    expected: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import mlflow
    from sklearn.metrics import brier_score_loss, roc_auc_score

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.store)
    monkeypatch.chdir(tmp_path)
    y = np.arange(len(counts)) % 2
    auc = mlflow.models.make_metric(
        eval_fn=lambda predictions, targets, metrics: roc_auc_score(targets, predictions),
        greater_is_better=True,
        name="auc",
    )
    found = mlflow.models.evaluate(
        logged,
        counts.assign(y=y),
        targets="y",
        predictions="probability",
        model_type="regressor",
        extra_metrics=[auc],
    )
    p = expected["probability"]
    assert found.metrics["mean_squared_error"] == pytest.approx(brier_score_loss(y, p))
    assert found.metrics["auc"] == pytest.approx(roc_auc_score(y, p))
