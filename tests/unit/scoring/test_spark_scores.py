"""Scores and metrics in Spark are those of the same rows in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from ces_ml.errors import SpecError, WeightSetError
from ces_ml.evaluation import distributed
from ces_ml.evaluation.distributed import spark_metrics
from ces_ml.scoring import Scorer
from ces_ml.scoring.distributed import score_spark
from ces_ml.spec import CountSpec, Term
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

pytestmark = pytest.mark.slow
TERMS = CountSpec(
    terms=(
        Term(event="login", window="30d", transform="log1p"),
        Term(event="a `b`.c", window="30d", cap=3),
        Term(event="", window="30d", transform="sqrt"),
    )
).terms
WEIGHTS = WeightSet(
    name="churn",
    terms=tuple(
        WeightedTerm(**t.model_dump(), weight=w)
        for t, w in zip(TERMS, [0.7, -0.3, 0.2], strict=True)
    ),
    intercept=-0.5,
    scale=Scale(method="min_max", knots=((-1.0, 0.0), (2.0, 100.0))),
    bands=(Band(name="at_risk", from_score=0), Band(name="advocate", from_score=60)),
)


def frame(n: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    made = pd.DataFrame({name: rng.poisson(1.0, n) for name in WEIGHTS.names})
    made.insert(0, "who `is`", [f"c{k}" for k in range(n)])
    made["y"] = rng.random(n) < 1 / (1 + np.exp(0.5 - 0.7 * np.log1p(made["login"])))
    return made


def test_scores_and_metrics_are_those_of_memory(
    spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = frame()
    table = spark.createDataFrame(counts).repartition(3)
    scored = score_spark(table, WEIGHTS).cache()
    assert scored.columns[:2] == ["who `is`", "y"]
    found = scored.toPandas().set_index("who `is`").loc[counts["who `is`"]]
    expected = Scorer(WEIGHTS).score(counts[list(WEIGHTS.names)])
    for column in expected.columns:
        if expected[column].dtype == float:
            np.testing.assert_allclose(
                found[column].to_numpy(float), expected[column], rtol=0, atol=1e-12
            )
        else:
            assert found[column].fillna("-").tolist() == expected[column].fillna("-").tolist()
    y, p = counts["y"].to_numpy(), expected["probability"].to_numpy()
    metrics = spark_metrics(scored)
    auc = roc_auc_score(y, expected["raw_score"])
    assert (metrics.rows, metrics.positives) == (2000, int(y.sum()))
    assert metrics.roc_auc == pytest.approx(auc, abs=1e-12)
    assert metrics.roc_auc_error == 0.0
    assert metrics.log_loss == pytest.approx(log_loss(y, p), abs=1e-12)
    assert metrics.brier == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    monkeypatch.setattr(distributed, "BINS", 16)
    rough = spark_metrics(scored, probability=None)
    assert 0.0 < rough.roc_auc_error < 0.1
    assert abs(rough.roc_auc - auc) <= rough.roc_auc_error
    weighted = scored.selectExpr("y", "raw_score", "probability", "1.0 + CAST(y AS INT) AS s")
    monkeypatch.undo()
    found_weighted = spark_metrics(weighted, weight="s")
    assert found_weighted.roc_auc == pytest.approx(
        roc_auc_score(y, expected["raw_score"], sample_weight=1.0 + y), abs=1e-12
    )
    assert found_weighted.log_loss == pytest.approx(log_loss(y, p, sample_weight=1.0 + y))


def test_frames_that_can_not_be_scored_or_judged_are_refused(spark: Any) -> None:
    table = spark.createDataFrame(frame(10))
    with pytest.raises(WeightSetError, match="no column of the weight set"):
        score_spark(table.select("y"), WEIGHTS)
    with pytest.raises(SpecError, match="no such column"):
        score_spark(table, WEIGHTS, keep=["nobody"])
    with pytest.raises(SpecError, match="did you mean 'login'"):
        score_spark(table, WEIGHTS, sparse=("logins", "y"))
    with pytest.raises(SpecError, match="called like a result"):
        score_spark(table.selectExpr("login", "y AS score"), WEIGHTS)
    with pytest.raises(SpecError, match="no such column"):
        spark_metrics(table, score="nothing")
    with pytest.raises(SpecError, match="can't be compared"):
        spark_metrics(table.selectExpr("2 AS y", "login AS raw_score"), probability=None)
    with pytest.raises(SpecError, match="only one outcome"):
        spark_metrics(table.selectExpr("1 AS y", "login AS raw_score"), probability=None)
