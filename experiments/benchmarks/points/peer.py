"""One run of one peer, in a process of its own: points for a problem, and the seconds they took.

    python peer.py {ces-ml,fasterrisk} PROBLEM.npz K LOW HIGH

Prints one line of JSON. For FasterRisk it runs under another Python, and knows numpy and
fasterrisk alone. Both peers get the same dense float64 matrix of the rows to learn from. Imports
and reading the file are outside the time. ces-ml runs twice, as its first run in a process loads
compiled code and starts threads: `seconds` is the second run, `first_seconds` the first.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ALPHA = 1e-6
"""Almost no ridge, as FasterRisk has almost none (1e-8 beside the summed loss)."""


class Clock:
    """Seconds since it was made: on the wall, and of all threads of this process."""

    def __init__(self) -> None:
        self.begin = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        wall, cpu = self.begin
        return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def ces_ml(X: Any, y: Any, k: int, low: int, high: int) -> dict[str, Any]:
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from ces_ml.linear import AtMost, ConstrainedLogisticRegression, to_points

    def run(X: Any, y: Any) -> Any:
        model = ConstrainedLogisticRegression(ALPHA, constraints=[AtMost(k)]).fit(X, y)
        return model, to_points(model, X, y, low=low, high=high)

    first = Clock()
    run(X, y)
    first_seconds = first.read()["seconds"]
    clock = Clock()
    model, card = run(X, y)
    return {
        **clock.read(),
        "first_seconds": first_seconds,
        "points": list(card.points.values()),
        "scale": card.scale,
        "intercept": card.intercept,
        "weights_loss": card.fitted_loss,
        "support_proved": model.solver_result_.support_proved,
        "n_evaluated": card.n_evaluated,
    }


def fasterrisk(X: Any, y: Any, k: int, low: int, high: int) -> dict[str, Any]:
    from fasterrisk.fasterrisk import RiskScoreOptimizer

    clock = Clock()
    optimizer = RiskScoreOptimizer(X=X, y=y, k=k, lb=low, ub=high)
    optimizer.optimize()
    multiplier, intercept, points = optimizer.get_models(model_index=0)
    return {
        **clock.read(),
        "points": np.rint(points).astype(int).tolist(),
        "scale": 1.0 / float(multiplier),
        "intercept": float(intercept / multiplier),
    }


def main() -> None:
    peer, path, *rest = sys.argv[1:]
    with np.load(path) as saved:
        train = ~saved["later"]
        X, y = np.ascontiguousarray(saved["X"][train]), saved["y"][train]
    work = {"ces-ml": ces_ml, "fasterrisk": fasterrisk}[peer]
    print(json.dumps(work(X, y, *(int(word) for word in rest))))


if __name__ == "__main__":
    main()
