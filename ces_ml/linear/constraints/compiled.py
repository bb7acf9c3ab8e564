"""From rules to matrices: bounds, inequalities and equations, each with its rule."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from ces_ml.errors import ConstraintError, InfeasibleConstraintsError, show
from ces_ml.linear.constraints.contract import Constraint, CountLimit, Kept, LinearRow, Part
from ces_ml.linear.constraints.names import FeatureNames
from ces_ml.linear.constraints.rules import KINDS
from ces_ml.linear.constraints.signs import known_signs, linear_row
from ces_ml.linear.constraints.text import parse_constraint

__all__ = ["ConstraintsLike", "LinearConstraints", "compile_constraints"]

ConstraintsLike = str | Constraint | Sequence[str | Constraint] | None
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearConstraints:
    """The set ``{w : lower ≤ w ≤ upper, A w ≤ b, A_eq w = b_eq}`` of a set of rules.

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
    A_eq : ndarray of shape (n_equations, n_features)
        Equations between weights.
    b_eq : ndarray of shape (n_equations,)
        Their right-hand sides.
    eq_rules : tuple of str
        For each row of `A_eq` the rule it comes from.
    limits : tuple of CountLimit
        How many weights may differ from zero: the part that is not convex.
    limit_rules : tuple of str
        For each of `limits` the rule it comes from.
    kept : tuple of int
        The features that `limits` must leave, in order.
    kept_rules : tuple of str
        For each of `kept` the rule it comes from.
    """

    feature_names: tuple[str, ...]
    lower: Floats
    upper: Floats
    A: Floats
    b: Floats
    row_rules: tuple[str, ...]
    bound_rules: tuple[tuple[str | None, str | None], ...]
    A_eq: Floats
    b_eq: Floats
    eq_rules: tuple[str, ...]
    limits: tuple[CountLimit, ...]
    limit_rules: tuple[str, ...]
    kept: tuple[int, ...]
    kept_rules: tuple[str, ...]

    def with_zeros(self, zeros: Collection[int]) -> LinearConstraints:
        """Return the set in which these weights are zero, without limits.

        Where a rule keeps one of them from zero, its bounds cross.
        """
        j = sorted(zeros)
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[j], upper[j] = np.maximum(lower[j], 0.0), np.minimum(upper[j], 0.0)
        rules = tuple(
            (None, None) if i in zeros else pair for i, pair in enumerate(self.bound_rules)
        )
        return replace(
            self,
            lower=lower,
            upper=upper,
            bound_rules=rules,
            limits=(),
            limit_rules=(),
            kept=(),
            kept_rules=(),
        )


@dataclass(frozen=True)
class _Rule:
    text: str
    parts: tuple[Part, ...]


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
        _Rule(text, tuple(part for kind in kinds for part in kind.expand(features, text)))
        for text, kinds in stated
    ]
    rules = _with_signs(rules, names)
    compiled = _assemble(rules, names)
    if not _feasible(compiled):
        raise _conflict(rules, names)
    return compiled


def _with_signs(rules: list[_Rule], names: tuple[str, ...]) -> list[_Rule]:
    """Return the rules with every row linear: the signs of the weights follow from the rules."""
    rows = [part for rule in rules for part in rule.parts if isinstance(part, LinearRow)]
    if not any(row.absolute for row in rows):
        return rules
    signs = known_signs([row for row in rows if not row.absolute], len(names))
    return [
        _Rule(
            rule.text,
            tuple(
                linear_row(part, signs, names, rule.text)
                if isinstance(part, LinearRow) and part.absolute
                else part
                for part in rule.parts
            ),
        )
        for rule in rules
    ]


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
    bounds = _Bounds(len(names))
    rows: list[tuple[LinearRow, str]] = []
    limits: list[tuple[CountLimit, str]] = []
    kept: dict[int, str] = {}
    for rule in rules:
        for part in rule.parts:
            if isinstance(part, CountLimit):
                limits.append((part, rule.text))
            elif isinstance(part, Kept):
                kept.setdefault(part.member, rule.text)
            elif len(part.coefficients) == 1:
                bounds.tighten(part, rule.text)
            elif part.coefficients:
                rows.append((part, rule.text))
    A, b, row_rules = _matrix([row for row in rows if not row[0].equal], len(names))
    A_eq, b_eq, eq_rules = _matrix([row for row in rows if row[0].equal], len(names))
    for array in (bounds.lower, bounds.upper, A, b, A_eq, b_eq):
        array.setflags(write=False)
    return LinearConstraints(
        names,
        bounds.lower,
        bounds.upper,
        A,
        b,
        row_rules,
        tuple(zip(bounds.lower_rules, bounds.upper_rules, strict=True)),
        A_eq,
        b_eq,
        eq_rules,
        tuple(limit for limit, _ in limits),
        tuple(text for _, text in limits),
        tuple(sorted(kept)),
        tuple(kept[j] for j in sorted(kept)),
    )


class _Bounds:
    """The tightest bounds so far, each with its rule."""

    def __init__(self, p: int) -> None:
        self.lower, self.upper = np.full(p, -np.inf), np.full(p, np.inf)
        self.lower_rules: list[str | None] = [None] * p
        self.upper_rules: list[str | None] = [None] * p

    def tighten(self, row: LinearRow, rule: str) -> None:
        ((j, coefficient),) = row.coefficients.items()
        bound = row.limit / coefficient + 0.0
        if (coefficient > 0 or row.equal) and bound < self.upper[j]:
            self.upper[j], self.upper_rules[j] = bound, rule
        if (coefficient < 0 or row.equal) and bound > self.lower[j]:
            self.lower[j], self.lower_rules[j] = bound, rule


def _matrix(
    rows: Sequence[tuple[LinearRow, str]], p: int
) -> tuple[Floats, Floats, tuple[str, ...]]:
    A, b = np.zeros((len(rows), p)), np.zeros(len(rows))
    for i, (row, _) in enumerate(rows):
        A[i, list(row.coefficients)] = list(row.coefficients.values())
        b[i] = row.limit + 0.0
    return A, b, tuple(rule for _, rule in rows)


def _feasible(region: LinearConstraints) -> bool:
    if (region.lower > region.upper).any() or not _limits_can_hold(region):
        return False
    nearest = np.clip(0.0, region.lower, region.upper)
    if (region.A @ nearest <= region.b).all() and (region.A_eq @ nearest == region.b_eq).all():
        return True
    answer = linprog(
        np.zeros(len(nearest)),
        A_ub=region.A,
        b_ub=region.b,
        A_eq=region.A_eq,
        b_eq=region.b_eq,
        bounds=np.column_stack([region.lower, region.upper]),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10},
    )
    return int(answer.status) != 2


def _limits_can_hold(region: LinearConstraints) -> bool:
    """Return whether no more weights must differ from zero than may.

    Weights that only rows keep from zero are not counted; then the solver finds no support.
    """
    kept = set(region.kept)
    if any(region.lower[j] == region.upper[j] == 0.0 for j in kept):
        return False
    needed = kept | set(np.flatnonzero((region.lower > 0.0) | (region.upper < 0.0)).tolist())
    return all(len(needed.intersection(limit.members)) <= limit.k for limit in region.limits)


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
