"""How long does an answer of `ces-ml serve` take at 200 requests a second?

A client sends requests on a fixed timetable, whether or not answers have come (an open loop), and
takes each time from when the request was due: a stall is felt by all that follow it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np

HERE = Path(__file__).parent
N_TERMS, N_EVENTS = 40, 60


def weight_set() -> object:
    from ces_ml.spec import CountSpec, Term
    from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

    terms = CountSpec(
        terms=tuple(
            Term(event=f"event_{t:02d}", window="90d", half_life="30d", transform="log1p")
            for t in range(N_TERMS)
        )
    ).terms
    rng = np.random.default_rng(0)
    return WeightSet(
        name="benchmark",
        terms=tuple(
            WeightedTerm(**t.model_dump(), weight=float(w))
            for t, w in zip(terms, rng.normal(size=N_TERMS), strict=True)
        ),
        intercept=-1.0,
        scale=Scale(method="min_max", knots=((-10.0, 0.0), (10.0, 100.0))),
        bands=(Band(name="at_risk", from_score=0), Band(name="advocate", from_score=60)),
    )


def bodies(kind: str) -> list[bytes]:
    """Requests of one customer each, all different."""
    rng, now = np.random.default_rng(1), datetime(2025, 6, 1, tzinfo=UTC)
    made = []
    for k in range(500):
        if kind == "counts":
            held = {f"event_{t:02d}": float(rng.poisson(2)) for t in range(N_TERMS)}
            body = {"rows": [{"customer_id": f"c{k}", "counts": held}]}
        else:
            ages = rng.uniform(0, 90 * 86400, N_EVENTS)
            events = [
                {
                    "customer_id": f"c{k}",
                    "event_type": f"event_{rng.integers(N_TERMS):02d}",
                    "timestamp": (now - timedelta(seconds=float(age))).isoformat(),
                }
                for age in ages
            ]
            body = {"events": events, "as_of": now.isoformat()}
        made.append(json.dumps(body).encode())
    return made


async def timetable(url: str, made: list[bytes], rate: float, seconds: float) -> list[float]:
    """Send on time and return milliseconds from due time to answer."""
    taken: list[float] = []
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:

        async def one(k: int, due: float) -> None:
            answer = await client.post(url, content=made[k % len(made)], headers=headers)
            answer.raise_for_status()
            taken.append(1e3 * (time.perf_counter() - due))

        start = time.perf_counter() + 0.2
        tasks = []
        for k in range(int(rate * seconds)):
            due = start + k / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(k, due)))
        await asyncio.gather(*tasks)
    return taken


def measure(kind: str, rate: float, seconds: float, file: Path) -> dict[str, float | str]:
    command = [sys.executable, "-m", "ces_ml.cli.main", "serve", str(file), "--port", "0"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        while not (found := re.match(r"http://[^/\s]+", server.stdout.readline())):
            if server.poll() is not None:
                raise SystemExit("the scorer did not start")
        url, made = f"{found[0]}/v1/score/{kind}", bodies(kind)
        asyncio.run(timetable(url, made, rate, 2.0))
        taken = asyncio.run(timetable(url, made, rate, seconds))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    p50, p95, p99 = np.percentile(taken, [50, 95, 99])
    return {
        "request": f"one customer, {N_TERMS} counts"
        if kind == "counts"
        else f"one customer, {N_EVENTS} events",
        "requests_a_second": rate,
        "requests": len(taken),
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "p99_ms": round(float(p99), 2),
        "max_ms": round(max(taken), 2),
        "server_cpu_s": round(used, 2),
        "server_peak_mb": round(after.ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--kinds", default="counts,events")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "weights.json")
        weight_set().save(file)
        rows = [measure(k, asked.rate, asked.seconds, file) for k in asked.kinds.split(",")]
    for row in rows:
        print(json.dumps(row))
    load = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    (HERE / "results.json").write_text(json.dumps({"rows": rows, **load}, indent=2) + "\n")


if __name__ == "__main__":
    main()
