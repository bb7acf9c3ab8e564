"""What does a core of Spark count and fit in a second, and how much does it send through a shuffle?

The log is that of ``../benchmarks/counting``. Every figure is CPU time, which other work on the
machine changes little: of the JVM's tasks as Spark's own status store states it, and of the whole
tree of processes (JVM, Python workers) as the kernel does. Each run is a JVM of its own, and every
piece of work is done once before it is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BENCHMARKS = HERE.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS / "counting"))

EVENTS = {"2m": 2_000_000, "20m": 20_000_000, "100m": 100_000_000}
P = 40
TICK = os.sysconf("SC_CLK_TCK")


def tree_seconds() -> float:
    """Return the CPU seconds of this process and all below it, ended ones included."""
    total = 0
    below, waiting = children(), [os.getpid()]
    while waiting:
        pid = waiting.pop()
        waiting += below.get(pid, [])
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        total += sum(int(x) for x in fields[11:15])
    return total / TICK


def children() -> dict[int, list[int]]:
    """Return the processes that each process has started."""
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found.setdefault(parent, []).append(int(stat.parent.name))
    return found


def stages(spark: Any) -> tuple[float, int]:
    """Return CPU seconds of tasks in the JVM and bytes written to shuffles, so far."""
    sc = spark.sparkContext
    none = sc._gateway.new_array(sc._jvm.double, 0)
    store = sc._jsc.sc().statusStore()
    found = store.stageList(None, False, False, none, None)
    cpu = written = 0
    for k in range(found.size()):
        cpu += found.apply(k).executorCpuTime()
        written += found.apply(k).shuffleWriteBytes()
    return cpu / 1e9, written


def measured(spark: Any, work: Callable[[], Any], warm: int) -> dict[str, float]:
    """Return what a piece of work costs, after it was done `warm` times."""
    for _ in range(warm):
        work()
    cpu, written = stages(spark)
    tree, start = tree_seconds(), time.perf_counter()
    work()
    wall, tree = time.perf_counter() - start, tree_seconds() - tree
    after, sent = stages(spark)
    return {
        "task_cpu_seconds": after - cpu,
        "process_cpu_seconds": tree,
        "wall_seconds": wall,
        "shuffle_bytes": sent - written,
    }


def benchmark() -> Any:
    """Return the benchmark of counting as a module: its session and its peers are used here."""
    spec = spec_from_file_location("peers", BENCHMARKS / "spark_counting" / "run.py")
    if spec is None or spec.loader is None:
        raise SystemExit("the benchmark of counting is not there")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def counting(size: str, cores: int) -> dict[str, Any]:
    from data import make

    peers = benchmark()
    make(size)
    spark = peers.spark_of(cores)
    noop = [peers.core(spark, size)]
    noop.append(lambda: peers.gathered(spark, size).write.format("noop").mode("overwrite").save())
    n = EVENTS[size]
    warm = 5 if n < 10_000_000 else 1  # until the JVM has compiled what it will
    ours, theirs = (measured(spark, work, warm) for work in noop)
    return {
        "ours": ours,
        "hand-written, a row a customer": theirs,
        "cpu_ratio": ours["task_cpu_seconds"] / theirs["task_cpu_seconds"],
        "events_per_cpu_second": n / ours["process_cpu_seconds"],
        "shuffle_bytes_per_event": ours["shuffle_bytes"] / n,
    }


def passing(rows: int, cores: int) -> dict[str, Any]:
    """Measure one pass (loss, gradient and Hessian) over packed rows of 40 counts."""
    import numpy as np
    from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

    from ces_ml.linear.distributed import SparkRows

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = benchmark().spark_of(cores)
    columns = [F.floor(F.rand(j) * 4).cast("double").alias(f"x{j}") for j in range(P)]
    frame = spark.range(0, rows, 1, 8).select((F.rand(99) < 0.3).cast("int").alias("y"), *columns)
    w = np.full(P, 0.01)
    with SparkRows(frame, target="y") as packed:
        found = measured(spark, lambda: packed.blocks.evaluate(w, 0.0), 3)
    cells = rows * P
    return {
        **found,
        "rows": rows,
        "cells_per_row": P,
        "cells_per_cpu_second": cells / found["process_cpu_seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", nargs="+", default=["2m", "20m"])
    parser.add_argument("--cores", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "CORES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        what, cores = arguments.one
        work = counting(what, int(cores)) if what in EVENTS else passing(int(what), int(cores))
        print(json.dumps(work))
        return
    out = HERE / "results.json"
    found: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores",
        "versions": {"pyspark": version("pyspark")},
        "load_average_before": os.getloadavg()[0],
        "runs": {},
    }
    for what in [*arguments.sizes, str(arguments.rows)]:
        for cores in arguments.cores:
            line = [sys.executable, __file__, "--one", what, str(cores)]
            answer = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout
            name = what if what in EVENTS else f"fit, {what} rows"
            found["runs"][f"{name}, local[{cores}]"] = json.loads(answer.splitlines()[-1])
            out.write_text(json.dumps(found, indent=2) + "\n")
            print(name, cores, answer.splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
