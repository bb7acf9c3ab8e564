"""Logistic regression under rules that a person states in words.

``estimator → solver → losses │ penalties │ constraints │ kernels``: imports go down only, and the
last four do not import each other.
"""

from ces_ml.linear.constraints import (
    AtMost,
    Bounds,
    Constraint,
    Exclude,
    GroupShare,
    Include,
    LinearConstraints,
    Order,
    Share,
    Sign,
    Sum,
    compile_constraints,
    parse_constraint,
)
from ces_ml.linear.distributed import SparkRows, fit_spark
from ces_ml.linear.estimator import ConstrainedLogisticRegression
from ces_ml.linear.inference import WeightIntervals, weight_intervals, with_intervals
from ces_ml.linear.out_of_core import fit_parquet
from ces_ml.linear.path import AlphaChoice, Path, choose_alpha, regularization_path
from ces_ml.linear.points import Points, to_points
from ces_ml.linear.prices import RulePrice, price_of_rules, prices_table
from ces_ml.linear.solver import SolverResult
from ces_ml.spec.purging import purged_folds

__all__ = [
    "AlphaChoice",
    "AtMost",
    "Bounds",
    "ConstrainedLogisticRegression",
    "Constraint",
    "Exclude",
    "GroupShare",
    "Include",
    "LinearConstraints",
    "Order",
    "Path",
    "Points",
    "RulePrice",
    "Share",
    "Sign",
    "SolverResult",
    "SparkRows",
    "Sum",
    "WeightIntervals",
    "choose_alpha",
    "compile_constraints",
    "fit_parquet",
    "fit_spark",
    "parse_constraint",
    "price_of_rules",
    "prices_table",
    "purged_folds",
    "regularization_path",
    "to_points",
    "weight_intervals",
    "with_intervals",
]
