"""Filters on properties, as a person writes them: text in, a checked tree out.

``amount > 100 and currency in ('EUR', 'GBP') and not returned`` is parsed here and nowhere else.
What reaches SQL is made of the tree by the quoting functions (`ces_ml.sql.filters`), never of the
text. A condition over a null is neither true nor false, as in SQL, and an event is kept only
where its filter is true.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ces_ml.errors import SpecError, did_you_mean, show

__all__ = [
    "All",
    "Comparison",
    "Condition",
    "IsNull",
    "IsTrue",
    "Membership",
    "Not",
    "OneOf",
    "Value",
    "parse_where",
]

Value = int | float | str | bool
#: Comparisons, and other spellings of them that people are used to.
COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
_SPELLINGS = {"==": "=", "<>": "!="}
KEYWORDS = ("and", "or", "not", "in", "is", "null", "true", "false")
_BARE = re.compile(r"[^\W\d]\w*")
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?!\w))
    | (?P<word>[^\W\d]\w*)
    | (?P<name>"(?:[^"]|"")+")
    | (?P<text>'(?:[^']|'')*')
    | (?P<sign><=|>=|!=|<>|==|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_MOST_DEPTH = 50
_FORM = (
    "conditions such as amount > 100, currency in ('EUR', 'GBP'), note is not null or returned, "
    "joined by and, or, not and parentheses"
)


@dataclass(frozen=True)
class Comparison:
    """``column op value``."""

    column: str
    op: str
    value: Value

    def __str__(self) -> str:
        return f"{_column(self.column)} {self.op} {_value(self.value)}"


@dataclass(frozen=True)
class Membership:
    """``column in (value, …)``."""

    column: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return self.text()

    def text(self, word: str = "in") -> str:
        """Return the condition with ``in`` or ``not in``."""
        return f"{_column(self.column)} {word} ({', '.join(map(_value, self.values))})"


@dataclass(frozen=True)
class IsNull:
    """``column is null``."""

    column: str

    def __str__(self) -> str:
        return f"{_column(self.column)} is null"


@dataclass(frozen=True)
class IsTrue:
    """A column of true and false, by its name alone."""

    column: str

    def __str__(self) -> str:
        return _column(self.column)


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    inner: Condition

    def __str__(self) -> str:
        if isinstance(self.inner, Membership):
            return self.inner.text("not in")
        if isinstance(self.inner, IsNull):
            return f"{_column(self.inner.column)} is not null"
        return f"not {_inside(self.inner, All, OneOf)}"


@dataclass(frozen=True)
class All:
    """Two or more conditions that must all hold: ``a and b``."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " and ".join(_inside(p, OneOf) for p in self.parts)


