"""From fitted weights to whole numbers that people can add up by hand."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ces_ml.errors import InfeasibleConstraintsError, SpecError, show
from ces_ml.linear.lattice import Lattice, QuadraticModel
from ces_ml.linear.lattice_search import LatticeSearch, lowest_terms
from ces_ml.linear.rows import LabelledRows

__all__ = ["Points", "to_points"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RUNS = 12
"""Into how many runs the multipliers are cut; each gives one start."""


@dataclass(frozen=True)
class Points:
    """Whole numbers in place of weights, and what that costs.

    The probability of the good outcome is ``1/(1 + exp(−(scale·Σ points·count + intercept)))``.

    Parameters
    ----------
    points : dict of str to int
        For each feature its points, in lowest terms (halving them all would not stay whole).
    scale : float
        What a point is worth, in units of weight; positive. 1 if all points are zero.
    intercept : float
        Zero if the estimator has none.
    loss : float
        Mean log loss on the rows, in nats, measured at the best scale and intercept.
    fitted_loss : float
        Mean log loss of the fitted weights on the same rows.
    rounded_loss : float
        Mean log loss of plain scale-and-round: the weights times the largest number that keeps
        them in the range, rounded; ``inf`` if that breaks a rule.
    low, high : int
        The range that the points were chosen from.
    n_evaluated : int
        How many lattice points were measured on the rows.
    neighbour_gap : float
        By how much the best measured neighbour (one or two features changed by 1) is worse, not
        negative: the proof that the points are a local optimum. ``inf`` if no neighbour obeys
        the rules.
    max_violation : float
        Largest violation of a rule by ``scale·points``, relative to its largest term above 1;
        round-off at most.
    """

    points: dict[str, int]
    scale: float
    intercept: float
    loss: float
    fitted_loss: float
    rounded_loss: float
    low: int
    high: int
    n_evaluated: int
    neighbour_gap: float
    max_violation: float

    @property
    def loss_given_up(self) -> float:
        """Loss of the points less that of the weights.

        Slightly negative where the weights were shrunk by a penalty, which points do not pay.
        """
        return self.loss - self.fitted_loss

    @property
    def weights(self) -> dict[str, float]:
        """For each feature ``scale·points``: the weights that obey the rules."""
        return {name: self.scale * value for name, value in self.points.items()}


def to_points(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    low: int = -5,
    high: int = 10,
) -> Points:
    r"""Choose integer points of least log loss under the rules of a fitted estimator.

    Solves, by local search, with scale and intercept optimal for every candidate,

    .. math::

        \min_{m,\,\sigma > 0,\,c} \; \sum_i s_i \log\bigl(1 + e^{-(2y_i - 1)(\sigma x_i^\top m
        + c)}\bigr) \Big/ \sum_i s_i
        \quad \text{subject to} \quad m \in \{low, …, high\}^p, \;
        l \le \sigma m \le u, \; A \sigma m \le b .

    The rules hold for *the points times the scale*: signs and orders without margin therefore for
    the points themselves, while bounds and margins, which are in units of weight, limit the scale
    too. There is no penalty. Features whose weights the lasso made zero keep zero points. A limit
    on the number of features holds for the points, but they may choose other features than the
    weights did, where that lowers the loss.

    The search starts from the weights times every multiplier, rounded; where no rounding obeys
    the rules, from the nearest points that do (mixed-integer programming). Single moves and pairs
    of moves by 1 (under a limit on their number, also exchanges of one feature for another) are
    compared exactly on the quadratic model of the loss, and the best of them are measured on the
    rows, until none improves. The result is a local optimum; with few
    features it is nearly always the global one.

    Parameters
    ----------
    estimator : ConstrainedLogisticRegression
        Fitted.
    X : array-like, sparse matrix or data frame of shape (n_rows, n_features)
        The rows it was fitted on, or others that it should suit.
    y : array-like of shape (n_rows,)
        Their outcomes.
    sample_weight : array-like of shape (n_rows,), optional
        Not negative.
    low, high : int, default=-5, 10
        The range of the points; ``low <= 0 <= high``.

    Returns
    -------
    Points

    Raises
    ------
    SpecError
        If the range is empty or leaves out 0, or the outcomes are not those of the fit.
    InfeasibleConstraintsError
        If no points in the range obey the rules at any scale.

    Examples
    --------
    >>> import numpy as np
    >>> from ces_ml.linear import ConstrainedLogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(1.0, size=(500, 3))
    >>> y = rng.random(500) < 1 / (1 + np.exp(-X @ [0.5, 1.0, -0.5]))
    >>> model = ConstrainedLogisticRegression(constraints="x1 >= 2 * x0").fit(X, y)
    >>> card = to_points(model, X, y, low=-3, high=3)
    >>> card.points, card.loss_given_up < 0.01
    ({'x0': 1, 'x1': 2, 'x2': -2}, True)
    """
    _check_range(low, high)
    rows = LabelledRows.of(estimator, X, y, sample_weight)
    w, region = estimator.coef_[0], estimator.constraints_
    pinned, shrunk = _zeros_to_keep(estimator)
    lattice = Lattice.of(region, np.where(pinned, 0, low), np.where(pinned, 0, high))
    wide = lattice.with_limits(region, np.where(shrunk, 0, low), np.where(shrunk, 0, high))
    search = LatticeSearch(rows, wide, bool(estimator.fit_intercept))
    model = search.model(w, float(estimator.intercept_[0]))
    plain = _rounded(w, _largest_multiplier(w, low, high), lattice)
    for start in (np.zeros(len(w), dtype=np.int64), plain):
        search.measure(start)
    for start in _starts(w, model, lattice):
        search.measure(start)
        search.measure(model.descend(start, lattice))
    if not search.known:
        raise _no_points(region, low, high)
    gap = search.improve()
    best = search.best()
    at_plain = search.known.get(lowest_terms(plain).tobytes())
    sigma_m = best.scale * best.m
    left = lattice.G @ sigma_m
    terms = np.abs(lattice.G * sigma_m).max(axis=1, initial=1.0)
    return Points(
        points=dict(zip(region.feature_names, best.m.tolist(), strict=True)),
        scale=best.scale,
        intercept=best.intercept,
        loss=best.loss,
        fitted_loss=rows.log_loss(rows.score),
        rounded_loss=np.inf if at_plain is None else at_plain.loss,
        low=int(low),
        high=int(high),
        n_evaluated=len(search.known),
        neighbour_gap=gap,
        max_violation=float(((left - lattice.h) / terms).max(initial=0.0)),
    )


def _check_range(low: Any, high: Any) -> None:
    whole = all(isinstance(v, Integral) and not isinstance(v, bool) for v in (low, high))
    if not whole or low >= high or low > 0 or high < 0:
        raise SpecError(
            "the range of the points is not a range around 0",
            got=f"low={show(low)}, high={show(high)}",
            allowed="whole numbers with low <= 0 <= high and low < high",
            hint="write for example low=-5, high=10",
        )


def _zeros_to_keep(estimator: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which weights are zero for no bound: at the start of the search, and throughout it.

    A limit on their number holds the first choice of features only at the start.
    """
    w, region = estimator.coef_[0], estimator.constraints_
    free = (region.lower == 0.0) | (region.upper == 0.0)
    chosen = np.zeros(len(w), dtype=bool)
    for limit in getattr(region, "limits", ()):
        chosen[list(limit.members)] = True
    if getattr(estimator, "l1_ratio", 0.0):
        return w == 0.0, w == 0.0
    return (w == 0.0) & (chosen | ~free), (w == 0.0) & ~chosen & ~free


