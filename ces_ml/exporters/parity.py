"""Whether exports give the scores of the weight set that they were made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ces_ml.errors import CesError
from ces_ml.exporters.registry import render
from ces_ml.weights import WeightSet, band_names, raw_scores, scores

__all__ = ["TOLERANCE", "ParityResult", "check_parity"]

#: How far raw score and score may lie apart.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class ParityResult:
    """How an export did on the golden rows.

    Parameters
    ----------
    format : str
        A key of `EXPORTERS`.
    consumer : str
        What read the export.
    rows : int
        Golden rows that it scored.
    largest : float
        Largest difference of raw score or score.
    problem : str
        What is wrong, in words; empty where nothing is.
    ran : bool
        False where the consumer is not installed.
    """

    format: str
    consumer: str
    rows: int = 0
    largest: float = 0.0
    problem: str = ""
    ran: bool = True

    @property
    def ok(self) -> bool:
        """Whether the consumer ran and gave every golden row its scores."""
        return self.ran and not self.problem


def check_parity(weight_set: WeightSet) -> list[ParityResult]:
    """Export a weight set in every format that this process can read back, and compare.

    Returns
    -------
    list of ParityResult
        One a format.

    Examples
    --------
    >>> from ces_ml.weights import Band, Scale, WeightedTerm
    >>> term = WeightedTerm(name="login", event="login", window="30d", weight=1.0)
    >>> bare = WeightSet(name="demo", terms=(term,), intercept=0.0,
    ...     scale=Scale(method="probability"), bands=(Band(name="all", from_score=0),))
    >>> [found.format for found in check_parity(bare) if found.problem]
    []
    """
    found = []
    for name, (consumer, read) in _CONSUMERS.items():
        try:
            largest = read(weight_set)
        except CesError as error:
            found.append(ParityResult(name, consumer, problem=error.problem))
            continue
        # Not `>`: a score that is not a number is no score.
        problem = "" if largest <= TOLERANCE else f"a golden row is off by {largest:.3g}"
        found.append(ParityResult(name, consumer, len(weight_set.golden_rows), largest, problem))
    return found


def _json(weight_set: WeightSet) -> float:
    """Score the golden rows with what JSON hands on; return the largest difference."""
    read = WeightSet.from_json(str(render(weight_set, "json")))
    worst = 0.0
    for row in weight_set.golden_rows:
        raw = raw_scores(read, np.array([[row.counts.get(name, 0.0) for name in read.names]]))
        score = scores(read, raw)
        if band_names(read, score)[0] != row.band:
            return float("inf")
        worst = max(worst, abs(raw[0] - row.raw_score), abs(score[0] - row.score))
    return float(worst)


_CONSUMERS: dict[str, tuple[str, Callable[[WeightSet], float]]] = {"json": ("ces-ml", _json)}
