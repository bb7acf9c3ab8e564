"""How the cost of a build grows with the number of its as_of dates: f means f·k of one date."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from data import WINDOWS, events_path, make, type_names

from ces_ml import EventSchema
from ces_ml.features import open_engine
from ces_ml.spec import CountSpec, OutcomeSpec, Term, parse_as_of

OUTCOMES = {
    "no outcome": None,
    "conversion": OutcomeSpec(task="conversion", event="event_35", horizon="14d"),
    "silence": OutcomeSpec(task="churn", silence_of="*", horizon="14d", active_within="30d"),
    "growth": OutcomeSpec(task="upsell", event="*", horizon="14d", growth={"factor": 1.2}),
    "cross-selling": OutcomeSpec(
        task="cross_sell", families=["event_3*", "event_2*"], horizon="14d"
    ),
}
DATES = [f"2024-{month:02d}-{day:02d}" for month in (4, 5) for day in (1, 11, 21)]


def main() -> None:
    make("2m")
    spec = CountSpec(
        terms=tuple(Term(event=e, window=f"{w}d") for e in type_names() for w in WINDOWS)
    )
    rows = []
    for name, outcome in OUTCOMES.items():
        times: dict[int, list[float]] = {1: [], 3: [], 6: []}
        for _ in range(3):
            for k in times:  # interleaved
                start = time.process_time()
                with open_engine(events_path("2m"), EventSchema(timestamp_col="ts")) as engine:
                    engine.table(spec, parse_as_of(DATES[-k:]), outcome)
                times[k].append(time.process_time() - start)
        cpu = {k: statistics.median(v) for k, v in times.items()}
        shares = {k: round(cpu[k] / (k * cpu[1]), 2) for k in (3, 6)}
        rows.append({"outcome": name, "cpu_one_date": round(cpu[1], 2), "share_of_k": shares})
        print(rows[-1], flush=True)
    out = Path(__file__).with_name("dates.json")
    out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
