"""What logging a run costs: `record` on an SQLite store, 40 and 500 events, with and without tries.

Run: ``python experiments/benchmarks/tracking/run.py --rounds 7``
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
from harness import main

from ces_ml.tracking import Tracker, open_store
from ces_ml.training import TrainingConfig, TrainingResult, record, train


def trained(n_events: int, *, search: bool = False) -> TrainingResult:
    """Train on a log of 4,000 customers in which every 20th event type moves the outcome."""
    rng = np.random.default_rng(0)
    n, start = 4000, pd.Timestamp("2025-01-01")
    rate = rng.gamma(1.0, 0.4, (n, n_events)) * (6.0 if n_events < 100 else 1.0)
    times = rng.poisson(rate)
    customer, kind = (np.repeat(axis.ravel(), times.ravel()) for axis in np.indices(times.shape))
    when = start + pd.to_timedelta(rng.uniform(0, 60, customer.size), unit="D")
    log = pd.DataFrame(
        {"customer_id": customer, "event_type": np.char.add("event ", kind.astype(str)), "ts": when}
    )
    z = 0.6 * (np.log1p(times[:, ::20]) - np.log1p(times[:, ::20]).mean(axis=0)).sum(axis=1)
    stayed = np.flatnonzero(rng.random(n) < 1 / (1 + np.exp(-z)))
    bought = pd.DataFrame(
        {
            "customer_id": stayed,
            "event_type": "bought",
            "ts": start + pd.to_timedelta(rng.uniform(60, 75, stayed.size), unit="D"),
        }
    )
    end = pd.DataFrame(
        {"customer_id": [0], "event_type": ["bought"], "ts": [start + pd.Timedelta(days=90)]}
    )
    config = {
        "name": "benchmark",
        "outcome": {"task": "conversion", "event": "bought", "horizon": "20d"},
        "as_of": "2025-03-02",
        "counts": [{"window": "60d", "transform": "log1p"}],
        "model": {"alpha": {"folds": 2} if search else 0.001},
        "split": {"test_share": 0.3},
        "evaluation": {"ceiling": False, "replicates": 50},
        "events": {"timestamp_col": "ts", "event_col": "event_type"},
    }
    return train(TrainingConfig.parse(config), pd.concat([log, bought, end], ignore_index=True))


def prepared(n_events: int, *, search: bool = False, warm: bool = True) -> Any:
    result = trained(n_events, search=search)
    folder = tempfile.mkdtemp()
    tracker = Tracker(Path(folder, "mlflow.db"), "benchmark")
    open_store(tracker.store)
    if warm:
        record(result, tracker)
    return result, tracker


def log(state: Any, *, children: bool = False) -> Any:
    result, tracker = state
    info = record(result, tracker, children=children)
    metrics = open_store(tracker.store).client.get_run(info.run_id).data.metrics
    return {"metrics": len(metrics), "children": len(info.children)}


PEERS = {
    "40 events": (partial(prepared, 40), log),
    "500 events": (partial(prepared, 500), log),
    "40 events, first in a process": (partial(prepared, 40, warm=False), log),
    "40 events, 20 alphas as child runs": (
        partial(prepared, 40, search=True),
        partial(log, children=True),
    ),
}

if __name__ == "__main__":
    main(__file__, PEERS, "40 events", ["ces-ml", "mlflow", "matplotlib", "SQLAlchemy"])
