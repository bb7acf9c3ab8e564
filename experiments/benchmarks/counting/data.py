"""The synthetic log of the counting benchmarks, and the hand-written SQL that they compare with.

2, 20 or 100 million events of 100,000, 1,000,000 or 5,000,000 customers: 20 events each on average
with a Pareto tail, 40 event types by Zipf's law, 180 days, text ids of 12 hexadecimal digits, a
lognormal value, Parquet with zstd in files of a million events. One moment per customer, to the
microsecond, in days 90 to 180.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.gettempdir()) / "ces-ml-counting"
DAY = 86_400_000_000
WINDOWS = (7, 30, 90)
HALF_LIFE = 14
N_TYPES = 40
CUSTOMERS = {"2m": 100_000, "20m": 1_000_000, "100m": 5_000_000}
START_US = 1_704_067_200_000_000  # 2024-01-01


def type_names() -> list[str]:
    return [f"event_{k:02d}" for k in range(N_TYPES)]


def events_path(size: str) -> str:
    return str(FOLDER / size / "events" / "*.parquet")


def moments_path(size: str) -> str:
    return str(FOLDER / size / "moments.parquet")


def make(size: str) -> None:
    """Write the log of a size once, in the temporary folder."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = FOLDER / size
    if (folder / "moments.parquet").exists():
        return
    (folder / "events").mkdir(parents=True, exist_ok=True)
    n = CUSTOMERS[size]
    rng = np.random.default_rng(2024)
    keys = rng.permutation(np.arange(n, dtype=np.uint64) * np.uint64(2_654_435_761 * 7))
    ids = pa.array([f"{int(k):012x}" for k in keys])
    activity = np.minimum(rng.pareto(1.25, n) + 0.2, 200.0)
    share = np.cumsum(activity / activity.sum())
    zipf = 1.0 / np.arange(1, N_TYPES + 1) ** 1.1
    zipf = np.cumsum(zipf / zipf.sum())
    types = pa.array(type_names())
    for part in range(n * 20 // 1_000_000):
        draw = np.random.default_rng([2024, part])
        m = 1_000_000
        who = np.minimum(np.searchsorted(share, draw.random(m)), n - 1)
        what = np.minimum(np.searchsorted(zipf, draw.random(m)), N_TYPES - 1)
        # The log is written as it happens: each file is a stretch of time, half a percent is late.
        stretch = 180 * DAY / (n * 20 / 1_000_000)
        when = np.sort(part * stretch + draw.random(m) * stretch)
        late = draw.random(m) < 0.005
        when[late] = draw.random(int(late.sum())) * (part + 1) * stretch
        table = pa.table(
            {
                "customer_id": ids.take(pa.array(who)),
                "event_type": types.take(pa.array(what)),
                "ts": pa.array(START_US + when.astype(np.int64), pa.timestamp("us")),
                "value": draw.lognormal(3.0, 1.0, m),
            }
        )
        pq.write_table(table, folder / "events" / f"{part:03d}.parquet", compression="zstd")
    moment = START_US + ((90 + 90 * rng.random(n)) * DAY).astype(np.int64)
    pq.write_table(
        pa.table({"customer_id": ids, "as_of": pa.array(moment, pa.timestamp("us"))}),
        folder / "moments.parquet",
    )


def best_sql(source: str = "ev") -> str:
    """Return the best hand-written query that we know: one long GROUP BY, days as bit masks."""
    counts = ", ".join(f"COUNT(CASE WHEN age <= {w * DAY} THEN 1 END) AS n{w}" for w in WINDOWS)
    rate = f"{-math.log(2) / (HALF_LIFE * DAY):.17E}"
    masks = ", ".join(
        f"BIT_OR(CASE WHEN back >= {lo} AND back < {lo + 46} THEN CAST(POWER(2, back - {lo}) AS "
        f"BIGINT) ELSE CAST(0 AS BIGINT) END) AS m{lo}"
        for lo in (0, 46)
    )
    return f"""
SELECT r, code, {counts}, SUM(EXP(age * {rate})) AS decayed, {masks}
FROM (
  SELECT c.r AS r, v.code AS code, c.cut_us - e.ts_us AS age,
    CAST(FLOOR(c.cut_us / 8.64E10) - FLOOR(e.ts_us / 8.64E10) AS INT) AS back
  FROM {source} e
  JOIN cu c ON e.customer_id = c.customer_id
  JOIN vo v ON e.event_type = v.event_type
  WHERE e.ts_us < c.cut_us AND e.ts_us >= c.cut_us - {max(WINDOWS) * DAY}
) j
GROUP BY r, code"""
