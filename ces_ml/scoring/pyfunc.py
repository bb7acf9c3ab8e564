"""The face of a weight set towards MLflow's ``python_function`` flavor.

MLflow imports this module by the name that a logged model states and calls `_load_pyfunc`. Nothing
but the JSON is read, and nothing in it is executed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from ces_ml.errors import WeightSetError, show
from ces_ml.scoring.frames import KEY_COLUMNS
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
        """Return one row of scores a row of counts; see `Scorer.score`.

        A missing column and a missing value both count 0: a request says what happened, not what
        did not. A row that names only the customer is scored as one without events. A reason that
        adds nothing is the empty text, and its points are None.

        Raises
        ------
        WeightSetError
            If no column is known. MLflow has then dropped all columns, and the rows with them.
        """
        if not isinstance(model_input, pd.DataFrame):
            return _plain(self._scorer.score(model_input))
        weight_set = self._scorer.weight_set
        names = weight_set.names
        keys = dict.fromkeys((weight_set.scored_events.customer_col, *KEY_COLUMNS))
        held = [key for key in keys if key in model_input.columns and key not in names]
        if not held and not any(name in model_input.columns for name in names):
            raise WeightSetError(
                "the rows have no column that the weights know",
                got=", ".join(show(str(c), 30) for c in model_input.columns[:5])
                or "none: MLflow drops the columns that are not in the model's signature",
                allowed=", ".join(show(n, 30) for n in (*names[:5], *keys)),
                hint="name the columns like the terms; leave out what did not happen, or send 0",
            )
        return _plain(self._scorer.score(model_input.reindex(columns=[*held, *names])))


def _plain(scored: pd.DataFrame) -> pd.DataFrame:
    """Write what is missing so that it passes through MLflow's tools.

    Its server writes a missing number as NaN, which is no JSON, and its Spark function makes the
    text ``"None"`` of a missing text. So a missing number is None, and a missing reason the empty
    text.
    """
    plain = {}
    for name in map(str, scored.columns):
        column = scored[name]
        if name.startswith("reason_"):
            plain[name] = column.fillna("").astype(object)
        elif column.isna().any():
            plain[name] = column.astype(object).where(column.notna(), None)
    return scored.assign(**plain)


def _load_pyfunc(path: str) -> PyfuncScorer:
    found = Path(path)
    return PyfuncScorer(WeightSet.load(found / "weights.json" if os.path.isdir(found) else found))
