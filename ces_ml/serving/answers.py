"""From counts to the answer of a request: the arithmetic of a score, without frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ces_ml.errors import WeightSetError
from ces_ml.serving.bodies import CountsRow, Reason, Score, Scores
from ces_ml.serving.loaded import Served
from ces_ml.weights import band_names, contributions, probabilities, scores

__all__ = ["answer", "matrix"]

#: Names that an answer lists at most.
_MOST_UNKNOWN = 20


def matrix(served: Served, rows: Sequence[CountsRow]) -> tuple[NDArray[np.float64], set[str]]:
    """Return counts in the order of the terms, of shape (n_rows, n_terms), and unknown names."""
    place = served.place
    n = np.zeros((len(rows), len(place)))
    unknown: set[str] = set()
    for i, row in enumerate(rows):
        for name, count in row.counts.items():
            t = place.get(name)
            if t is None:
                unknown.add(name)
            else:
                n[i, t] = count
    return n, unknown


def answer(
    served: Served,
    customers: Sequence[str | int | None],
    n: NDArray[np.float64],
    n_reasons: int,
    unknown: Iterable[str] = (),
) -> Scores:
    """Score counts and return the body of the answer.

    Parameters
    ----------
    served : Served
        The weights.
    customers : sequence of str, int or None
        Who the rows are.
    n : ndarray of shape (n_rows, n_terms)
    n_reasons : int
        Contributions reported a row; those that are 0 are left out.
    unknown : iterable of str, optional
        What the weights do not know.

    Raises
    ------
    WeightSetError
        If a score runs past all doubles.
    """
    weight_set = served.weight_set
    C = contributions(weight_set, n)
    raw = C.sum(axis=1)
    if not np.isfinite(raw).all():
        raise WeightSetError(
            "a score is not a finite number",
            got="counts that are too large for these weights",
            allowed="counts that the weights were learned for",
            hint="check the counts",
        )
    score, probability = scores(weight_set, raw), probabilities(weight_set, raw)
    bands = band_names(weight_set, score)
    # A stable sort: equal contributions keep the order of the terms.
    order = np.argsort(-np.abs(C), axis=1, kind="stable")[:, :n_reasons]
    names = weight_set.names
    return Scores(
        weights=served.weights,
        scores=[
            Score(
                customer_id=customer,
                score=float(score[i]),
                raw_score=float(raw[i]),
                band=str(bands[i]),
                probability=float(probability[i]),
                reasons=[
                    Reason(term=names[t], points=float(C[i, t])) for t in order[i] if C[i, t] != 0
                ],
            )
            for i, customer in enumerate(customers)
        ],
        unknown=sorted(unknown)[:_MOST_UNKNOWN],
    )
