"""Logistic regression under rules that a person states in words.

``estimator → solver → losses │ penalties │ constraints │ kernels``: imports go down only, and the
last four do not import each other.
"""

from ces_ml.linear.constraints import (
    Bounds,
    Constraint,
    LinearConstraints,
    Order,
    Sign,
    compile_constraints,
    parse_constraint,
)
from ces_ml.linear.estimator import ConstrainedLogisticRegression
from ces_ml.linear.solver import SolverResult

__all__ = [
    "Bounds",
    "ConstrainedLogisticRegression",
    "Constraint",
    "LinearConstraints",
    "Order",
    "Sign",
    "SolverResult",
    "compile_constraints",
    "parse_constraint",
]
