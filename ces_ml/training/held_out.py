"""The same held-out rows for several weight sets, whatever each of them counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ces_ml.evaluation import TimeSplit
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountSpec
from ces_ml.spec.terms import Term
from ces_ml.training.config import TrainingConfig
from ces_ml.training.counting import reached
from ces_ml.training.dividing import divided
from ces_ml.training.opening import open_log, rows_of
from ces_ml.weights import WeightSet, band_names, probabilities, raw_scores, scores

__all__ = ["HeldOut", "Scored", "count_held_out"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scored:
    """A weight set on the held-out rows.

    Parameters
    ----------
    raw, score, probability : ndarray of float64, of shape (n_rows,)
    band : ndarray of str, of shape (n_rows,)
    spread : dict of str to float
        Standard deviation of ``g(n)`` by term.
    seen : int or None
        Held-out rows that the weights may have learned from; 0 where they can't have. None where
        the weight set does not say what it learned from.
    """

    raw: Floats
    score: Floats
    probability: Floats
    band: NDArray[Any]
    spread: dict[str, float]
    seen: int | None


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows that a configuration holds out, counted for several weight sets.

    Parameters
    ----------
    rows : CountTable
        The held-out rows with outcomes; columns of every weight set.
    split : TimeSplit
    scored : dict of str to Scored
        By name of the weight set.
    """

    rows: CountTable
    split: TimeSplit
    scored: dict[str, Scored]

    @property
    def customers(self) -> NDArray[Any]:
        """Who every row is about."""
        return np.asarray(self.rows.customer.to_numpy())


def count_held_out(
    sets: Mapping[str, WeightSet],
    config: TrainingConfig,
    events: Any = None,
    *,
    labels: Any = None,
    treated: Any = None,
) -> HeldOut:
    """Count the terms of every weight set in one pass, and score the rows that are held out.

    The configuration gives the log, the rows, the outcome and the split; what is counted comes
    from the weight sets. With ``engine: spark`` and more than ``events.driver_rows`` rows they are
    those of some customers, as in `train`, and a warning says so.

    Raises
    ------
    ConfigError
        If no log is named.
    EventLogError, SpecError
        As `train`.
    """
    spec, columns = _union(sets)
    with open_log(config, events) as engine:
        found = reached(engine, config, spec, rows_of(config, labels), treated=treated)
    table = found.table
    split = divided(config, table, found.test_from)
    rows = table.take(split.test)
    scored = {}
    for name, weight_set in sets.items():
        own = replace(table, X=table.X[:, columns[name]], spec=weight_set.spec)
        scored[name] = _scored(weight_set, own, split)
    return HeldOut(rows, split, scored)


def _union(sets: Mapping[str, WeightSet]) -> tuple[CountSpec, dict[str, list[int]]]:
    """Return every different term once, and the columns of each weight set among them."""
    place: dict[str, int] = {}
    terms: list[Term] = []
    columns: dict[str, list[int]] = {}
    for name, weight_set in sets.items():
        columns[name] = []
        for term in weight_set.spec.terms:
            # Cap and transform come after the count: terms that differ in these share a column.
            bare = term.model_copy(update={"name": "", "cap": None, "transform": "identity"})
            key = bare.model_dump_json()
            if key not in place:
                place[key] = len(terms)
                terms.append(bare.model_copy(update={"name": str(len(terms))}))
            columns[name].append(place[key])
    return CountSpec(terms=tuple(terms)), columns


def _scored(weight_set: WeightSet, table: CountTable, split: TimeSplit) -> Scored:
    rows = table.take(split.test)
    raw = raw_scores(weight_set, rows.X)
    score = scores(weight_set, raw)
    Z = rows.design().tocsc()
    mean = np.asarray(Z.mean(axis=0)).ravel()
    square = np.asarray(Z.multiply(Z).mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    return Scored(
        raw=raw,
        score=score,
        probability=probabilities(weight_set, raw),
        band=band_names(weight_set, score),
        spread=dict(zip(weight_set.names, spread.tolist(), strict=True)),
        seen=_seen(weight_set, table, split),
    )


def _seen(weight_set: WeightSet, table: CountTable, split: TimeSplit) -> int | None:
    """Return how many held-out rows the weights may have learned from.

    None of them where the digest shows that they learned from this split's training rows. Else
    those between the first and the last moment that they learned from: the weight set says no
    more.
    """
    source = weight_set.provenance
    if source is None or not source.as_of:
        return None
    if table.take(split.train).digest() == source.data_digest:
        return 0
    first, last = (pd.Timestamp(moment) for moment in (source.as_of[0], source.as_of[-1]))
    moments = table.as_of[split.test]
    # Moments are kept to the microsecond; the text may hold fewer digits.
    late = last + timedelta(microseconds=1)
    return int(((moments >= first) & (moments < late)).sum())
