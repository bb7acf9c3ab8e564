"""The kinds of rule on single weights and pairs of them, and the register of all kinds.

A kind is a frozen dataclass that obeys `ces_ml.linear.constraints.contract.Constraint`. A new kind
is one class, one line in `KINDS`, and its grammar in `ces_ml.linear.constraints.text`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ces_ml.errors import ConstraintError, show
from ces_ml.linear.constraints.choices import AtMost, Exclude, Include
from ces_ml.linear.constraints.contract import (
    Constraint,
    LinearRow,
    check_name,
    read_number,
    write_number,
)
from ces_ml.linear.constraints.names import FeatureNames, has_wildcard, write_name
from ces_ml.linear.constraints.totals import GroupShare, Share, Sum

__all__ = ["KINDS", "Bounds", "Order", "Sign"]


@dataclass(frozen=True)
class Sign:
    """The weight is not negative (``login >= 0``), or not positive (``refund <= 0``).

    Parameters
    ----------
    name : str
        A feature, or a glob over features (``page_*``).
    op : {">=", "<="}
        Which side of zero the weight must stay on.
    exact : bool, default=False
        Whether wildcards in `name` are ordinary characters (as in quoted names).

    Raises
    ------
    ConstraintError
        If `op` is something else, or `name` is not text.

    Examples
    --------
    >>> str(Sign("login", ">=")), str(Sign("asked for refund", "<="))
    ('login >= 0', '"asked for refund" <= 0')
    """

    name: str
    op: Literal[">=", "<="]
    exact: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.op not in (">=", "<="):
            raise ConstraintError(
                "a sign rule takes one of two operators",
                got=show(self.op),
                allowed="'>=' or '<='",
                hint="for a fixed weight use Bounds with low equal to high",
            )
        object.__setattr__(self, "exact", bool(self.exact) and has_wildcard(self.name))

    def __str__(self) -> str:
        return f"{write_name(self.name, exact=self.exact)} {self.op} 0"

    def expand(self, features: FeatureNames, text: str) -> list[LinearRow]:
        """Return one bound at zero for each feature that the name means."""
        a = -1.0 if self.op == ">=" else 1.0
        return [LinearRow({j: a}, 0.0) for j in features.match(self.name, text, exact=self.exact)]


@dataclass(frozen=True)
class Bounds:
    """The weight lies between two numbers; equal numbers fix it (``support_call = -0.5``).

    Parameters
    ----------
    name : str
        A feature, or a glob over features (``page_*``).
    low, high : float
        The closed interval; ``-inf`` and ``inf`` leave a side open, but not both.
    exact : bool, default=False
        Whether wildcards in `name` are ordinary characters (as in quoted names).

    Raises
    ------
    ConstraintError
        If ``low > high``, both sides are open, or a number is not a number.

    Examples
    --------
    >>> str(Bounds("login", 0, 2)), str(Bounds("login", high=1.5)), str(Bounds("x", -0.5, -0.5))
    ('0 <= login <= 2', 'login <= 1.5', 'x = -0.5')
    """

    name: str
    low: float = -math.inf
    high: float = math.inf
    exact: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        low, high = read_number(self.low, "low"), read_number(self.high, "high")
        if math.isnan(low) or math.isnan(high) or low == math.inf or high == -math.inf:
            raise ConstraintError(
                f"the bounds of {show(self.name)} are not finite numbers",
                got=f"low={low}, high={high}",
                allowed="finite numbers, or -inf below and inf above for an open side",
                hint="correct the number, or leave that side out",
            )
        if low > high:
            raise ConstraintError(
                f"contradictory bounds on {show(self.name)}: the low one is above the high one",
                got=f"low={low}, high={high}",
                allowed="low <= high",
                hint="exchange the two numbers, or correct one of them",
            )
        if low == -math.inf and high == math.inf:
            raise ConstraintError(
                f"the bounds of {show(self.name)} are open on both sides, so they say nothing",
                got="low=-inf, high=inf",
                allowed="at least one finite bound",
                hint="give a bound, or drop the rule",
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "exact", bool(self.exact) and has_wildcard(self.name))

    def __str__(self) -> str:
        name = write_name(self.name, exact=self.exact)
        low, high = write_number(self.low), write_number(self.high)
        if self.low == self.high:
            return f"{name} = {low}"
        if self.low > -math.inf and self.high < math.inf:
            return f"{low} <= {name} <= {high}"
        # With zero the number stands first, because `name >= 0` reads back as a Sign.
        if self.high == math.inf:
            return f"{name} >= {low}" if self.low else f"{low} <= {name}"
        return f"{name} <= {high}" if self.high else f"{high} >= {name}"

    def expand(self, features: FeatureNames, text: str) -> list[LinearRow]:
        """Return the finite bounds of each feature that the name means."""
        rows = []
        for j in features.match(self.name, text, exact=self.exact):
            if self.low > -math.inf:
                rows.append(LinearRow({j: -1.0}, -self.low))
            if self.high < math.inf:
                rows.append(LinearRow({j: 1.0}, self.high))
        return rows


@dataclass(frozen=True)
class Order:
    """One weight is at least another: ``w[greater] ≥ factor·w[lesser] + margin``.

    Parameters
    ----------
    greater, lesser : str
        Two different features, by their exact names.
    factor : float, default=1.0
        How many times the lesser weight; not zero.
    margin : float, default=0.0
        What is added to it, in units of weight.

    Raises
    ------
    ConstraintError
        If the two names are the same, or a number is not finite.

    Examples
    --------
    >>> str(Order("purchase", "page_view", factor=2)), str(Order("a", "b", margin=0.1))
    ('purchase >= 2 * page_view', 'a >= b + 0.1')
    """

    greater: str
    lesser: str
    factor: float = 1.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        check_name(self.greater)
        check_name(self.lesser)
        factor, margin = read_number(self.factor, "factor"), read_number(self.margin, "margin")
        if not (math.isfinite(factor) and math.isfinite(margin)) or factor == 0.0:
            raise ConstraintError(
                "an order takes a finite factor other than zero and a finite margin",
                got=f"factor={factor}, margin={margin}",
                allowed="finite numbers; factor != 0",
                hint="to compare a weight with a number, write a bound",
            )
        if self.greater == self.lesser:
            raise ConstraintError(
                "an order compares a feature with itself",
                got=show(self.greater),
                allowed="two different features",
                hint="to compare a weight with a number, write a bound",
            )
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "margin", margin)

    def __str__(self) -> str:
        times = "" if self.factor == 1.0 else f"{write_number(self.factor)} * "
        plus = ""
        if self.margin:
            plus = f" {'+' if self.margin > 0 else '-'} {write_number(abs(self.margin))}"
        return f"{write_name(self.greater)} >= {times}{write_name(self.lesser)}{plus}"

    def expand(self, features: FeatureNames, text: str) -> list[LinearRow]:
        """Return the row ``factor·w[lesser] − w[greater] ≤ −margin``."""
        greater, lesser = features.find(self.greater, text), features.find(self.lesser, text)
        return [LinearRow({greater: -1.0, lesser: self.factor}, -self.margin)]


KINDS: dict[str, type[Constraint]] = {
    "sign": Sign,
    "bounds": Bounds,
    "order": Order,
    "share": Share,
    "group share": GroupShare,
    "sum": Sum,
    "include": Include,
    "exclude": Exclude,
    "at most": AtMost,
}
"""Every kind of rule, by its name in messages and documentation."""
