"""What does counting on Spark cost beside the best hand-written Spark SQL, in the same session?

The log and the task are those of ``../counting``: for each customer, as of a moment of its own, for
each of 40 event types the counts of 7, 30 and 90 days, the decayed count and the active days.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "counting"))

from data import (  # noqa: E402
    HALF_LIFE,
    WINDOWS,
    best_sql,
    events_path,
    make,
    moments_path,
    type_names,
)

from ces_ml.events import EventSchema  # noqa: E402
from ces_ml.features import SparkEngine  # noqa: E402
from ces_ml.features.spark_counts import sparse_rows  # noqa: E402
from ces_ml.spec import AsOfTable, CountSpec, Term  # noqa: E402

N_AGGREGATES = len(WINDOWS) + 2


def spark_of(cores: int) -> Any:
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": os.environ.get("CES_BENCHMARK_MEMORY", "8g"),
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "16",
    }
    builder = SparkSession.builder.master(f"local[{cores}]").appName("spark counting")
    return builder.config(map=settings).getOrCreate()


def terms() -> CountSpec:
    made = []
    for name in type_names():
        made += [Term(event=name, window=f"{w}d") for w in WINDOWS]
        made.append(Term(event=name, window="90d", half_life=f"{HALF_LIFE}d"))
        made.append(Term(event=name, window="90d", measure="active_days"))
    return CountSpec(terms=tuple(made))


def hand_written(spark: Any, size: str) -> Any:
    """Return the frame of a person who knows the columns and writes one query: long, no order."""
    spark.read.parquet(events_path(size)).selectExpr(
        "customer_id", "event_type", "UNIX_MICROS(CAST(ts AS TIMESTAMP)) AS ts_us"
    ).createOrReplaceTempView("ev")
    spark.read.parquet(moments_path(size)).selectExpr(
        "customer_id AS r", "customer_id", "UNIX_MICROS(CAST(as_of AS TIMESTAMP)) AS cut_us"
    ).createOrReplaceTempView("cu")
    vocabulary = [(name, k) for k, name in enumerate(type_names())]
    codes = spark.createDataFrame(vocabulary, "event_type string, code int")
    codes.hint("broadcast").createOrReplaceTempView("vo")
    return spark.sql(best_sql())


def gathered(spark: Any, size: str) -> Any:
    """Return the same with one row a customer, as a model reads it, in the simplest way."""
    hand_written(spark, size).createOrReplaceTempView("long")
    return spark.sql(
        "SELECT r, COLLECT_LIST(STRUCT(code, n7, n30, n90, decayed, "
        "BIT_COUNT(m0) + BIT_COUNT(m46) AS days)) AS cells FROM long GROUP BY r"
    )


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def counted(spark: Any, size: str) -> None:
    rows = AsOfTable(moments_path(size), unknown="keep")
    schema = EventSchema(timestamp_col="ts", value_col="value")
    with SparkEngine(events_path(size), schema, spark=spark) as engine:
        engine.counts(terms(), rows).frame.write.format("noop").mode("overwrite").save()


def core(spark: Any, size: str) -> Callable[[], Any]:
    """Return the counting query alone, of an engine that is open: what hand-written SQL does."""
    rows = AsOfTable(moments_path(size), unknown="keep")
    schema = EventSchema(timestamp_col="ts", value_col="value")
    engine = SparkEngine(events_path(size), schema, spark=spark)
    frame = engine.counts(terms(), rows).frame
    engine.place.spark.table("cu").count()
    return lambda: frame.write.format("noop").mode("overwrite").save()


def check(spark: Any, size: str) -> float:
    """Assert that both answers are the same, and return their sum."""
    schema = EventSchema(timestamp_col="ts", value_col="value")
    rows = AsOfTable(moments_path(size), unknown="keep")
    with SparkEngine(events_path(size), schema, spark=spark) as engine:
        counts = engine.counts(terms(), rows)
        X = sparse_rows(counts.frame.select("indices", "values").toArrow(), len(terms().terms))
    sums = X.sum(axis=0).reshape(-1, N_AGGREGATES).sum(axis=0)
    answer = hand_written(spark, size).selectExpr(
        "SUM(n7)", "SUM(n30)", "SUM(n90)", "SUM(decayed)", "SUM(BIT_COUNT(m0) + BIT_COUNT(m46))"
    )
    for mine, other in zip(sums, answer.first(), strict=True):
        if abs(mine - other) > 1e-9 * abs(other):
            raise SystemExit(f"the answers differ: {mine} and {other}")
    return float(sums.sum())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", nargs="+", default=["2m", "20m"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm", type=int, default=5, help="runs of each before the clock starts")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    arguments = parser.parse_args()
    spark = spark_of(arguments.cores)
    found: dict[str, Any] = {
        "machine": f"local[{arguments.cores}], {os.cpu_count()} cores",
        "versions": {"pyspark": version("pyspark")},
        "rounds": arguments.rounds,
        "warm": arguments.warm,
        "sizes": {},
    }
    for size in arguments.sizes:
        make(size)
        total = check(spark, size)  # which also warms the JVM for both
        query = core(spark, size)

        def noop(frame: Any) -> None:
            frame.write.format("noop").mode("overwrite").save()

        peers: dict[str, Callable[[], Any]] = {
            "hand-written, long": lambda s=size: noop(hand_written(spark, s)),
            "hand-written, a row a customer": lambda s=size: noop(gathered(spark, s)),
            "ours, the query": query,
            "ours, from the path": lambda s=size: counted(spark, s),
        }
        for _ in range(arguments.warm):  # until the JVM has compiled what it will
            for work in peers.values():
                work()
        runs: dict[str, list[float]] = {name: [] for name in peers}
        order = random.Random(0)
        for turn in range(arguments.rounds):
            for name in order.sample(list(peers), len(peers)):
                runs[name].append(timed(peers[name]))
                print(f"{size} round {turn + 1}: {name:32} {runs[name][-1]:8.2f} s", flush=True)
        base = runs["hand-written, a row a customer"]
        found["sizes"][size] = {
            "sum": total,
            "peers": {
                name: {
                    "seconds": statistics.median(mine),
                    "ratio": statistics.median(a / b for a, b in zip(mine, base, strict=True)),
                    "ratio_to_long": statistics.median(
                        a / b for a, b in zip(mine, runs["hand-written, long"], strict=True)
                    ),
                }
                for name, mine in runs.items()
            },
        }
        arguments.output.write_text(json.dumps(found, indent=2) + "\n")
        for name, row in found["sizes"][size]["peers"].items():
            print(f"| {size} | {name} | {row['seconds']:.2f} | {row['ratio']:.2f} |")


if __name__ == "__main__":
    main()
