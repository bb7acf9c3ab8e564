"""The one pair of functions through which text enters SQL, and one for floats."""

from __future__ import annotations

import math

from ces_ml.errors import SpecError, show

__all__ = ["float_literal", "identifier", "literal"]


def identifier(name: str, quote: str = '"') -> str:
    """Return `name` as a quoted identifier; `quote` is doubled inside.

    Examples
    --------
    >>> identifier('a "b"; DROP TABLE c')
    '"a ""b""; DROP TABLE c"'
    >>> identifier("it`s", quote="`")
    '`it``s`'
    """
    return quote + _without_nul(name).replace(quote, quote * 2) + quote


def literal(text: str, *, backslash: bool = False) -> str:
    r"""Return `text` as a string literal; single quotes are doubled.

    Parameters
    ----------
    text : str
    backslash : bool, default=False
        Whether the engine reads backslashes as escapes, as Spark does and standard SQL does not.

    Examples
    --------
    >>> literal("it's")
    "'it''s'"
    >>> print(literal(r"it's \d", backslash=True))
    'it\'s \\d'
    """
    if backslash:
        return "'" + _without_nul(text).replace("\\", r"\\").replace("'", r"\'") + "'"
    return "'" + _without_nul(text).replace("'", "''") + "'"


def float_literal(value: float) -> str:
    """Return a float as a literal that every engine reads as DOUBLE, without loss.

    A plain ``0.5`` is a DECIMAL in DuckDB and Spark.

    Examples
    --------
    >>> float_literal(0.94)
    '9.39999999999999947E-01'
    """
    if not math.isfinite(value):
        raise SpecError(
            "a value can't be written as a number in SQL",
            got=show(value),
            allowed="finite numbers",
            hint="check the specification that the number comes from",
        )
    return f"{value:.17E}"


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise SpecError(
            "a name that goes into SQL holds a NUL character",
            got=show(text),
            allowed="any text without NUL",
            hint="rename the column or move the file",
        )
    return text
