"""From counts to scores, bands and reasons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.errors import SpecError, show
from ces_ml.scoring.frames import align
from ces_ml.weights.apply import (
    band_names,
    contributions,
    probabilities,
    raw_scores,
    scores,
)
from ces_ml.weights.weight_set import WeightSet

__all__ = ["Scorer"]

_BLOCK_ROWS = 100_000


class Scorer:
    """Applies a weight set to counts.

    Parameters
    ----------
    weight_set : WeightSet
    n_reasons : int, default=3
        How many contributions are reported a row, largest first.

    Examples
    --------
    >>> from ces_ml.spec import CountSpec
    >>> from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet
    >>> term = CountSpec.of(["login"], window="30d").terms[0]
    >>> weight_set = WeightSet(
    ...     name="demo",
    ...     terms=(WeightedTerm(**term.model_dump(), weight=0.5),),
    ...     intercept=-1.0,
    ...     scale=Scale(method="min_max", knots=((0, 0), (5, 100))),
    ...     bands=(Band(name="at_risk", from_score=0), Band(name="advocate", from_score=50)),
    ... )
    >>> row = Scorer(weight_set).score({"login": 6}).iloc[0]
    >>> row["raw_score"], row["score"], row["band"], row["reason_1"]
    (np.float64(3.0), np.float64(60.0), 'advocate', 'login')
    """

    def __init__(self, weight_set: WeightSet, n_reasons: int = 3) -> None:
        if n_reasons < 0:
            raise SpecError(
                "the number of reasons is negative",
                got=show(n_reasons),
                allowed="0 or more",
                hint="correct n_reasons",
            )
        self.weight_set = weight_set
        self.n_reasons = min(n_reasons, len(weight_set.terms))

    def score(self, counts: Any) -> pd.DataFrame:
        """Score every row.

        Parameters
        ----------
        counts : CountTable, DataFrame (pandas, polars), pyarrow.Table, mapping, or array
            Counts before cap and transform. Columns are matched by the terms' names; others are
            ignored. A mapping is one customer.

        Returns
        -------
        DataFrame of shape (n_rows, …)
            Keys of the rows, then ``score`` (0–100), ``raw_score`` (``Σ w·g(n)``), ``band``,
            ``probability`` of the good outcome, and ``reason_k``, ``points_k``: the terms that
            add or take most, with their part of the raw score. A reason that adds nothing is
            missing.

        Raises
        ------
        WeightSetError
            If the counts do not fit the weight set.
        """
        aligned = align(self.weight_set, counts)
        raw = raw_scores(self.weight_set, aligned.X)
        score = scores(self.weight_set, raw)
        frame = aligned.keys.assign(
            score=score,
            raw_score=raw,
            band=band_names(self.weight_set, score),
            probability=probabilities(self.weight_set, raw),
        )
        return pd.concat([frame, self._reasons(aligned.X)], axis=1)

    def _reasons(self, X: Any) -> pd.DataFrame:
        parts = [
            self._block_reasons(X[start : start + _BLOCK_ROWS])
            for start in range(0, max(X.shape[0], 1), _BLOCK_ROWS)
        ]
        names = np.concatenate([p[0] for p in parts])
        points = np.concatenate([p[1] for p in parts])
        columns: dict[str, Any] = {}
        for k in range(self.n_reasons):
            columns[f"reason_{k + 1}"] = pd.array(names[:, k], dtype="string")
            columns[f"points_{k + 1}"] = points[:, k]
        return pd.DataFrame(columns, index=range(X.shape[0]))

    def _block_reasons(self, X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        C = contributions(self.weight_set, X)
        C = C.toarray() if sp.issparse(C) else C
        # A stable sort: equal contributions keep the order of the terms.
        order = np.argsort(-np.abs(C), axis=1, kind="stable")[:, : self.n_reasons]
        points = np.take_along_axis(C, order, axis=1)
        names = np.array(self.weight_set.names, dtype=object)[order]
        nothing = points == 0
        names[nothing], points = None, np.where(nothing, np.nan, points)
        return names, points
