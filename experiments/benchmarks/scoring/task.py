"""The weight set, the log and the frame that the scoring benchmarks share.

The log is that of the counting benchmarks: 2 or 20 million events of 100,000 or 1,000,000
customers, 40 event types. Every second type is counted with a half-life; all are log1p.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "counting"))
from data import DAY, START_US, events_path, make, type_names  # type: ignore[import-not-found]

__all__ = [
    "AS_OF",
    "AS_OF_US",
    "DAY",
    "RATE_DAYS",
    "WINDOWS",
    "counts",
    "events_path",
    "make",
    "type_names",
    "weight",
    "weight_set",
]

AS_OF, AS_OF_US = "2024-06-29", START_US + 180 * DAY
#: Days of the window of even and odd types; odd ones have a half-life, in days.
WINDOWS, RATE_DAYS = (30, 90), 14
FOLDER = Path(tempfile.gettempdir()) / "ces-ml-scoring"


def weight(k: int) -> float:
    return ((k * 37) % 11 - 5) / 10


def weight_set(transform: str = "log1p") -> Any:
    from ces_ml import EventSchema
    from ces_ml.spec import CountSpec, Term
    from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet

    terms = CountSpec(
        terms=tuple(
            Term(
                event=name,
                window=f"{WINDOWS[k % 2]}d",
                half_life=f"{RATE_DAYS}d" if k % 2 else None,
                transform=transform,
            )
            for k, name in enumerate(type_names())
        )
    ).terms
    return WeightSet(
        name="benchmark",
        terms=tuple(WeightedTerm(**t.model_dump(), weight=weight(k)) for k, t in enumerate(terms)),
        intercept=-1.0,
        events=EventSchema(timestamp_col="ts", value_col="value"),
        scale=Scale(method="quantiles", knots=tuple((-2 + k / 5, 5.0 * k) for k in range(21))),
        bands=(
            Band(name="at_risk", from_score=0),
            Band(name="potential", from_score=40),
            Band(name="advocate", from_score=70),
        ),
    )


def counts(n_rows: int) -> Any:
    """Return counts of `n_rows` customers, mostly 0, as a frame of 40 columns."""
    import numpy as np
    import pandas as pd

    X = np.random.default_rng(0).poisson(0.6, (n_rows, len(type_names()))).astype(np.float64)
    return pd.DataFrame({name: X[:, k] for k, name in enumerate(type_names())})
