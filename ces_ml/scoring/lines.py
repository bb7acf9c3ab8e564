"""Straight lines between knots, evaluated for many numbers at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lines"]

_BINS = 4096
#: How far a number may be rounded into a neighbouring bin, in bins.
_SLACK = 1e-3


class Lines:
    """What `numpy.interp` computes, in a third of its time: no search for the knot.

    The range of the knots is cut into equal bins; a bin that holds at most one knot says with one
    comparison which line a number lies on. Knots too close for that are left to `numpy.interp`.

    Parameters
    ----------
    knots : sequence of (x, y)
        At least one; x rises, y does not fall.

    Examples
    --------
    >>> Lines([(0.0, 10.0), (2.0, 20.0)])(np.array([-1.0, 1.0, 9.0])).tolist()
    [10.0, 15.0, 20.0]
    """

    def __init__(self, knots: Sequence[tuple[float, float]]) -> None:
        self._at, self._y = (np.array(v, dtype=np.float64) for v in zip(*knots, strict=True))
        self._bin: NDArray[np.int32] | None = None
        if len(self._at) == 1:
            return
        low, high = self._at[0], self._at[-1]
        width = (high - low) / _BINS
        edges = low + width * np.arange(-_SLACK, _BINS + 1)
        before = np.searchsorted(self._at, edges, side="right")
        beyond = np.searchsorted(self._at, edges + width * (1 + 2 * _SLACK), side="right")
        with np.errstate(over="ignore"):
            self._per_width = _BINS / (high - low)
        if np.isfinite(self._per_width) and (beyond - before).max() <= 1:
            self._bin = np.clip(before - 1, 0, len(self._at) - 2).astype(np.int32)
            self._slope = np.diff(self._y) / np.diff(self._at)

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the height of the lines at every x, flat outside the knots."""
        low, high = self._at[0], self._at[-1]
        if self._bin is None:
            height = np.interp(x, self._at, self._y)
        else:
            inside = np.clip(x, low, high)
            # mode="clip" spares a look at every place; all lie inside.
            bins = ((inside - low) * self._per_width).astype(np.int32)
            place = self._bin.take(bins, mode="clip")
            place += inside >= self._at[1:].take(place, mode="clip")
            height = inside - self._at.take(place, mode="clip")
            height *= self._slope.take(place, mode="clip")
            height += self._y.take(place, mode="clip")
            np.copyto(height, self._y[-1], where=inside >= high)
        # Just before a knot the straight line may pass it in the last bit.
        return np.clip(height, self._y[0], self._y[-1], out=height)
