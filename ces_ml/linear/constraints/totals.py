"""Rules on totals: the share of one weight or of a group, and the sum of a group."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ces_ml.linear.constraints.contract import (
    LinearRow,
    check_interval,
    check_name,
    check_names,
    write_number,
    write_percent,
)
from ces_ml.linear.constraints.names import FeatureNames, has_wildcard, write_name, write_names

__all__ = ["GroupShare", "Share", "Sum"]


@dataclass(frozen=True)
class Share:
    """One weight is a part of the total, in absolute values (``5% <= login <= 40%``).

    ``low·Σ_k |w_k| ≤ |w_j| ≤ high·Σ_k |w_k|`` over all features `k`. The rule is linear, and read,
    only where the other rules say the sign of every weight: at least 0, or at most 0. Weights that
    are all zero obey it. Shares compare weights as they are, so they depend on the columns' units.

    Parameters
    ----------
    name : str
        A feature, or a glob over features, each of which obeys the rule (``page_*``).
    low, high : float
        The closed interval, as fractions from 0 to 1.
    exact : bool, default=False
        Whether wildcards in `name` are ordinary characters (as in quoted names).

    Raises
    ------
    ConstraintError
        If the limits are out of range or say nothing, or `name` is not text.

    Examples
    --------
    >>> str(Share("login", high=0.4)), str(Share("purchase", 0.1)), str(Share("a", 0.05, 0.4))
    ('login <= 40%', 'purchase >= 10%', '5% <= a <= 40%')
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    exact: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        low, high = check_interval(self.low, self.high, share=True)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "exact", bool(self.exact) and has_wildcard(self.name))

    def __str__(self) -> str:
        return _write_share(write_name(self.name, exact=self.exact), self.low, self.high)

    def expand(self, features: FeatureNames, text: str) -> list[LinearRow]:
        """Return the rows of each feature that the name means."""
        rows = []
        for j in features.match(self.name, text, exact=self.exact):
            rows += _share_rows([j], len(features.names), self.low, self.high)
        return rows


@dataclass(frozen=True)
class GroupShare:
    """A group of weights is a part of the total (``sum(social_*) <= 30%``).

    As `Share`, with the sum of the absolute weights of the group in place of the one.

    Parameters
    ----------
    names : str or sequence of str
        Features and globs over features; ``"*"`` means every feature.
    low, high : float
        The closed interval, as fractions from 0 to 1.
    exact : sequence of str, default=()
        Those of `names` whose wildcards are ordinary characters (as in quoted names).

    Raises
    ------
    ConstraintError
        If the limits are out of range or say nothing, or `names` is empty or not text.

    Examples
    --------
    >>> str(GroupShare("social_*", high=0.3)), str(GroupShare(["a", "c d"], 0.1))
    ('sum(social_*) <= 30%', 'sum(a, "c d") >= 10%')
    """

    names: tuple[str, ...]
    low: float = 0.0
    high: float = 1.0
    exact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names, exact = check_names(self.names, self.exact)
        low, high = check_interval(self.low, self.high, share=True)
        for field, value in (("names", names), ("low", low), ("high", high), ("exact", exact)):
            object.__setattr__(self, field, value)

    def __str__(self) -> str:
        return _write_share(f"sum({write_names(self.names, self.exact)})", self.low, self.high)

    def expand(self, features: FeatureNames, text: str) -> list[LinearRow]:
        """Return the rows of the group."""
        group = features.group(self.names, text, exact=self.exact)
        return _share_rows(group, len(features.names), self.low, self.high)


@dataclass(frozen=True)
class Sum:
    """The plain sum of a group of weights has limits (``sum(all) = 1``).

    Parameters
    ----------
    names : str or sequence of str
        Features and globs over features; ``"*"`` means every feature.
    low, high : float
        The closed interval; equal numbers fix the sum, infinite ones leave a side open.
    exact : sequence of str, default=()
        Those of `names` whose wildcards are ordinary characters (as in quoted names).

    Raises
    ------
    ConstraintError
        If the limits are in the wrong order or say nothing, or `names` is empty or not text.

    Examples
    --------
    >>> str(Sum("*", 1, 1)), str(Sum(["a", "b"], low=0.5)), str(Sum("social_*", 0, 2))
    ('sum(all) = 1', 'sum(a, b) >= 0.5', '0 <= sum(social_*) <= 2')
    """

    names: tuple[str, ...]
    low: float = -math.inf
    high: float = math.inf
    exact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names, exact = check_names(self.names, self.exact)
        low, high = check_interval(self.low, self.high, share=False)
        for field, value in (("names", names), ("low", low), ("high", high), ("exact", exact)):
            object.__setattr__(self, field, value)

    def __str__(self) -> str:
        group = f"sum({write_names(self.names, self.exact)})"
        low, high = write_number(self.low), write_number(self.high)
        if self.low == self.high:
            return f"{group} = {low}"
        if self.high == math.inf:
            return f"{group} >= {low}"
        if self.low == -math.inf:
            return f"{group} <= {high}"
        return f"{low} <= {group} <= {high}"

    def expand(self, features: FeatureNames, text: str) -> list[LinearRow]:
        """Return one equation, or one row for each finite limit."""
        group = features.group(self.names, text, exact=self.exact)
        if self.low == self.high:
            return [LinearRow(dict.fromkeys(group, 1.0), self.high, equal=True)]
        rows = []
        if self.low > -math.inf:
            rows.append(LinearRow(dict.fromkeys(group, -1.0), -self.low))
        if self.high < math.inf:
            rows.append(LinearRow(dict.fromkeys(group, 1.0), self.high))
        return rows


def _write_share(subject: str, low: float, high: float) -> str:
    if low == high:
        return f"{subject} = {write_percent(low)}"
    if high == 1.0:
        return f"{subject} >= {write_percent(low)}"
    if low == 0.0:
        return f"{subject} <= {write_percent(high)}"
    return f"{write_percent(low)} <= {subject} <= {write_percent(high)}"


def _share_rows(group: list[int], p: int, low: float, high: float) -> list[LinearRow]:
    """Return the rows of ``low·Σ_k |w_k| ≤ Σ_{j in group} |w_j| ≤ high·Σ_k |w_k|``."""
    members = set(group)

    def row(share: float, sign: float, *, equal: bool = False) -> LinearRow:
        inside, outside = sign * (1.0 - share), -sign * share
        coefficients = {j: inside if j in members else outside for j in range(p)}
        return LinearRow(
            {j: a for j, a in coefficients.items() if a != 0.0}, 0.0, equal=equal, absolute=True
        )

    if low == high:
        return [row(high, 1.0, equal=True)]
    rows = []
    if low > 0.0:
        rows.append(row(low, -1.0))
    if high < 1.0:
        rows.append(row(high, 1.0))
    return rows