def _largest_multiplier(w: Floats, low: int, high: int) -> float:
    ends = np.where(w > 0.0, float(high), float(-low))
    fits = (w != 0.0) & (ends > 0.0)  # a weight beyond a range that ends at 0 has no points at all
    return float((ends[fits] / np.abs(w[fits])).min()) if fits.any() else 1.0


def _rounded(w: Floats, multiplier: float, lattice: Lattice) -> Ints:
    return np.clip(np.rint(multiplier * w), lattice.low, lattice.high).astype(np.int64)


def _starts(w: Floats, model: QuadraticModel, lattice: Lattice) -> list[Ints]:
    """Return feasible points along the line of the weights, one for each run of multipliers."""
    spread = np.sqrt(np.maximum(np.diag(model.H), 0.0))
    kappas = _multipliers(w, lattice, spread)
    starts: list[Ints] = []
    for run in np.array_split(kappas, min(RUNS, len(kappas))) if len(kappas) else []:
        M = np.clip(np.rint(run[:, None] * w), lattice.low, lattice.high).astype(np.int64)
        values = model.of(M, lattice)[0]
        best: Ints | None = M[int(values.argmin())] if np.isfinite(values).any() else None
        if best is None:
            best = lattice.nearest(w, spread, (float(run[0]), float(run[-1])))
        if best is not None:
            starts.append(best)
    if starts or not (lattice.h < 0.0).any():
        return starts
    # Rules that zero weights break bound κ from above: |h|·κ ≤ the largest left side.
    beyond = lattice.h < 0.0
    most = float((lattice.size[beyond] / -lattice.h[beyond]).min())
    edges = [most * 0.5**k for k in range(8)] + [most * 1e-6]
    found = [lattice.nearest(w, spread, (a, b)) for b, a in pairwise(edges)]
    starts = [m for m in found if m is not None]
    if not starts:
        last = lattice.nearest(w, spread, (edges[-1], most), nodes=20_000)
        starts = [] if last is None else [last]
    return starts


def _multipliers(w: Floats, lattice: Lattice, spread: Floats) -> Floats:
    """Return one multiplier for each different rounding of the weights into the range.

    None beyond the point where every weight that matters most is clipped to a third of itself.
    """
    ends = np.where(w > 0.0, lattice.high, -lattice.low)
    fits = (w != 0.0) & (ends > 0)
    if not fits.any():
        return np.zeros(0)
    edges = [(np.arange(end) + 0.5) / abs(x) for x, end in zip(w[fits], ends[fits], strict=True)]
    matter = np.abs(w[fits]) * spread[fits]
    most = 3.0 * (ends[fits] / np.abs(w[fits]))[matter >= 0.5 * matter.max()].max()
    at = np.unique(np.concatenate(edges))
    at = at[at <= most]
    return np.append(0.5 * (at[1:] + at[:-1]), at[-1] * (1.0 + 1e-9))


def _no_points(region: Any, low: int, high: int) -> InfeasibleConstraintsError:
    stated = [rule for pair in region.bound_rules for rule in pair if rule is not None]
    stated += [*region.row_rules, *getattr(region, "eq_rules", ())]
    words = "; ".join(f"`{rule}`" for rule in dict.fromkeys(stated))
    return InfeasibleConstraintsError(
        f"no points from {low} to {high} obey the rules at any scale",
        got=words if len(words) <= 2000 else words[:1999] + "…",
        allowed="rules that some points in the range obey, times a positive scale",
        hint=f"widen the range, for example low={2 * low}, high={2 * high}, or loosen a rule",
    )
