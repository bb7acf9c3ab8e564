"""What does a fit under rules cost beside scikit-learn's unconstrained solvers?

Task: 100,000 rows, 40 counts, 15 % non-zero, log1p, float32 CSR; 10 positive, 3 negative and 27
irrelevant weights. Ours holds all signs and 10 orders; all solve the same ridge objective.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from harness import main

N, P, ALPHA = 100_000, 40, 1e-4


def data() -> tuple[Any, Any]:
    import numpy as np
    import scipy.sparse as sp

    rng = np.random.default_rng(0)
    activity = rng.gamma(1.0, 1.0, (N, 1))
    rate = 0.3 * activity / np.arange(1, P + 1) ** 0.3
    X = np.log1p(rng.poisson(rate))
    w = np.concatenate([np.linspace(1, 0.1, 10), [-0.8, -0.5, -0.2], np.zeros(P - 13)])
    y = rng.random(N) < 1 / (1 + np.exp(2 - X @ w))
    return sp.csr_array(X.astype(np.float32)), y.astype(np.int8)


def objective(X: Any, y: Any, w: Any, c: float) -> float:
    import numpy as np

    z = (X.astype(np.float64) @ w + c) * np.where(y == 1, 1.0, -1.0)
    return float(np.logaddexp(0, -z).mean() + ALPHA / 2 * (w @ w))


def prepare_ours() -> Any:
    from ces_ml.linear import ConstrainedLogisticRegression

    X, y = data()
    signs = [f"x{k} >= 0" for k in (*range(10), *range(13, P))]
    signs += [f"x{k} <= 0" for k in (10, 11, 12)]
    orders = [f"x{k} >= x{k + 1}" for k in range(10)]
    model = ConstrainedLogisticRegression(alpha=ALPHA, constraints=[*signs, *orders])
    model.fit(X[: N // 2], y[: N // 2])  # compiles, as the imports of the others do
    return model, X, y


def prepare_sklearn(solver: str) -> Any:
    from sklearn.linear_model import LogisticRegression

    X, y = data()
    model = LogisticRegression(C=1 / (ALPHA * N), solver=solver, tol=1e-8, max_iter=1000)
    return model, X if solver != "newton-cholesky" else X.toarray(), y


def fit(state: Any) -> float:
    model, X, y = state
    model.fit(X, y)
    return objective(X, y, model.coef_[0].astype(float), float(model.intercept_[0]))


PEERS = {
    "ces-ml, signs and 10 orders": (prepare_ours, fit),
    "scikit-learn lbfgs, no rules": (lambda: prepare_sklearn("lbfgs"), fit),
    "scikit-learn newton-cholesky, no rules": (lambda: prepare_sklearn("newton-cholesky"), fit),
    "scikit-learn liblinear, no rules": (lambda: prepare_sklearn("liblinear"), fit),
}

if __name__ == "__main__":
    main(__file__, PEERS, "ces-ml, signs and 10 orders", ["scikit-learn", "numpy", "scipy", "daqp"])
