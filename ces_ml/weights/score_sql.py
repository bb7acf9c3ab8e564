"""The formula of a score as SQL: what `ces_ml.weights.apply` does on arrays, on columns.

Every function is pure text in, text out, in the common subset of SQL; where dialects differ, they
differ in the words of a `SqlWords`. Numbers agree with `ces_ml.weights.apply` to 1e-9 wherever the
dialect computes in doubles. Expressions that are passed in stand in the text several times: pass
the name of a column, or something as cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ces_ml.spec.terms import TRANSFORMS, Term
from ces_ml.sql.quoting import float_literal, literal
from ces_ml.weights.recalibration import Recalibration
from ces_ml.weights.scale import Band
from ces_ml.weights.weight_set import WeightSet
from ces_ml.weights.weighted_term import WeightedTerm

__all__ = [
    "SqlWords",
    "band_sql",
    "contribution_sql",
    "counts_whole",
    "number_sql",
    "probability_sql",
    "raw_score_sql",
    "recalibrated_sql",
    "score_sql",
    "sigmoid_sql",
    "transform_sql",
    "transformed_sql",
]

#: Beyond ±40 a sigmoid is 0 or 1 to 1e-17; EXP of far larger numbers is an error in some dialects,
#: and so is EXP of far smaller ones.
_CERTAIN = 40.0
#: Measures that are never below 0; whole numbers, unless decayed, capped a day or divided.
_WHOLE = ("count", "active_days", "distinct")


@dataclass(frozen=True)
class SqlWords:
    """What one dialect calls the functions of the formula, and how it writes values.

    Parameters
    ----------
    ln, exp, sqrt, floor : str
        Names of functions; `ln` is the natural logarithm.
    log1p : str, optional
        A function for ``ln(1 + x)`` that is exact near 0. Without it the formula is written so
        that it is.
    double : str
        The type of 64-bit floats.
    number : str
        Where a float literal stands in it, for example ``"CAST({} AS DOUBLE)"``.
    literal : callable
        From a text to its literal.

    Examples
    --------
    >>> SqlWords(ln="LOG").ln
    'LOG'
    """

    ln: str = "LN"
    exp: str = "EXP"
    sqrt: str = "SQRT"
    floor: str = "FLOOR"
    log1p: str | None = None
    double: str = "DOUBLE"
    number: str = "{}"
    literal: Callable[[str], str] = literal


_STANDARD = SqlWords()


def number_sql(value: float, words: SqlWords = _STANDARD) -> str:
    """Return a float without loss; below 0 in parentheses, because two minus signs are a comment.

    Examples
    --------
    >>> number_sql(-0.5)
    '(-5.00000000000000000E-01)'
    """
    text = words.number.format(float_literal(value))
    return f"({text})" if text.startswith("-") else text


def transformed_sql(
    term: Term, n: str, words: SqlWords = _STANDARD, *, counted: bool = False
) -> str:
    """Return ``g(n)``: cap and transform of a term.

    Parameters
    ----------
    term : Term
    n : str
        A column of doubles (whole numbers where `counted`), after division by what `per` asks for.
    words : SqlWords
    counted : bool, default=False
        Whether ``n`` was counted from events by the term's own measure; a measure that can't be
        negative, or is a whole number, then has a shorter text.

    Returns
    -------
    str
        Null where ``n`` is.
    """
    whole = counted and counts_whole(term)
    never_negative = counted and term.measure in _WHOLE
    if term.cap is None:
        return transform_sql(term.transform, n, words, whole=whole, signed=not never_negative)
    # Outside ±cap the result is a constant, and inside it needs no cut.
    top = _constant(term.transform, term.cap)
    inside = transform_sql(term.transform, n, words, whole=whole, signed=not never_negative)
    high = f"WHEN {n} > {number_sql(term.cap, words)} THEN {number_sql(top, words)}"
    low = f" WHEN {n} < {number_sql(-term.cap, words)} THEN {number_sql(-top, words)}"
    return f"CASE {high}{'' if never_negative else low} ELSE {inside} END"


def contribution_sql(
    term: WeightedTerm, n: str, words: SqlWords = _STANDARD, *, counted: bool = False
) -> str:
    """Return ``w·g(n)``, 0 where ``n`` is null; see `transformed_sql`."""
    weight = number_sql(term.weight, words)
    transformed = transformed_sql(term, n, words, counted=counted)
    return f"COALESCE({weight} * {_held(transformed)}, {number_sql(0.0, words)})"


def raw_score_sql(contributions: Sequence[str]) -> str:
    """Return the sum of contributions, columns or expressions in the order of the terms.

    Examples
    --------
    >>> raw_score_sql(["c0", "c1", "c2"])
    'c0 + c1 + c2'
    """
    return " + ".join(contributions)


def score_sql(weight_set: WeightSet, raw: str, words: SqlWords = _STANDARD) -> str:
    """Return the score from 0 to 100 of a column of raw scores."""
    if weight_set.scale.method == "probability":
        return f"{number_sql(100.0, words)} * {_held(probability_sql(weight_set, raw, words))}"
    return _joined(weight_set.scale.knots, raw, words)


def band_sql(bands: Sequence[Band], score: str, words: SqlWords = _STANDARD) -> str:
    """Return the name of the band of a column of scores.

    Examples
    --------
    >>> print(band_sql([Band(name="low", from_score=0), Band(name="it's", from_score=50)], "s"))
    CASE WHEN s >= 5.00000000000000000E+01 THEN 'it''s' ELSE 'low' END
    """
    lowest, *others = bands
    if not others:
        return words.literal(lowest.name)
    cases = [
        f"WHEN {score} >= {number_sql(b.from_score, words)} THEN {words.literal(b.name)}"
        for b in reversed(others)
    ]
    return f"CASE {' '.join(cases)} ELSE {words.literal(lowest.name)} END"


def probability_sql(weight_set: WeightSet, raw: str, words: SqlWords = _STANDARD) -> str:
    """Return the probability of the good outcome of a column of raw scores."""
    z = f"({raw} + {number_sql(weight_set.intercept, words)})"
    if weight_set.calibration is None:
        return sigmoid_sql(z, words)
    return recalibrated_sql(weight_set.calibration, z, words)


def recalibrated_sql(calibration: Recalibration, z: str, words: SqlWords = _STANDARD) -> str:
    """Return what a calibration makes of log-odds."""
    if calibration.method == "isotonic":
        return _joined(calibration.knots, z, words)
    slope, intercept = (number_sql(v, words) for v in (calibration.slope, calibration.intercept))
    return sigmoid_sql(f"({slope} * {z} + {intercept})", words)


def sigmoid_sql(z: str, words: SqlWords = _STANDARD) -> str:
    """Return ``1/(1 + exp(−z))`` without overflow or underflow."""
    zero, one, certain = (number_sql(v, words) for v in (0.0, 1.0, _CERTAIN))
    return (
        f"CASE WHEN {z} > {certain} THEN {one} WHEN {z} < {number_sql(-_CERTAIN, words)} "
        f"THEN {zero} ELSE {one} / ({one} + {words.exp}({zero} - {z})) END"
    )


def _joined(knots: Sequence[tuple[float, float]], x: str, words: SqlWords) -> str:
    """Return straight lines between knots, flat outside, added up as `numpy.interp` does."""
    (first, lowest), (_, highest) = knots[0], knots[-1]
    if len(knots) == 1:
        return number_sql(lowest, words)
    cases = [f"WHEN {x} <= {number_sql(first, words)} THEN {number_sql(lowest, words)}"]
    for (x0, y0), (x1, y1) in pairwise(knots):
        slope = (y1 - y0) / (x1 - x0)
        line = number_sql(y0, words)
        if slope:
            away = f"({x} - {number_sql(x0, words)})"
            line = f"{number_sql(slope, words)} * {away} + {line}"
        if slope and y1 == highest:
            # Just before the knot the line may pass it in the last bit.
            top = number_sql(highest, words)
            line = f"CASE WHEN {line} > {top} THEN {top} ELSE {line} END"
        cases.append(f"WHEN {x} < {number_sql(x1, words)} THEN {line}")
    # A missing number has no score: ELSE must not give it the highest.
    cases.append(f"WHEN {x} IS NOT NULL THEN {number_sql(highest, words)}")
    return f"CASE {' '.join(cases)} END"


def counts_whole(term: Term) -> bool:
    """Return whether a term counts whole numbers that are never below 0."""
    parted = term.half_life is not None or term.per is not None or term.cap_per_day is not None
    return term.measure in _WHOLE and not parted


def transform_sql(
    name: str, n: str, words: SqlWords = _STANDARD, *, whole: bool = False, signed: bool = True
) -> str:
    """Return a transform of a column of doubles, without a cap.

    Parameters
    ----------
    name : {"identity", "log1p", "sqrt"}
    n : str
    words : SqlWords
    whole : bool, default=False
        Whether all are whole numbers.
    signed : bool, default=True
        Whether some may be below 0.
    """
    if name == "identity":
        return n
    write = _WRITTEN[name]
    if not signed:
        return write(n, words, whole)
    zero = number_sql(0.0, words)
    negative = write(f"({zero} - {n})", words, whole)
    positive = write(n, words, whole)
    return f"CASE WHEN {n} < {zero} THEN {zero} - {_held(negative)} ELSE {positive} END"


def _log1p(n: str, words: SqlWords, whole: bool) -> str:
    if words.log1p is not None:
        return f"{words.log1p}({n})"
    one = number_sql(1.0, words)
    if whole:
        return f"{words.ln}({one} + {n})"
    # Where 1 + n has lost digits of n, ln(1 + n)/((1 + n) − 1) has not: W. Kahan's way.
    return (
        f"CASE WHEN {one} + {n} = {one} THEN {n} "
        f"ELSE {words.ln}({one} + {n}) * ({n} / (({one} + {n}) - {one})) END"
    )


def _sqrt(n: str, words: SqlWords, whole: bool) -> str:
    return f"{words.sqrt}({n})"


_WRITTEN: dict[str, Callable[[str, SqlWords, bool], str]] = {"log1p": _log1p, "sqrt": _sqrt}


def _constant(transform: str, cap: float) -> float:
    """Return ``g(cap)`` as `saturate` computes it."""
    return float(TRANSFORMS[transform](np.array([cap]))[0])


def _held(expression: str) -> str:
    """Return an expression that a factor can stand before."""
    return f"({expression})" if expression.startswith("CASE") else expression