@dataclass(frozen=True)
class OneOf:
    """Two or more conditions of which one must hold: ``a or b``."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " or ".join(str(p) for p in self.parts)


Condition = Comparison | Membership | IsNull | IsTrue | Not | All | OneOf


def parse_where(text: str) -> Condition:
    """Read a filter on properties.

    Parameters
    ----------
    text : str
        Comparisons (``=, !=, <, <=, >, >=``), ``in (…)``, ``is null``, columns of true and false,
        joined by ``and``, ``or``, ``not`` and parentheses. A column is a bare word, or any name in
        double quotes; text is in single quotes; either quote is doubled inside.

    Returns
    -------
    Condition
        Its `str` is the canonical text, which reads back as an equal condition.

    Raises
    ------
    SpecError
        If the text is not a filter; the message says where it stops making sense.

    Examples
    --------
    >>> str(parse_where("NOT(returned) and (amount>=1e2 or currency in('EUR'))"))
    "not returned and (amount >= 100.0 or currency in ('EUR'))"
    """
    return _Parser(text).parse()


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.place, self.depth = text, list(_tokens(text)), 0, 0

    def parse(self) -> Condition:
        found = self.any_of()
        if self.peek()[0] != "end":
            raise self.refusal("and, or, or the end")
        return found

    def any_of(self) -> Condition:
        parts = [self.all_of()]
        while self.accept("or"):
            parts.append(self.all_of())
        return OneOf(_flat(parts, OneOf)) if len(parts) > 1 else parts[0]

    def all_of(self) -> Condition:
        parts = [self.opposite()]
        while self.accept("and"):
            parts.append(self.opposite())
        return All(_flat(parts, All)) if len(parts) > 1 else parts[0]

    def opposite(self) -> Condition:
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise self.refusal(f"at most {_MOST_DEPTH} conditions inside each other")
        if self.accept("not"):
            found: Condition = Not(self.opposite())
        elif self.accept("("):
            found = self.any_of()
            self.expect(")")
        else:
            found = self.about_a_column()
        self.depth -= 1
        return found

    def about_a_column(self) -> Condition:
        column = self.column()
        kind, sign, _ = self.peek()
        if kind == "sign" and sign in COMPARISONS:
            self.place += 1
            if sign not in ("=", "!=") and self.peek()[1] in ("true", "false"):
                raise self.refusal("a number or 'text'; true and false have no order")
            return Comparison(column, sign, self.value())
        if self.accept("is"):
            negated = self.accept("not")
            self.expect("null")
            return Not(IsNull(column)) if negated else IsNull(column)
        negated = self.peek()[1] == "not" and self.tokens[self.place + 1][1] == "in"
        self.place += negated
        if self.accept("in"):
            member = Membership(column, self.values())
            return Not(member) if negated else member
        return IsTrue(column)

    def column(self) -> str:
        kind, word, _ = self.peek()
        if kind == "name":
            self.place += 1
            return word[1:-1].replace('""', '"')
        if kind != "word":
            raise self.refusal("a column")
        self.place += 1
        return word

    def values(self) -> tuple[Value, ...]:
        self.expect("(")
        found = [self.value()]
        while self.accept(","):
            found.append(self.value())
        self.expect(")")
        return tuple(found)

    def value(self) -> Value:
        kind, word, _ = self.peek()
        if kind == "text":
            self.place += 1
            return word[1:-1].replace("''", "'")
        if kind == "number":
            return self.number(word)
        if word in ("true", "false") and kind == "key":
            self.place += 1
            return word == "true"
        if word == "null" and kind == "key":
            raise self.refusal("a value; for missing values write `is null`")
        raise self.refusal("a number, 'text', true or false")

    def number(self, word: str) -> Value:
        whole = re.fullmatch(r"[-+]?\d{1,19}", word)
        number: int | float = int(word) if whole else float(word)
        if (isinstance(number, int) and not -(2**63) <= number < 2**63) or math.isinf(number):
            raise self.refusal("a number that fits 64 bits")
        self.place += 1
        return number

    def peek(self) -> tuple[str, str, int]:
        return self.tokens[self.place]

    def accept(self, word: str) -> bool:
        kind, found, _ = self.peek()
        if kind in ("key", "sign") and found == word:
            self.place += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.refusal(f"`{word}`")

    def refusal(self, wanted: str) -> SpecError:
        kind, word, at = self.peek()
        found = "the text ends" if kind == "end" else f"{show(word, 40)} at character {at + 1}"
        nearest = did_you_mean(word, KEYWORDS) if kind == "word" else ""
        meant = f" ({nearest})" if nearest.startswith("did you mean") else ""
        return SpecError(
            "the filter can't be read",
            got=f"{show(self.text)}: {found}",
            allowed=f"{wanted} there{meant}",
            hint=f"write {_FORM}",
        )


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield (kind, text, place); the last is of kind ``end``."""
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            rest = text[at:].lstrip()
            raise SpecError(
                "the filter can't be read",
                got=f"{show(text)}: {show(rest[:20])} at character {len(text) - len(rest) + 1}",
                allowed="columns, numbers, 'text', comparisons and parentheses",
                hint="put columns with special characters in double quotes and text in single "
                "quotes, with the same quote doubled inside",
            )
        kind = str(match.lastgroup)
        word, place = match[kind], match.start(kind)
        if kind == "word" and word.lower() in KEYWORDS:
            kind, word = "key", word.lower()
        elif kind == "sign":
            word = _SPELLINGS.get(word, word)
        yield kind, word, place
        at = match.end()
    yield "end", "", len(text)


def _flat(parts: list[Condition], kind: type[All] | type[OneOf]) -> tuple[Condition, ...]:
    """Return the parts with those of the same kind dissolved: (a and b) and c is a and b and c."""
    flat: list[Condition] = []
    for part in parts:
        flat += part.parts if isinstance(part, All | OneOf) and isinstance(part, kind) else (part,)
    return tuple(flat)


def _inside(condition: Condition, *looser: type[object]) -> str:
    return f"({condition})" if isinstance(condition, looser) else str(condition)


def _column(name: str) -> str:
    if _BARE.fullmatch(name) and name.lower() not in KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
