"""Do exported weights give the scores that the weight set states? Run, not believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ces_ml.errors import CesError
from ces_ml.exporters.registry import render
from ces_ml.weights import WeightSet, band_names, raw_scores, scores

__all__ = ["PARITY", "Parity", "check_parity"]

#: Scores of the golden rows may differ by this much.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Parity:
    """What a consumer made of an exported weight set.

    Parameters
    ----------
    format : str
    rows : int
        Golden rows that were scored.
    worst : float
        Largest difference of a raw score or a score from what the golden row states.
    problem : str
        Why it is not reproduced; empty where it is.
    """

    format: str
    rows: int
    worst: float
    problem: str = ""

    @property
    def holds(self) -> bool:
        """Whether every golden row is reproduced, and there is one."""
        return not self.problem


def _json(weight_set: WeightSet) -> float:
    """Write the weight set as JSON, read that back, and score the golden rows with it."""
    read = WeightSet.from_json(str(render(weight_set, "json")))
    worst = 0.0
    for row in weight_set.golden_rows:
        raw = raw_scores(read, np.array([[row.counts.get(name, 0.0) for name in read.names]]))
        score = scores(read, raw)
        if band_names(read, score)[0] != row.band:
            return float("inf")
        worst = max(worst, abs(raw[0] - row.raw_score), abs(score[0] - row.score))
    return float(worst)


#: By format, a key of `EXPORTERS`: export the weight set, run the export in this process on the golden rows, and return
#: the largest difference from what they state (infinite where a band differs). A `CesError` says
#: why it can't be run.
PARITY: dict[str, Callable[[WeightSet], float]] = {"json": _json}


def check_parity(weight_set: WeightSet) -> tuple[Parity, ...]:
    """Run every export that can be run in this process on the golden rows.

    Parameters
    ----------
    weight_set : WeightSet

    Returns
    -------
    tuple of Parity
        One a format. Without golden rows nothing holds.

    Examples
    --------
    >>> from ces_ml.weights import Band, Scale, WeightedTerm
    >>> term = WeightedTerm(name="login", event="login", window="30d", weight=1.0)
    >>> bare = WeightSet(name="demo", terms=(term,), intercept=0.0,
    ...     scale=Scale(method="probability"), bands=(Band(name="all", from_score=0),))
    >>> [(found.format, found.problem) for found in check_parity(bare)]
    [('json', 'the weight set has no golden rows')]
    """
    rows = len(weight_set.golden_rows)
    found = []
    for name, verify in PARITY.items():
        worst, problem = float("nan"), ""
        if not rows:
            problem = "the weight set has no golden rows"
        else:
            try:
                worst = verify(weight_set)
            except CesError as error:
                problem = error.problem
            else:
                # Not `>`: a score that is not a number is no score.
                problem = "" if worst <= TOLERANCE else f"a golden row is off by {worst:.3g}"
        found.append(Parity(name, rows, worst, problem))
    return tuple(found)
