"""The synthetic counts of the benchmark: Zipf event types, gamma activity, log1p, as CSR files.

``python problem.py 1e6x40x15`` writes the data of a case to its folder: rows × columns × density in
per cent. It runs in a process of its own, so that no peer inherits its peak memory.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ALPHA = 1e-4
CHUNK = 100_000


def folder(case: str) -> Path:
    """Return where the data of a case is."""
    root = os.environ.get("CES_BENCHMARK_DATA", f"{tempfile.gettempdir()}/ces-ml-benchmark")
    return Path(root, case)


def rules(p: int) -> tuple[list[str], list[str]]:
    """Return the signs of all weights, and ten orders."""
    signs = [f"x{j} >= 0" if j % 5 < 4 else f"x{j} <= 0" for j in range(p)]
    orders = [f"x{5 * k} >= x{5 * k + 1}" for k in range(min(10, p // 5))]
    orders += [f"x{5 * k + 1} >= x{5 * k + 2}" for k in range(10 - len(orders))]
    return signs, orders


def load(case: str) -> tuple[Any, Any]:
    """Return the CSR matrix (float32, int32) and the outcomes (int64) of a case."""
    import numpy as np
    import scipy.sparse as sp

    at = folder(case)
    parts = [np.load(at / f"{name}.npy") for name in ("data", "indices", "indptr")]
    y = np.load(at / "y.npy")
    p = int(case.split("x")[1])
    return sp.csr_matrix(tuple(parts), shape=(len(y), p), copy=False), y


def make(case: str) -> None:
    """Write the data of a case, and the optimum that every peer is compared with."""
    import numpy as np
    import scipy.sparse as sp

    sys.path.insert(0, str(Path(__file__).parents[3]))
    from ces_ml.linear import ConstrainedLogisticRegression

    at = folder(case)
    if (at / "optimum.json").exists():
        return
    at.mkdir(parents=True, exist_ok=True)
    n, p, percent = (float(part) for part in case.split("x"))
    n, p = int(n), int(p)
    rng = np.random.default_rng(0)
    shares = 1.0 / np.arange(1, p + 1)
    rate = _rate(percent / 100.0, shares)
    w = np.where(np.arange(p) % 5 < 4, 1.0, -1.0) * rng.gamma(1.0, 0.3, p)
    blocks, outcomes = [], []
    for start in range(0, n, CHUNK):
        activity = rng.gamma(0.7, 1.0, (min(CHUNK, n - start), 1))
        X = np.log1p(rng.poisson(rate * activity * shares)).astype(np.float32)
        eta = X @ w
        outcomes.append(rng.random(len(X)) < 1.0 / (1.0 + np.exp(2.0 - eta)))
        blocks.append(sp.csr_matrix(X))
    X = sp.vstack(blocks, format="csr")
    del blocks
    y = np.concatenate(outcomes).astype(np.int64)
    for name in ("data", "indices", "indptr"):
        np.save(at / f"{name}.npy", getattr(X, name))
    np.save(at / "y.npy", y)
    signs, orders = rules(p)
    optimum = {}
    for name, stated in (("free", None), ("signs", signs), ("rules", signs + orders)):
        model = ConstrainedLogisticRegression(ALPHA, constraints=stated, tol=1e-10).fit(X, y)
        optimum[name] = model.solver_result_.objective
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    optimum |= {"nnz": X.nnz, "csr_mb": size / 2**20}
    (at / "optimum.json").write_text(json.dumps(optimum))


def _rate(density: float, shares: Any) -> float:
    """Return the rate at which this part of the counts is not zero, by bisection."""
    import numpy as np

    low, high = 1e-4, 1e5
    for _ in range(80):
        rate = float(np.sqrt(low * high))
        found = (1.0 - (1.0 + rate * shares) ** -0.7).mean()  # gamma of shape 0.7
        low, high = (rate, high) if found < density else (low, rate)
    return rate


if __name__ == "__main__":
    make(sys.argv[1])
