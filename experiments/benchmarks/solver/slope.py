"""How do a fit and a pass grow with the non-zeros? Least-squares slopes in log-log.

    python slope.py [--rounds 5]

Two lines of cases: more rows at 15 %, and denser rows at 1e6 × 40. A slope of 1 is linear. Fits are
those of `run.py` (signs and ten orders) in fresh processes, all cases interleaved in shuffled
rounds; the least of the rounds is taken. All times are CPU times, which a busy machine blurs less:
of all threads for the fit, of one thread for the passes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[0]))
from problem import folder

HERE = Path(__file__).parent
ROWS = ("1e5x40x15", "1e6x40x15", "1e7x40x15")
DENSITY = ("1e6x40x2.5", "1e6x40x5", "1e6x40x10", "1e6x40x15", "1e6x40x30")
LINES = {"rows, at 15 %": ROWS, "density, at 1e6 rows": DENSITY}
MEASURED = ("fit_cpu", "hessian_pass_cpu", "value_pass_cpu")


def fit(case: str) -> float:
    """Return the CPU milliseconds of one fit in a fresh process."""
    from run import OURS

    done = subprocess.run(
        [sys.executable, HERE / "run.py", "--peer", OURS],
        env={**os.environ, "CES_BENCHMARK_CASE": case},
        check=True,
        capture_output=True,
        text=True,
    )
    return 1e3 * float(json.loads(done.stdout.splitlines()[-1])["cpu"])


def passes(case: str) -> dict[str, float]:
    command = [sys.executable, HERE / "passes.py", "--measure", case]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {name: found[f"{name}_ms"] for name in MEASURED[1:]}


def slopes(table: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return, for each line of cases and each time, slope and largest factor off the line."""
    import numpy as np

    out: dict[str, Any] = {}
    for line, cases in LINES.items():
        x = np.log([table[case]["nnz"] for case in cases])
        out[line] = {}
        for name in MEASURED:
            t = np.log([table[case][name] for case in cases])
            slope, start = np.polyfit(x, t, 1)
            off = np.exp(np.abs(t - slope * x - start).max())
            out[line][name] = {"slope": round(float(slope), 2), "off_by": round(float(off), 2)}
    n = np.array([float(case.split("x")[0]) for case in table])
    nnz = np.array([row["nnz"] for row in table.values()])
    out["ns_a_row_and_a_value"] = {}
    for name in MEASURED:  # relative errors, so that each case counts the same
        t = np.array([row[name] for row in table.values()])
        found = np.linalg.lstsq(np.column_stack([n, nnz]) / t[:, None], np.ones(len(t)))[0]
        out["ns_a_row_and_a_value"][name] = [round(1e6 * float(v), 2) for v in found]
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cases = sorted({*ROWS, *DENSITY})
    for case in cases:
        subprocess.run([sys.executable, HERE / "problem.py", case], check=True)
    fits: dict[str, list[float]] = {case: [] for case in cases}
    order = random.Random(0)
    for _ in range(arguments.rounds):
        for case in order.sample(cases, len(cases)):
            fits[case].append(fit(case))
    table: dict[str, dict[str, float]] = {}
    for case in cases:
        nnz = json.loads((folder(case) / "optimum.json").read_text())["nnz"]
        table[case] = {"nnz": nnz, "fit_cpu": round(min(fits[case]), 2)} | passes(case)
        print(case, table[case])
    body = {"rounds": arguments.rounds, "ms": table, "slopes": slopes(table)}
    print(json.dumps(body["slopes"], indent=1))
    (HERE / "results_slope.json").write_text(json.dumps(body, indent=2) + "\n")


if __name__ == "__main__":
    main()
