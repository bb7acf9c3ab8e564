"""What does a score cost from raw events beside SQL, pandas and polars written by hand?

Task: from a log in Parquet to a Parquet file with customer, raw score, score, band and probability
of everyone seen before one moment; 40 terms, half of them with a half-life. ``--task reasons`` asks
for the three largest contributions too.
"""

from __future__ import annotations

import math
import os
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))
from harness import main
from task import (
    AS_OF,
    AS_OF_US,
    DAY,
    FOLDER,
    RATE_DAYS,
    WINDOWS,
    events_path,
    make,
    type_names,
    weight,
    weight_set,
)

SIZE = os.environ.get("CES_BENCHMARK_SIZE", "20m")
EVENTS = events_path(SIZE)
COLUMNS = ["customer_id", "raw_score", "score", "band", "probability"]


def out(name: str) -> Path:
    FOLDER.mkdir(exist_ok=True)
    return FOLDER / f"{os.getpid()}-{name}.parquet"


def check(path: Path) -> list[float]:
    """Return numbers that only the right file has, and remove it."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    path.unlink()
    sums = [pc.sum(table[c]).as_py() for c in ("raw_score", "score", "probability")]
    reasons = [pc.sum(table[c]).as_py() for c in table.column_names if c.startswith("points_")]
    held = table["band"].value_counts().to_pylist()
    at_risk = sum(b["counts"] for b in held if b["values"] == "at_risk")
    return [table.num_rows, at_risk, *(round(s, 3) for s in sums + reasons)]


def ours(reasons: int) -> Any:
    def work(weights: Any) -> Any:
        from ces_ml import score_to_file

        path = out("ours")
        score_to_file(weights, EVENTS, path, as_of=AS_OF, n_reasons=reasons)
        return path

    return work


def connect() -> Any:
    import duckdb

    con = duckdb.connect()
    con.execute("SET TimeZone='UTC'; SET preserve_insertion_order=false")
    con.execute(
        "CREATE VIEW ev AS SELECT customer_id, event_type, epoch_us(ts) AS ts_us "
        f"FROM read_parquet('{EVENTS}')"
    )
    con.execute(
        "CREATE TABLE w (event_type VARCHAR, code INT, win BIGINT, rate DOUBLE, weight DOUBLE)"
    )
    rate = -math.log(2) / (RATE_DAYS * DAY)
    con.executemany(
        "INSERT INTO w VALUES (?, ?, ?, ?, ?)",
        [
            (name, k, WINDOWS[k % 2] * DAY, rate if k % 2 else 0.0, weight(k))
            for k, name in enumerate(type_names())
        ],
    )
    return con


def scaled_sql() -> str:
    knots = [(-2 + k / 5, 5.0 * k) for k in range(21)]
    lines = " ".join(
        f"WHEN raw < {x1:E} THEN {y0:E} + {(y1 - y0) / (x1 - x0):.17E} * (raw - {x0:E})"
        for (x0, y0), (x1, y1) in pairwise(knots)
    )
    return f"CASE WHEN raw < -2 THEN 0E0 {lines} ELSE 1E2 END"


def hand_written(*, two_passes: bool, reasons: bool) -> Any:
    """Return the query as we would write it for this one task: by one reading, or by two."""
    counted = "SUM(CASE WHEN age <= win THEN EXP(age * rate) END)"
    if two_passes:
        pairs, inside = "JOIN", f"WHERE ts_us < {AS_OF_US} AND ts_us >= {AS_OF_US - 90 * DAY}"
    else:  # who has no event that counts has a row of its own, with nothing in it
        pairs, inside = "LEFT JOIN", f"WHERE ts_us < {AS_OF_US}"
    added = f"""
      SELECT customer_id, code, weight * LN(1 + n) AS c FROM (
        SELECT customer_id, code, ANY_VALUE(weight) AS weight, {counted} AS n
        FROM (SELECT *, {AS_OF_US} - ts_us AS age FROM ev {inside}) e {pairs} w USING (event_type)
        GROUP BY customer_id, code)"""
    top = ", MIN({'a': -ABS(c), 't': code, 'c': c}, 3) FILTER (c <> 0) AS top" if reasons else ""
    sums = (
        f"SELECT customer_id, COALESCE(SUM(c), 0) AS raw{top} FROM ({added}) GROUP BY customer_id"
    )
    if two_passes:
        held = f"SELECT DISTINCT customer_id FROM ev WHERE ts_us < {AS_OF_US}"
        more = ", top" if reasons else ""
        sums = (
            f"SELECT customer_id, COALESCE(raw, 0) AS raw{more} "
            f"FROM ({held}) LEFT JOIN ({sums}) USING (customer_id)"
        )
    named = "".join(
        f", (SELECT LIST(event_type ORDER BY code) FROM w)[top[{k}].t + 1] AS reason_{k}, "
        f"top[{k}].c AS points_{k}"
        for k in ((1, 2, 3) if reasons else ())
    )

    def work(state: Any) -> Any:
        path = out("sql")
        connect().execute(f"""
