"""The one pair of functions through which text enters SQL, and one for floats.

Text whose characters mean something to somebody on the way — quotes, backslashes, comments,
templates, placeholders of drivers — can be written as a `coded_literal`: as its bytes.
"""

from __future__ import annotations

import math
import re

from ces_ml.errors import SpecError, show

__all__ = ["coded_literal", "float_literal", "identifier", "literal"]

#: Text that every dialect, driver and template reads as it stands, between quotes.
_PLAIN = re.compile(r"[A-Za-z0-9 _.,/()+=<>-]*", re.ASCII)


def identifier(name: str, quote: str = '"', end: str = "", *, escape: str = "") -> str:
    """Return `name` as a quoted identifier; the quote at its end is doubled inside.

    Parameters
    ----------
    name : str
        Any text without NUL.
    quote : str
        What it begins with.
    end : str, optional
        What it ends with; `quote` when not given.
    escape : str, optional
        Where identifiers know escapes: the character that stands before itself and before `end`.

    Examples
    --------
    >>> identifier('a "b"; DROP TABLE c')
    '"a ""b""; DROP TABLE c"'
    >>> identifier("it`s", quote="`")
    '`it``s`'
    >>> identifier("a]b", "[", "]")
    '[a]]b]'
    """
    end, name = end or quote, _without_nul(name)
    if escape:
        inside = name.replace(escape, escape * 2).replace(end, escape + end)
    else:
        inside = name.replace(end, end * 2)
    return quote + inside + end


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


def coded_literal(text: str, plain: str = "'{}'", coded: str = "'{}'") -> str:
    """Return `text` as a literal in which no character of it means anything to anybody.

    Parameters
    ----------
    text : str
        Any text without NUL.
    plain : str
        How text of letters, digits and a few signs is written: it stands in place of ``{}``.
    coded : str
        How all other text is written: of its bytes in UTF-8 (``{hex}``) or UTF-16-LE
        (``{hex16}``), or of its code points (``{points}``).

    Examples
    --------
    >>> coded_literal("log in", coded="CAST(X'{hex}' AS STRING)")
    "'log in'"
    >>> coded_literal("it's", coded="CAST(X'{hex}' AS STRING)")
    "CAST(X'69742773' AS STRING)"
    >>> coded_literal("é", coded="CHAR({points})")
    'CHAR(233)'
    """
    text = _without_nul(text)
    if _PLAIN.fullmatch(text) and "--" not in text:
        return plain.format(text)
    return coded.format(
        hex=text.encode().hex().upper(),
        hex16=text.encode("utf-16-le").hex().upper(),
        points=", ".join(str(ord(c)) for c in text),
    )


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
