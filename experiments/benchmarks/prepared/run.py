"""What does a prepared log save?

Task: 20 million events of 1 million customers, 40 Zipf types, 180 days, in random order; counts of
all types over 7, 30 and 90 days, a decayed count and active days, as of day 150, to a matrix.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from harness import main

EVENTS, CUSTOMERS, TYPES, DAYS = 20_000_000, 1_000_000, 40, 180
FOLDER = Path(tempfile.gettempdir()) / f"ces-ml-benchmark-prepared-{EVENTS}"
RAW, PREPARED = FOLDER / "raw.parquet", FOLDER / "log"


def write() -> None:
    """Write the log, and prepare it once."""
    import duckdb

    from ces_ml import prepare_events

    FOLDER.mkdir(exist_ok=True)
    con = duckdb.connect()
    con.execute("SELECT setseed(0.5)")
    con.execute("SET preserve_insertion_order=false")
    if not RAW.exists():
        # A Pareto tail of activity; ids are 12 hex digits.
        con.execute(
            f"""COPY (
              SELECT printf('%012x', CAST(floor({CUSTOMERS} * power(random(), 1.6)) AS BIGINT)
                     * 7919 % 281474976710656) AS customer_id,
                'type_' || CAST(floor({TYPES} * power(random(), 2.2)) AS INT) AS event_type,
                TIMESTAMP '2024-01-01' + to_microseconds(
                  CAST(random() * {DAYS} * 86400e6 AS BIGINT)) AS timestamp,
                exp(random() * 4) AS value
              FROM range({EVENTS})
            ) TO '{RAW}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 1000000)"""
        )
    con.close()
    if not PREPARED.exists():
        prepare_events(RAW, PREPARED)


def spec() -> Any:
    from ces_ml import CountSpec
    from ces_ml.spec import Term

    types = [f"type_{k}" for k in range(TYPES)]
    windows = [Term(event=t, window=w) for t in types for w in ("7d", "30d", "90d")]
    decayed = [Term(event=t, window="90d", half_life="14d") for t in types]
    days = [Term(event=t, window="90d", measure="active_days") for t in types]
    return CountSpec(terms=(*windows, *decayed, *days))


def nothing() -> dict[str, Any]:
    return {"spec": spec()}


def count(path: Path, state: dict[str, Any]) -> float:
    from ces_ml import build_counts

    table = build_counts(path, state["spec"], as_of="2024-05-30")
    return float(table.X[:, : 3 * TYPES].sum())


def raw(state: dict[str, Any]) -> float:
    return count(RAW, state)


def prepared(state: dict[str, Any]) -> float:
    return count(PREPARED, state)


def preparing(state: dict[str, Any]) -> float:
    from ces_ml import prepare_events

    with tempfile.TemporaryDirectory() as folder:
        return float(prepare_events(RAW, Path(folder) / "log").rows)


PEERS = {
    "the log as it is": (nothing, raw),
    "the prepared log": (nothing, prepared),
}
ONCE = {"preparing it": (nothing, preparing)}

if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
        sys.exit()
    if not PREPARED.exists():
        # In a process of its own: peak memory is inherited by the processes started after it.
        subprocess.run([sys.executable, __file__, "--write"], check=True)
    main(__file__, PEERS | ONCE if "--peer" in sys.argv else PEERS, "the log as it is", ["duckdb"])
