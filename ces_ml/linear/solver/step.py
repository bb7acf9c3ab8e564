"""One Newton step: an exact quadratic program, solved by DAQP.

The step minimises the second-order model of the objective over the feasible set; absolute values
and the scale of a prior stay as they are (`ces_ml.linear.solver.lift`). Three
transformations make it well-posed without changing what is minimised in the end:

1. The intercept is free, so it is eliminated exactly (Schur complement). What remains is the
   model in *centred* columns, and collinearity with the constant is gone.
2. The weights are measured in units of their own curvature, so columns may differ by any scale.
3. `STEP_RIDGE` is added to the scaled curvature (less where it slows convergence, see
   `ces_ml.linear.solver.newton.solve`), and a column that is constant to within `CONSTANT`, or all
   zero, gets curvature `FLAT` and no gradient: it moves only where rules or absolute values move
   it. Both regularise the *step*, like a proximal point method; the fixed point is still the
   optimum of the objective.
"""

from __future__ import annotations

from dataclasses import dataclass

import daqp
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.linalg.lapack import dgetrf, dgetrs

from ces_ml.linear.solver.contract import Polyhedron
from ces_ml.linear.solver.lift import Kinks, Lift

__all__ = [
    "LEAST_STEP_RIDGE",
    "STEP_RIDGE",
    "Centred",
    "Kinks",
    "Polyhedron",
    "QPAnswer",
    "centre",
    "model_minimiser",
    "nearest_feasible",
    "newton_step",
    "scaled_model",
]

Floats = NDArray[np.float64]

# Round-off moves the weights along flat directions by about 1e-16 / STEP_RIDGE.
STEP_RIDGE, LEAST_STEP_RIDGE = 1e-6, 1e-10
# Among many rules that almost depend on each other an answer may miss the feasible set; a more
# regular model gives a shorter step that does not.
RESCUE_RIDGES = (1e-4, 1e-2, 1.0)
CONSTANT = 1e-12
# DAQP reports a false conflict when a violated row depends on the active ones and the tolerance
# is below round-off of its transformed problem, or when rows that compare columns of very different
# units have terms below its idea of zero. Then the next settings are tried, at last with proximal
# iterations. The answer is refined on its active set, so these cost no accuracy.
DAQP_SETTINGS: tuple[dict[str, float], ...] = (
    {"primal_tol": 1e-11},
    {"primal_tol": 1e-9},
    {"primal_tol": 1e-11, "sing_tol": 1e-14, "zero_tol": 1e-15},
    {"primal_tol": 1e-9, "sing_tol": 1e-14, "zero_tol": 1e-15},
    {"primal_tol": 1e-7},
    {"primal_tol": 1e-7, "eps_prox": 1e-4},
    {"primal_tol": 1e-6, "eps_prox": 1e-2},
)
FLAT = 1e-2
FEASIBLE = 1e-11
_EQUALITY = 5


@dataclass(frozen=True)
class Centred:
    """A quadratic model in the weights alone, the intercept eliminated."""

    gradient: Floats
    hessian: Floats
    scale: Floats
    means: Floats


@dataclass(frozen=True)
class QPAnswer:
    """Where the step ends, and the multipliers there.

    Parameters
    ----------
    w : ndarray of shape (n_features,)
        Target weights; exactly on their bound where that is active.
    bound_multipliers : ndarray of shape (n_features,)
        Positive at an upper bound, negative at a lower one.
    row_multipliers : ndarray of shape (n_rows,)
        Not negative.
    eq_multipliers : ndarray of shape (n_equations,)
        Of either sign; 0 for an equation that follows from others.
    """

    w: Floats
    bound_multipliers: Floats
    row_multipliers: Floats
    eq_multipliers: Floats


def centre(
    gradient: Floats, hessian: Floats, region: Polyhedron, *, fit_intercept: bool
) -> Centred:
    """Eliminate the intercept, the last coordinate, from a quadratic model.

    Returns
    -------
    Centred
        Its `scale` is the square root of the curvature of each weight once the intercept has
        followed: for the mean loss at zero half the standard deviation of the column, half its
        size where it is constant. A column of zeros has no scale of its own; it gets the one that
        balances the rows which compare it with others, or 1.
    """
    g, H = gradient[:-1], hessian[:-1, :-1]
    means = np.zeros(len(g))
    raw = np.diag(H)
    if fit_intercept and hessian[-1, -1] > 0.0:
        means = hessian[-1, :-1] / hessian[-1, -1]
        g = g - means * gradient[-1]
        H = H - np.outer(means, hessian[-1, :-1])
    curvature = np.diag(H)
    flat = curvature <= CONSTANT * raw
    scale = np.sqrt(np.where(flat, raw, curvature))
    if not scale.all():
        scale = _with_balanced_zeros(scale, np.vstack([region.A, region.A_eq]))
    return Centred(g, H, scale, means)


