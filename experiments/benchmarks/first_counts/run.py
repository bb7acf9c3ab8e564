"""What does point-in-time counting cost beside hand-written SQL and pandas?

Task: 4.8 million simulated events of 50,000 customers; for each customer, as of 14 days after the
trial began: counts of 14 event types over 28 days, to a matrix.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from harness import main

LOG = Path(tempfile.gettempdir()) / "ces-ml-benchmark-50000.parquet"
DAYS_28, DAYS_14 = 28 * 86_400_000_000, 14 * 86_400_000_000


def names() -> list[str]:
    from ces_ml.datasets import make_event_history

    return sorted(make_event_history(10).truth["conversion"].weights)


def log() -> dict[str, Any]:
    import pandas as pd

    from ces_ml.datasets import make_event_history

    if not LOG.exists():
        make_event_history(50_000).events.to_parquet(LOG)
    return {"names": names(), "pandas": pd}


def ours(state: dict[str, Any]) -> float:
    from ces_ml import CountSpec, build_counts

    spec = CountSpec.of(state["names"], window="28d")
    table = build_counts(str(LOG), spec, as_of="14d after trial_started")
    return float(table.X.sum())


def sql(state: dict[str, Any]) -> float:
    import duckdb
    import numpy as np
    import scipy.sparse as sp

    con = duckdb.connect()
    con.execute("SET TimeZone='UTC'; SET preserve_insertion_order=false")
    con.execute(f"CREATE VIEW ev AS SELECT *, epoch_us(timestamp) AS us FROM '{LOG}'")
    con.execute(
        "CREATE TABLE cu AS SELECT customer_id, row_number() OVER () - 1 AS r, "
        f"min(us) + {DAYS_14} AS cut FROM ev WHERE event_type = 'trial_started' "
        f"GROUP BY 1 HAVING cut <= (SELECT max(us) FROM ev) + 1000000"
    )
    con.execute("CREATE TABLE vo (event_type VARCHAR, code INTEGER)")
    con.executemany("INSERT INTO vo VALUES (?, ?)", [(n, k) for k, n in enumerate(state["names"])])
    found = con.sql(
        "SELECT r, code, count(*) AS n FROM ev JOIN cu USING (customer_id) JOIN vo USING "
        f"(event_type) WHERE us < cut AND us >= cut - {DAYS_28} GROUP BY 1, 2"
    ).fetchnumpy()
    n_rows = con.sql("SELECT count(*) FROM cu").fetchall()[0][0]
    shape = (n_rows, len(state["names"]))
    X = sp.coo_array((found["n"].astype(np.float64), (found["r"], found["code"])), shape=shape)
    return float(X.tocsr().sum())


def pandas(state: dict[str, Any]) -> float:
    pd = state["pandas"]
    events = pd.read_parquet(LOG, columns=["customer_id", "event_type", "timestamp"])
    starts = events[events["event_type"] == "trial_started"].groupby("customer_id")["timestamp"]
    cut = (starts.min() + pd.Timedelta(days=14)).rename("cut").reset_index()
    cut = cut[cut["cut"] <= events["timestamp"].max() + pd.Timedelta(seconds=1)]
    joined = events[events["event_type"].isin(state["names"])].merge(cut, on="customer_id")
    age = joined["cut"] - joined["timestamp"]
    inside = joined[(age > pd.Timedelta(0)) & (age <= pd.Timedelta(days=28))]
    counts = inside.groupby(["customer_id", "event_type"]).size().unstack(fill_value=0)
    return float(counts.to_numpy().sum())


def floor(state: dict[str, Any]) -> float:
    import duckdb

    con = duckdb.connect()
    query = f"SELECT count(customer_id), count(event_type), max(timestamp) FROM '{LOG}'"
    return float(con.sql(query).fetchall()[0][0])


PEERS = {
    "ces-ml": (log, ours),
    "hand-written DuckDB SQL": (log, sql),
    "pandas": (log, pandas),
    "scan of the three columns": (log, floor),
}

if __name__ == "__main__":
    if not LOG.exists():
        # In a process of its own: peak memory is inherited by the processes started after it.
        subprocess.run(
            [sys.executable, __file__, "--peer", "scan of the three columns"], check=True
        )
    main(__file__, PEERS, "ces-ml", ["duckdb", "pandas", "numpy", "scipy"])
