"""Random weight sets and logs for the online scorer."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ces_ml.events import EventSchema
from ces_ml.spec import CountSpec, Term
from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

KINDS = ("login", "buy; it's", 'say "hi"', "two\nlines", "🎉", "")
FILTERS = (
    "amount > 0 and not returned",
    "channel in ('web', 'it''s') or amount is null",
    "not (channel = 'web' and amount < 10.5)",
    "returned = false or channel >= 'm'",
    "channel is not null and amount in (1, 2, 3)",
)
DAY_US = 86_400_000_000
START = np.datetime64("2024-02-20", "us").astype(np.int64)


def weight_set(terms: list[Term], seed: int = 0, **schema: object) -> WeightSet:
    rng = np.random.default_rng(seed)
    named = CountSpec(terms=tuple(terms)).terms
    return WeightSet(
        name="random",
        terms=tuple(WeightedTerm(**t.model_dump(), weight=float(rng.normal())) for t in named),
        intercept=-0.5,
        events=EventSchema(value_col="amount", **schema),
        scale=Scale(method="min_max", knots=((-5.0, 0.0), (5.0, 100.0))),
        bands=(Band(name="at_risk", from_score=0), Band(name="advocate", from_score=60)),
    )


def random_terms(rng: np.random.Generator, n: int, *, rates: bool = True) -> list[Term]:
    longest = Term(event="login", window="60d")  # lets the batch ask moments after the log
    return [longest, *(_term(rng, rates=rates) for _ in range(n))]


def _term(rng: np.random.Generator, *, rates: bool) -> Term:
    measures = ("count", "sum", "mean", "duration", "active_days", "distinct")
    measure = str(rng.choice(measures))
    family = rng.random() < 0.3
    options: dict[str, object] = {
        "event": "family" if family else str(rng.choice(KINDS)),
        "measure": measure,
        "window": str(rng.choice(["12h", "1d", "36h", "7d", "30d", "45d"])),
        "transform": str(rng.choice(["identity", "log1p", "sqrt"])),
    }
    if family:
        options["members"] = tuple(map(str, rng.choice(KINDS, 3, replace=False)))
    if rng.random() < 0.3:
        options["where"] = str(rng.choice(FILTERS))
    if measure == "distinct":
        options["property"] = str(rng.choice(["channel", "amount", "returned"]))
    if measure == "duration":
        options["property"] = "took"
        if rng.random() < 0.5:
            options["unit"] = "1min"
    if measure == "duration" and rng.random() < 0.6:
        counted = options.get("members", (options["event"],))
        ends = [k for k in KINDS if k not in counted]
        options |= {"until": str(rng.choice(ends)), "property": None, "where": None}
    if measure == "mean" and rng.random() < 0.5:
        options["neutral"] = 2.5
    if measure in ("count", "sum", "mean", "duration") and rng.random() < 0.4:
        options["half_life"] = str(rng.choice(["30min", "1d", "20d"]))
    elif measure in ("count", "sum", "duration") and rng.random() < 0.4:
        options["cap_per_day"] = 1.5
    if rates and measure != "mean" and measure != "distinct" and rng.random() < 0.3:
        options["per"] = None if "half_life" in options else "day"
    if rng.random() < 0.3:
        options["cap"] = 3.0
    return Term(**options)


def random_log(rng: np.random.Generator, n: int, *, n_customers: int = 5) -> pd.DataFrame:
    """A log of some 60 days with nulls, ties, duplicates and moments on the edges of buckets."""
    us = rng.integers(0, 60 * DAY_US, n)
    edge = rng.random(n) < 0.3
    us[edge] = us[edge] // (DAY_US // 4) * (DAY_US // 4)
    near = rng.random(n) < 0.2
    us[near] = us[near] // DAY_US * DAY_US - 1
    frame = pd.DataFrame(
        {
            "customer_id": rng.choice([f"c{k}" for k in range(n_customers)], n),
            "event_type": rng.choice([*KINDS, "not counted"], n),
            "timestamp": (START + us).astype("datetime64[us]"),
            "amount": rng.integers(-40, 120, n) / 4,
            "took": rng.integers(0, 20_000, n) / 4,
            "channel": rng.choice(["web", "it's", "🎉", "Web", ""], n),
            "returned": pd.array(rng.random(n) < 0.4, dtype="boolean"),
        }
    )
    frame.loc[rng.random(n) < 0.1, "amount"] = None
    frame.loc[rng.random(n) < 0.1, "channel"] = None
    frame.loc[rng.random(n) < 0.1, "returned"] = None
    frame.loc[rng.random(n) < 0.02, "customer_id"] = None
    return pd.concat([frame, frame.sample(n // 20, random_state=0)], ignore_index=True)
