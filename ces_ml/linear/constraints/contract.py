"""What a rule promises, and the parts that it expands to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, runtime_checkable

from ces_ml.errors import ConstraintError, show
from ces_ml.linear.constraints.names import FeatureNames, has_wildcard

__all__ = [
    "Constraint",
    "CountLimit",
    "Kept",
    "LinearRow",
    "Part",
    "check_interval",
    "check_name",
    "check_names",
    "read_number",
    "write_number",
    "write_percent",
]


@dataclass(frozen=True)
class LinearRow:
    """One inequality ``Σ_j coefficients[j]·w_j ≤ limit``, or an equation.

    Parameters
    ----------
    coefficients : dict of int to float
        By feature; a single one makes the row a bound.
    limit : float
        The right-hand side.
    equal : bool, default=False
        Whether the two sides are equal.
    absolute : bool, default=False
        Whether ``|w_j|`` stands for ``w_j``. Such a row is linear where all its signs are known.
    """

    coefficients: dict[int, float]
    limit: float
    equal: bool = False
    absolute: bool = False


@dataclass(frozen=True)
class CountLimit:
    """At most `k` of the weights of `members` differ from zero."""

    members: tuple[int, ...]
    k: int


@dataclass(frozen=True)
class Kept:
    """The weight of feature `member` is one of those that a `CountLimit` lets differ from zero."""

    member: int


Part = LinearRow | CountLimit | Kept


@runtime_checkable
class Constraint(Protocol):
    """A rule on the weights.

    The law: ``parse_constraint(str(rule)) == (rule,)``, and a weight vector obeys the rule exactly
    if it satisfies every part of ``rule.expand(features, text)``. `text` is the rule in the user's
    own words, for error messages.
    """

    def expand(self, features: FeatureNames, text: str) -> Sequence[Part]:
        """Return the parts that the rule stands for."""
        ...


def check_name(name: object) -> None:
    """Refuse a feature's name that is not text."""
    if not isinstance(name, str):
        raise ConstraintError(
            "a rule addresses a feature by its name",
            got=f"{show(name)} of type {type(name).__name__}",
            allowed="text",
            hint="columns of an array are called x0, x1, … unless feature_names says otherwise",
        )


def check_names(names: object, exact: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a group of names and those of them whose wildcards are ordinary characters.

    Raises
    ------
    ConstraintError
        If there is no name, one that is not text, or one twice.
    """
    group = (names,) if isinstance(names, str) else names
    group = tuple(group) if isinstance(group, (tuple, list)) else (group,)
    for name in group:
        check_name(name)
    if not group or len(set(group)) < len(group):
        raise ConstraintError(
            "a group names no feature, or one of them twice",
            got=show(group),
            allowed="different names or patterns, at least one",
            hint="for every feature write `all`",
        )
    literal = (exact,) if isinstance(exact, str) else exact
    kept = tuple(literal) if isinstance(literal, (tuple, list)) else ()
    return group, tuple(name for name in group if name in kept and has_wildcard(name))


def check_interval(low: object, high: object, *, share: bool) -> tuple[float, float]:
    """Return the two limits of a total as numbers.

    Raises
    ------
    ConstraintError
        If one is not a number or out of its range, or they are in the wrong order or both open.
    """
    a, b = read_number(low, "low"), read_number(high, "high")
    least, most = (0.0, 1.0) if share else (-math.inf, math.inf)
    what = "share" if share else "sum"
    if not (least <= a <= b <= most) or a == math.inf or b == -math.inf:
        raise ConstraintError(
            f"the limits of a {what} are out of range, or the low one is above the high one",
            got=f"low={a}, high={b}",
            allowed="0 <= low <= high <= 1, that is 0% to 100%" if share else "low <= high",
            hint="correct the limits",
        )
    if a == least and b == most:
        raise ConstraintError(
            f"the limits of a {what} are open on both sides, so they say nothing",
            got=f"low={a}, high={b}",
            allowed="at least one limit inside the range",
            hint="give a limit, or drop the rule",
        )
    return a, b


def read_number(value: object, what: str) -> float:
    """Return `value` as a float."""
    try:
        return float(value) + 0.0  # type: ignore[arg-type]  # + 0.0 turns -0.0 into 0.0
    except (TypeError, ValueError):
        raise ConstraintError(
            f"{what} is not a number",
            got=show(value),
            allowed="a number such as 0.5",
            hint=f"correct {what}",
        ) from None


def write_number(value: float) -> str:
    """Return the shortest text that reads back as `value`."""
    return repr(value).removesuffix(".0")


def write_percent(share: float) -> str:
    """Return a share as a percentage that reads back as the same float.

    Examples
    --------
    >>> write_percent(0.07), write_percent(0.4)
    ('7%', '40%')
    """
    text = format(Decimal(repr(share)).scaleb(2).normalize(), "f")
    return f"{text}%"
