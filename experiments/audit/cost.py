"""What the leak audit adds to a training job on 2 million events.

The audit is timed inside the job, so that what else the machine does touches both alike.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from ces_ml.datasets import make_event_history
from ces_ml.training import TrainingConfig, train
from ces_ml.training.auditing import LeakAudit

HERE = Path(__file__).parent
ROUNDS = 7
JOBS = {
    "conversion, 14d after trial": {
        "outcome": {"task": "conversion", "event": "subscription_started", "horizon": "14d"},
        "as_of": "14d after trial_started",
        "counts": [{"window": "28d", "half_life": "14d", "transform": "log1p"}],
    },
    "conversion on 9 dates, 3 windows": {
        "outcome": {"task": "conversion", "event": "subscription_started", "horizon": "14d"},
        "as_of": "every 14d from 2025-02-01 to 2025-05-31",
        "counts": [{"window": "90d"}, {"window": "30d"}, {"window": "7d"}],
    },
}


STEPS = ("look", "check", "finish")


def shares(config: TrainingConfig, log: str) -> dict[str, float]:
    """Train once; return processor seconds of the job and of the audit in it."""
    spent = dict.fromkeys(STEPS, 0.0)

    def timed(step: str) -> Callable[..., Any]:
        work = getattr(LeakAudit, step)

        def run(*arguments: Any) -> Any:
            start = time.process_time()
            try:
                return work(*arguments)
            finally:
                spent[step] += time.process_time() - start

        return run

    with (
        mock.patch.multiple(LeakAudit, **{step: timed(step) for step in STEPS}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        start = time.process_time()
        train(config, log)
        total = time.process_time() - start
    audit = sum(spent.values())
    return {"job_cpu_s": total, "audit_cpu_s": audit, "share": audit / total, **spent}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "events.parquet")
        events = make_event_history(20_800, seed=0).events
        events.to_parquet(log)
        body: dict[str, object] = {
            "events": len(events),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        }
        for name, job in JOBS.items():
            config = TrainingConfig.parse({"name": "cost", **job, "audit": {"allow": "*"}})
            shares(config, log)  # kernels are compiled, files are in memory
            runs = [shares(config, log) for _ in range(ROUNDS)]
            found = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            body[name] = {key: round(value, 3) for key, value in found.items()}
            print(name, body[name])
    (HERE / "cost.json").write_text(json.dumps(body, indent=2) + "\n")


if __name__ == "__main__":
    main()
