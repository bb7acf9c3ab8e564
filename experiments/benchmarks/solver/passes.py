"""What does one pass cost, beside reading the arrays once, and does it grow with the non-zeros?

    python passes.py 1e6x40x15,1e6x40x5,1e6x200x5

Each case in a fresh process, the least of many repetitions: the other programs of the machine only
ever add time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parents[0]))
from problem import folder, load

REPEATS = 25


def least(work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the least time of `work`, in milliseconds."""
    times = []
    for _ in range(REPEATS):
        start = clock()
        work()
        times.append(clock() - start)
    return round(1e3 * min(times), 2)


def measure(case: str) -> dict[str, Any]:
    import numba
    import numpy as np

    from ces_ml.linear.kernels import RowBlocks
    from ces_ml.linear.losses import LogisticLoss

    @numba.njit(nogil=True, fastmath=True)
    def read(data: Any, indices: Any) -> float:
        a, b = 0.0, 0
        for k in range(len(data)):
            a += data[k]
            b += indices[k]
        return a + b

    X, y = load(case)
    y = y.astype(np.int8)
    w = np.random.default_rng(1).normal(0, 0.3, X.shape[1])
    found: dict[str, Any] = {"case": case, "nnz": int(X.nnz)}
    found["read_ms"] = least(lambda: read(X.data, X.indices))
    for threads in (1, 2):
        blocks = RowBlocks(X, y, None, LogisticLoss(), compiled=True, n_threads=threads)
        blocks.evaluate(w, 0.0)
        found[f"hessian_pass_{threads}_ms"] = least(lambda b=blocks: b.evaluate(w, 0.0))
        found[f"value_pass_{threads}_ms"] = least(lambda b=blocks: b.value(w, 0.0))
        if threads == 1:  # on a busy machine the processor's own time says more
            cpu = time.process_time
            found["hessian_pass_cpu_ms"] = least(lambda b=blocks: b.evaluate(w, 0.0), cpu)
            found["value_pass_cpu_ms"] = least(lambda b=blocks: b.value(w, 0.0), cpu)
    found["hessian_over_read_1"] = round(found["hessian_pass_1_ms"] / found["read_ms"], 2)
    found["ns_per_nonzero_1"] = round(1e6 * found["hessian_pass_1_ms"] / X.nnz, 2)
    return found


def main() -> None:
    if sys.argv[1] == "--measure":
        print(json.dumps(measure(sys.argv[2])))
        return
    rows = []
    for case in sys.argv[1].split(","):
        subprocess.run([sys.executable, Path(__file__).with_name("problem.py"), case], check=True)
        command = [sys.executable, __file__, "--measure", case]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        print(rows[-1], folder(case))
    Path(__file__).with_name("results_passes.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
