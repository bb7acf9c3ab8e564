"""From rules to matrices: ``l ≤ w ≤ u`` and ``A w ≤ b``, each part knowing its rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from ces_ml.errors import ConstraintError, InfeasibleConstraintsError, show
from ces_ml.linear.constraints.names import FeatureNames
from ces_ml.linear.constraints.rules import KINDS, Constraint, LinearRow
from ces_ml.linear.constraints.text import parse_constraint

__all__ = ["ConstraintsLike", "LinearConstraints", "compile_constraints"]

ConstraintsLike = str | Constraint | Sequence[str | Constraint] | None
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearConstraints:
    """The polyhedron ``{w : lower ≤ w ≤ upper, A w ≤ b}`` of a set of rules.

    Parameters
    ----------
    feature_names : tuple of str
        What the columns are called in rules.
    lower, upper : ndarray of shape (n_features,)
        The tightest bounds of each weight; ``∓inf`` where there is none.
    A : ndarray of shape (n_rows, n_features)
        Inequalities between weights.
    b : ndarray of shape (n_rows,)
        Their right-hand sides.
    row_rules : tuple of str
        For each row of `A` the rule it comes from, in the user's words.
    bound_rules : tuple of (str or None, str or None)
        For each weight the rules that gave its lower and its upper bound.
    """

    feature_names: tuple[str, ...]
    lower: Floats
    upper: Floats
    A: Floats
    b: Floats
    row_rules: tuple[str, ...]
    bound_rules: tuple[tuple[str | None, str | None], ...]


@dataclass(frozen=True)
class _Rule:
    text: str
    rows: tuple[LinearRow, ...]


def compile_constraints(
    constraints: ConstraintsLike, feature_names: Sequence[str]
) -> LinearConstraints:
    """Turn rules into matrices, and prove that they can hold together.

    Parameters
    ----------
    constraints : None, str, Constraint, or sequence of str and Constraint
        The rules.
    feature_names : sequence of str
        The names that the rules may use, in the order of the columns.

    Returns
    -------
    LinearConstraints
        Bounds on one feature are intersected; the rest become rows of `A`.

    Raises
    ------
    ConstraintError
        If a rule can't be read, or names a feature that is not there.
    InfeasibleConstraintsError
        If no weights obey all rules; the message lists a smallest conflicting set of rules.

    Examples
    --------
    >>> rules = compile_constraints(["0 <= login <= 2", "buy >= 2 * login"], ["buy", "login"])
    >>> rules.upper, rules.A, rules.row_rules
    (array([inf,  2.]), array([[-1.,  2.]]), ('buy >= 2 * login',))
    """
    stated = _parsed(constraints)
    names = tuple(feature_names)
    if not stated:
        return _assemble((), names)
    features = FeatureNames(names)
    rules = [
        _Rule(text, tuple(row for part in parts for row in part.expand(features, text)))
        for text, parts in stated
    ]
    compiled = _assemble(rules, names)
    if not _feasible(compiled):
        raise _conflict(rules, names)
    return compiled


def _parsed(constraints: ConstraintsLike) -> list[tuple[str, tuple[Constraint, ...]]]:
    """Return each rule as (the user's words, its objects)."""
    if constraints is None:
        return []
    rules: Any = constraints
    if isinstance(rules, (str, Constraint)):
        rules = [rules]
    if not isinstance(rules, Iterable) or isinstance(rules, (bytes, Mapping)):
        raise _not_rules(rules)
    stated: list[tuple[str, tuple[Constraint, ...]]] = []
    for rule in rules:
        if isinstance(rule, str):
            stated.append((rule.strip(), parse_constraint(rule)))
        elif isinstance(rule, Constraint):
            stated.append((str(rule), (rule,)))
        else:
            raise _not_rules(rule)
    return stated


def _not_rules(got: object) -> ConstraintError:
    kinds = ", ".join(kind.__name__ for kind in KINDS.values())
    return ConstraintError(
        "constraints are a list of rules",
        got=f"{show(got)} of type {type(got).__name__}",
        allowed=f"None, a rule as text, or a sequence of texts and objects ({kinds})",
        hint="write for example constraints=['login >= 0', 'refund <= 0']",
    )


def _assemble(rules: Iterable[_Rule], names: tuple[str, ...]) -> LinearConstraints:
    p = len(names)
    lower, upper = np.full(p, -np.inf), np.full(p, np.inf)
    lower_rules: list[str | None] = [None] * p
    upper_rules: list[str | None] = [None] * p
    A_rows: list[Floats] = []
    limits: list[float] = []
    row_rules: list[str] = []
    for rule in rules:
        for row in rule.rows:
            if len(row.coefficients) > 1:
                a = np.zeros(p)
                a[list(row.coefficients)] = list(row.coefficients.values())
                A_rows.append(a)
                limits.append(row.limit + 0.0)
                row_rules.append(rule.text)
                continue
            ((j, coefficient),) = row.coefficients.items()
            bound = row.limit / coefficient + 0.0
            if coefficient > 0 and bound < upper[j]:
                upper[j], upper_rules[j] = bound, rule.text
            elif coefficient < 0 and bound > lower[j]:
                lower[j], lower_rules[j] = bound, rule.text
    A = np.array(A_rows).reshape(len(A_rows), p)
    b = np.array(limits, dtype=np.float64)
    for array in (lower, upper, A, b):
        array.setflags(write=False)
    return LinearConstraints(
        names,
        lower,
        upper,
        A,
        b,
        tuple(row_rules),
        tuple(zip(lower_rules, upper_rules, strict=True)),
    )


def _feasible(region: LinearConstraints) -> bool:
    if (region.lower > region.upper).any():
        return False
    nearest = np.clip(0.0, region.lower, region.upper)
    if (region.A @ nearest <= region.b).all():
        return True
    answer = linprog(
        np.zeros(len(nearest)),
        A_ub=region.A,
        b_ub=region.b,
        bounds=np.column_stack([region.lower, region.upper]),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10},
    )
    return int(answer.status) != 2


def _conflict(rules: Sequence[_Rule], names: tuple[str, ...]) -> InfeasibleConstraintsError:
    """Return the error for an infeasible set, reduced by the deletion filter.

    A rule whose removal leaves the rest infeasible is not needed for the conflict. What remains
    is irreducible: it can't hold together, and does once any one rule is dropped.
    """
    kept = list(rules)
    for rule in rules:
        rest = [other for other in kept if other is not rule]
        if not _feasible(_assemble(rest, names)):
            kept = rest
    words = "; ".join(f"`{rule.text}`" for rule in kept)
    return InfeasibleConstraintsError(
        f"no weights obey these {len(kept)} rules together"
        if len(kept) > 1
        else "no weights obey this rule",
        got=words if len(words) <= 2000 else words[:1999] + "…",
        allowed="rules that leave at least one set of weights",
        hint="drop or loosen one of them: any one is enough to end this conflict",
    )
