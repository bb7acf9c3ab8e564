"""Which weights have a known sign, and rows of absolute values made linear by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ces_ml.errors import ConstraintError, show
from ces_ml.linear.constraints.contract import LinearRow
from ces_ml.linear.constraints.names import write_name

__all__ = ["known_signs", "linear_row"]

ROUNDS = 100
"""How often bounds are carried from weight to weight, at most: the length of a chain of orders."""


def known_signs(rows: Sequence[LinearRow], p: int) -> NDArray[np.int8]:
    """Return for each weight 1 if the rows keep it at least 0, −1 if at most 0, 0 if neither.

    Bounds are carried along rows: from ``a >= b`` and ``b >= 0`` follows ``a >= 0``. A weight that
    is fixed at zero gets 1.
    """
    low, high = [-math.inf] * p, [math.inf] * p
    pairs = [(row.coefficients, row.limit) for row in rows]
    pairs += [({j: -a for j, a in r.coefficients.items()}, -r.limit) for r in rows if r.equal]
    for _ in range(ROUNDS):
        before = [*low, *high]
        for coefficients, limit in pairs:
            _carry(coefficients, limit, low, high)
        if [*low, *high] == before:
            break
    positive, negative = np.array(low) >= 0.0, np.array(high) <= 0.0
    signs: NDArray[np.int8] = np.where(positive, 1, np.where(negative, -1, 0)).astype(np.int8)
    return signs


def _carry(
    coefficients: dict[int, float], limit: float, low: list[float], high: list[float]
) -> None:
    """Tighten the bounds of each weight of one row by the least that the others can be."""
    least = {j: a * (low[j] if a > 0 else high[j]) for j, a in coefficients.items()}
    for j, a in coefficients.items():
        rest = sum(value for k, value in least.items() if k != j)
        if rest == -math.inf:
            continue
        bound = (limit - rest) / a
        if a > 0:
            high[j] = min(high[j], bound)
        else:
            low[j] = max(low[j], bound)


def linear_row(
    row: LinearRow, signs: NDArray[np.int8], names: Sequence[str], rule: str
) -> LinearRow:
    """Return a row of absolute values as a row of weights.

    Raises
    ------
    ConstraintError
        If the sign of one of its weights is not known.
    """
    unknown = [names[j] for j in row.coefficients if signs[j] == 0]
    if unknown:
        first = write_name(unknown[0])
        shown = ", ".join(show(name, 60) for name in unknown[:12])
        more = f", … {len(unknown) - 12} more" if len(unknown) > 12 else ""
        raise ConstraintError(
            f"a share is read only where every weight has a known sign, in the rule "
            f"{show(rule, 200)}",
            got=f"{len(unknown)} of {len(names)} weights without one: {shown}{more}",
            allowed="weights that other rules keep at least 0 or at most 0",
            hint=f"add `{first} >= 0` or `{first} <= 0`, and so for each of them",
        )
    signed = {j: a * float(signs[j]) for j, a in row.coefficients.items()}
    return replace(row, coefficients=signed, absolute=False)
