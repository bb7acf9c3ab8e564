"""Newton's method with exact constrained steps, to a certified optimum.

The solver knows a block sum (value, gradient, Hessian), a penalty and a polyhedron; it does not
know where the rows are, which loss it minimises, or how the rules were stated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import BlockObjective, Evaluation
from ces_ml.linear.penalties import Penalty
from ces_ml.linear.solver.certificate import (
    held_rules,
    kkt_residual,
    max_violation,
    multipliers_by_rule,
)
from ces_ml.linear.solver.contract import Polyhedron
from ces_ml.linear.solver.kept import LastKept
from ces_ml.linear.solver.problem import Point, Problem
from ces_ml.linear.solver.result import SolverResult, Status, TraceRow, message
from ces_ml.linear.solver.start import WarmStart
from ces_ml.linear.solver.step import (
    LEAST_STEP_RIDGE,
    STEP_RIDGE,
    Centred,
    QPAnswer,
    nearest_feasible,
    newton_step,
)
from ces_ml.linear.solver.support import solve_limited
from ces_ml.linear.solver.threads import one_blas_thread

__all__ = ["solve"]

Floats = NDArray[np.float64]

ARMIJO = 1e-4
MAX_HALVINGS = 40

PATIENCE = 3
"""Steps with a Hessian from elsewhere that may still be needed: one Newton step costs as much."""


@one_blas_thread()
def solve(
    objective: BlockObjective,
    penalty: Penalty,
    region: Polyhedron,
    *,
    fit_intercept: bool = True,
    tol: float = 1e-8,
    max_iter: int = 100,
    start: WarmStart | None = None,
) -> SolverResult:
    """Minimise ``objective(w, c) + penalty(w)`` under ``l ≤ w ≤ u, A w ≤ b, A_eq w = b_eq``.

    Newton's method: each step minimises the second-order model over the feasible set exactly,
    followed by backtracking until the decrease is at least `ARMIJO` of the predicted one. Every
    iterate is feasible. Iteration stops when `kkt_residual` is at most `tol`. Where the ridge of
    the step makes more than a tenth of the residual, as with almost collinear columns, it is cut.

    The Hessian is the expensive part of a pass. It is left out where the next point is expected to
    be the optimum, and where a sample of the rows tells how it has changed since it was last
    computed (a Shamanskii step with a control variate). Where that contracts the residual so slowly
    that more than `PATIENCE` such steps would remain, or a step had to be shortened, every further
    step is a Newton step.

    Parameters
    ----------
    objective : BlockObjective
        The mean loss.
    penalty : Penalty
        Added to it.
    region : Polyhedron
        The feasible weights.
    fit_intercept : bool, default=True
        Whether there is an intercept `c`; it is free and not penalised.
    tol : float, default=1e-8
        Largest accepted KKT residual.
    max_iter : int, default=100
        Largest number of steps.
    start : WarmStart, optional
        Where to begin; by default at the feasible weights nearest to zero.

    Returns
    -------
    SolverResult
        Failure is reported in its `status` and `message`, never raised.

    References
    ----------
    V. E. Shamanskii (1967), A modification of Newton's method, *Ukrainian Mathematical Journal* 19.
    """
    if region.limits:
        rows = LastKept(objective)

        def convex(part: Polyhedron, begin: WarmStart | None) -> SolverResult:
            return solve(
                rows,
                penalty,
                part,
                fit_intercept=fit_intercept,
                tol=tol,
                max_iter=max_iter,
                start=begin,
            )

        return solve_limited(
            rows, penalty, region, fit_intercept=fit_intercept, start=start, solve=convex
        )
    sample = None if start is None else start.sample
    problem = Problem(objective, penalty, fit_intercept, sample)
    begin = _cold(problem, region) if start is None else _warm(problem, region, start)
    descent = _Descent(problem, region, begin, tol)
    return descent.result(descent.run(max_iter) if begin.feasible else "infeasible")


class _Begin(NamedTuple):
    """Where the descent begins, the units of its residual, and the point at zero when asked for."""

    point: Point
    reference: Centred
    origin: Callable[[], Point]
    feasible: bool = True


def _cold(problem: Problem, region: Polyhedron) -> _Begin:
    """Begin at the feasible weights nearest to zero, and the log-odds as intercept."""
    origin = problem.at(np.zeros(problem.objective.n_features + 1))
    reference = problem.centred(origin, region)
    w0 = nearest_feasible(reference.scale, region)
    if w0 is None:
        return _Begin(origin, reference, lambda: origin, feasible=False)
    z = np.append(w0, 0.0)
    if problem.fit_intercept and origin.hessian[-1, -1] > 0.0:
        # At zero the derivative is ½ − ȳ, for the logistic loss; other losses get a Newton step.
        mean = min(max(0.5 - float(origin.gradient[-1]), 1e-6), 1.0 - 1e-6)
        z[-1] = np.log(mean / (1.0 - mean))
    near = not w0.any() and abs(z[-1]) < 1.0
    return _Begin(origin if near else problem.at(z), reference, lambda: origin)


def _warm(problem: Problem, region: Polyhedron, start: WarmStart) -> _Begin:
    """Begin at the start; what is needed of the point at zero comes from moments and the sample."""
    zero = np.zeros(len(start.z))
    problem.n_passes = start.n_passes
    # What the logistic loss has at zero of all that `centre` reads: ¼·[x²; x, 1].
    mean, square = start.moments
    hessian = np.diag(np.append(square, 1.0))
    hessian[-1, :-1] = hessian[:-1, -1] = mean
    at_zero = problem.with_penalty(zero, Evaluation(np.log(2.0), zero, 0.25 * hessian))

    def origin() -> Point:
        rows = problem.objective if start.sample is None else start.sample
        return problem.with_penalty(zero, rows.evaluate(zero[:-1], 0.0))

    return _Begin(problem.at(start.z), problem.centred(at_zero, region), origin)


class _Descent:
    """The iteration: where it is, the last step, and how fast the residual falls."""

    def __init__(self, problem: Problem, region: Polyhedron, begin: _Begin, tol: float) -> None:
        self.problem, self.region, self.begin, self.tol = problem, region, begin, tol
        self.point = begin.point
        self.answer: QPAnswer | None = None
        self.d = np.zeros(len(begin.point.z))
        self.model, self.ridge = begin.reference, STEP_RIDGE
        self.residual, self.expected = np.inf, np.inf
        self.follows = problem.follows
        self.trace: list[TraceRow] = []

    def run(self, max_iter: int) -> Status:
        """Return how it ended after `max_iter` steps at most."""
        status: Status | None = None
        while status is None and len(self.trace) < max_iter:
            status = self._step()
        if self._unpenalised() and self.answer is not None and self._escapes():
            return "separable"
        return "max_iter" if status is None else status

    def _step(self) -> Status | None:
        """Go to the minimum of the model, or towards it; return how the descent ends if it does."""
        begin, kinks = self.point, self.problem.kinks
        base = self._aim()
        if self.answer is None:
            return None if self._renewed() else "qp_failed"
        target = self.answer.w
        last = _direction(base, target)
        self.d = last if base is begin else base.z - begin.z + last
        slope = float(begin.gradient @ self.d) + kinks.change(begin.w, target)
        following, t = self._line_search(target, slope)
        before, self.point = self.residual, begin if following is None else following
        self.residual = kkt_residual(
            self.point.w,
            self.point.gradient,
            self.answer,
            self.region,
            self.begin.reference,
            kinks.slopes,
        )
        self._record(t)
        if self.residual <= self.tol:
            return "optimal"
        at_round_off = -slope <= np.finfo(float).eps * abs(self.point.value)
        if following is None or (at_round_off and self.residual > 0.5 * before):
            return None if self._renewed(begin.exact and base is begin) else "stalled"
        self._adjust(begin, before, t, last)
        return None

    def _aim(self) -> Point:
        """Set `answer` to the minimum of the model, and return where the model is taken.

        Where a sample tells what gradient and Hessian will be at the minimum of the first model,
        the next one is taken there, before any other pass over all rows.
        """
        point = self.point
        self.answer = self._minimum(point)
        if self.answer is None or not (self.follows and point.exact):
            return point
        ahead = self.problem.ahead(point, point.z + _direction(point, self.answer.w))
        answer = None if ahead is None else self._minimum(ahead)
        if ahead is None or answer is None:
            return point
        self.answer = answer
        return ahead

    def _minimum(self, point: Point) -> QPAnswer | None:
        self.model = self.problem.centred(point, self.region)
        return newton_step(self.model, point.w, self.region, self.ridge, self.problem.kinks)

    def _line_search(self, target: Floats, slope: float) -> tuple[Point | None, float]:
        """Return the accepted point and step length, or (None, 0) if no step decreases enough."""
        point, problem = self.point, self.problem
        slack = 16.0 * np.finfo(float).eps * abs(point.value)  # round-off of the sum itself
        if not np.isfinite(slope) or slope > slack:
            return None, 0.0
        full = self._full_step(np.append(target, point.z[-1] + self.d[-1]))
        if full.value <= point.value + ARMIJO * slope + slack:
            return full, 1.0
        t = 1.0
        for _ in range(MAX_HALVINGS):
            t *= 0.5
            z = point.z + t * self.d
            z[:-1] = np.clip(z[:-1], self.region.lower, self.region.upper)
            if problem.value(z) <= point.value + ARMIJO * t * slope + slack:
                return problem.at(z), t
        return None, 0.0

    def _full_step(self, z: Floats) -> Point:
        """Return the end of a full step (exact on its bounds), without its Hessian if that pays."""
        if self.follows or self.expected <= 0.1 * self.tol:
            near = self.problem.near(z)
            if near is not None:
                return near
        return self.problem.at(z)

    def _renewed(self, own: bool = True) -> bool:
        """Return whether the model may be to blame for a poor step; if so, go on with exact ones.

        It may not if it was the `own` one of where the step began, and so is the next.
        """
        blame = not (own and self.point.exact)
        if not self.point.exact:
            self.point = self.problem.at(self.point.z)
        self.follows = self.follows and not blame
        return blame

    def _adjust(self, begin: Point, before: float, t: float, last: Floats) -> None:
        """Choose the next model and its ridge by how far the residual fell."""
        rate = self.residual / before  # 0 after the first step, of which nothing is known
        if not self.point.exact and self.residual * rate**PATIENCE > self.tol:
            self._renewed()
        self.follows = self.follows and t == 1.0 and rate <= 0.5
        known = t == 1.0 and 0.0 < rate < 0.1
        self.expected = self.residual * rate ** (2 if begin.exact else 1) if known else np.inf
        from_ridge = self.ridge * np.abs(last[:-1]) * self.model.scale**2
        if (from_ridge / (2.0 * self.begin.reference.scale)).max(initial=0.0) > 0.1 * self.residual:
            self.ridge = max(0.01 * self.ridge, LEAST_STEP_RIDGE)

    def _record(self, t: float) -> None:
        held = len(held_rules(self.point.w, self.region))
        row = (len(self.trace) + 1, self.point.value, self.residual, t, held, self.problem.n_passes)
        self.trace.append(TraceRow(*row))

    def _unpenalised(self) -> bool:
        """Return whether some direction costs no penalty, so that weights may grow for ever."""
        penalty, kinks = self.problem.penalty, self.problem.kinks
        free = not (penalty.curvature(self.point.w) + kinks.slopes).all()
        ray = kinks.ray  # a prior costs nothing along its own half-line
        return bool(free or (ray is not None and penalty.value(ray.direction) == 0.0))

    def _escapes(self) -> bool:
        """Return whether the weights run off along a direction in which there is no minimum.

        Under separation the curvature along the last step has all but vanished, while the step has
        not: some weight still grows in the direction in which it has grown before. At a minimum
        that is attained, one of the two fails.
        """
        d, z, ray = self.d, self.point.z, self.problem.kinks.ray
        grows = (d * z > 0.0) & (np.abs(d) > 0.01 * np.abs(z))
        if not grows.any():
            return False
        curvature = float(d @ self.point.hessian @ d)
        initial = float(d @ self.begin.origin().hessian @ d)
        if ray is not None:  # whose scale follows the weights
            a = ray.direction
            along = ray.strength * float(d[:-1] @ a) ** 2 / float(a @ a)
            curvature, initial = curvature - along, initial - along
        return initial > 0.0 and curvature <= 1e-3 * initial

    def result(self, status: Status) -> SolverResult:
        """Return the point with its certificate."""
        point, region, n_iter = self.point, self.region, len(self.trace)
        answer = self.answer
        if answer is None:
            answer = QPAnswer(point.w, *map(np.zeros_like, (point.w, region.b, region.b_eq)))
        return SolverResult(
            coef=point.w.copy(),
            intercept=float(point.z[-1]),
            n_iter=n_iter,
            kkt_residual=float(self.residual),
            max_violation=max_violation(point.w, region),
            status=status,
            message=message(status, n_iter, self.residual, self.tol),
            objective=point.value,
            multipliers=multipliers_by_rule(answer, region),
            active=held_rules(point.w, region),
            bound_multipliers=answer.bound_multipliers,
            row_multipliers=answer.row_multipliers,
            eq_multipliers=answer.eq_multipliers,
            n_passes=self.problem.n_passes,
            trace=tuple(self.trace),
        )


def _direction(point: Point, target: Floats) -> Floats:
    """Return the step to the target weights, the intercept following them optimally."""
    d = np.append(target - point.w, 0.0)
    curvature = point.hessian[-1, -1]
    if curvature > 0.0:
        d[-1] = -(point.gradient[-1] + point.hessian[-1, :-1] @ d[:-1]) / curvature
    return d