def _with_balanced_zeros(scale: Floats, A: Floats) -> Floats:
    known = scale > 0.0
    filled = np.where(known, scale, 1.0)
    with np.errstate(divide="ignore"):
        log_sizes = np.log(np.abs(A[:, known]) / scale[known])
    for j in np.flatnonzero(~known):
        others = log_sizes[A[:, j] != 0.0]
        others = others[np.isfinite(others)]
        if len(others):
            own = np.log(np.abs(A[A[:, j] != 0.0, j]))
            filled[j] = np.exp(own.mean() - others.mean())
    return filled


def newton_step(
    model: Centred,
    w: Floats,
    region: Polyhedron,
    ridge: float = STEP_RIDGE,
    kinks: Kinks | None = None,
) -> QPAnswer | None:
    """Minimise the quadratic model plus `kinks` over the feasible weights, from feasible `w`.

    None if DAQP fails.
    """
    lift = Lift.around(w, 1.0 / model.scale, region, kinks)
    G, c = lift.model(*scaled_model(model))
    rules = _Displacements.around(lift, region, feasible=True)
    found = None
    for added in (ridge, *RESCUE_RIDGES):
        answer = _exact_qp(G + np.diag(lift.ridge(added)), c, rules)
        found = found if answer is None else answer
        if answer is not None and rules.violation(answer[0]) <= FEASIBLE:
            break
    if found is None:
        return None
    z, lam = found
    if rules.violation(z) > FEASIBLE:
        projected = _exact_qp(np.eye(len(c)), -z, rules)
        z = z if projected is None else projected[0]
    target = lift.weights(z, region)
    rows, equations = rules.row_multipliers(lam[len(c) :], region)
    return QPAnswer(target, lift.bound_multipliers(lam[: len(c)], target), rows, equations)


def model_minimiser(
    model: Centred, w: Floats, region: Polyhedron, kinks: Kinks, ridge: float = STEP_RIDGE
) -> Floats | None:
    """Return the feasible minimiser of the model around `w`, which need not be feasible itself.

    None if there are no feasible weights.
    """
    lift = Lift.around(w, 1.0 / model.scale, region, kinks)
    G, c = lift.model(*scaled_model(model))
    rules = _Displacements.around(lift, region, feasible=False)
    found = _exact_qp(G + np.diag(lift.ridge(ridge)), c, rules)
    return None if found is None else lift.weights(found[0], region)


def scaled_model(model: Centred) -> tuple[Floats, Floats]:
    """Return Hessian and gradient in units of the scale, without the noise of flat columns."""
    D = 1.0 / model.scale
    H, f = model.hessian * np.outer(D, D), D * model.gradient
    flat = np.diag(H) < 0.5  # scaled curvature is 1, except of columns without variation
    H[flat], H[:, flat], H[flat, flat], f[flat] = 0.0, 0.0, FLAT, 0.0
    return H, f


def nearest_feasible(scale: Floats, region: Polyhedron) -> Floats | None:
    """Return the feasible weights nearest to zero, in units of `scale`; None if there are none."""
    p = len(scale)
    w = np.zeros(p)
    inside = (region.lower <= 0).all() and (region.upper >= 0).all() and (region.b >= 0).all()
    if inside and not region.b_eq.any():
        return w
    lift = Lift.around(w, 1.0 / scale, region)
    found = _exact_qp(np.eye(p), np.zeros(p), _Displacements.around(lift, region, feasible=False))
    return None if found is None else lift.weights(found[0], region)


@dataclass(frozen=True)
class _Displacements:
    """The region of `z` for which the lifted weights are feasible, each row of length 1.

    Inequalities come first, then those equations that do not follow from the others.
    """

    A: Floats
    b: Floats
    size: Floats
    lower: Floats
    upper: Floats
    equal: NDArray[np.bool_]
    equations: NDArray[np.intp]

    @classmethod
    def around(cls, lift: Lift, region: Polyhedron, *, feasible: bool) -> _Displacements:
        lower, upper = lift.bounds(region)
        rows, b = lift.rows(region.A), region.b - region.A @ lift.w
        if feasible:  # z = 0 is, whatever the round-off of b − A w says
            b = np.maximum(b, 0.0)
        equations, b_eq = lift.rows(region.A_eq), region.b_eq - region.A_eq @ lift.w
        chosen = _independent(equations[:, lower < upper])
        A = np.vstack([rows, equations[chosen]])
        size = np.linalg.norm(A, axis=1)
        return cls(
            A / size[:, np.newaxis],
            np.concatenate([b, b_eq[chosen]]) / size,
            size,
            lower,
            upper,
            np.arange(len(A)) >= len(b),
            chosen,
        )

    def violation(self, z: Floats) -> float:
        """Return the largest violation of a row, an equation or a bound."""
        beyond = self.A @ z - self.b
        beyond = np.where(self.equal, np.abs(beyond), beyond)
        outside = np.concatenate([self.lower - z, z - self.upper, beyond])
        return float(outside.max(initial=0.0))

    def row_multipliers(self, lam: Floats, region: Polyhedron) -> tuple[Floats, Floats]:
        """Return the multipliers of all rows of `A` and of `A_eq`."""
        plain = lam / self.size
        equations = np.zeros(len(region.b_eq))
        equations[self.equations] = plain[self.equal]
        return np.maximum(plain[~self.equal], 0.0), equations


