from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ces_ml.events import EventSchema
from ces_ml.spec import CountSpec, Term

VISITS = ("login", "buy; it's", 'say "hi", twice', "two\nlines", "🎉 café")


@pytest.fixture(scope="session")
def log() -> pd.DataFrame:
    """A log of 3,000 events in 2024 with awkward names, properties, duplicates and nulls."""
    rng = np.random.default_rng(0)
    n = 3_000
    seconds = rng.integers(0, 200 * 86_400, n)
    frame = pd.DataFrame(
        {
            "customer_id": [f"{k:03d}" for k in rng.integers(0, 60, n)],
            "event_type": rng.choice(VISITS, n),
            "timestamp": np.datetime64("2024-01-01", "us")
            + (1_000_000 * seconds + rng.integers(0, 1_000_000, n)).astype("timedelta64[us]"),
            "value": rng.integers(-400, 400, n) / 4,
        }
    )
    frame["seconds"] = rng.integers(0, 20_000, n) / 4
    frame["channel"] = rng.choice(["web", "it's", "🎉", "Web"], n)
    frame["returned"] = pd.array(rng.random(n) < 0.3, dtype="boolean")
    frame.loc[::79, ["seconds", "channel", "returned"]] = None
    frame.loc[::97, "customer_id"] = None
    frame.loc[::89, "event_type"] = None
    frame.loc[::83, "timestamp"] = None
    frame.loc[::7, "value"] = None
    return pd.concat([frame, frame.head(50)], ignore_index=True)


@pytest.fixture(scope="session")
def schema() -> EventSchema:
    return EventSchema(value_col="value")


@pytest.fixture(scope="session")
def spec() -> CountSpec:
    """One term of every kind, several an event type."""
    return CountSpec(
        terms=(
            *(Term(event=kind, window="30d") for kind in VISITS),
            Term(event="login", window="7d", half_life="2d"),
            Term(event="login", measure="active_days", window="90d"),
            Term(event="buy; it's", measure="sum", window="90d", half_life="30d"),
            Term(event="buy; it's", measure="sum", window="60d"),
            Term(event="login", measure="mean", neutral=3.5, window="60d", half_life="9d"),
            Term(event="login", measure="mean", where="value > -50 and not returned", window="60d"),
            Term(event="login", measure="duration", property="seconds", window="60d", per="day"),
            Term(event="login", until="buy; it's", measure="duration", window="60d"),
            Term(event="login", until="buy; it's", measure="duration", window="90d", cap_per_day=9),
            Term(event="any", members=VISITS, window="60d", cap_per_day=1),
            Term(
                event="any",
                members=VISITS[1:],
                measure="distinct",
                property="channel",
                where="channel in ('web', 'it''s', '🎉')",
                window="30d",
            ),
            Term(event="any", members=VISITS, measure="active_days", window="150d"),
        )
    )
