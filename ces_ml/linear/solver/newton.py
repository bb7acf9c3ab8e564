"""Newton's method with exact constrained steps, to a certified optimum.

The solver knows a block sum (value, gradient, Hessian), a penalty and a polyhedron; it does not
know where the rows are, which loss it minimises, or how the rules were stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ces_ml.linear.kernels.contract import BlockObjective, Evaluation
from ces_ml.linear.penalties import Penalty, Ray
from ces_ml.linear.solver.certificate import (
    held_rules,
    kkt_residual,
    max_violation,
    multipliers_by_rule,
)
from ces_ml.linear.solver.contract import Polyhedron
from ces_ml.linear.solver.lift import Kinks
from ces_ml.linear.solver.step import (
    LEAST_STEP_RIDGE,
    STEP_RIDGE,
    Centred,
    QPAnswer,
    centre,
    nearest_feasible,
    newton_step,
)

if TYPE_CHECKING:
    from ces_ml.linear.solver.warm_start import WarmStart

__all__ = ["SolverResult", "Status", "TraceRow", "solve"]

Floats = NDArray[np.float64]
Status = Literal["optimal", "separable", "stalled", "max_iter", "qp_failed", "infeasible"]

ARMIJO = 1e-4
MAX_HALVINGS = 40


class TraceRow(NamedTuple):
    """One iteration: where it ended, and what it cost."""

    iteration: int
    objective: float
    kkt_residual: float
    step: float
    n_held: int
    n_passes: int


@dataclass(frozen=True, eq=False)
class SolverResult:
    """What the solver found, and the proof.

    Parameters
    ----------
    coef : ndarray of shape (n_features,)
        Weights; exactly on their bound where that is active.
    intercept : float
        Zero if none was fitted.
    n_iter : int
        Newton steps taken.
    kkt_residual : float
        See `kkt_residual`; at most `tol` if `status` is ``"optimal"``.
    max_violation : float
        Largest ``l − w``, ``w − u``, ``A w − b`` or ``|A_eq w − b_eq|``, divided by the largest
        term of that row where it exceeds 1; 0 if none is violated.
    status : str
        ``"optimal"``; ``"separable"``: the minimum is not attained, weights grow for ever;
        ``"stalled"``: float64 admits no further progress; ``"max_iter"``; ``"qp_failed"``;
        ``"infeasible"``.
    message : str
        The same as a sentence with numbers.
    objective : float
        Mean loss plus penalty, in nats.
    multipliers : dict of str to float
        For each rule with a non-zero multiplier the sum of its multipliers, each ≥ 0: by how much
        the objective would fall, to first order, per unit by which the rule is relaxed (an
        equation: by which its right-hand side moves to the better side).
    active : tuple of str
        The rules that hold with equality somewhere.
    bound_multipliers : ndarray of shape (n_features,)
        Positive at an upper bound, negative at a lower one.
    row_multipliers : ndarray of shape (n_rows,)
        Of the rows of `A`; not negative.
    eq_multipliers : ndarray of shape (n_equations,)
        Of the equations `A_eq`; of either sign.
    n_passes : int
        Passes over the data.
    trace : tuple of TraceRow
        One row an iteration.
    support : tuple of int
        The features that a limit on their number left, in order; empty without such a limit.
    gap : float
        With such a limit: no other choice of features has an objective lower than by this, in nats.
        It is the distance to the optimum without the limit, so it is often far too cautious.
    support_proved : bool
        Whether branch and bound proved the choice to be the best on the quadratic model of the
        objective; else it was found by exchanging features one by one.
    """

    coef: Floats
    intercept: float
    n_iter: int
    kkt_residual: float
    max_violation: float
    status: Status
    message: str
    objective: float
    multipliers: dict[str, float]
    active: tuple[str, ...]
    bound_multipliers: Floats
    row_multipliers: Floats
    eq_multipliers: Floats
    n_passes: int
    trace: tuple[TraceRow, ...]
    support: tuple[int, ...] = ()
    gap: float = 0.0
    support_proved: bool = False


@dataclass(frozen=True)
class _Point:
    """A feasible point with the objective there; the last coordinate is the intercept."""

    z: Floats
    value: float
    gradient: Floats
    hessian: Floats

    @property
    def w(self) -> Floats:
        return self.z[:-1]


class _Problem:
    """Mean loss plus penalty, counting the passes over the data."""

    def __init__(self, objective: BlockObjective, penalty: Penalty, fit_intercept: bool) -> None:
        self.objective, self.penalty, self.fit_intercept = objective, penalty, fit_intercept
        self.kinks = Kinks(penalty.slopes(objective.n_features), penalty.ray())
        self.n_passes = 0

    def value(self, z: Floats) -> float:
        self.n_passes += 1
        return self.objective.value(z[:-1], float(z[-1])) + self.penalty.value(z[:-1])

    def at(self, z: Floats) -> _Point:
        self.n_passes += 1
        return self.with_penalty(z, self.objective.evaluate(z[:-1], float(z[-1])))

    def with_penalty(self, z: Floats, loss: Evaluation) -> _Point:
        w = z[:-1]
        gradient, hessian = loss.gradient.copy(), loss.hessian.copy()
        gradient[:-1] += self.penalty.gradient(w)
        p = len(w)
        hessian[np.arange(p), np.arange(p)] += self.penalty.curvature(w)
        if not self.fit_intercept:
            gradient[-1], hessian[-1], hessian[:, -1] = 0.0, 0.0, 0.0
        return _Point(z, loss.value + self.penalty.value(w), gradient, hessian)

    def centred(self, point: _Point, region: Polyhedron) -> Centred:
        return centre(point.gradient, point.hessian, region, fit_intercept=self.fit_intercept)


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
        Largest number of Newton steps.
    start : WarmStart, optional
        Where to begin; by default at the feasible weights nearest to zero.

    Returns
    -------
    SolverResult
        Failure is reported in its `status` and `message`, never raised.
    """
    if region.limits:
        from ces_ml.linear.solver.support import solve_limited  # it solves many of these

        return solve_limited(
            objective,
            penalty,
            region,
            fit_intercept=fit_intercept,
            tol=tol,
            max_iter=max_iter,
            start=start,
        )
    problem = _Problem(objective, penalty, fit_intercept)
    p = objective.n_features
    if start is None:
        origin = problem.at(np.zeros(p + 1))
        reference = problem.centred(origin, region)
        w0 = nearest_feasible(reference.scale, region)
        if w0 is None:
            return _result(problem, region, origin, None, np.inf, "infeasible", [], tol)
        point = _start(problem, origin, w0)
    else:
        origin = problem.with_penalty(start.z * 0.0, start.origin)
        reference = problem.centred(problem.with_penalty(origin.z, _at_zero(start)), region)
        problem.n_passes = start.n_passes
        point = problem.at(start.z)
    trace: list[TraceRow] = []
    answer: QPAnswer | None = None
    status: Status = "max_iter"
    residual, d, ridge = np.inf, np.zeros(p + 1), STEP_RIDGE
    for iteration in range(1, max_iter + 1):
        model = problem.centred(point, region)
        answer = newton_step(model, point.w, region, ridge, problem.kinks)
        if answer is None:
            status = "qp_failed"
            break
        d = _direction(point, answer.w)
        slope = float(point.gradient @ d) + problem.kinks.change(point.w, answer.w)
        following, t = _line_search(problem, point, d, answer.w, slope, region)
        before, predicted = residual, -slope
        if following is not None:
            point = following
        residual = kkt_residual(
            point.w, point.gradient, answer, region, reference, problem.kinks.slopes
        )
        held = len(held_rules(point.w, region))
        trace.append(TraceRow(iteration, point.value, residual, t, held, problem.n_passes))
        if residual <= tol:
            status = "optimal"
            break
        at_round_off = predicted <= np.finfo(float).eps * abs(point.value)
        if following is None or (at_round_off and residual > 0.5 * before):
            status = "stalled"
            break
        from_ridge = ridge * np.abs(d[:-1]) * model.scale**2 / (2.0 * reference.scale)
        if from_ridge.max(initial=0.0) > 0.1 * residual:
            ridge = max(0.01 * ridge, LEAST_STEP_RIDGE)
    unpenalised = not (penalty.curvature(point.w) + problem.kinks.slopes).all()
    ray = problem.kinks.ray  # a prior costs nothing along its own half-line
    unpenalised |= ray is not None and penalty.value(ray.direction) == 0.0
    if answer is not None and unpenalised and _escapes(origin, point, d, ray):
        status = "separable"
    return _result(problem, region, point, answer, residual, status, trace, tol)


