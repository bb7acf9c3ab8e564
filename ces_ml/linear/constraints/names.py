"""How a feature's name is written in a rule: bare, quoted, or with wildcards.

A bare name is made of letters and digits of any script and of ``_ . : / -``; a bare name may
also hold the wildcards ``*`` (any run of characters) and ``?`` (any one character). Every other
name is written between double quotes, where a backslash escapes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ces_ml.errors import ConstraintError, did_you_mean, show

__all__ = [
    "EVERY",
    "NON_FINITE",
    "NUMBER",
    "FeatureNames",
    "has_wildcard",
    "is_bare_char",
    "write_name",
    "write_names",
]

EVERY = "all"
"""The word that stands for every feature in a group; a feature so called is quoted there."""

NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
NON_FINITE = re.compile(r"[+-]?(?:inf|infinity|nan)", re.IGNORECASE)
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def is_bare_char(ch: str) -> bool:
    """Return whether `ch` may stand in a name without quotes (wildcards included)."""
    return ch.isalnum() or ch in "_.:/*?-" or unicodedata.category(ch).startswith("M")


def has_wildcard(name: str) -> bool:
    """Return whether `name` can be read as a glob: it holds ``*`` or ``?`` and needs no quotes.

    A number before the first ``*`` is a factor, so ``2*b`` is no glob.
    """
    if not ("*" in name or "?" in name) or not all(map(is_bare_char, name)):
        return False
    number = NUMBER.match(name)
    return number is None or name[number.end() : number.end() + 1] != "*"


def write_name(name: str, *, exact: bool = True) -> str:
    """Return `name` as it stands in a rule: bare where that reads back as itself, else quoted.

    Examples
    --------
    >>> write_name("login"), write_name("log in"), write_name("x*", exact=False)
    ('login', '"log in"', 'x*')
    """
    if not exact and has_wildcard(name):
        return name
    bare = bool(name) and all(map(is_bare_char, name)) and "*" not in name and "?" not in name
    # A name that begins like a number is quoted: "2" and "2.5:x" would be read as arithmetic.
    if bare and name != "-" and not NUMBER.match(name) and not NON_FINITE.fullmatch(name):
        return name
    return '"' + "".join(map(_escape, name)) + '"'


def write_names(names: Sequence[str], exact: Sequence[str] = ()) -> str:
    """Return a group of names as it stands in a rule.

    Examples
    --------
    >>> write_names(["a", "b c", "x*"]), write_names(["*"]), write_names(["all"])
    ('a, "b c", x*', 'all', '"all"')
    """
    return ", ".join(_write_member(name, exact=name in exact) for name in names)


def _write_member(name: str, *, exact: bool) -> str:
    if name == "*" and not exact:
        return EVERY
    return f'"{EVERY}"' if name == EVERY else write_name(name, exact=exact)


def _escape(ch: str) -> str:
    if ch in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[ch]
    if ch.isprintable():
        return ch
    return f"\\u{ord(ch):04x}" if ord(ch) <= 0xFFFF else f"\\U{ord(ch):08x}"


class FeatureNames:
    """The names that rules may address, with the index of each.

    Parameters
    ----------
    names : sequence of str
        One name a feature, all different.

    Raises
    ------
    ConstraintError
        If two features have the same name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.index = {name: j for j, name in enumerate(self.names)}
        if len(self.index) != len(self.names):
            twice = next(n for j, n in enumerate(self.names) if self.index[n] != j)
            raise ConstraintError(
                "two features have the same name, so a rule can't tell them apart",
                got=show(twice),
                allowed="feature names that are all different",
                hint="rename one of the columns",
            )

    def find(self, name: str, rule: str) -> int:
        """Return the index of the feature that is called exactly `name`."""
        if name in self.index:
            return self.index[name]
        if has_wildcard(name):
            raise ConstraintError(
                f"an order compares two features, so wildcards are not read in {show(rule, 200)}",
                got=show(name),
                allowed=did_you_mean(name, self.names),
                hint="write one order for each pair of features",
            )
        raise self._nothing(name, rule, "no feature has this name")

    def match(self, name: str, rule: str, *, exact: bool) -> list[int]:
        """Return the indices that `name` means: the feature so called, or those its glob matches.

        An exact name wins over its reading as a glob; a bare ``*`` always means every feature.
        """
        if name in self.index and (exact or name != "*"):
            return [self.index[name]]
        if exact or not has_wildcard(name):
            raise self._nothing(name, rule, "no feature has this name")
        pattern = "".join({"*": ".*", "?": "."}.get(ch, re.escape(ch)) for ch in name)
        glob = re.compile(pattern, re.DOTALL)
        found = [j for j, feature in enumerate(self.names) if glob.fullmatch(feature)]
        if not found:
            raise self._nothing(name, rule, "no feature matches this pattern")
        return found

    def group(self, names: Sequence[str], rule: str, *, exact: Sequence[str] = ()) -> list[int]:
        """Return the indices of all features that any of `names` means, in order, each once.

        The name ``*`` means every feature, unless it is listed in `exact`.
        """
        found: set[int] = set()
        for name in names:
            if name == "*" and name not in exact:
                return list(range(len(self.names)))
            found.update(self.match(name, rule, exact=name in exact))
        return sorted(found)

    def _nothing(self, name: str, rule: str, problem: str) -> ConstraintError:
        return ConstraintError(
            f"{problem}, in the rule {show(rule, 200)}",
            got=show(name),
            allowed=did_you_mean(name, self.names),
            hint="correct the name, or drop the rule",
        )
