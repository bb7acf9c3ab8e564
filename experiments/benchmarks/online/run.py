"""How fast the online scorer takes events on one core, and how large a customer's state is."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ces_ml.scoring import OnlineScorer
from ces_ml.spec import CountSpec, Term
from ces_ml.training import score_events
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

EVENTS, CUSTOMERS, TYPES, DAYS = 2_000_000, 100_000, 40, 180
ONE_BY_ONE = 300_000
START = np.datetime64("2025-01-01", "us")
BATCHES = (1_000, 10_000, 100_000)


def weights() -> WeightSet:
    """Forty terms: counts, decayed counts, sums, active days and means over 30 to 90 days."""
    terms = []
    for k in range(TYPES):
        options: dict[str, Any] = {"window": ("30d", "90d")[k % 2], "transform": "log1p"}
        if k % 4 == 1:
            options["half_life"] = "14d"
        if k % 10 == 2:
            options |= {"measure": "sum", "property": "value"}
        if k % 10 == 4:
            options |= {"measure": "active_days"}
        if k % 10 == 6:
            options |= {"measure": "mean", "property": "value"}
        terms.append(Term(event=f"type {k}", **options))
    rng = np.random.default_rng(0)
    named = CountSpec(terms=tuple(terms)).terms
    return WeightSet(
        name="benchmark",
        terms=tuple(WeightedTerm(**t.model_dump(), weight=float(rng.normal())) for t in named),
        intercept=0.0,
        scale=Scale(method="min_max", knots=((-20.0, 0.0), (20.0, 100.0))),
        bands=(Band(name="at_risk", from_score=0),),
    )


def log() -> pa.Table:
    """Twenty events a customer on average, with a long tail, in the order of time."""
    rng = np.random.default_rng(0)
    share = rng.pareto(1.25, CUSTOMERS) + 0.2
    who = rng.choice(CUSTOMERS, EVENTS, p=share / share.sum())
    kind = (rng.zipf(1.3, EVENTS) - 1) % TYPES
    us = np.sort(rng.integers(0, DAYS * 86_400_000_000, EVENTS))
    names = np.array([f"{k:012x}" for k in range(CUSTOMERS)])
    types = np.array([f"type {k}" for k in range(TYPES)])
    return pa.table(
        {
            "customer_id": pa.array(names[who]),
            "event_type": pa.array(types[kind]),
            "timestamp": pa.array(START + us.astype("timedelta64[us]")),
            "value": pa.array(rng.lognormal(0, 1, EVENTS).round(2)),
        }
    )


def timed(work: Any) -> tuple[float, Any]:
    """Return the CPU seconds of one core that a call takes, and its answer."""
    start = time.process_time()
    answer = work()
    return time.process_time() - start, answer


def fed(weight_set: WeightSet, events: pa.Table, size: int) -> OnlineScorer:
    online = OnlineScorer(weight_set, granularity="1d")
    for start in range(0, len(events), size):
        online.update_many(events.slice(start, size))
    return online


def one_by_one(weight_set: WeightSet, rows: list[tuple[Any, ...]]) -> OnlineScorer:
    online = OnlineScorer(weight_set, granularity="1d")
    for customer, kind, us, value in rows:
        online.update(customer, kind, us, {"value": value})
    len(online)
    return online


def quantiles(sizes: list[int]) -> dict[str, float]:
    found = {f"p{q}": float(np.percentile(sizes, q)) for q in (50, 90, 99, 100)}
    return {"mean": float(np.mean(sizes)), **found}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    weight_set, events = weights(), log()
    fed(weight_set, events.slice(0, 1000), 1000).score(as_of="2025-02-01")  # compiles
    found: dict[str, list[float]] = {f"batches of {n:,}": [] for n in BATCHES}
    found["one by one"] = []
    few = events.slice(len(events) - ONE_BY_ONE)
    columns = [few["customer_id"].to_pylist(), few["event_type"].to_pylist()]
    us = few["timestamp"].to_numpy().astype("datetime64[us]").astype(np.int64).tolist()
    rows = list(zip(*columns, us, few["value"].to_pylist(), strict=True))
    for turn in range(rounds):
        for n in BATCHES:
            part = events.slice(0, EVENTS if n > 1000 else EVENTS // 4)
            seconds, online = timed(lambda part=part, n=n: fed(weight_set, part, n))
            found[f"batches of {n:,}"].append(len(part) / seconds)
        seconds, _ = timed(lambda: one_by_one(weight_set, rows))
        found["one by one"].append(len(rows) / seconds)
        print(turn, {k: round(v[-1]) for k, v in found.items()}, flush=True)
    body = measured(online, weight_set, events)
    body["events_per_cpu_second"] = {k: sorted(v)[len(v) // 2] for k, v in found.items()}
    body["machine"] = f"1 core, {platform.machine()}, Python {platform.python_version()}"
    body["versions"] = {p: version(p) for p in ("numba", "numpy", "pandas", "pyarrow", "duckdb")}
    Path(__file__).with_name("results.json").write_text(json.dumps(body, indent=2) + "\n")
    print(json.dumps(body, indent=2))


def measured(online: OnlineScorer, weight_set: WeightSet, events: pa.Table) -> dict[str, Any]:
    """Return sizes and times of the states, and how far the scores are from the batch."""
    as_of = pd.Timestamp(START) + pd.Timedelta(days=DAYS)
    seconds, scores = timed(lambda: online.score(as_of=as_of))
    batch = score_events(weight_set, events, as_of=as_of, threads=1).scores
    off = float(np.abs(scores["raw_score"].to_numpy() - batch["raw_score"].to_numpy()).max())
    customers = online.customers
    packing, sizes = timed(lambda: [len(online.state_bytes(c)) for c in customers])
    with tempfile.TemporaryDirectory() as folder:
        dumping, path = timed(lambda: online.dump(Path(folder) / "states"))
        loading, again = timed(lambda: OnlineScorer.load(path, weight_set))
        size = path.stat().st_size
    same = again.score(as_of=as_of).equals(scores)
    counts = events.group_by("customer_id").aggregate([("customer_id", "count")])
    busy = counts.filter(pa.compute.greater_equal(counts["customer_id_count"], 100))
    of_busy = [len(online.state_bytes(c)) for c in busy["customer_id"].to_pylist()]
    held = (*online._store.pool, *online._store.customers)
    return {
        "events": EVENTS,
        "customers": len(customers),
        "state_bytes": quantiles(sizes),
        "state_bytes_of_customers_with_100_events": quantiles(of_busy),
        "memory_bytes_a_customer": sum(a.nbytes for a in held) / len(customers),
        "scores_per_cpu_second": len(customers) / seconds,
        "states_packed_per_cpu_second": len(customers) / packing,
        "states_dumped_per_cpu_second": len(customers) / dumping,
        "states_loaded_per_cpu_second": len(customers) / loading,
        "dump_bytes": size,
        "loaded_scores_are_equal": bool(same),
        "largest_difference_from_the_batch": off,
    }


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    main()
