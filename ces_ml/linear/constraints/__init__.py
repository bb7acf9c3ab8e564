"""Rules on the weights: stated in words, held as objects, compiled to linear inequalities."""

from ces_ml.linear.constraints.choices import AtMost, Exclude, Include
from ces_ml.linear.constraints.compiled import LinearConstraints, compile_constraints
from ces_ml.linear.constraints.contract import Constraint
from ces_ml.linear.constraints.rules import KINDS, Bounds, Order, Sign
from ces_ml.linear.constraints.text import parse_constraint
from ces_ml.linear.constraints.totals import GroupShare, Share, Sum

__all__ = [
    "KINDS",
    "AtMost",
    "Bounds",
    "Constraint",
    "Exclude",
    "GroupShare",
    "Include",
    "LinearConstraints",
    "Order",
    "Share",
    "Sign",
    "Sum",
    "compile_constraints",
    "parse_constraint",
]
