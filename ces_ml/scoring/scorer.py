"""From counts to scores, bands and reasons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ces_ml.errors import SpecError, WeightSetError, show
from ces_ml.scoring.blocks import largest, score_blocks
from ces_ml.scoring.frames import align
from ces_ml.weights.apply import probabilities, scores
from ces_ml.weights.given import check_weight_set
from ces_ml.weights.weight_set import WeightSet

__all__ = ["Scorer"]


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
        check_weight_set(weight_set)
        if n_reasons < 0:
            raise SpecError(
                "the number of reasons is negative",
                got=show(n_reasons),
                allowed="0 or more",
                hint="correct n_reasons",
            )
        self.weight_set = weight_set
        self.n_reasons = min(n_reasons, len(weight_set.terms))
        self._terms = [(t.name, t.weight, t.cap, t.transform) for t in weight_set.terms]
        self._bands = pd.Series([band.name for band in weight_set.bands]).array
        self._names = pd.array(list(weight_set.names), dtype="string")

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
        found = score_blocks(self.weight_set, aligned.X, missing_is_0=aligned.missing_is_0)
        columns: dict[str, Any] = {
            "score": found.score,
            "raw_score": found.raw,
            "band": self._named_bands(found.band),
            "probability": found.probability,
        }
        if self.n_reasons:
            terms, points = largest(
                self.weight_set, aligned.X, self.n_reasons, missing_is_0=aligned.missing_is_0
            )
            for k in range(self.n_reasons):
                named = self._names.take(terms[:, k], allow_fill=True)
                columns |= {f"reason_{k + 1}": named, f"points_{k + 1}": points[:, k]}
        keys = {name: aligned.keys[name] for name in aligned.keys.columns}
        return pd.DataFrame(keys | columns, copy=False)

    def _named_bands(self, places: Any) -> Any:
        """Return names for places; Arrow spreads a few texts over many rows faster than pandas."""
        if not isinstance(self._bands.dtype, pd.StringDtype):
            return self._bands.take(places)
        import pyarrow as pa

        names = pa.array([band.name for band in self.weight_set.bands], pa.large_string())
        spread = pa.DictionaryArray.from_arrays(pa.array(places), names).cast(pa.large_string())
        return pd.array(spread, dtype=self._bands.dtype)

    def score_one(self, counts: Mapping[str, float]) -> dict[str, Any]:
        """Score one customer, some hundred times faster than a frame of one row.

        Parameters
        ----------
        counts : mapping of str to float
            Count by name of term, before cap and transform; a term that is not there, or None,
            counts 0. Other names are ignored.

        Returns
        -------
        dict
            As a row of `score`, without keys; a reason that adds nothing is None.

        Raises
        ------
        WeightSetError
            If a count, or the raw score, is not a finite number.

        Examples
        --------
        >>> from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet
        >>> login = WeightedTerm(name="login", event="login", window="30d", weight=0.5)
        >>> weight_set = WeightSet(name="demo", terms=(login,), intercept=0, bands=(
        ...     Band(name="all", from_score=0),), scale=Scale(method="probability"))
        >>> Scorer(weight_set).score_one({"login": 4})["points_1"]
        2.0
        """
        added = [
            weight * _moved(_number(counts.get(name), name), cap, transform)
            for name, weight, cap, transform in self._terms
        ]
        raw = _added_up(added)
        at = np.array([raw])
        score = float(scores(self.weight_set, at)[0])
        found = {
            "score": score,
            "raw_score": raw,
            "band": [b.name for b in self.weight_set.bands if score >= b.from_score][-1],
            "probability": float(probabilities(self.weight_set, at)[0]),
        }
        order = sorted(range(len(added)), key=lambda t: -abs(added[t]))
        for k, t in enumerate(order[: self.n_reasons], start=1):
            found[f"reason_{k}"] = self._terms[t][0] if added[t] else None
            found[f"points_{k}"] = added[t] if added[t] else None
        return found


def _number(count: float | None, name: str) -> float:
    try:
        value = 0.0 if count is None else float(count)
    except (ValueError, TypeError):
        value = math.inf
    if not math.isfinite(value):
        raise WeightSetError(
            "a count is not a finite number",
            got=f"{show(count)} for {show(name, 60)}",
            allowed="finite numbers",
            hint="clean the counts",
        )
    return value


def _added_up(points: list[float]) -> float:
    try:
        raw = math.fsum(points)
    except (OverflowError, ValueError):  # past all numbers on the way; endless less endless
        raw = math.inf
    if not math.isfinite(raw):
        raise WeightSetError(
            "a raw score is larger than any number",
            got=f"points of {len(points):,} terms that add up to no finite number",
            allowed="counts whose points add up to less than 1.8e308",
            hint="clean the counts",
        )
    return raw


def _moved(n: float, cap: float | None, transform: str) -> float:
    """Return ``g(n)``; see `ces_ml.spec.terms.saturate`."""
    if cap is not None:
        n = max(-cap, min(cap, n))
    return math.copysign(_MOVES[transform](abs(n)), n)


_MOVES: dict[str, Callable[[float], float]] = {
    "identity": float,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
}
