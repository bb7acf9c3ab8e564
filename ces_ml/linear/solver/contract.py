"""What the solver asks of a set of rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Limit", "Polyhedron"]

Floats = NDArray[np.float64]


class Limit(Protocol):
    """At most `k` of the weights of `members` differ from zero."""

    @property
    def members(self) -> tuple[int, ...]:
        """The weights that are counted."""
        ...

    @property
    def k(self) -> int:
        """How many of them may differ from zero."""
        ...


class Polyhedron(Protocol):
    """The feasible weights: ``lower ≤ w ≤ upper``, ``A w ≤ b`` and ``A_eq w = b_eq``."""

    @property
    def lower(self) -> Floats:
        """Lower bounds of shape (n_features,)."""
        ...

    @property
    def upper(self) -> Floats:
        """Upper bounds of shape (n_features,)."""
        ...

    @property
    def A(self) -> Floats:  # noqa: N802
        """Rows of shape (n_rows, n_features)."""
        ...

    @property
    def b(self) -> Floats:
        """Right-hand sides of shape (n_rows,)."""
        ...

    @property
    def row_rules(self) -> tuple[str, ...]:
        """The rule of each row, in words."""
        ...

    @property
    def bound_rules(self) -> tuple[tuple[str | None, str | None], ...]:
        """The rules of each weight's lower and upper bound, in words."""
        ...

    @property
    def A_eq(self) -> Floats:  # noqa: N802
        """Equations of shape (n_equations, n_features)."""
        ...

    @property
    def b_eq(self) -> Floats:
        """Right-hand sides of shape (n_equations,)."""
        ...

    @property
    def eq_rules(self) -> tuple[str, ...]:
        """The rule of each equation, in words."""
        ...

    @property
    def limits(self) -> Sequence[Limit]:
        """Limits on how many weights differ from zero: the part that is no polyhedron."""
        ...

    @property
    def limit_rules(self) -> tuple[str, ...]:
        """The rule of each limit, in words."""
        ...

    @property
    def kept(self) -> tuple[int, ...]:
        """The weights that limits must count in."""
        ...

    def with_zeros(self, zeros: Collection[int]) -> Polyhedron:
        """Return the region in which these weights are zero, without limits.

        Where a rule keeps one of them from zero, its bounds cross.
        """
        ...
