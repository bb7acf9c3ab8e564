"""What featuretools takes for the counts of a few customers, each with a moment of its own.

It needs an environment of its own (featuretools 1.31 does not work with pandas 3):

    python -m venv ft && ft/bin/pip install featuretools==1.31.0 "pandas<3" pyarrow
    ft/bin/python experiments/benchmarks/counting/featuretools_sample.py 20 40 80

The log of 2 million events must be there (`run.py` with CES_BENCHMARK_SIZE=2m writes it). Only the
events of the sampled customers are given to it, and of the task only the counts of 7, 30 and 90
days: no decay, no active days.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import featuretools as ft
import pandas as pd
from data import FOLDER, WINDOWS, type_names

moments = pd.read_parquet(FOLDER / "2m" / "moments.parquet")
events = pd.read_parquet(FOLDER / "2m" / "events")

rows = []
for n in map(int, sys.argv[1:] or ["50", "100"]):
    chosen = moments.sample(n, random_state=0)
    log = events[events["customer_id"].isin(chosen["customer_id"])].reset_index(names="event_id")
    es = ft.EntitySet("log")
    es.add_dataframe(log, dataframe_name="events", index="event_id", time_index="ts")
    es.normalize_dataframe("events", "customers", index="customer_id", make_time_index=False)
    es.add_interesting_values(dataframe_name="events", values={"event_type": type_names()})
    cutoffs = chosen.rename(columns={"as_of": "time"})
    start = time.perf_counter(), time.process_time()
    for window in WINDOWS:
        ft.dfs(
            entityset=es,
            target_dataframe_name="customers",
            cutoff_time=cutoffs,
            training_window=f"{window} days",
            include_cutoff_time=False,
            agg_primitives=["count"],
            where_primitives=["count"],
            trans_primitives=[],
            max_depth=1,
        )
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    rows.append({"customers": n, "wall": round(wall, 2), "cpu": round(cpu, 2)})
    print(rows[-1])
Path(__file__).with_name("featuretools.json").write_text(json.dumps(rows, indent=2) + "\n")
