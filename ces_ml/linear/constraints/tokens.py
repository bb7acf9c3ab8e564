"""The words of a rule: names, numbers and marks, each with its place in the text."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from ces_ml.errors import ConstraintError, show
from ces_ml.linear.constraints.names import NON_FINITE, NUMBER, is_bare_char

__all__ = ["EXAMPLES", "Kind", "Token", "examples", "refuse", "tokens"]

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
    "login <= 40%",
    "sum(social_*) <= 30%",
    "sum(all) = 1",
    "exclude social_*",
    "include login",
    "at most 5 events",
    "at most 3 of social_*",
)
"""One rule of every form; error messages quote them."""

_OPERATORS = {">=": ">=", "<=": "<=", "≥": ">=", "≤": "<=", "=": "="}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_HEX = re.compile(r"u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}")

Kind = Literal[
    "bare", "quoted", "number", "operator", "plus", "times", "percent", "open", "close", "comma"
]

_MARKS: dict[str, Kind] = {"%": "percent", "(": "open", ")": "close", ",": "comma"}


@dataclass(frozen=True)
class Token:
    """A word of a rule: its kind, its text, and where it stands."""

    kind: Kind
    text: str
    position: int
    value: float = math.nan


def examples() -> str:
    """Return the forms of a rule, for an error message."""
    return "such as " + ", ".join(f"`{rule}`" for rule in EXAMPLES)


def refuse(text: str, problem: str, position: int | None = None) -> ConstraintError:
    """Return the error for a text that is no rule."""
    where = "" if position is None else f" at character {position + 1}"
    return ConstraintError(
        f"{problem}{where}",
        got=show(text, 200),
        allowed=examples(),
        hint="correct the rule; names with other characters stand between double quotes",
    )


def tokens(text: str) -> list[Token]:
    """Return the tokens of one rule."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _token(text, at, found[-1] if found else None)
        found.append(token)
    return found


def _token(text: str, at: int, before: Token | None) -> tuple[Token, int]:
    ch = text[at]
    if ch == '"':
        return _quoted(text, at)
    if ch in "<>=≤≥":
        return _operator(text, at)
    if ch in _MARKS:
        return Token(_MARKS[ch], ch, at), at + 1
    if ch == "*" and before is not None and before.kind == "number":
        return Token("times", ch, at), at + 1
    number = NUMBER.match(text, at)
    if number is not None:
        end = number.end()
        # `2fa` is a name; in `2*b` the number is a factor.
        if end == len(text) or text[end] == "*" or not is_bare_char(text[end]):
            return Token("number", number[0], at, _finite(text, number[0], at)), end
    if ch == "+":
        return Token("plus", ch, at), at + 1
    end = at
    while end < len(text) and is_bare_char(text[end]):
        end += 1
    word = text[at:end]
    if not word:
        raise refuse(text, f"{show(ch)} has no meaning in a rule", at)
    if word == "-":
        return Token("plus", word, at), end
    if NON_FINITE.fullmatch(word):
        raise refuse(text, f"{word} is not a finite number,", at)
    return Token("bare", word, at), end


def _finite(text: str, number: str, at: int) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise refuse(text, f"{number} is not a finite number,", at)
    return value


def _operator(text: str, at: int) -> tuple[Token, int]:
    for spelling, operator in _OPERATORS.items():
        end = at + len(spelling)
        if text.startswith(spelling, at) and text[end : end + 1] not in ("<", ">", "="):
            return Token("operator", operator, at), end
    raise refuse(text, "the operators of a rule are >=, <= and =; something else stands", at)


def _quoted(text: str, start: int) -> tuple[Token, int]:
    out: list[str] = []
    at = start + 1
    while at < len(text):
        ch = text[at]
        if ch == '"':
            return Token("quoted", "".join(out), start), at + 1
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
            raise refuse(text, "an unknown escape stands in a quoted name", at)
    raise refuse(text, "the quoted name does not end; it begins", start)
