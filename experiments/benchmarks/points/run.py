"""Integer points beside FasterRisk's: the same matrix, range and number of features.

    CES_BENCHMARK_FASTERRISK=/path/to/python python run.py --data DIR [--rounds 3]

DIR is described in ``data.py``. FasterRisk needs an older numpy and pandas than ces-ml, so it runs
in an environment of its own, which is made outside of this repository with

    python -m venv fasterrisk && fasterrisk/bin/pip install fasterrisk==0.1.10

and named by its Python in CES_BENCHMARK_FASTERRISK. Runs are interleaved in shuffled rounds, each
in a fresh process; a ratio of times is the median over the rounds of (FasterRisk / ces-ml);
on a busy machine the ratio of CPU seconds says more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[0]))
from data import FOLDER, PROBLEMS

HERE = Path(__file__).parent
CASES = tuple(product(PROBLEMS, (5, 10), ((-5, 5), (-10, 10))))
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""For both peers: on a busy machine the threads of a small matrix product wait for each other."""

Run = dict[str, Any]


def run(python: str, peer: str, problem: str, k: int, ends: tuple[int, int]) -> Run:
    words = [python, HERE / "peer.py", peer, FOLDER / f"{problem}.npz", k, *ends]
    done = subprocess.run(
        [str(w) for w in words],
        env={**os.environ, **ONE_THREAD},
        check=True,
        capture_output=True,
        text=True,
    )
    found: Run = json.loads(done.stdout.splitlines()[-1])
    return found


def losses(problem: str, found: Run) -> dict[str, float]:
    """Return the mean log loss on both sides of the split, and AUC on the later rows.

    ``train`` and ``later`` are with the multiplier and intercept that the peer reports;
    ``train_refitted`` with the best ones for its points, which only the points decide.
    """
    import numpy as np
    from scipy.optimize import minimize
    from sklearn.metrics import roc_auc_score

    with np.load(FOLDER / f"{problem}.npz") as saved:
        X, y, later = saved["X"], saved["y"], saved["later"]
    total = X @ np.array(found["points"], dtype=float)

    def loss(z: Any, rows: Any) -> float:
        return float(np.logaddexp(0.0, -y[rows] * (z[0] * total[rows] + z[1])).mean())

    z = np.array([found["scale"], found["intercept"]])
    best = minimize(loss, z, args=(~later,), method="BFGS", options={"gtol": 1e-9})
    return {
        "train": loss(z, ~later),
        "train_refitted": min(float(best.fun), loss(z, ~later)),
        "later": loss(z, later),
        "later_auc": float(roc_auc_score(y[later] == 1.0, total[later])),
    }


def summary(problem: str, k: int, ends: tuple[int, int], runs: dict[str, list[Run]]) -> Run:
    row: Run = {"problem": problem, "k": k, "low": ends[0], "high": ends[1]}
    for peer, found in runs.items():
        last = found[-1]
        row[peer] = losses(problem, last) | {
            "seconds": round(statistics.median(f["seconds"] for f in found), 4),
            "cpu_seconds": round(statistics.median(f["cpu_seconds"] for f in found), 4),
            "n_used": sum(m != 0 for m in last["points"]),
            "points": last["points"],
        }
        for key in ("weights_loss", "support_proved", "n_evaluated", "first_seconds"):
            row[peer] |= {key: last[key]} if key in last else {}
        if any(f["points"] != last["points"] for f in found):
            raise SystemExit(f"{peer} gave different points in different rounds on {problem}")
    ours, theirs = runs["ces-ml"], runs["fasterrisk"]
    for key, name in (("seconds", "times_faster"), ("cpu_seconds", "times_less_cpu")):
        ratios = [b[key] / a[key] for a, b in zip(ours, theirs, strict=True)]
        row[name] = round(statistics.median(ratios), 1)
    row["loss_less"] = row["fasterrisk"]["train"] - row["ces-ml"]["train"]
    row["loss_less_refitted"] = row["fasterrisk"]["train_refitted"] - row["ces-ml"]["train"]
    row["later_loss_less"] = row["fasterrisk"]["later"] - row["ces-ml"]["later"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="folder of the two logs")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    other = os.environ.get("CES_BENCHMARK_FASTERRISK")
    if not other:
        raise SystemExit(f"CES_BENCHMARK_FASTERRISK is not set.\n{__doc__}")
    pythons = {"ces-ml": sys.executable, "fasterrisk": other}
    subprocess.run([sys.executable, HERE / "data.py", "--data", arguments.data], check=True)
    runs = {case: {peer: [] for peer in pythons} for case in CASES}
    load, order = [], random.Random(0)
    for _ in range(arguments.rounds):
        for case in order.sample(CASES, len(CASES)):
            for peer in order.sample(list(pythons), 2):
                found = run(pythons[peer], peer, *case)
                runs[case][peer].append(found)
                print(*case, peer, f"{found['seconds']:.3f} s", flush=True)
            load.append(os.getloadavg()[0])
    rows = [summary(*case, found) for case, found in runs.items()]
    body = {
        "rounds": arguments.rounds,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}",
        "load": [round(min(load), 1), round(statistics.median(load), 1), round(max(load), 1)],
        "versions": {p: version(p) for p in ("numpy", "scipy", "numba", "daqp")}
        | {"fasterrisk": installed(other)},
        "rows": rows,
    }
    (HERE / "results.json").write_text(json.dumps(body, indent=2) + "\n")
    table(rows)


def installed(python: str) -> str:
    code = "from importlib.metadata import version as v; print(v('fasterrisk'), v('numpy'))"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return "{} with numpy {}".format(*found.stdout.split())


def table(rows: list[Run]) -> None:
    print("| problem | k | range | train: FasterRisk, ces-ml | later: | seconds | × | × CPU |")
    for r in rows:
        a, b = r["ces-ml"], r["fasterrisk"]
        print(
            f"| {r['problem']} | {r['k']} | {r['low']}…{r['high']} | {b['train']:.5f} "
            f"({b['train_refitted']:.5f}) | {a['train']:.5f} | {b['later']:.5f} | "
            f"{a['later']:.5f} | {b['seconds']:.2f} | {a['seconds']:.3f} | "
            f"{r['times_faster']:.0f} | {r['times_less_cpu']:.0f} |"
        )


if __name__ == "__main__":
    main()
