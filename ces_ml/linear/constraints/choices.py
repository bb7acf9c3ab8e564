"""Rules on which events count at all: include, exclude, and at most *k* of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ces_ml.errors import ConstraintError, show
from ces_ml.linear.constraints.contract import CountLimit, Kept, LinearRow, check_names
from ces_ml.linear.constraints.names import FeatureNames, write_names

__all__ = ["AtMost", "Exclude", "Include"]


@dataclass(frozen=True)
class _Named:
    """A word before a group of features."""

    word: ClassVar[str]
    names: tuple[str, ...]
    exact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names, exact = check_names(self.names, self.exact)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "exact", exact)

    def __str__(self) -> str:
        return f"{self.word} {write_names(self.names, self.exact)}"


@dataclass(frozen=True)
class Exclude(_Named):
    """The weights are zero (``exclude social_*``).

    Parameters
    ----------
    names : str or sequence of str
        Features and globs over features.
    exact : sequence of str, default=()
        Those of `names` whose wildcards are ordinary characters (as in quoted names).

    Examples
    --------
    >>> str(Exclude("social_*")), str(Exclude(["a", "b c"]))
    ('exclude social_*', 'exclude a, "b c"')
    """

    word = "exclude"

    def expand(self, features: FeatureNames, text: str) -> list[LinearRow]:
        """Return ``w_j = 0`` for each feature of the group."""
        group = features.group(self.names, text, exact=self.exact)
        return [LinearRow({j: 1.0}, 0.0, equal=True) for j in group]


@dataclass(frozen=True)
class Include(_Named):
    """The features are among those that `AtMost` leaves (``include login``).

    Their weights may still turn out zero. Without an `AtMost` rule the names are checked, and that
    is all. `names` and `exact` are those of `Exclude`.

    Examples
    --------
    >>> str(Include("login"))
    'include login'
    """

    word = "include"

    def expand(self, features: FeatureNames, text: str) -> list[Kept]:
        """Return the features of the group, each as kept."""
        return [Kept(j) for j in features.group(self.names, text, exact=self.exact)]


@dataclass(frozen=True)
class AtMost:
    """At most `k` weights differ from zero (``at most 5 events``, ``at most 3 of social_*``).

    The one rule that is not convex; see `ces_ml.linear.solver.support` for what is promised.

    Parameters
    ----------
    k : int
        At least 1.
    names : str or sequence of str, default="*"
        The features and globs that are counted; ``"*"`` means every feature.
    exact : sequence of str, default=()
        Those of `names` whose wildcards are ordinary characters (as in quoted names).

    Raises
    ------
    ConstraintError
        If `k` is not a whole number of at least 1, or `names` is empty or not text.

    Examples
    --------
    >>> str(AtMost(5)), str(AtMost(3, "social_*"))
    ('at most 5 events', 'at most 3 of social_*')
    """

    k: int
    names: tuple[str, ...] = ("*",)
    exact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise ConstraintError(
                "the number of events is not a whole number of at least 1",
                got=show(self.k),
                allowed="1, 2, 3, …",
                hint="to leave events out altogether write `exclude`",
            )
        names, exact = check_names(self.names, self.exact)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "exact", exact)

    def __str__(self) -> str:
        if self.names == ("*",) and not self.exact:
            return f"at most {self.k} events"
        return f"at most {self.k} of {write_names(self.names, self.exact)}"

    def expand(self, features: FeatureNames, text: str) -> list[CountLimit]:
        """Return the limit on the group."""
        return [CountLimit(tuple(features.group(self.names, text, exact=self.exact)), self.k)]
