"""The SQL of one aggregate over events: common subset of DuckDB and Spark.

The columns of the relation that is aggregated are ``age`` (microseconds, above 0), ``day`` (number
of the UTC day), ``back`` (UTC days before that of `as_of`) and ``bit`` (its place in a mask),
``seconds`` (length of a pair), the properties ``p0, p1, …`` and the filters ``f0, f1, …``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ces_ml.spec.duration import DAY_US, SECOND_US, Duration
from ces_ml.sql.plan import Aggregate, Property
from ces_ml.sql.words import CountWords
from ces_ml.sql.words import counted_number as number

__all__ = ["MASK_DAYS", "Names", "aggregate_sql", "capped_sql", "uses_masks"]

#: Names of properties and filters in the relation.
Names = Mapping[Property | str, str]

#: Days that one mask holds: POWER(2, 51) is a whole number as DOUBLE.
MASK_DAYS = 52
#: Longer windows count days with COUNT(DISTINCT …), which is then the cheaper one: each mask is
#: computed for every event.
MOST_MASKS = 6
#: Weights of a mean that add up to less are no weight: below, doubles lose their digits.
NO_WEIGHT = 1e-280
#: Exponents that some dialects can take: EXP(-690) is 2E-300, far below any weight.
_LEAST_EXPONENT = -690.0
COMMON = CountWords()
#: A mean nearer to neutral than this part of it is neutral: the last bits of a mean depend on the
#: order of addition.
NEUTRAL_ROUNDING = 1e-12


def aggregate_sql(aggregate: Aggregate, names: Names, words: CountWords = COMMON) -> str:
    """Return the SQL of an aggregate; null where no event takes part, except for plain counts."""
    inside = f"age <= {aggregate.window.us}"
    if aggregate.where is not None:
        inside += f" AND {words.truth.format(names[aggregate.where])}"
    if aggregate.measure == "active_days":
        return _active_days(aggregate.window, inside, words)
    value = _value(aggregate, names, words)
    if aggregate.measure == "distinct":
        return f"COUNT(DISTINCT CASE WHEN {inside} THEN {value} END)"
    if aggregate.measure == "mean":
        return _mean(aggregate, inside, value, words)
    weight = _weight(aggregate.half_life, words)
    if aggregate.measure == "count":
        return _how_many(inside, weight)
    weighted = f"{value} * {weight}" if weight else value
    return f"SUM(CASE WHEN {inside} THEN {weighted} END)"


def capped_sql(daily: str, cap: float, words: CountWords = COMMON) -> str:
    """Return the SQL that adds up the column `daily` after cutting it to ±cap."""
    top, bottom = number(cap, words), number(-cap, words)
    # What is past all doubles, or no number at all, must stay so and be refused; the largest double
    # can't be compared with, because Spark refuses it as a literal.
    endless = f"{daily} - {daily} <> {_nothing(words)}"
    return (
        f"SUM(CASE WHEN {endless} THEN {daily} WHEN {daily} > {top} THEN {top} "
        f"WHEN {daily} < {bottom} THEN {bottom} ELSE {daily} END)"
    )


def uses_masks(window: Duration, words: CountWords = COMMON) -> bool:
    """Return whether the active days of a window are counted with bit masks."""
    return words.masks and _days_touched(window) <= MASK_DAYS * MOST_MASKS


def _value(aggregate: Aggregate, names: Names, words: CountWords) -> str:
    value = "seconds" if aggregate.paired else ""
    if aggregate.value is not None:
        value = names[aggregate.value]
    if aggregate.unit is None or aggregate.unit.us == SECOND_US:
        return value
    return f"{value} / {number(aggregate.unit.us / SECOND_US, words)}"


def _weight(half_life: Duration | None, words: CountWords) -> str:
    if half_life is None:
        return ""
    faded = f"age * {number(-math.log(2) / half_life.us, words)}"
    if not words.safe_exp:
        return f"EXP({faded})"
    far = math.ceil(half_life.us * -_LEAST_EXPONENT / math.log(2))
    return f"(CASE WHEN age > {far} THEN {_nothing(words)} ELSE EXP({faded}) END)"


def _nothing(words: CountWords) -> str:
    return words.number.format("0E0")


def _how_many(inside: str, weight: str) -> str:
    if weight:
        return f"SUM(CASE WHEN {inside} THEN {weight} END)"
    return f"COUNT(CASE WHEN {inside} THEN 1 END)"


def _mean(aggregate: Aggregate, inside: str, value: str, words: CountWords) -> str:
    weight = _weight(aggregate.half_life, words)
    total = f"SUM(CASE WHEN {inside} THEN {value}{f' * {weight}' if weight else ''} END)"
    weights = _how_many(f"{inside} AND {value} IS NOT NULL", weight)
    mean = f"{total} / {weights}"
    if aggregate.neutral:
        neutral = number(aggregate.neutral, words)
        rounding = number(abs(aggregate.neutral) * NEUTRAL_ROUNDING, words)
        mean = f"CASE WHEN ABS({mean} - {neutral}) > {rounding} THEN {mean} - {neutral} END"
    return f"CASE WHEN {weights} > {number(NO_WEIGHT, words)} THEN {mean} END"


def _days_touched(window: Duration) -> int:
    """Return on how many UTC days a window can lie at most."""
    return -(-window.us // DAY_US) + 1


def _active_days(window: Duration, inside: str, words: CountWords) -> str:
    if not uses_masks(window, words):
        return f"COUNT(DISTINCT CASE WHEN {inside} THEN day END)"
    masks = []
    for first in range(0, _days_touched(window), MASK_DAYS):
        held = f"{inside} AND back >= {first} AND back < {first + MASK_DAYS}"
        mask = f"BIT_OR(CASE WHEN {held} THEN bit ELSE CAST(0 AS BIGINT) END)"
        masks.append(f"CAST(BIT_COUNT({mask}) AS BIGINT)")
    return " + ".join(masks)
