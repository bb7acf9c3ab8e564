"""A small log, and the assertion that an error says all that it should."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ces_ml.errors import CesError
from ces_ml.features import build_counts
from ces_ml.spec import CountSpec

SPEC = CountSpec.of(["login"], window="30d")
LOG = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b"],
        "event_type": ["login", "purchase", "login"],
        "timestamp": pd.to_datetime(["2024-01-01", "2024-01-20", "2024-02-10"]),
        "amount": [1.0, 2.0, 3.0],
    }
)


def refused(
    kind: type[CesError], match: str, events: Any, spec: Any = SPEC, **options: Any
) -> CesError:
    """Assert that counting fails with all four parts, and return the error."""
    with pytest.raises(kind, match=match) as caught:
        build_counts(events, spec, **options)
    error = caught.value
    assert all((error.problem, error.got, error.allowed, error.hint)), str(error)
    return error