def _start(problem: _Problem, origin: _Point, w0: Floats) -> _Point:
    """Return the start: the feasible weights nearest to zero, and the log-odds as intercept."""
    z = np.append(w0, 0.0)
    if problem.fit_intercept and origin.hessian[-1, -1] > 0.0:
        # At zero the derivative is ½ − ȳ, for the logistic loss; other losses get a Newton step.
        mean = min(max(0.5 - float(origin.gradient[-1]), 1e-6), 1.0 - 1e-6)
        z[-1] = np.log(mean / (1.0 - mean))
    if not w0.any() and abs(z[-1]) < 1.0:
        return origin
    return problem.at(z)


def _at_zero(start: WarmStart) -> Evaluation:
    """Return what the logistic loss has at zero of all that `centre` reads: ``¼·[x²; x, 1]``."""
    mean, square = start.moments
    hessian = np.diag(np.append(square, 1.0))
    hessian[-1, :-1] = hessian[:-1, -1] = mean
    return Evaluation(np.log(2.0), np.zeros(len(start.z)), 0.25 * hessian)


def _direction(point: _Point, target: Floats) -> Floats:
    """Return the step to the target weights, the intercept following them optimally."""
    d = np.append(target - point.w, 0.0)
    curvature = point.hessian[-1, -1]
    if curvature > 0.0:
        d[-1] = -(point.gradient[-1] + point.hessian[-1, :-1] @ d[:-1]) / curvature
    return d