def _independent(A: Floats) -> NDArray[np.intp]:
    """Return rows of `A` on which all others depend."""
    size = np.linalg.norm(A, axis=1)
    rows = np.flatnonzero(size > 0.0)
    if not len(rows):
        return rows
    _, R, order = qr(A[rows].T / size[rows], mode="economic", pivoting=True)
    rank = int((np.abs(np.diag(R)) > 1e-10).sum())
    return np.sort(rows[order[:rank]])


def _exact_qp(H: Floats, f: Floats, rules: _Displacements) -> tuple[Floats, Floats] | None:
    """Return the feasible `z` that minimises ``½zᵀHz + fᵀz``, and the multipliers there."""
    q, m = len(f), len(rules.b)
    sense = np.zeros(q + m, dtype=np.int32)
    sense[:q][rules.lower == rules.upper] = _EQUALITY
    sense[q:][rules.equal] = _EQUALITY
    best: tuple[Floats, Floats] | None = None
    for settings in DAQP_SETTINGS:
        z, _, flag, info = daqp.solve(
            np.ascontiguousarray(H),
            np.ascontiguousarray(f),
            np.ascontiguousarray(rules.A),
            np.concatenate([rules.upper, rules.b]),
            np.concatenate([rules.lower, np.where(rules.equal, rules.b, -np.inf)]),
            sense.copy(),
            **settings,
        )
        if flag != 1:
            continue
        answer = _refine(H, f, rules, np.array(z), np.array(info["lam"]))
        if best is None or rules.violation(answer[0]) < rules.violation(best[0]):
            best = answer
        if rules.violation(best[0]) <= FEASIBLE:
            break
    return best


def _refine(
    H: Floats, f: Floats, rules: _Displacements, z: Floats, lam: Floats
) -> tuple[Floats, Floats]:
    """Solve again on the active set alone, which brings the answer to round-off.

    The given answer is returned where the refined one is not better: it leaves the feasible set,
    or a multiplier changes its sign.
    """
    q = len(f)
    fixed = rules.lower == rules.upper
    pinned = (lam[:q] != 0.0) | fixed
    ends = np.where(lam[:q] < 0.0, rules.lower, rules.upper)
    z = np.where(pinned, ends, z)
    active = (lam[q:] != 0.0) | rules.equal
    for _ in range(3):
        refined, multipliers = _on_active_set(H, f, rules, pinned, ends, active)
        beyond = rules.A @ refined > rules.b + 1e-15
        if not (beyond & ~active).any():
            break
        active |= beyond  # satisfied to DAQP's tolerance only
    signs = (multipliers[:q] * lam[:q])[~fixed]
    same_sign = (multipliers[q:][~rules.equal] >= 0.0).all() and (signs >= 0.0).all()
    if not same_sign or rules.violation(refined) > rules.violation(z) + 1e-13:
        return z, lam
    return refined, multipliers


def _on_active_set(
    H: Floats,
    f: Floats,
    rules: _Displacements,
    pinned: NDArray[np.bool_],
    ends: Floats,
    active: NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """Minimise with the pinned coordinates at their ends and the active rows as equations."""
    p, A = len(f), rules.A
    free, rows = np.flatnonzero(~pinned), np.flatnonzero(active)
    v = np.where(pinned, ends, 0.0)
    Af, n = A[np.ix_(rows, free)], len(free)
    K = np.zeros((n + len(rows), n + len(rows)))
    K[:n, :n], K[n:, :n], K[:n, n:] = H[np.ix_(free, free)], Af, Af.T
    rhs = np.concatenate([-(f + H @ v)[free], (rules.b - A @ v)[rows]])
    if not len(K):
        x = rhs
    else:
        factors, pivots, singular = dgetrf(K)
        if singular:
            x = np.linalg.lstsq(K, rhs)[0]
        else:
            x, _ = dgetrs(factors, pivots, rhs)
            x += dgetrs(factors, pivots, rhs - K @ x)[0]
    v[free] = x[: len(free)]
    multipliers = np.zeros(p + len(active))
    multipliers[p + rows] = x[len(free) :]
    balance = -(H @ v + f + A.T @ multipliers[p:])
    multipliers[:p][pinned] = balance[pinned]
    return v, multipliers
