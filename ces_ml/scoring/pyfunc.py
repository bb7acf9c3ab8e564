"""The face of a weight set towards MLflow's ``python_function`` flavor.

MLflow imports this module by the name that a logged model states and calls `_load_pyfunc`. Nothing
but the JSON is read, and nothing in it is executed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from ces_ml.scoring.scorer import Scorer
from ces_ml.weights.weight_set import WeightSet

__all__ = ["PyfuncScorer"]


class PyfuncScorer:
    """Scores a frame of counts, as MLflow's serving, batch and Spark tools expect.

    Parameters
    ----------
    weight_set : WeightSet
    """

    def __init__(self, weight_set: WeightSet) -> None:
        self._scorer = Scorer(weight_set)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return one row of scores a row of counts; see `Scorer.score`."""
        return self._scorer.score(model_input)


def _load_pyfunc(path: str) -> PyfuncScorer:
    found = Path(path)
    return PyfuncScorer(WeightSet.load(found / "weights.json" if os.path.isdir(found) else found))
