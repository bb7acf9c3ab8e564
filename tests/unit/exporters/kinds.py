"""Logs and weight sets of every kind of measure, made from a seed, for the parity matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ces_ml.events import EventSchema
from ces_ml.spec import CountSpec, Term
from ces_ml.weights import Band, Recalibration, Scale, WeightedTerm, WeightSet

AS_OF = pd.Timestamp("2024-06-01T12:34:56.789012Z")
TYPES = ("login", "it's; DROP TABLE x --", "</script>", 'a"b\\c\n', "🎉", "begin", "end")
OPENED = {"event": "begin", "until": "end"}
#: What distinguishes the terms of a kind; window, cap and transform are drawn.
KINDS: dict[str, list[dict[str, Any]]] = {
    "count": [{}],
    "sum": [{"measure": "sum"}, {"measure": "sum", "property": "other"}],
    "mean": [{"measure": "mean", "neutral": 2.5}, {"measure": "mean", "half_life": "9d"}],
    "duration": [{"measure": "duration", "property": "took"}],
    "pairs": [{"measure": "duration", **OPENED}, {"measure": "duration", "unit": "1d", **OPENED}],
    "active days": [{"measure": "active_days"}],
    "distinct": [{"measure": "distinct", "property": "plan"}],
    "half-life": [{"half_life": "5d"}, {"measure": "sum", "half_life": "36h"}],
    "cap per day": [{"cap_per_day": 1}, {"measure": "sum", "cap_per_day": 2.5}],
    "per day": [{"per": "day"}, {"measure": "active_days", "per": "day"}],
    "filter": [{"where": "value > 1 and plan in ('pro', 'it''s')"}, {"where": "not flag"}],
    "arrival": [{}, {"measure": "distinct", "property": "plan"}],
}


def log_of(kind: str, seed: int = 0, n_customers: int = 25) -> pd.DataFrame:
    """Return about forty events a customer, some on the edges of windows and after `AS_OF`."""
    rng = np.random.default_rng([seed, len(kind)])
    n = 40 * n_customers
    end = AS_OF.value // 1000
    ages = np.rint(rng.exponential(12 * 86400e6, n)).astype(np.int64) - 86_400_000_000
    ages[::17] = rng.choice([0, 1, -1, 604_800_000_000, 604_800_000_001], len(ages[::17]))
    late = rng.integers(0, 3 * 86_400_000_000, n) * (rng.random(n) < 0.3)

    def sometimes(values: Any) -> Any:
        return pd.Series(values).where(rng.random(n) > 0.1)

    frame = pd.DataFrame(
        {
            "who": rng.integers(0, n_customers, n).astype(str),
            "did": rng.choice(TYPES, n),
            "at": pd.to_datetime(end - ages, unit="us", utc=True),
            "value": sometimes(rng.normal(1, 3, n).round(3)),
            "other": sometimes(rng.integers(-5, 50, n).astype(float)),
            "took": sometimes(rng.exponential(900, n).round(2)),
            "plan": sometimes(rng.choice(["pro", "it's", "", "🎉 café"], n)),
            "flag": sometimes(rng.random(n) < 0.5).astype("boolean"),
        }
    )
    if kind == "arrival":
        frame["seen"] = pd.to_datetime(end - ages + late, unit="us", utc=True)
    return frame


def weight_set_of(kind: str, seed: int = 0) -> WeightSet:
    """Return a weight set whose terms are all of a kind."""
    rng = np.random.default_rng([seed, 1, len(kind)])
    terms = []
    for options in KINDS[kind] * 3:
        drawn = {
            "event": str(rng.choice(TYPES[:5])),
            "window": str(rng.choice(["9d", "30d", "400d"])),
            "cap": [None, 5.0, 40.0][rng.integers(3)],
            "transform": str(rng.choice(["identity", "log1p", "sqrt"])),
        }
        terms.append(Term(**{**drawn, **options}))
    named = CountSpec(terms=tuple(terms)).terms
    calibrations = [
        None,
        Recalibration(method="platt", slope=0.75, intercept=0.25),
        Recalibration(method="isotonic", knots=((-2.0, 0.125), (0.5, 0.5), (3.0, 0.875))),
    ]
    return WeightSet(
        name=f"parity of {kind}",
        terms=tuple(
            WeightedTerm(**t.model_dump(), weight=float(rng.normal(0, 0.5))) for t in named
        ),
        intercept=float(rng.normal()),
        events=EventSchema(
            customer_col="who",
            event_col="did",
            timestamp_col="at",
            value_col="value",
            arrival_col="seen" if kind == "arrival" else None,
        ),
        scale=Scale(knots=((-1, 0), (0, 50), (1, 100))),  # replaced by that of the log
        calibration=calibrations[rng.integers(3)],
        bands=(Band(name="low", from_score=0), Band(name="</high> & 'up'", from_score=41.7)),
    )


def rows_of(log: pd.DataFrame, customer: str) -> list[list[list[Any]]]:
    """Return a customer's events as pairs of plain values, times in microseconds."""
    plain = log[log["who"] == customer].copy()
    for column in plain.columns.intersection(["at", "seen"]):
        plain[column] = plain[column].dt.tz_convert(None).astype("datetime64[us]").astype("int64")
    records = plain.astype(object).where(plain.notna(), None).to_dict("records")
    return [[[k, v] for k, v in row.items()] for row in records]
