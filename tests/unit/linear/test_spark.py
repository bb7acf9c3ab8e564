"""Rows in Spark give the weights that the same rows in memory give, or an error that helps."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ces_ml.errors import ConstraintError, SpecError
from ces_ml.linear import ConstrainedLogisticRegression, weight_intervals
from ces_ml.linear.distributed import SparkRows, fit_spark
from ces_ml.linear.inference import spark_rows
from ces_ml.linear.kernels import spark_blocks
from ces_ml.linear.kernels.spark_blocks import SparkBlocks
from ces_ml.linear.losses import LogisticLoss

pytestmark = pytest.mark.slow
NAMES = ["login", "a `b`.c", "größe", "refund", "x4", ""]
RULES = ["login >= 0", "login >= größe", "refund <= 0"]


def counts(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    X = rng.poisson(rng.gamma(0.7, 1.0, (n, 1)) * np.linspace(2, 0.2, len(NAMES)))
    eta = np.log1p(X) @ [0.3, 0.2, 0.5, -0.4, 0.1, 0.0] - 1.0
    frame = pd.DataFrame(np.log1p(X), columns=NAMES)
    frame["x4"] = X[:, 4].astype(np.int16)
    frame["stayed"] = rng.random(n) < 1 / (1 + np.exp(-eta))
    frame["s"] = rng.choice([0.5, 1.0, 2.0], n)
    frame["who"] = np.char.add("c", (np.arange(n) // 3).astype(str))
    return frame


def in_spark(spark: Any, frame: pd.DataFrame) -> Any:
    return spark.createDataFrame(pa.Table.from_pandas(frame, preserve_index=False))


def in_memory(frame: pd.DataFrame, weight: str | None = None, **parameters: Any) -> Any:
    model = ConstrainedLogisticRegression(constraints=RULES, tol=1e-10, **parameters)
    s = None if weight is None else frame[weight]
    return model.fit(frame[NAMES].to_numpy(float), frame["stayed"], s, feature_names=NAMES)


ESTIMATOR = ConstrainedLogisticRegression(constraints=RULES, tol=1e-10)


def test_many_rows_give_the_weights_of_memory_and_the_same_sums_bit_for_bit_each_time(
    spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = counts(60_000)
    table = in_spark(spark, frame).repartition(5).cache()
    asked = {"target": "stayed", "features": NAMES, "weight": "s"}
    fit = fit_spark(table, **asked, estimator=ESTIMATOR)
    expected = in_memory(frame, "s")
    np.testing.assert_allclose(fit.coef_, expected.coef_, atol=1e-8)
    np.testing.assert_allclose(fit.intercept_, expected.intercept_, atol=1e-8)
    assert fit.solver_result_.active == expected.solver_result_.active
    assert list(fit.feature_names_in_) == NAMES
    assert fit.classes_.tolist() == [False, True]
    assert not hasattr(ESTIMATOR, "coef_")
    sums = []
    for _ in range(2):
        with SparkBlocks(table, **asked, loss=LogisticLoss()) as blocks:
            sums.append(blocks.evaluate(fit.coef_[0], fit.intercept_[0]))
            monkeypatch.setattr(spark_blocks, "FAN", 2)  # as with very many partitions
            tree = blocks.evaluate(fit.coef_[0], fit.intercept_[0])
            monkeypatch.undo()
    for name in ("value", "gradient", "hessian"):
        first, second, added = (np.asarray(getattr(found, name)) for found in (*sums, tree))
        assert (first == second).all()
        np.testing.assert_allclose(added, first, rtol=1e-12, atol=1e-15)


def test_sums_are_those_of_the_rows_in_memory(spark: Any) -> None:
    frame = counts(3000)
    frame["clock"] = 1.7e9 + np.arange(3000)  # a column that is shifted
    names = [*NAMES, "clock"]
    table = in_spark(spark, frame).repartition(3)
    X, y = frame[names].to_numpy(float), frame["stayed"].to_numpy(float)
    with SparkBlocks(table, target="stayed", features=names, loss=LogisticLoss()) as blocks:
        shift = np.zeros(len(names))
        shift[-1] = 1.7e9
        blocks.subtract(shift)
        w = np.linspace(-0.2, 0.3, len(names))
        w[-1] = 1e-4
        eta = (X - shift) @ w + 0.1
        p = 1 / (1 + np.exp(-eta))
        wide = np.column_stack([X - shift, np.ones(len(X))])
        found = blocks.evaluate(w, 0.1)
        assert found.value == pytest.approx(-np.mean(np.log(np.where(y == 1, p, 1 - p))))
        np.testing.assert_allclose(found.gradient, wide.T @ (p - y) / len(y), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            found.hessian, (wide * (p * (1 - p))[:, None]).T @ wide / len(y), rtol=1e-9
        )
        assert blocks.value(w, 0.1) == pytest.approx(found.value, rel=1e-12)
        np.testing.assert_allclose(blocks.slope(w, 0.1).gradient, found.gradient, rtol=1e-9)
        np.testing.assert_allclose(blocks.moments().mean, (X - shift).mean(axis=0))
        sample = blocks.every(7)
        assert sample.n_rows == -(-3000 // 7)
        assert blocks.rarer_outcome() == min(y.sum(), 3000 - y.sum())


def test_counts_as_arrays_give_the_same_weights_and_intervals(spark: Any) -> None:
    frame = counts(4000)
    X = frame[NAMES].to_numpy(np.float32)
    rows = [np.flatnonzero(x) for x in X]
    arrays = pd.DataFrame(
        {
            "places": [r.tolist() for r in rows],
            "values": [x[r].astype(float).tolist() for x, r in zip(X, rows, strict=True)],
            "stayed": frame["stayed"],
            "who": frame["who"],
        }
    )
    table = in_spark(spark, arrays).repartition(3)
    model = ConstrainedLogisticRegression(constraints=RULES, tol=1e-10)
    model.fit(X, frame["stayed"], feature_names=NAMES)
    expected = weight_intervals(model, X, frame["stayed"], groups=frame["who"])
    asked = {"target": "stayed", "features": NAMES, "customer": "who"}
    with SparkRows(table, **asked, sparse=("places", "values"), float32=True) as opened:
        fitted = opened.fit(ESTIMATOR)
        found = opened.intervals(fitted)
    np.testing.assert_allclose(fitted.coef_, model.coef_, atol=1e-8)
    np.testing.assert_allclose(found.low, expected.low, atol=1e-6)


def test_a_worker_that_dies_in_the_middle_of_a_pass_changes_nothing(
    spark: Any, tmp_path: Path
) -> None:
    table = in_spark(spark, counts(4000)).repartition(4)

    class Deadly(LogisticLoss):
        """Ends the process of the first worker that reads it."""

        def __init__(self, flag: str = "") -> None:
            super().__init__()
            self.flag = flag

        def __setstate__(self, state: dict[str, Any]) -> None:
            self.__dict__.update(state)
            if self.flag and not os.path.exists(self.flag):
                Path(self.flag).touch()
                os.kill(os.getpid(), signal.SIGKILL)

    w = np.linspace(-0.2, 0.3, len(NAMES))
    with SparkBlocks(table, target="stayed", features=NAMES, loss=LogisticLoss()) as blocks:
        whole = blocks.evaluate(w, 0.1)
        blocks._loss = Deadly(str(tmp_path / "died"))
        again = blocks.evaluate(w, 0.1)
    assert (tmp_path / "died").exists()
    assert again.value == whole.value
    assert (again.gradient == whole.gradient).all()
    assert (again.hessian == whole.hessian).all()


def test_intervals_of_few_rows_are_those_of_memory(spark: Any) -> None:
    frame = counts(4000)
    table = in_spark(spark, frame).repartition(3)
    expected_model = in_memory(frame, "s")
    expected = weight_intervals(
        expected_model,
        frame[NAMES].to_numpy(float),
        frame["stayed"],
        frame["s"],
        groups=frame["who"],
    )
    with SparkRows(table, target="stayed", features=NAMES, weight="s", customer="who") as rows:
        found = rows.intervals(rows.fit(ESTIMATOR))
    np.testing.assert_allclose(found.low, expected.low, atol=1e-6)
    np.testing.assert_allclose(found.high, expected.high, atol=1e-6)
    assert found.n_customers == expected.n_customers == len(frame["who"].unique())
    assert found.evidence == expected.evidence


@pytest.mark.parametrize("customer", ["who", None])
def test_intervals_of_a_sample_of_customers_are_nearly_those_of_all(
    spark: Any, monkeypatch: pytest.MonkeyPatch, customer: str | None
) -> None:
    frame = counts(30_000)
    frame["x4"] = (np.arange(30_000) % 300 == 0).astype(float)  # a rare event: all are taken
    table = in_spark(spark, frame).repartition(3)
    model = in_memory(frame)
    groups = None if customer is None else frame[customer]
    expected = weight_intervals(model, frame[NAMES].to_numpy(float), frame["stayed"], groups=groups)
    for name, value in (("MOST_ROWS", 20_000), ("SAMPLE", 10_000), ("ENOUGH", 200)):
        monkeypatch.setattr(spark_rows, name, value)
    with SparkRows(table, target="stayed", features=NAMES, customer=customer) as rows:
        found = rows.intervals(rows.fit(ESTIMATOR))
    free = expected.std_error > 0
    np.testing.assert_allclose(found.std_error[free], expected.std_error[free], rtol=0.05)
    assert found.n_customers == pytest.approx(expected.n_customers, rel=0.05)


@pytest.mark.parametrize(
    ("change", "ask", "words"),
    [
        ({"login": None}, {}, "column 'login' has empty values"),
        ({"größe": np.inf}, {}, "column 'größe' holds a value that is not finite"),
        ({"s": -1.0}, {"weight": "s"}, "column 's' holds a negative weight"),
        ({"stayed": True}, {}, "not two different values"),
        ({}, {"features": ["logn"]}, "no such column"),
        ({}, {"features": ["who"]}, "not numeric"),
        ({}, {"features": ["login", "login"]}, "columns of the fit are not right"),
    ],
)
def test_rows_that_can_not_be_fitted_are_refused(
    spark: Any, change: dict[str, Any], ask: dict[str, Any], words: str
) -> None:
    frame = counts(60)
    for name, value in change.items():
        if name == "stayed":
            frame[name] = value
        else:
            frame[name] = frame[name].astype(float)
            frame.loc[7, name] = np.nan if value is None else value
    table = in_spark(spark, frame)
    if change.get("login", 0) is None:
        from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

        table = table.withColumn("login", F.nanvl("login", F.lit(None).cast("double")))
    with pytest.raises(SpecError, match=words):
        fit_spark(table, **({"target": "stayed", "features": NAMES} | ask))


def test_an_empty_frame_and_a_bad_rule_are_refused(spark: Any) -> None:
    table = in_spark(spark, counts(30))
    with pytest.raises(SpecError, match="have no rows"):
        fit_spark(table.limit(0), target="stayed", features=NAMES)
    with pytest.raises(ConstraintError, match="nobody"):
        fit_spark(
            table,
            target="stayed",
            features=NAMES,
            estimator=ConstrainedLogisticRegression(constraints="nobody >= 0"),
        )
