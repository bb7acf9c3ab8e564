"""What does counting cost beside the best hand-written SQL, pandas, polars and the bare scan?

Task: for each customer, as of a moment of its own: for each of 40 event types the counts of 7, 30
and 90 days, the decayed count (half-life 14 days) and the active days of 90 days, as a sparse
matrix.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))
from data import DAY, HALF_LIFE, WINDOWS, best_sql, events_path, make, moments_path, type_names
from harness import main

SIZE = os.environ.get("CES_BENCHMARK_SIZE", "20m")
EVENTS, MOMENTS = events_path(SIZE), moments_path(SIZE)
N_AGGREGATES = len(WINDOWS) + 2


def terms() -> Any:
    from ces_ml.spec import CountSpec, Term

    made = []
    for name in type_names():
        made += [Term(event=name, window=f"{w}d") for w in WINDOWS]
        made.append(Term(event=name, window="90d", half_life=f"{HALF_LIFE}d"))
        made.append(Term(event=name, window="90d", measure="active_days"))
    return CountSpec(terms=tuple(made))


def ours_on(events: str, schema: Any) -> Any:
    from ces_ml import build_counts
    from ces_ml.spec import AsOfTable

    return build_counts(events, terms(), as_of=AsOfTable(MOMENTS, unknown="keep"), schema=schema)


def ours_state() -> Any:
    from ces_ml import EventSchema

    return EventSchema(timestamp_col="ts", value_col="value")


def ours(schema: Any) -> float:
    return check(ours_on(EVENTS, schema).X)


def check(X: Any) -> float:
    """Return a number that only the right matrix has: row order does not matter."""
    import numpy as np

    return round(float(X.sum() + (X @ np.arange(1.0, X.shape[1] + 1)).sum()), 3)


def spread(r: Any, code: Any, columns: list[Any], n_rows: int) -> Any:
    """Return the sparse matrix by one sort of the pattern (facts: a third faster than COO)."""
    import numpy as np
    import scipy.sparse as sp

    m, n = len(columns), len(r)
    shape = (n_rows, len(type_names()))
    P = sp.coo_matrix((np.arange(n, dtype=np.int32), (r, code)), shape=shape).tocsr()
    data = np.empty((n, m))
    for i, column in enumerate(columns):
        data[:, i] = column[P.data]
    indices = (P.indices[:, None] * m + np.arange(m)).astype(np.int32)
    X = sp.csr_matrix((data.ravel(), indices.ravel(), P.indptr * m), shape=(n_rows, m * shape[1]))
    X.eliminate_zeros()
    return X


def connect() -> Any:
    import duckdb

    con = duckdb.connect()
    con.execute("SET TimeZone='UTC'; SET preserve_insertion_order=false")
    con.execute(
        "CREATE VIEW ev AS SELECT customer_id, event_type, epoch_us(ts) AS ts_us, value "
        f"FROM read_parquet('{EVENTS}')"
    )
    con.execute(
        "CREATE VIEW cu AS SELECT row_number() OVER () - 1 AS r, customer_id, epoch_us(as_of) AS "
        f"cut_us FROM read_parquet('{MOMENTS}')"
    )
    con.execute("CREATE TABLE vo (event_type VARCHAR, code INTEGER)")
    con.executemany("INSERT INTO vo VALUES (?, ?)", [(n, k) for k, n in enumerate(type_names())])
    return con


def matrix_of(found: Any, n_rows: int) -> Any:
    import numpy as np

    days = np.bitwise_count(found["m0"]) + np.bitwise_count(found["m46"])
    counts = [found[f"n{w}"] for w in WINDOWS]
    return spread(found["r"], found["code"], [*counts, found["decayed"], days], n_rows)


def sql(state: Any) -> float:
    con = connect()
    con.execute("CREATE TABLE cut AS SELECT * FROM cu")
    n_rows = con.sql("SELECT count(*) FROM cut").fetchall()[0][0]
    found = con.sql(best_sql().replace("JOIN cu c", "JOIN cut c")).to_arrow_table()
    return check(matrix_of({n: found[n].to_numpy() for n in found.column_names}, n_rows))


def floor(state: Any) -> float:
    found = connect().sql("SELECT count(customer_id), count(event_type), max(ts_us) FROM ev")
    return float(found.fetchall()[0][0])


def polars(state: Any) -> float:
    import math

    import numpy as np
    import polars as pl

    vocabulary = pl.LazyFrame({"event_type": type_names(), "code": np.arange(40, dtype=np.int32)})
    moments = pl.scan_parquet(MOMENTS).with_row_index("r")
    age = (pl.col("as_of") - pl.col("ts")).dt.total_microseconds()
    back = (pl.col("as_of").dt.truncate("1d") - pl.col("ts").dt.truncate("1d")).dt.total_days()

    def mask(lo: int) -> Any:
        inside = (pl.col("back") >= lo) & (pl.col("back") < lo + 46)
        bits = pl.lit(2, pl.Int64).pow((pl.col("back") - lo).clip(0, 45)).cast(pl.Int64)
        return pl.when(inside).then(bits).otherwise(0).bitwise_or().alias(f"m{lo}")

    found = (
        pl.scan_parquet(EVENTS)
        .select("customer_id", "event_type", "ts")
        .join(moments, on="customer_id")
        .with_columns(age=age, back=back)
        .filter((pl.col("age") > 0) & (pl.col("age") <= max(WINDOWS) * DAY))
        .join(vocabulary, on="event_type")
        .group_by("r", "code")
        .agg(
            *[(pl.col("age") <= w * DAY).sum().alias(f"n{w}") for w in WINDOWS],
            (pl.col("age") * (-math.log(2) / (HALF_LIFE * DAY))).exp().sum().alias("decayed"),
            mask(0),
            mask(46),
        )
        .collect(engine="streaming")
    )
    n_rows = pl.scan_parquet(MOMENTS).select(pl.len()).collect().item()
    return check(matrix_of({n: found[n].to_numpy() for n in found.columns}, n_rows))


def pandas(state: Any) -> float:
    import math

    import numpy as np
    import pandas as pd

    events = pd.read_parquet(str(Path(EVENTS).parent), columns=["customer_id", "event_type", "ts"])
    moments = pd.read_parquet(MOMENTS)
    moments["r"] = np.arange(len(moments))
    joined = events.merge(moments, on="customer_id")
    joined["age"] = (joined["as_of"] - joined["ts"]).dt.as_unit("us").astype("int64")
    joined = joined[(joined["age"] > 0) & (joined["age"] <= max(WINDOWS) * DAY)].copy()
    for w in WINDOWS:
        joined[f"n{w}"] = joined["age"] <= w * DAY
    joined["decayed"] = np.exp(joined["age"] * (-math.log(2) / (HALF_LIFE * DAY)))
    joined["day"] = joined["ts"].dt.floor("D")
    code = {n: k for k, n in enumerate(type_names())}
    joined["code"] = joined["event_type"].map(code).astype("int64")
    grouped = joined.groupby(["r", "code"])
    found = grouped.agg(
        **{f"n{w}": (f"n{w}", "sum") for w in WINDOWS},
        decayed=("decayed", "sum"),
        days=("day", "nunique"),
    ).reset_index()
    columns = [found[c].to_numpy() for c in (*(f"n{w}" for w in WINDOWS), "decayed", "days")]
    return check(spread(found["r"].to_numpy(), found["code"].to_numpy(), columns, len(moments)))


def nothing() -> None:
    return None


PEERS = {
    "ces-ml": (ours_state, ours),
    "hand-written DuckDB SQL": (nothing, sql),
    "polars": (nothing, polars),
    "pandas": (nothing, pandas),
    "scan of the three columns": (nothing, floor),
}

if __name__ == "__main__":
    if "--peer" not in sys.argv:
        make(SIZE)
    main(__file__, PEERS, "ces-ml", ["duckdb", "pandas", "polars", "numpy", "scipy"])
