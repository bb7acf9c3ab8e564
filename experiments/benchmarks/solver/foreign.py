"""Peers that need another Python environment: clogistic and Spark.

clogistic 0.3.0 imports a function that scikit-learn 1.6 took out, so it runs with an older one;
Spark brings a Java process. Neither belongs beside ces-ml. Make their environments outside of this
repository, and name the Python of each in an environment variable:

    python -m venv clogistic
    clogistic/bin/pip install clogistic==0.3.0 "scikit-learn<1.5" "cvxpy<1.5" "numpy<2" ecos
    export CES_BENCHMARK_CLOGISTIC=clogistic/bin/python

    python -m venv spark  # and Java 17
    spark/bin/pip install "pyspark>=4,<5" numpy scipy
    export CES_BENCHMARK_SPARK=spark/bin/python

A peer whose variable is not set does not take part. `replace_process` starts `run.py` anew under
that Python, so that time and memory are measured as everywhere else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
from problem import ALPHA, folder

VARIABLES = {"clogistic": "CES_BENCHMARK_CLOGISTIC", "Spark": "CES_BENCHMARK_SPARK"}


def present(package: str) -> bool:
    return bool(os.environ.get(VARIABLES[package]))


def replace_process(script: str) -> None:
    """Go on under the Python of the chosen peer, if it has one of its own."""
    chosen = sys.argv[sys.argv.index("--peer") + 1].split()[0].strip(":")
    python = os.environ.get(VARIABLES.get(chosen, ""), "")
    if python and not os.environ.get("CES_BENCHMARK_REPLACED"):
        os.environ["CES_BENCHMARK_REPLACED"] = "1"
        os.environ.pop("PYTHONPATH", None)  # its packages are for the other Python
        os.execv(python, [python, script, *sys.argv[1:]])


def clogistic(solver: str, bounds: tuple[Any, Any], orders: Any) -> Callable[..., Any]:
    """Fit with bounds (L-BFGS-B), or with bounds and orders on dense rows (ECOS)."""
    import warnings

    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint

    warnings.simplefilter("ignore", FutureWarning)
    from clogistic import LogisticRegression

    low, high = (np.append(b, end) for b, end in zip(bounds, (-np.inf, np.inf), strict=True))
    rows = None if orders is None else np.column_stack([orders, np.zeros(len(orders))])

    def fit(X: Any, y: Any) -> tuple[Any, float]:
        tol = 1e-6 * len(y) if solver == "L-BFGS-B" else 1e-8  # it minimises sums
        model = LogisticRegression(C=1 / (ALPHA * len(y)), solver=solver, tol=tol, max_iter=2000)
        X = X.astype(np.float64) if rows is None else X.toarray().astype(np.float64)
        rules = None if rows is None else LinearConstraint(rows, -np.inf, 0.0)
        model.fit(X, y, bounds=Bounds(low, high), constraints=rules)
        return model.coef_[0], float(model.intercept_[0])

    return fit


def spark(case: str, bounds: tuple[Any, Any]) -> harness.Peer:
    """Fit with bounds by breeze's L-BFGS-B; its rows are in memory before the time begins."""

    def prepare() -> Any:
        from pyspark.ml.classification import LogisticRegression
        from pyspark.ml.linalg import Matrices
        from pyspark.sql import SparkSession

        path = _libsvm(case)
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.driver.memory", "6g")
            .config("spark.ui.enabled", "false")
            .config("spark.log.level", "ERROR")
            .getOrCreate()
        )
        p = len(bounds[0])
        reader = session.read.format("libsvm").option("numFeatures", str(p))
        rows = reader.load(str(path)).repartition(2).cache()
        low, high = (Matrices.dense(1, p, b.tolist()) for b in bounds)
        estimator = LogisticRegression(
            regParam=ALPHA, elasticNetParam=0.0, standardization=False, tol=1e-8, maxIter=1000
        )
        estimator.setLowerBoundsOnCoefficients(low).setUpperBoundsOnCoefficients(high)
        n = rows.count()
        estimator.fit(rows.limit(min(n // 2, 100_000)))
        return estimator, rows

    def work(state: Any) -> dict[str, Any]:
        estimator, rows = state
        model = estimator.fit(rows)
        z = [*model.coefficients.toArray().tolist(), float(model.intercept)]
        return {"problem": "signs", "z": z, "extra_mb": None}

    return prepare, work


def _libsvm(case: str) -> Path:
    """Write the case as text that Spark reads, once."""
    from problem import load

    path = folder(case) / "rows.libsvm"
    if path.exists():
        return path
    X, y = load(case)
    with path.with_suffix(".part").open("w") as out:
        for i in range(X.shape[0]):
            place = slice(X.indptr[i], X.indptr[i + 1])
            pairs = zip((X.indices[place] + 1).tolist(), X.data[place].tolist(), strict=True)
            out.write(" ".join([str(y[i]), *(f"{j}:{x:.9g}" for j, x in pairs)]) + "\n")
    path.with_suffix(".part").rename(path)
    return path
