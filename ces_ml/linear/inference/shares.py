"""Between which shares zero lies inside the intervals along a grid of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["crossings"]

Floats = NDArray[np.float64]


def crossings(
    grid: Floats, least: Floats, most: Floats, held: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return where zero enters and leaves the intervals along the grid, between its points."""
    places = np.flatnonzero(held)
    if not len(places):
        return float("inf"), float("-inf")
    first, last = int(places[0]), int(places[-1])
    low, high = float(grid[first]), float(grid[last])
    if first > 0:
        edge = least if least[first - 1] > 0.0 else most
        low = _zero(grid[first - 1 : first + 1], edge[first - 1 : first + 1])
    if last + 1 < len(grid):
        edge = most if most[last + 1] < 0.0 else least
        high = _zero(grid[last : last + 2], edge[last : last + 2])
    return low, high


def _zero(x: Floats, y: Floats) -> float:
    step = float(y[1] - y[0])
    return float(x[0] - y[0] * (x[1] - x[0]) / step) if step else float(x[0])
