"""What a dialect of SQL is to an export: its words, quotes and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ces_ml.errors import SpecError, show
from ces_ml.sql.quoting import coded_literal, identifier
from ces_ml.sql.words import CountWords
from ces_ml.weights.score_sql import SqlWords

__all__ = ["Dialect"]


@dataclass(frozen=True)
class Dialect:
    """One dialect. In templates ``{}`` stands for an expression, unless the parameter says more.

    Parameters
    ----------
    name, title : str
        Its key, and what people call it.
    sqlglot : str
        What the parser that checks the text calls it.
    times : mapping of str to str
        From a declared type of a time column to its integer UTC microseconds since 1970.
    moments : mapping of str to str
        The types that are no numbers, and a moment of them: of its text in UTC (``{}``) or of its
        seconds since 1970 (``{s}``).
    now, parameter : str
        The current moment in those microseconds, and a placeholder for it.
    coded : str
        A literal that is written as bytes or code points; see `coded_literal`.
    plain : str
        A literal of letters and digits.
    quotes : (str, str)
        Around identifiers.
    escape : str
        The character that escapes inside identifiers, where there is one.
    double, integer, text : str
        Types.
    number : str
        A float literal.
    ln : str
        The natural logarithm.
    exact : str
        Text in a form that compares byte by byte: case and trailing spaces matter. For literals
        and columns.
    readable : str
        From `exact` back to text.
    distinct : str
        A property of any type in a form whose different values can be counted.
    key : str
        A customer id that is not declared to be a number, in the form that it is grouped by;
        `exact` where not given.
    rows : {"values", "derived", "union", "structs", "tuples"}
        How a short list of rows is written.
    lag : str
        See `CountWords`.
    true, false : str
        The values such a column is compared with.
    view : str
        The statement that makes a view, up to its query; ``{}`` is its name.
    inlined : str
        Between the name of a common table and its query, where it must not be made a table.
    upper : bool
        Whether plain names are stored in capitals.
    notes : tuple of str
        What the reader of an export must know.
    """

    name: str
    title: str
    sqlglot: str
    times: Mapping[str, str]
    moments: Mapping[str, str]
    now: str
    parameter: str
    coded: str
    plain: str = "'{}'"
    quotes: tuple[str, str] = ('"', '"')
    escape: str = ""
    double: str = "DOUBLE"
    integer: str = "BIGINT"
    text: str = "VARCHAR"
    number: str = "{}"
    ln: str = "LN"
    exact: str = "CAST({} AS VARCHAR)"
    readable: str = "{}"
    distinct: str = "{}"
    key: str = ""
    rows: Literal["values", "derived", "union", "structs", "tuples"] = "values"
    lag: str = "LAG({value}) OVER (PARTITION BY {whose} ORDER BY {order})"
    true: str = "TRUE"
    false: str = "FALSE"
    view: str = "CREATE OR REPLACE VIEW {} AS"
    inlined: str = ""
    upper: bool = False
    notes: tuple[str, ...] = field(default=())

    def quoted(self, name: str) -> str:
        """Return a name as a quoted identifier, in capitals where plain names are stored so.

        Raises
        ------
        SpecError
            If it is empty or holds a NUL.
        """
        if not name:
            raise SpecError(
                "a table or column has no name",
                got=show(name),
                allowed="a name of at least one character",
                hint="say what it is called: `columns` takes terms and columns of the weight set",
            )
        if self.upper and name.isascii() and name.replace("_", "a").isalnum() and name.islower():
            name = name.upper()
        start, end = self.quotes
        return identifier(name, start, "" if start == end else end, escape=self.escape)

    def literal(self, text: str) -> str:
        """Return text as a literal, harmless to every reader on the way."""
        return coded_literal(text, self.plain, self.coded)

    def exact_literal(self, text: str) -> str:
        """Return text as a literal in the form of `exact`."""
        return self.exact.format(self.literal(text))

    @property
    def formula_words(self) -> SqlWords:
        """Words of the formula of the score."""
        return SqlWords(ln=self.ln, double=self.double, number=self.number, literal=self.literal)

    @property
    def count_words(self) -> CountWords:
        """Words of the counts."""
        return CountWords(
            double=self.double,
            integer=self.integer,
            number=self.number,
            masks=False,
            truth="{} = 1",
            safe_exp=True,
            whole_days=True,
            lag=self.lag,
        )

    def time(self, column: str, kind: str) -> str:
        """Return the microseconds of a quoted column of a declared type, one of `times`."""
        return self.times[kind].format(column)

    def whole(self, expression: str) -> str:
        """Return a number as an integer."""
        return f"CAST({expression} AS {self.integer})"
