"""Rules as one line of text: tokens, grammar, and how they are read.

::

    rule    :=  term (">=" term)+  |  term ("<=" term)+  |  name "=" number  |  number "=" name
    term    :=  number  |  [number "*"] name [("+" | "-") number]
    name    :=  bare name  |  "quoted name"

Two names side by side make an order, a name beside a number makes a bound, and a longer rule is a
chain: each neighbouring pair holds. Names are described in `ces_ml.linear.constraints.names`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ces_ml.errors import ConstraintError, show
from ces_ml.linear.constraints.names import NON_FINITE, NUMBER, is_bare_char
from ces_ml.linear.constraints.rules import Bounds, Constraint, Order, Sign

__all__ = ["EXAMPLES", "parse_constraint"]

EXAMPLES = (
    "login >= 0",
    "refund <= 0",
    "0 <= login <= 2",
    "login <= 1.5",
    "support_call = -0.5",
    "purchase >= page_view",
    "purchase >= 2 * page_view",
    "a >= b + 0.1",
    "bronze <= silver <= gold",
)
"""One rule of every form; error messages quote them."""

_OPERATORS = {">=": ">=", "<=": "<=", "≥": ">=", "≤": "<=", "=": "="}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_HEX = re.compile(r"u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}")

Kind = Literal["bare", "quoted", "number", "operator", "plus", "times"]


@dataclass(frozen=True)
class _Token:
    kind: Kind
    text: str
    position: int
    value: float = math.nan


@dataclass(frozen=True)
class _Term:
    """``factor·w[name] + number``, or a plain number when `name` is None."""

    name: str | None
    number: float
    factor: float = 1.0
    exact: bool = False

    @property
    def plain(self) -> bool:
        return self.factor == 1.0 and self.number == 0.0


def parse_constraint(text: str) -> tuple[Constraint, ...]:
    """Read one rule.

    Parameters
    ----------
    text : str
        A rule such as ``"purchase >= 2 * page_view"``; names with spaces, quotes, operators or
        wildcards meant literally stand between double quotes.

    Returns
    -------
    tuple of Constraint
        One object, or one for each neighbouring pair of a chain.

    Raises
    ------
    ConstraintError
        If the text is not a rule; the message says at which character.

    Examples
    --------
    >>> parse_constraint("login >= 0")
    (Sign(name='login', op='>=', exact=False),)
    >>> [str(rule) for rule in parse_constraint("bronze <= silver <= gold")]
    ['silver >= bronze', 'gold >= silver']
    """
    if not isinstance(text, str):
        raise ConstraintError(
            "a rule is a line of text",
            got=f"{show(text)} of type {type(text).__name__}",
            allowed=_examples(),
            hint="write the rule as text",
        )
    return _Parser(text).rule()


def _examples() -> str:
    return "such as " + ", ".join(f"`{rule}`" for rule in EXAMPLES)


def _refuse(text: str, problem: str, position: int | None = None) -> ConstraintError:
    where = "" if position is None else f" at character {position + 1}"
    return ConstraintError(
        f"{problem}{where}",
        got=show(text, 200),
        allowed=_examples(),
        hint="correct the rule; names with other characters stand between double quotes",
    )


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _token(text, at, tokens[-1] if tokens else None)
        tokens.append(token)
    return tokens


def _token(text: str, at: int, before: _Token | None) -> tuple[_Token, int]:
    ch = text[at]
    if ch == '"':
        return _quoted(text, at)
    if ch in "<>=≤≥":
        return _operator(text, at)
    if ch == "*" and before is not None and before.kind == "number":
        return _Token("times", ch, at), at + 1
    number = NUMBER.match(text, at)
    if number is not None:
        end = number.end()
        # `2fa` is a name; in `2*b` the number is a factor.
        if end == len(text) or text[end] == "*" or not is_bare_char(text[end]):
            return _Token("number", number[0], at, _finite(text, number[0], at)), end
    if ch == "+":
        return _Token("plus", ch, at), at + 1
    end = at
    while end < len(text) and is_bare_char(text[end]):
        end += 1
    word = text[at:end]
    if not word:
        raise _refuse(text, f"{show(ch)} has no meaning in a rule", at)
    if word == "-":
        return _Token("plus", word, at), end
    if NON_FINITE.fullmatch(word):
        raise _refuse(text, f"{word} is not a finite number,", at)
    return _Token("bare", word, at), end


def _finite(text: str, number: str, at: int) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise _refuse(text, f"{number} is not a finite number,", at)
    return value


def _operator(text: str, at: int) -> tuple[_Token, int]:
    for spelling, operator in _OPERATORS.items():
        end = at + len(spelling)
        if text.startswith(spelling, at) and text[end : end + 1] not in ("<", ">", "="):
            return _Token("operator", operator, at), end
    raise _refuse(text, "the operators of a rule are >=, <= and =; something else stands", at)


def _quoted(text: str, start: int) -> tuple[_Token, int]:
    out: list[str] = []
    at = start + 1
    while at < len(text):
        ch = text[at]
        if ch == '"':
            return _Token("quoted", "".join(out), start), at + 1
        if ch != "\\":
            out.append(ch)
            at += 1
            continue
        escape = text[at + 1 : at + 2]
        code = _HEX.match(text, at + 1)
        if code is not None and int(code[0][1:], 16) <= 0x10FFFF:
            out.append(chr(int(code[0][1:], 16)))
            at = code.end()
        elif escape and (escape in _ESCAPES or not escape.isalnum()):
            out.append(_ESCAPES.get(escape, escape))
            at += 2
        else:
            raise _refuse(text, "an unknown escape stands in a quoted name", at)
    raise _refuse(text, "the quoted name does not end; it begins", start)


class _Parser:
    """Recursive descent over the tokens of one rule."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0

    def rule(self) -> tuple[Constraint, ...]:
        if not self.tokens:
            raise _refuse(self.text, "the rule is empty")
        terms, operators = [self._term()], []
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token.kind != "operator":
                raise _refuse(
                    self.text,
                    f"the rule goes on after its end with {show(token.text)}",
                    token.position,
                )
            operators.append(token.text)
            self.at += 1
            terms.append(self._term())
        if not operators:
            raise _refuse(self.text, "the rule compares nothing: it has none of >=, <= and =")
        if len(set(operators)) > 1:
            raise _refuse(self.text, "a chain must go one way, with one operator")
        if operators[0] == "=":
            return (self._fixed(terms),)
        if operators[0] == "<=":
            return self._rising(terms, first_is_name=terms[0].name is not None)
        return self._falling(terms)

    def _take(self, kind: Kind) -> _Token | None:
        if self.at < len(self.tokens) and self.tokens[self.at].kind == kind:
            self.at += 1
            return self.tokens[self.at - 1]
        return None

    def _term(self) -> _Term:
        sign = self._take("plus")
        number = self._take("number")
        if sign is not None and number is None:
            raise self._missing("a number")
        value = 0.0 if number is None else number.value
        if sign is not None and sign.text == "-":
            value = -value
        if number is not None and self._take("times") is None:
            return _Term(None, value)
        name = self._take("bare") or self._take("quoted")
        if name is None:
            raise self._missing("the name of a feature" if number else "a name or a number")
        factor = 1.0 if number is None else value
        return _Term(name.text, self._margin(), factor, exact=name.kind == "quoted")

    def _margin(self) -> float:
        sign = self._take("plus")
        if sign is None:
            following = self.tokens[self.at : self.at + 1]
            if following and following[0].kind == "number" and following[0].text[0] in "+-":
                self.at += 1
                return following[0].value
            return 0.0
        number = self._take("number")
        if number is None:
            raise self._missing("a number")
        return -number.value if sign.text == "-" else number.value

    def _missing(self, what: str) -> ConstraintError:
        here = self.tokens[self.at : self.at + 1]
        position = here[0].position if here else len(self.text)
        return _refuse(self.text, f"{what} is missing", position)

    def _fixed(self, terms: list[_Term]) -> Constraint:
        names = [term for term in terms if term.name is not None]
        numbers = [term for term in terms if term.name is None]
        if len(names) != 1 or len(numbers) != 1:
            raise _refuse(self.text, "= fixes one weight at one number")
        return self._bounds(names[0], numbers[0].number, numbers[0].number)

    def _rising(self, terms: list[_Term], *, first_is_name: bool) -> tuple[Constraint, ...]:
        if len(terms) == 3 and terms[0].name is None and terms[2].name is None:
            return (self._bounds(terms[1], terms[0].number, terms[2].number),)
        return tuple(
            self._pair(lesser, greater, name_first=lesser.name is not None)
            for lesser, greater in pairwise(terms)
        )

    def _falling(self, terms: list[_Term]) -> tuple[Constraint, ...]:
        if len(terms) == 3 and terms[0].name is None and terms[2].name is None:
            return (self._bounds(terms[1], terms[2].number, terms[0].number),)
        return tuple(
            self._pair(lesser, greater, name_first=greater.name is not None)
            for greater, lesser in pairwise(terms)
        )

    def _pair(self, lesser: _Term, greater: _Term, *, name_first: bool) -> Constraint:
        if lesser.name is not None and greater.name is not None:
            return self._order(lesser, greater)
        if greater.name is not None:
            low = lesser.number
            if low == 0.0 and name_first and greater.plain:
                return Sign(greater.name, ">=", exact=greater.exact)
            return self._bounds(greater, low, math.inf)
        high = greater.number
        if high == 0.0 and name_first and lesser.name is not None and lesser.plain:
            return Sign(lesser.name, "<=", exact=lesser.exact)
        return self._bounds(lesser, -math.inf, high)

    def _bounds(self, term: _Term, low: float, high: float) -> Constraint:
        if term.name is None:
            raise _refuse(self.text, "the rule compares two numbers and names no feature")
        if not term.plain:
            raise _refuse(self.text, "a bound takes the plain name, without factor or margin")
        return Bounds(term.name, low, high, exact=term.exact)

    def _order(self, lesser: _Term, greater: _Term) -> Constraint:
        if greater.factor <= 0.0:
            raise _refuse(self.text, "the factor on the greater side must be positive")
        factor = lesser.factor / greater.factor
        margin = (lesser.number - greater.number) / greater.factor
        return Order(str(greater.name), str(lesser.name), factor, margin)
