"""Who is given a path in place of a weight set says how to load it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ces_ml
from ces_ml.errors import WeightSetError
from ces_ml.scoring import OnlineScorer, Scorer


@pytest.mark.parametrize("given", ["churn.json", Path("churn.json")])
@pytest.mark.parametrize(
    "work",
    [
        Scorer,
        OnlineScorer,
        lambda given: ces_ml.score_events(given, pd.DataFrame()),
        lambda given: ces_ml.export(given, "weights.json"),
    ],
    ids=["Scorer", "OnlineScorer", "score_events", "export"],
)
def test_a_path_is_no_weight_set(work: Callable[[Any], object], given: Any) -> None:
    with pytest.raises(WeightSetError, match="a weight set is asked for") as caught:
        work(given)
    assert caught.value.hint == "pass load_weight_set('churn.json')"


def test_what_is_no_path_either_is_named_by_its_type() -> None:
    with pytest.raises(WeightSetError, match="a weight set is asked for") as caught:
        Scorer({"login": 1.0})  # type: ignore[arg-type]
    assert "a dict" in str(caught.value.got)
    assert caught.value.hint == "pass load_weight_set(path)"
