"""What do intervals cost beside the fit? 1e6 × 40 counts, 300 replicates; see README.md.

    OMP_NUM_THREADS=1 python experiments/benchmarks/inference/run.py 1e6x40x15 --rounds 7

All take turns in one process, after a small fit that compiles. Ratios are taken round by round, of
wall time and of processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "solver"))

import numpy as np
from problem import ALPHA, load, make, rules

from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.inference import weight_intervals


def main() -> None:
    """Time the fit and the intervals in turn, and write results.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", nargs="?", default="1e6x40x15")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    make(arguments.case)
    X, y = load(arguments.case)
    n, p = X.shape
    signs, orders = rules(p)
    model = ConstrainedLogisticRegression(ALPHA, constraints=signs + orders)
    few = min(n // 2, 100_000)
    weight_intervals(model.fit(X[:few], y[:few]), X[:few], y[:few]).table()
    customer = np.random.default_rng(0).integers(0, max(n // 3, 2), n)

    def intervals(groups: Any, draws: bool) -> None:
        found = weight_intervals(model, X, y, groups=groups, n_replicates=300)
        found.table()
        if draws:
            found.draws.mean()

    work: dict[str, Callable[[], Any]] = {
        "fit: signs and 10 orders": lambda: model.fit(X, y),
        "intervals": lambda: intervals(None, False),
        "intervals, 300 draws": lambda: intervals(None, True),
        "intervals by customer (three rows each), 300 draws": lambda: intervals(customer, True),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(arguments.rounds):
        for name, job in work.items():
            start = time.perf_counter(), time.process_time()
            job()
            seconds[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    base = seconds["fit: signs and 10 orders"]
    table = [
        {
            "work": name,
            "wall_seconds": round(statistics.median(w for w, _ in taken), 4),
            "cpu_seconds": round(statistics.median(c for _, c in taken), 4),
            "wall_ratio": round(
                statistics.median(t[0] / b[0] for t, b in zip(taken, base, strict=True)), 3
            ),
            "cpu_ratio": round(
                statistics.median(t[1] / b[1] for t, b in zip(taken, base, strict=True)), 3
            ),
        }
        for name, taken in seconds.items()
    ]
    body = {
        "case": arguments.case,
        "rounds": arguments.rounds,
        "load": [round(v, 1) for v in os.getloadavg()],
        "cores": os.cpu_count(),
        "table": table,
    }
    out = Path(__file__).with_name("results.json")
    out.write_text(json.dumps(body, indent=1) + "\n")
    for row in table:
        print(row)


if __name__ == "__main__":
    main()
