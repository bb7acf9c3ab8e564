"""At most *k* weights: which of them may differ from zero.

This is the one kind of rule that is not convex. The search runs on the second-order model of the
objective, where a set of weights costs one small quadratic program and no pass over the data:

1. Solve without the limits. The objective there is a lower bound for every choice.
2. On the model at that point: drop weights one by one, each time the one whose loss costs least,
   then exchange one weight for another while that helps.
3. Branch and bound on the same model. The bound of a branch is its program without limits. If it
   ends within `MAX_NODES` programs, no other choice is better *on the model*. Bounds on what it
   costs to drop a weight spare most of them (`ces_ml.linear.solver.drops`), and where the rules are
   signs alone a program is one small factorisation (`ces_ml.linear.solver.subsets`).
4. Solve on the data with the chosen weights alone, and repeat from 2 with the model at that
   solution, until the choice stays or brings no decrease.

The answer is optimal for its choice, to the KKT residual. How far another choice could be below
it is reported as `SolverResult.gap`: the difference to the bound of step 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import BlockObjective, Evaluation, Moments
from ces_ml.linear.penalties import Penalty
from ces_ml.linear.solver.contract import Limit, Polyhedron
from ces_ml.linear.solver.drops import Drops
from ces_ml.linear.solver.kept import LastKept
from ces_ml.linear.solver.lift import Kinks
from ces_ml.linear.solver.result import SolverResult
from ces_ml.linear.solver.start import WarmStart
from ces_ml.linear.solver.step import (
    LEAST_STEP_RIDGE,
    STEP_RIDGE,
    Centred,
    centre,
    model_minimiser,
)
from ces_ml.linear.solver.subsets import Subsets

__all__ = ["MAX_NODES", "solve_limited"]

Floats = NDArray[np.float64]
Zeros = frozenset[int]

MAX_NODES = 3_000
"""Quadratic programs that branch and bound may solve."""

MAX_ROUNDS = 4

TIE = 1e-11
"""Costs in nats that differ by less are equal: of copies of a column the first found stays."""

EXCHANGES = 12
"""How many weights are tried in place of each: those with the steepest gradient."""


def solve_limited(
    objective: LastKept,
    penalty: Penalty,
    region: Polyhedron,
    *,
    fit_intercept: bool,
    start: WarmStart | None,
    solve: Callable[[Polyhedron, WarmStart | None], SolverResult],
) -> SolverResult:
    """Minimise as `ces_ml.linear.solver.solve` does, under the limits of `region` as well.

    Parameters
    ----------
    objective, penalty, region, fit_intercept, start
        As there; `solve` uses this very objective.
    solve : callable
        Minimises over a region without limits, from a start if there is one.

    Returns
    -------
    SolverResult
        With `support`, `gap` and `support_proved`. Its status is ``"infeasible"`` if the search
        found no choice that obeys all rules.
    """
    moments = _moments(objective) if start is None else start.moments  # the solver's first pass
    relaxed = solve(region.with_zeros(()), start)
    limits = _Limits(region.limits, frozenset(region.kept))
    if relaxed.status == "infeasible" or limits.violated(relaxed.coef) is None:
        return _described(relaxed, relaxed, region, proved=True, n_passes=relaxed.n_passes)
    best, zeros, proved, at, n_passes = None, None, False, relaxed, relaxed.n_passes
    for _ in range(MAX_ROUNDS):
        n_passes += not objective.knows(at.coef, at.intercept)
        loss = objective.evaluate(at.coef, at.intercept)
        model = _Model.at(loss, penalty, region, at.coef, fit_intercept=fit_intercept)
        search = _Search(model, limits)
        chosen = search.best(zeros)
        if chosen is None or chosen == zeros:
            proved = search.proved
            break
        target, _ = search.cost(chosen)
        z = _with_intercept(loss, at, target, fit_intercept)
        begin = WarmStart(z, moments, None if start is None else start.sample)
        found = solve(region.with_zeros(chosen), begin)
        n_passes += found.n_passes
        if best is not None and found.objective >= best.objective:
            break
        best, zeros, at, proved = found, chosen, found, search.proved
    if best is None:
        none = "no choice of weights was found that obeys all rules and the limit on their number"
        return replace(relaxed, status="infeasible", message=none, n_passes=n_passes)
    return _described(best, relaxed, region, proved=proved, n_passes=n_passes)


def _moments(objective: BlockObjective) -> Moments:
    """Return the moments of the columns from the curvature of the logistic loss at zero, ¼·[x²; x].

    For another loss they are the ones that give the residual the same units.
    """
    hessian = objective.evaluate(np.zeros(objective.n_features), 0.0).hessian
    return Moments(4.0 * hessian[-1, :-1], 4.0 * hessian.diagonal()[:-1])


def _with_intercept(
    loss: Evaluation, at: SolverResult, target: Floats, fit_intercept: bool
) -> Floats:
    d = target - at.coef
    curvature = loss.hessian[-1, -1]
    if not fit_intercept or curvature <= 0.0:
        return np.append(target, at.intercept)
    shift = -(loss.gradient[-1] + loss.hessian[-1, :-1] @ d) / curvature
    return np.append(target, at.intercept + shift)


def _described(
    found: SolverResult, relaxed: SolverResult, region: Polyhedron, *, proved: bool, n_passes: int
) -> SolverResult:
    """Return the result with its choice of weights, and what is known about other choices."""
    used = set(np.flatnonzero(found.coef).tolist()) | set(region.kept)
    full = [
        rule
        for limit, rule in zip(region.limits, region.limit_rules, strict=True)
        if len(used.intersection(limit.members)) >= limit.k
    ]
    gap = max(0.0, found.objective - relaxed.objective)
    how = "proved best on the quadratic model" if proved else "found by exchange"
    return replace(
        found,
        active=(*found.active, *full),
        message=f"{found.message}; {len(used)} weights, {how}; no other choice is lower by more "
        f"than {gap:.2e}",
        support=tuple(sorted(used)),
        gap=gap,
        support_proved=proved,
        n_passes=n_passes,
    )


@dataclass(frozen=True)
class _Limits:
    limits: Sequence[Limit]
    kept: frozenset[int]

    def used(self, w: Floats) -> frozenset[int]:
        """Return the weights that are not zero, and those that are kept."""
        return self.kept.union(w.nonzero()[0].tolist())

    def violated(self, w: Floats) -> Limit | None:
        """Return the first limit that the weights exceed, those that are kept counted as used."""
        used = self.used(w)
        return next((m for m in self.limits if len(used.intersection(m.members)) > m.k), None)

    def closed(self, keep: frozenset[int], zeros: Zeros) -> Zeros | None:
        """Return `zeros` with all that full limits exclude; None if `keep` is too many."""
        keep = keep | self.kept
        for limit in self.limits:
            members = set(limit.members)
            room = limit.k - len(keep & members)
            if room < 0:
                return None
            if room == 0:
                zeros = zeros | (members - keep)
        return None if zeros & keep else zeros


@dataclass(frozen=True, eq=False)
class _Model:
    """The second-order model of the loss around `w`, with the penalty as it is."""

    loss: Centred
    whole: Centred
    penalty: Penalty
    region: Polyhedron
    w: Floats
    kinks: Kinks
    subsets: Subsets | None
    drops: Drops | None

    @classmethod
    def at(
        cls,
        loss: Evaluation,
        penalty: Penalty,
        region: Polyhedron,
        w: Floats,
        *,
        fit_intercept: bool,
    ) -> _Model:
        gradient, hessian = loss.gradient.copy(), loss.hessian.copy()
        plain = centre(gradient, hessian, region, fit_intercept=fit_intercept)
        p = len(w)
        gradient[:p] += penalty.gradient(w)
        hessian[np.arange(p), np.arange(p)] += penalty.curvature(w)
        whole = centre(gradient, hessian, region, fit_intercept=fit_intercept)
        kinks = Kinks(penalty.slopes(p), penalty.ray())
        signed = (region.lower >= 0.0) | (region.upper <= 0.0) | (kinks.slopes == 0.0)
        as_it_is = signed.all() and kinks.ray is None  # else the step has more variables
        drops = Drops(whole, w, region) if as_it_is else None
        simple = Subsets.can_do(region, kinks)
        subsets = Subsets(whole, w, region, kinks) if simple else None
        return cls(plain, whole, penalty, region, w, kinks, subsets, drops)

    def minimum(self, zeros: Zeros) -> tuple[Floats, float]:
        """Return the best weights with these at zero, and their cost (infinite: none)."""
        target = None if self.subsets is None else self.subsets.minimum(zeros)
        if target is None:
            region = self.region.with_zeros(zeros)
            if (region.lower > region.upper).any():
                return self.w, np.inf
            target = model_minimiser(self.whole, self.w, region, self.kinks, self._ridge)
        if target is None:
            return self.w, np.inf
        d = target - self.w
        change = self.loss.gradient @ d + 0.5 * d @ self.loss.hessian @ d
        return target, float(change) + self.penalty.value(target)

    def least(self, zeros: Zeros, w: Floats, value: float) -> Floats:
        """Return a lower bound of the cost where one more weight is zero, for each of them.

        It is infinitely low where none is known; `w` and `value` are the minimum with `zeros`.
        """
        if self.drops is None:
            return np.full(len(w), -np.inf)
        return value + self.drops.least_increase(zeros, w, self._ridge)

    @property
    def _ridge(self) -> float:
        return STEP_RIDGE if self.subsets is None else LEAST_STEP_RIDGE


@dataclass
class _Search:
    """The search for the weights that are zero, on one model."""

    model: _Model
    limits: _Limits
    proved: bool = False
    _costs: dict[Zeros, tuple[Floats, float]] = field(default_factory=dict)
    _bounds: dict[Zeros, Floats] = field(default_factory=dict)

    def cost(self, zeros: Zeros) -> tuple[Floats, float]:
        """Return weights and cost, each choice computed once."""
        if zeros not in self._costs:
            self._costs[zeros] = self.model.minimum(zeros)
        return self._costs[zeros]

    def best(self, known: Zeros | None) -> Zeros | None:
        """Return the best choice found, at least as good on the model as the `known` one."""
        found = self._descend()
        if known is not None and (found is None or not self._lower(found, known)):
            found = known
        if found is not None:
            found = self._exchange(found)
        better = self._branch(np.inf if found is None else self._value(found))
        return found if better is None else better

    def _value(self, zeros: Zeros) -> float:
        return self.cost(zeros)[1]

    def _lower(self, zeros: Zeros, than: Zeros) -> bool:
        return self._value(zeros) < self._value(than) - TIE

    def _least(self, zeros: Zeros) -> Floats:
        """Return a lower bound of the cost where one more weight is zero, for each of them."""
        if zeros not in self._bounds:
            self._bounds[zeros] = self.model.least(zeros, *self.cost(zeros))
        return self._bounds[zeros]

    def _importance(self, w: Floats) -> Floats:
        importance: Floats = np.abs(w) * self.model.whole.scale
        return importance

    def _descend(self) -> Zeros | None:
        """Drop weights until the limits hold: by importance first, by cost near the end."""
        zeros: Zeros = frozenset()
        while True:
            w, value = self.cost(zeros)
            if not np.isfinite(value):
                return None
            limit = self.limits.violated(w)
            if limit is None:
                return self._complete(zeros, w)
            free = [j for j in limit.members if w[j] != 0.0 and j not in self.limits.kept]
            free.sort(key=lambda j: self._importance(w)[j])
            near = free[: max(8, len(free) - 2 * limit.k)][:EXCHANGES]
            choice = self._cheapest(zeros, near)
            if choice is None or not np.isfinite(self._value(choice)):
                choice = self._cheapest(zeros, free)
            if choice is None:
                return None
            zeros = choice

    def _cheapest(self, zeros: Zeros, free: Sequence[int]) -> Zeros | None:
        """Return `zeros` with that one of `free` which it costs least to drop."""
        least = self._least(zeros)
        choice: Zeros | None = None
        for j in sorted(free, key=lambda j: least[j]):
            if choice is not None and least[j] >= self._value(choice):
                break
            other = zeros | {j}
            if choice is None or self._value(other) < self._value(choice):
                choice = other
        return choice

    def _complete(self, zeros: Zeros, w: Floats) -> Zeros:
        """Return all members of limits that are zero: the choice that `w` is one point of."""
        members = {j for limit in self.limits.limits for j in limit.members}
        return zeros | frozenset(members - self.limits.used(w))

    def _exchange(self, zeros: Zeros) -> Zeros:
        """Exchange weights, or let one more in where there is room, while the cost falls."""
        improved = True
        while improved:
            improved = False
            for other in self._neighbours(zeros):
                if self._lower(other, zeros):
                    zeros, improved = self._complete(other, self.cost(other)[0]), True
                    break
        return zeros

    def _neighbours(self, zeros: Zeros) -> Iterator[Zeros]:
        w, value = self.cost(zeros)
        model = self.model
        gradient = model.whole.gradient + model.whole.hessian @ (w - model.w)
        steepness = np.abs(gradient) / model.whole.scale
        entering = sorted(zeros, key=lambda j: -steepness[j])[:EXCHANGES]
        used = self.limits.used(w)
        leaving = sorted(used - self.limits.kept, key=lambda j: self._importance(w)[j])
        for i in entering:
            limits = [limit for limit in self.limits.limits if i in limit.members]
            full = [m for m in limits if len(used.intersection(m.members)) >= m.k]
            if not full:
                yield zeros - {i}
                continue
            wider = zeros - {i}
            least = self._least(wider)
            for j in leaving:
                if least[j] < value and all(j in limit.members for limit in full):
                    yield wider | {j}

    def _branch(self, ceiling: float) -> Zeros | None:
        """Return a choice below `ceiling`, if branch and bound finds one; set `proved`."""
        best: Zeros | None = None
        stack: list[tuple[frozenset[int], Zeros]] = [(frozenset(), frozenset())]
        nodes = 0
        while stack:
            keep, zeros = stack.pop()
            fresh = zeros not in self._costs
            nodes += fresh
            if nodes > MAX_NODES:
                return best
            w, value = self.cost(zeros)
            if not np.isfinite(value) or value + TIE >= ceiling:
                continue
            limit = self.limits.violated(w)
            if limit is None:
                best, ceiling = self._complete(zeros, w), value
                continue
            used = self.limits.used(w).intersection(limit.members)
            undecided = used - self.limits.kept - keep
            open_ = [j for j in limit.members if j in undecided]
            excess = len(used) - limit.k
            if excess > len(open_):
                continue
            # So many of them must go, and a set costs no less than any one of its members.
            least = dict(zip(open_, (self._least(zeros)[open_] + TIE).tolist(), strict=True))
            if sorted(least.values())[excess - 1] >= ceiling:
                continue
            keep = keep.union(j for j in open_ if least[j] >= ceiling)
            importance = self._importance(w).tolist()
            j = max((j for j in open_ if j not in keep), key=lambda i: importance[i])
            for kept, excluded in ((keep, zeros | {j}), (keep | {j}, zeros)):
                closed = self.limits.closed(kept, excluded)
                if closed is not None:
                    stack.append((kept, closed))
        self.proved = True
        return best
