"""What does a constrained fit on Spark cost beside Spark ML's own bounded logistic regression?

Task: 5 million rows of 40 counts (`CES_BENCHMARK_ROWS` for fewer), weights of 30 not negative, of
10 not positive, ridge, to the same objective. The counts are cached in Spark before the clock
starts, both sides have run once on a few rows, and the objectives reached are compared.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from harness import main

ROWS = int(os.environ.get("CES_BENCHMARK_ROWS", "5000000"))
P, NEGATIVE, ALPHA = 40, 10, 1e-4
NAMES = [f"event_{j:02d}" for j in range(P)]
FOLDER = Path(os.environ.get("CES_BENCHMARK_DATA", tempfile.gettempdir()), f"spark_fit_{ROWS}")
#: Spark ML is run at several tolerances: the loosest that reaches our objective is the peer.
TOLERANCES = (1e-6, 1e-8)


def make() -> None:
    """Write the counts as Parquet, a file a million rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if (FOLDER / "done").exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rate = np.geomspace(2.0, 0.1, P)
    truth = np.append(rng.uniform(0.0, 0.5, P - NEGATIVE), -rng.uniform(0.0, 0.5, NEGATIVE))
    truth[::7] *= -1.0  # some signs are not what the rules say
    for part, start in enumerate(range(0, ROWS, 1_000_000)):
        n = min(1_000_000, ROWS - start)
        X = np.log1p(rng.poisson(rng.gamma(0.5, 2.0, (n, 1)) * rate)).astype(np.float32)
        y = rng.random(n) < 1.0 / (1.0 + np.exp(1.0 - X @ truth))
        columns = {name: X[:, j] for j, name in enumerate(NAMES)}
        pq.write_table(pa.table({**columns, "y": y.astype(np.int32)}), FOLDER / f"{part}.parquet")
    (FOLDER / "done").touch()


def cached() -> Any:
    """Start Spark and return the counts, cached and counted."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "8g",
        "spark.sql.shuffle.partitions": "8",
        "spark.log.level": "ERROR",
    }
    cores = os.environ.get("CES_BENCHMARK_CORES", "2")
    builder = SparkSession.builder.master(f"local[{cores}]").config(map=settings)
    spark = builder.getOrCreate()
    frame = spark.read.parquet(str(FOLDER / "*.parquet")).repartition(8).cache()
    assert frame.count() == ROWS
    return frame


def ours_state() -> Any:
    frame = cached()
    ours(frame.limit(20_000))
    return frame


def ours(frame: Any) -> list[float]:
    from ces_ml.linear import ConstrainedLogisticRegression
    from ces_ml.linear.distributed import fit_spark

    rules = [f"{n} {'<=' if j >= P - NEGATIVE else '>='} 0" for j, n in enumerate(NAMES)]
    estimator = ConstrainedLogisticRegression(alpha=ALPHA, constraints=rules)
    model = fit_spark(frame, target="y", estimator=estimator)
    return [*model.coef_[0].tolist(), float(model.intercept_[0])]


def theirs_state() -> Any:
    frame = cached()
    theirs(frame.limit(20_000), 1e-6)
    return frame


def theirs(frame: Any, tol: float) -> list[float]:
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.linalg import DenseMatrix

    inf = float("inf")
    lower = [0.0] * (P - NEGATIVE) + [-inf] * NEGATIVE
    upper = [inf] * (P - NEGATIVE) + [0.0] * NEGATIVE
    rows = VectorAssembler(inputCols=NAMES, outputCol="x").transform(frame).select("x", "y")
    estimator = LogisticRegression(
        featuresCol="x",
        labelCol="y",
        regParam=ALPHA,
        elasticNetParam=0.0,
        standardization=False,
        maxIter=1000,
        tol=tol,
        lowerBoundsOnCoefficients=DenseMatrix(1, P, lower, True),
        upperBoundsOnCoefficients=DenseMatrix(1, P, upper, True),
    )
    model = estimator.fit(rows)
    return [*model.coefficients.toArray().tolist(), float(model.intercept)]


def objective(answer: list[float]) -> float:
    """Return the mean loss with ridge, over all rows, in float64."""
    import numpy as np
    import pyarrow.parquet as pq

    w, c, total = np.array(answer[:-1]), answer[-1], 0.0
    for file in sorted(FOLDER.glob("*.parquet")):
        table = pq.read_table(file)
        y = table.column("y").to_numpy()
        eta = sum(table.column(n).to_numpy().astype(float) * w[j] for j, n in enumerate(NAMES)) + c
        total += float(np.logaddexp(0.0, np.where(y == 1, -eta, eta)).sum())
    return total / ROWS + 0.5 * ALPHA * float(w @ w)


PEERS = {
    "ces-ml": (ours_state, ours),
    **{f"Spark ML, tol {t:g}": (theirs_state, lambda f, t=t: theirs(f, t)) for t in TOLERANCES},
}

if __name__ == "__main__":
    make()
    main(__file__, PEERS, "ces-ml", ["ces-ml", "pyspark", "numpy", "numba"])
    if "--peer" not in sys.argv:
        out = Path(__file__).with_name("results.json")
        body = json.loads(out.read_text()) | {"rows": ROWS, "columns": P}
        least = min(objective(row["answer"]) for row in body["peers"])
        for row in body["peers"]:
            row["objective_above_least"] = objective(row.pop("answer")) - least
            print(f"{row['peer']}: objective {row['objective_above_least']:.2e} above the least")
        out.write_text(json.dumps(body, indent=2) + "\n")
