"""What the solver found, the proof of it, and how it came there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["SolverResult", "Status", "TraceRow", "message"]

Floats = NDArray[np.float64]
Status = Literal["optimal", "separable", "stalled", "max_iter", "qp_failed", "infeasible"]


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


def message(status: Status, n_iter: int, residual: float, tol: float) -> str:
    """Return a status as a sentence with numbers."""
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
