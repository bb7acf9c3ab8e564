"""The bar that a good vendor of scores sets for itself, and where a score stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ces_ml.weights import Band

__all__ = ["VendorBar", "vendor_bar"]

#: MadKudu's published bar: 15 to 35 % of people flagged hold at least 60 % of the conversions, and
#: the top segment converts at least ten times as often as the lowest.
SHARES = (0.15, 0.25, 0.35)
HELD, TIMES = 0.6, 10.0


@dataclass(frozen=True)
class VendorBar:
    """Where a score stands against the vendor's bar, on held-out rows.

    Parameters
    ----------
    flags : {"high", "low"}
        Whether the highest scores are flagged, to find good outcomes, or the lowest, to find bad
        ones (churn).
    held : tuple of float
        Share of these outcomes among the 15, 25 and 35 % of the rows that are flagged.
    share_needed : float
        Smallest share of the rows that holds 60 % of the outcomes; the bar asks for 0.35 or less.
    times : float
        Rate of the outcome in the band flagged first over that in the band flagged last; infinite
        where the latter is 0. The bar asks for 10.
    """

    flags: Literal["high", "low"]
    held: tuple[float, ...]
    share_needed: float
    times: float

    @property
    def words(self) -> str:
        """Where the score stands, in a sentence."""
        which = "highest" if self.flags == "high" else "lowest"
        what = "good" if self.flags == "high" else "bad"
        shares = ", ".join(f"{s:.0%}" for s in SHARES)
        held = ", ".join(f"{h:.0%}" for h in self.held)
        enough = "reached" if self.share_needed <= SHARES[-1] else "not reached"
        times = "reached" if self.times >= TIMES else "not reached"
        ratio = "endless times" if np.isinf(self.times) else f"{self.times:.1f} times"
        text = (
            f"the {shares} of customers with the {which} scores hold {held} of the {what} outcomes "
            f"(bar: 60% within 35%; {enough}, 60% take {self.share_needed:.0%}); the first band "
            f"has {ratio} the rate of the last (bar: 10; {times})"
        )
        return text.replace("%", " %")


def vendor_bar(
    score: NDArray[np.float64],
    y: NDArray[Any],
    bands: Sequence[Band],
    *,
    flags: Literal["high", "low"] = "high",
    sample_weight: NDArray[np.float64] | None = None,
) -> VendorBar:
    """Return how much a score concentrates outcomes.

    Parameters
    ----------
    score : ndarray of shape (n_rows,)
        Scores of held-out rows.
    y : ndarray of shape (n_rows,)
        Their outcomes, of both kinds.
    bands : sequence of Band
        From the lowest, with rates from rows that did not choose their cuts.
    flags : {"high", "low"}, default="high"
    sample_weight : ndarray of shape (n_rows,), optional

    Returns
    -------
    VendorBar

    Examples
    --------
    >>> low, top = (Band(name=f"from {s}", from_score=s, rate=r) for s, r in ((0, 0.02), (50, 0.4)))
    >>> bar = vendor_bar(np.arange(100.0), np.arange(100) >= 70, [low, top])
    >>> bar.held, bar.share_needed, bar.times
    ((0.5, 0.8333333333333334, 1.0), 0.18, 20.0)
    """
    score, y = np.asarray(score, np.float64), np.asarray(y, np.float64)
    weight = np.ones(y.size) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if flags == "low":
        score, y = -score, 1 - y
    # Rows of equal scores are flagged together, as far as there is room.
    _, place = np.unique(-score, return_inverse=True)
    rows = np.concatenate([[0.0], np.cumsum(np.bincount(place, weight))]) / weight.sum()
    found = np.concatenate([[0.0], np.cumsum(np.bincount(place, weight * y))])
    found = found / found[-1]
    rates = [b.rate for b in bands]
    first, last = (rates[-1], rates[0]) if flags == "high" else (rates[0], rates[-1])
    times = float("nan")
    if first is not None and last is not None:
        first, last = (first, last) if flags == "high" else (1 - first, 1 - last)
        times = first / last if last > 0 else float("inf")
    at = int(np.argmax(found >= HELD - 1e-12))
    part = (HELD - found[at - 1]) / (found[at] - found[at - 1])
    return VendorBar(
        flags=flags,
        held=tuple(float(v) for v in np.interp(SHARES, rows, found)),
        share_needed=round(float(rows[at - 1] + part * (rows[at] - rows[at - 1])), 12),
        times=times,
    )
