"""Paired timings: every run in a fresh process, peers interleaved, ratios taken round by round.

A benchmark script defines its peers as functions in a dict and calls `main`. Called without
``--peer`` the script runs all peers in shuffled rounds, each in a process of its own, and writes
``results.json`` (or another name) beside itself. What a peer returns from its first function (data,
imports) is outside the time; what its second does is inside.
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
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

Peer = tuple[Callable[[], Any], Callable[[Any], Any]]


def main(
    script: str,
    peers: dict[str, Peer],
    base: str,
    packages: list[str],
    results: str = "results.json",
) -> None:
    """Run the benchmark of `script`; ratios are against the peer `base`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer", choices=peers)
    arguments = parser.parse_args()
    if arguments.peer:
        prepare, work = peers[arguments.peer]
        state = prepare()
        start = time.perf_counter(), time.process_time()
        answer = work(state)
        seconds = time.perf_counter() - start[0], time.process_time() - start[1]
        print(json.dumps({"wall": seconds[0], "cpu": seconds[1], "answer": answer}))
        return
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in peers}
    order = random.Random(0)
    for turn in range(arguments.rounds):
        for name in order.sample(list(peers), len(peers)):
            runs[name].append(_run(script, name))
            found = runs[name][-1]
            print(f"round {turn + 1}: {name:32} {found['wall']:7.3f} s {found['mb']:7.0f} MB")
    table = [_summary(name, runs[name], runs[base]) for name in peers]
    body = {
        "base": base,
        "rounds": arguments.rounds,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}",
        "versions": {p: version(p) for p in packages},
        "peers": table,
    }
    out = Path(script).with_name(results)
    out.write_text(json.dumps(body, indent=2) + "\n")
    print(f"\n| peer | wall s | CPU s | peak MB | × {base} |\n| --- | ---: | ---: | ---: | ---: |")
    for row in table:
        print(
            f"| {row['peer']} | {row['wall']:.3f} | {row['cpu']:.3f} | {row['mb']:.0f} | "
            f"{row['ratio']:.2f} |"
        )


def _run(script: str, name: str) -> dict[str, Any]:
    process = subprocess.Popen(
        [sys.executable, script, "--peer", name], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed with status {status}")
    return json.loads(printed.splitlines()[-1]) | {"mb": usage.ru_maxrss / 1024}


def _summary(name: str, runs: list[dict[str, Any]], base: list[dict[str, Any]]) -> dict[str, Any]:
    def middle(key: str) -> float:
        return round(statistics.median(r[key] for r in runs), 4)

    ratio = statistics.median(r["wall"] / b["wall"] for r, b in zip(runs, base, strict=True))
    return {
        "peer": name,
        "wall": middle("wall"),
        "cpu": middle("cpu"),
        "mb": middle("mb"),
        "ratio": round(ratio, 3),
        "answer": runs[-1]["answer"],
    }
