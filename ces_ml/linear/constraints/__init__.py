"""Rules on the weights: stated in words, held as objects, compiled to linear inequalities."""

from ces_ml.linear.constraints.compiled import LinearConstraints, compile_constraints
from ces_ml.linear.constraints.rules import KINDS, Bounds, Constraint, Order, Sign
from ces_ml.linear.constraints.text import parse_constraint

__all__ = [
    "KINDS",
    "Bounds",
    "Constraint",
    "LinearConstraints",
    "Order",
    "Sign",
    "compile_constraints",
    "parse_constraint",
]
