"""What the SQL that counts says differently from dialect to dialect."""

from __future__ import annotations

from dataclasses import dataclass

from ces_ml.sql.quoting import float_literal

__all__ = ["CountWords", "counted_number"]


@dataclass(frozen=True)
class CountWords:
    """Words of one dialect; the defaults are those that DuckDB and Spark share.

    Parameters
    ----------
    double, integer : str
        Types of 64-bit floats and of 64-bit integers.
    number : str
        Where a float literal stands in it, for example ``"CAST('{}' AS DOUBLE PRECISION)"``.
    masks : bool
        Whether active days may be counted with bit masks. Without them they are distinct days.
    truth : str
        How a filter of ``ev`` is asked whether it holds: ``"{} = 1"`` where it is a number.
    safe_exp : bool
        Whether EXP of a number far below 0 is an error, so that nobody may ask for it.
    whole_days : bool
        Whether days are made integers: not every dialect tells floats apart in DISTINCT.
    lag : str
        The value of the row before, where ``{value}``, ``{whose}`` and ``{order}`` are given.
    """

    double: str = "DOUBLE"
    integer: str = "BIGINT"
    number: str = "{}"
    masks: bool = True
    truth: str = "{}"
    safe_exp: bool = False
    whole_days: bool = False
    lag: str = "LAG({value}) OVER (PARTITION BY {whose} ORDER BY {order})"


def counted_number(value: float, words: CountWords) -> str:
    """Return a float as the dialect writes it, without loss.

    Examples
    --------
    >>> counted_number(0.5, CountWords(number="CAST('{}' AS FLOAT8)"))
    "CAST('5.00000000000000000E-01' AS FLOAT8)"
    """
    return words.number.format(float_literal(value))
