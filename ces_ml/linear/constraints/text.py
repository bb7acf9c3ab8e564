"""The grammar of rules: how one line of text is read.

::

    rule    :=  term (">=" term)+  |  term ("<=" term)+  |  name "=" number  |  number "=" name
             |  total  |  ("include" | "exclude") names  |  "at most" number ("events" | "of" names)
    term    :=  number  |  [number "*"] name [("+" | "-") number]
    total   :=  a name or group on one side of a limit, with >=, <= or =, or between two limits
    limit   :=  number "%"  |  number, beside a group
    group   :=  "sum" "(" names ")"
    names   :=  name ("," name)*, where the bare word `all` means every feature
    name    :=  bare name  |  "quoted name"

Two names side by side make an order, a name beside a number makes a bound, and a longer rule is a
chain: each neighbouring pair holds. Names are described in `ces_ml.linear.constraints.names`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

from ces_ml.errors import ConstraintError, show
from ces_ml.linear.constraints.choices import AtMost, Exclude, Include
from ces_ml.linear.constraints.contract import Constraint
from ces_ml.linear.constraints.names import EVERY
from ces_ml.linear.constraints.rules import Bounds, Order, Sign
from ces_ml.linear.constraints.tokens import (
    EXAMPLES,
    Kind,
    Token,
    examples,
    refuse,
    tokens,
)
from ces_ml.linear.constraints.totals import GroupShare, Share, Sum

__all__ = ["EXAMPLES", "parse_constraint"]


@dataclass(frozen=True)
class _Term:
    """``factor·w[name] + number``; a plain number or a group when `name` is None."""

    name: str | None
    number: float
    factor: float = 1.0
    exact: bool = False
    percent: bool = False
    group: tuple[str, ...] = ()
    quoted: tuple[str, ...] = ()

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
            allowed=examples(),
            hint="write the rule as text",
        )
    return _read(text)


@lru_cache(maxsize=4096)  # folds, paths and prices read the same rules again for every fit
def _read(text: str) -> tuple[Constraint, ...]:
    return _Parser(text).rule()


class _Parser:
    """Recursive descent over the tokens of one rule."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.at = 0

    def rule(self) -> tuple[Constraint, ...]:
        if not self.tokens:
            raise refuse(self.text, "the rule is empty")
        if self._begins_with("at", "most"):
            return (self._at_most(),)
        if self._begins_with("exclude") or self._begins_with("include"):
            return (self._choice(),)
        terms, operators = [self._term()], []
        while (operator := self._take("operator")) is not None:
            operators.append(operator.text)
            terms.append(self._term())
        self._end()
        if not operators:
            raise refuse(self.text, "the rule compares nothing: it has none of >=, <= and =")
        if len(set(operators)) > 1:
            raise refuse(self.text, "a chain must go one way, with one operator")
        if any(term.percent or term.group for term in terms):
            return (self._total(terms, operators[0]),)
        if operators[0] == "=":
            return (self._fixed(terms),)
        if operators[0] == "<=":
            return self._rising(terms)
        return self._falling(terms)

    def _begins_with(self, *words: str) -> bool:
        """Return whether the rule begins with these words and goes on with a name or a number."""
        n = len(words)
        start, following = self.tokens[:n], self.tokens[n : n + 1]
        same = tuple(token.text for token in start if token.kind == "bare") == words
        return same and bool(following) and following[0].kind in ("bare", "quoted", "number")

    def _end(self) -> None:
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            raise refuse(
                self.text,
                f"the rule goes on after its end with {show(token.text)}",
                token.position,
            )

    def _at_most(self) -> Constraint:
        self.at = 2
        number = self._take("number")
        if number is None or not number.text.isdecimal():
            raise self._missing("a whole number of events")
        k = int(number.text)
        word = self._take("bare")
        if word is not None and word.text in ("event", "events"):
            self._end()
            return AtMost(k)
        if word is None or word.text != "of":
            self.at = 3
            raise self._missing("`events`, or `of` and names,")
        names, exact = self._names()
        self._end()
        return AtMost(k, names, exact)

    def _choice(self) -> Constraint:
        self.at = 1
        names, exact = self._names()
        self._end()
        if self.tokens[0].text == "exclude":
            return Exclude(names, exact)
        return Include(names, exact)

    def _names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Read ``name, name, …`` and return the names, and those of them that are quoted."""
        names: list[str] = []
        exact: list[str] = []
        while True:
            name = self._take("bare") or self._take("quoted")
            if name is None:
                raise self._missing("the name of a feature")
            if name.kind == "quoted":
                exact.append(name.text)
            names.append("*" if name.kind == "bare" and name.text == EVERY else name.text)
            if self._take("comma") is None:
                return tuple(names), tuple(exact)

    def _total(self, terms: list[_Term], operator: str) -> Constraint:
        """Return the rule on a share or a sum: one name or group between its limits."""
        at = [i for i, term in enumerate(terms) if term.name is not None or term.group]
        if len(at) != 1 or len(terms) > (2 if operator == "=" else 3):
            raise refuse(self.text, "a share or a sum is that of one name or group between limits")
        subject, before, after = terms[at[0]], terms[: at[0]], terms[at[0] + 1 :]
        if len(before) > 1 or len(after) > 1:
            raise refuse(self.text, "a share or a sum stands between its limits")
        if len({limit.percent for limit in before + after}) > 1:
            raise refuse(self.text, "one limit is a share and the other is a plain number")
        share = (before + after)[0].percent
        low, high = (0.0, 1.0) if share else (-math.inf, math.inf)
        for limit, above in ((t, operator == ">=") for t in before):
            low, high = (low, limit.number) if above else (limit.number, high)
        for limit, above in ((t, operator == "<=") for t in after):
            low, high = (low, limit.number) if above else (limit.number, high)
        if operator == "=":
            low = high = (before + after)[0].number
        if subject.group:
            if share:
                return GroupShare(subject.group, low, high, subject.quoted)
            return Sum(subject.group, low, high, subject.quoted)
        if not subject.plain:
            raise refuse(self.text, "a share takes the plain name, without factor or margin")
        return Share(str(subject.name), low, high, exact=subject.exact)

    def _take(self, kind: Kind) -> Token | None:
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
            return self._limit(number, value)
        name = self._take("bare") or self._take("quoted")
        if name is None:
            raise self._missing("the name of a feature" if number else "a name or a number")
        factor = 1.0 if number is None else value
        if name.kind == "bare" and name.text == "sum" and self._take("open") is not None:
            return self._group(number)
        return _Term(name.text, self._margin(), factor, exact=name.kind == "quoted")

    def _limit(self, number: Token, value: float) -> _Term:
        if self._take("percent") is None:
            return _Term(None, value)
        # In decimal arithmetic 7% is the float 0.07, not 7 * 0.01.
        try:
            share = float(Decimal(number.text).scaleb(-2))
        except ArithmeticError:  # an exponent beyond what decimals hold
            share = value / 100.0
        return _Term(None, math.copysign(share, value), percent=True)

    def _group(self, factor: Token | None) -> _Term:
        names, exact = self._names()
        if self._take("close") is None:
            raise self._missing("the closing bracket")
        if factor is not None:
            raise refuse(self.text, "a sum takes no factor")
        return _Term(None, 0.0, group=names, quoted=exact)

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
        return refuse(self.text, f"{what} is missing", position)

    def _fixed(self, terms: list[_Term]) -> Constraint:
        names = [term for term in terms if term.name is not None]
        numbers = [term for term in terms if term.name is None]
        if len(names) != 1 or len(numbers) != 1:
            raise refuse(self.text, "= fixes one weight at one number")
        return self._bounds(names[0], numbers[0].number, numbers[0].number)

    def _rising(self, terms: list[_Term]) -> tuple[Constraint, ...]:
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
            raise refuse(self.text, "the rule compares two numbers and names no feature")
        if not term.plain:
            raise refuse(self.text, "a bound takes the plain name, without factor or margin")
        return Bounds(term.name, low, high, exact=term.exact)

    def _order(self, lesser: _Term, greater: _Term) -> Constraint:
        if greater.factor <= 0.0:
            raise refuse(self.text, "the factor on the greater side must be positive")
        factor = lesser.factor / greater.factor
        margin = (lesser.number - greater.number) / greater.factor
        return Order(str(greater.name), str(lesser.name), factor, margin)