def _line_search(
    problem: _Problem,
    point: _Point,
    d: Floats,
    target: Floats,
    slope: float,
    region: Polyhedron,
) -> tuple[_Point | None, float]:
    """Return the accepted point and step length, or (None, 0) if no step decreases enough."""
    slack = 16.0 * np.finfo(float).eps * abs(point.value)  # round-off of the sum itself
    if not np.isfinite(slope) or slope > slack:
        return None, 0.0
    full = problem.at(np.append(target, point.z[-1] + d[-1]))  # target: exact on its bounds
    if full.value <= point.value + ARMIJO * slope + slack:
        return full, 1.0
    t = 1.0
    for _ in range(MAX_HALVINGS):
        t *= 0.5
        z = point.z + t * d
        z[:-1] = np.clip(z[:-1], region.lower, region.upper)
        if problem.value(z) <= point.value + ARMIJO * t * slope + slack:
            return problem.at(z), t
    return None, 0.0


def _escapes(origin: _Point, point: _Point, d: Floats, ray: Ray | None) -> bool:
    """Return whether the weights run off along a direction in which the objective has no minimum.

    Under separation the curvature along the last step has all but vanished, while the step has
    not: some weight still grows in the direction in which it has grown before. At a minimum that
    is attained, one of the two fails.
    """
    curvature, initial = float(d @ point.hessian @ d), float(d @ origin.hessian @ d)
    if ray is not None:  # whose scale follows the weights
        along = (
            ray.strength * float(d[:-1] @ ray.direction) ** 2 / float(ray.direction @ ray.direction)
        )
        curvature, initial = curvature - along, initial - along
    if initial <= 0.0 or curvature > 1e-3 * initial:
        return False
    grows = (d * point.z > 0.0) & (np.abs(d) > 0.01 * np.abs(point.z))
    return bool(grows.any())


def _result(
    problem: _Problem,
    region: Polyhedron,
    point: _Point,
    answer: QPAnswer | None,
    residual: float,
    status: Status,
    trace: list[TraceRow],
    tol: float,
) -> SolverResult:
    if answer is None:
        answer = QPAnswer(point.w, *map(np.zeros_like, (point.w, region.b, region.b_eq)))
    return SolverResult(
        coef=point.w.copy(),
        intercept=float(point.z[-1]),
        n_iter=len(trace),
        kkt_residual=float(residual),
        max_violation=max_violation(point.w, region),
        status=status,
        message=_message(status, len(trace), residual, tol),
        objective=point.value,
        multipliers=multipliers_by_rule(answer, region),
        active=held_rules(point.w, region),
        bound_multipliers=answer.bound_multipliers,
        row_multipliers=answer.row_multipliers,
        eq_multipliers=answer.eq_multipliers,
        n_passes=problem.n_passes,
        trace=tuple(trace),
    )


def _message(status: Status, n_iter: int, residual: float, tol: float) -> str:
    numbers = f"after {n_iter} iterations; KKT residual {residual:.2e}, tol {tol:.2e}"
    return {
        "optimal": f"optimal {numbers}",
        "separable": "the outcomes are separated by some of the counts, so the minimum is not "
        f"attained and weights grow without end: stopped {numbers}",
        "stalled": f"float64 admits no further decrease of the objective: stopped {numbers}",
        "max_iter": f"the limit of iterations is reached: stopped {numbers}",
        "qp_failed": f"the quadratic program of the next step has no answer: stopped {numbers}",
        "infeasible": "no weights obey all constraints",
    }[status]
