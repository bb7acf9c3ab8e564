"""How much memory does counting take under a limit of 2 GB and two threads?

The task of run.py on a log of CES_BENCHMARK_SIZE (2m, 20m or 100m; 100m by default), to a sparse
matrix (`build_counts`) and to a Parquet file (`write_counts`), each in a fresh process. Peak
memory is the largest resident set of the process, Python and libraries included.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("CES_BENCHMARK_SIZE", "100m")
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
from data import CUSTOMERS, make
from run import EVENTS, MOMENTS, SIZE, ours_state, terms

OPTIONS: dict[str, Any] = {"threads": 2, "memory_limit": "2GB"}


def to_matrix() -> dict[str, Any]:
    from ces_ml import build_counts
    from ces_ml.spec import AsOfTable

    rows = AsOfTable(MOMENTS, unknown="keep")
    table = build_counts(EVENTS, terms(), as_of=rows, schema=ours_state(), **OPTIONS)
    return {"rows": len(table), "counts": int(table.X.nnz), "total": float(table.X.sum())}


def to_parquet() -> dict[str, Any]:
    from ces_ml import write_counts
    from ces_ml.spec import AsOfTable

    rows = AsOfTable(MOMENTS, unknown="keep")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "counts.parquet")
        written = write_counts(EVENTS, terms(), path, as_of=rows, schema=ours_state(), **OPTIONS)
        return {"rows": written.rows, "file_mb": round(path.stat().st_size / 1e6, 1)}


TASKS = {"matrix": to_matrix, "parquet": to_parquet}


def measured(task: str) -> dict[str, Any]:
    start = time.perf_counter(), time.process_time()
    found = TASKS[task]()
    return {
        "task": task,
        "wall": round(time.perf_counter() - start[0], 1),
        "cpu": round(time.process_time() - start[1], 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        **found,
    }


def main(tasks: list[str]) -> None:
    make(SIZE)
    runs = []
    for task in tasks:
        words = [sys.executable, __file__, "--task", task]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout))
        print(runs[-1])
    body = {
        "events": CUSTOMERS[SIZE] * 20,
        **OPTIONS,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}",
        "versions": {p: version(p) for p in ("duckdb", "numpy", "pyarrow", "scipy")},
        "runs": runs,
    }
    if len(tasks) == len(TASKS):
        out = Path(__file__).with_name(f"memory_{SIZE}.json")
        out.write_text(json.dumps(body, indent=2) + "\n")


if __name__ == "__main__":
    if "--task" in sys.argv:
        print(json.dumps(measured(sys.argv[sys.argv.index("--task") + 1])))
    else:
        main([a for a in sys.argv[1:] if a in TASKS] or list(TASKS))