COPY (
  SELECT customer_id, raw AS raw_score, score, 1 / (1 + EXP(1 - raw)) AS probability,
    CASE WHEN score >= 70 THEN 'advocate' WHEN score >= 40 THEN 'potential' ELSE 'at_risk' END
      AS band{named}
  FROM (SELECT *, {scaled_sql()} AS score FROM ({sums}))
) TO '{path}' (FORMAT parquet, COMPRESSION zstd)""")
        return path

    return work


def polars(state: Any) -> Any:
    import numpy as np
    import polars as pl

    rate = -math.log(2) / (RATE_DAYS * DAY)
    known = pl.LazyFrame(
        {
            "event_type": type_names(),
            "win": [WINDOWS[k % 2] * DAY for k in range(40)],
            "rate": [rate if k % 2 else 0.0 for k in range(40)],
            "weight": [weight(k) for k in range(40)],
        }
    )
    age = pl.lit(AS_OF_US) - pl.col("ts").dt.epoch("us")
    inside = pl.col("age") <= pl.col("win")
    raw = (
        pl.scan_parquet(EVENTS)
        .select("customer_id", "event_type", age=age)
        .filter(pl.col("age") > 0)
        .join(known, on="event_type", how="left")
        .group_by("customer_id", "event_type")
        .agg(
            n=pl.when(inside).then((pl.col("age") * pl.col("rate")).exp()).otherwise(0.0).sum(),
            weight=pl.col("weight").first(),
        )
        .group_by("customer_id")
        .agg(raw_score=(pl.col("weight") * pl.col("n").log1p()).sum())
        .collect(engine="streaming")
    )
    path = out("polars")
    finished(raw["raw_score"].to_numpy(), raw.select("customer_id"), np, pl).write_parquet(path)
    return path


def finished(raw: Any, keys: Any, np: Any, pl: Any) -> Any:
    score = np.interp(raw, -2 + np.arange(21) / 5, 5.0 * np.arange(21))
    band = pl.Series(np.digitize(score, [40, 70])).replace_strict(
        {0: "at_risk", 1: "potential", 2: "advocate"}
    )
    return keys.with_columns(
        raw_score=raw, score=score, band=band, probability=1 / (1 + np.exp(1 - raw))
    )


def pandas(state: Any) -> Any:
    import numpy as np
    import pandas as pd

    events = pd.read_parquet(str(Path(EVENTS).parent), columns=["customer_id", "event_type", "ts"])
    age = AS_OF_US - events["ts"].dt.as_unit("us").astype("int64")
    events, age = events[age > 0], age[age > 0]
    k = events["event_type"].map({n: k for k, n in enumerate(type_names())}).to_numpy()
    rate = np.where(np.arange(40) % 2, -math.log(2) / (RATE_DAYS * DAY), 0.0)
    window = np.where(np.arange(40) % 2, WINDOWS[1], WINDOWS[0]) * DAY
    value = np.where(age <= window[k], np.exp(age * rate[k]), 0.0)
    n = pd.Series(value).groupby([events["customer_id"].to_numpy(), k]).sum()
    added = np.log1p(n) * np.array([weight(t) for t in range(40)])[n.index.get_level_values(1)]
    frame = (
        added.groupby(level=0).sum().rename("raw_score").rename_axis("customer_id").reset_index()
    )
    raw = frame["raw_score"].to_numpy()
    frame["score"] = np.interp(raw, -2 + np.arange(21) / 5, 5.0 * np.arange(21))
    names = np.array(["at_risk", "potential", "advocate"], dtype=object)
    frame["band"] = names[np.digitize(frame["score"], [40, 70])]
    frame["probability"] = 1 / (1 + np.exp(1 - raw))
    path = out("pandas")
    frame.to_parquet(path, compression="zstd")
    return path


def floor(state: Any) -> Any:
    query = "SELECT COUNT(customer_id), COUNT(event_type), MAX(ts_us) FROM ev"
    return list(connect().sql(query).fetchall()[0])


def imported(*modules: str) -> Any:
    """Return a function that imports what a peer needs, outside the time."""

    def prepare() -> Any:
        for module in (*modules, "duckdb", "pyarrow.compute", "pyarrow.parquet"):
            import_module(module)
        return weight_set() if "ces_ml.training" in modules else None

    return prepare


OURS = imported("ces_ml.training", "ces_ml.features.score_query", "pandas")


def settled(work: Any) -> Any:
    """Let a peer return its file; the check of it is small beside the work."""

    def run(state: Any) -> Any:
        return check(work(state))

    return run


#: Who takes part, by name: what it prepares, and what is timed. More exports join here.
PEERS = {
    "ces-ml": (OURS, settled(ours(0))),
    "SQL by hand, one reading": (
        imported(),
        settled(hand_written(two_passes=False, reasons=False)),
    ),
    "SQL by hand, two readings": (
        imported(),
        settled(hand_written(two_passes=True, reasons=False)),
    ),
    "ces-ml, 3 reasons": (OURS, settled(ours(3))),
    "SQL by hand, one reading, 3 reasons": (
        imported(),
        settled(hand_written(two_passes=False, reasons=True)),
    ),
    "polars": (imported("polars", "numpy"), settled(polars)),
    "pandas": (imported("pandas", "numpy"), settled(pandas)),
    "scan of the three columns": (imported(), floor),
}

if __name__ == "__main__":
    if "--peer" not in sys.argv:
        make(SIZE)
    main(__file__, PEERS, "SQL by hand, one reading", ["duckdb", "polars", "pandas", "pyarrow"])
