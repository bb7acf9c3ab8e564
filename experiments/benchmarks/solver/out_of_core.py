"""How much memory and time does a fit on a Parquet file take, as its rows grow?

python out_of_core.py 1e6x40x15,1e7x40x15
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parents[0]))
from problem import ALPHA, folder, load, rules

GROUP = 100_000


def write(case: str) -> None:
    """Write the case as one Parquet file, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    X, y = load(case)
    path = folder(case) / "counts.parquet"
    if path.exists():
        return
    writer = None
    for start in range(0, len(y), GROUP):
        dense = X[start : start + GROUP].toarray()
        columns: dict[str, Any] = {f"x{j}": dense[:, j] for j in range(dense.shape[1])}
        table = pa.table(columns | {"y": y[start : start + GROUP]})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def measure(case: str) -> None:
    from ces_ml.linear import ConstrainedLogisticRegression, fit_parquet

    signs, orders = rules(int(case.split("x")[1]))
    estimator = ConstrainedLogisticRegression(ALPHA, constraints=signs + orders)
    start = time.perf_counter()
    model = fit_parquet(folder(case) / "counts.parquet", target="y", estimator=estimator)
    seconds = time.perf_counter() - start
    best = json.loads((folder(case) / "optimum.json").read_text())["rules"]
    row = {
        "case": case,
        "seconds": round(seconds, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "file_mb": (folder(case) / "counts.parquet").stat().st_size >> 20,
        "full_passes": model.solver_result_.n_passes + 1,
        "gap": model.solver_result_.objective / best - 1.0,
    }
    print(json.dumps(row))


def main() -> None:
    if sys.argv[1].startswith("--"):
        {"--write": write, "--measure": measure}[sys.argv[1]](sys.argv[2])
        return
    rows = []
    for case in sys.argv[1].split(","):
        subprocess.run([sys.executable, Path(__file__).with_name("problem.py"), case], check=True)
        subprocess.run([sys.executable, __file__, "--write", case], check=True)
        command = [sys.executable, __file__, "--measure", case]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        print(rows[-1])
    out = Path(__file__).with_name("results_out_of_core.json")
    out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
