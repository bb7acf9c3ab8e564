"""Training rows and test rows between which no information crosses: the one definition.

A row's outcome is known ``reach`` (gap plus horizon) after its moment. A row may be learned from
only if its outcome was known when the first test row was counted; `known_by` says so, and every
split, fold and backtest asks it.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ces_ml.errors import SpecError, show
from ces_ml.spec.duration import Duration

__all__ = ["Fold", "known_by", "length_of", "places", "purged_folds"]

Rows = NDArray[np.intp]
Fold = tuple[Rows, Rows]
"""Indices of the rows to train on and of the rows to test on."""

#: What a length of time means here.
_LENGTHS = {
    "reach": "how long after its moment an outcome is known",
    "gap": "the time between a row's moment and its outcome window",
    "horizon": "the length of an outcome window",
    "window": "how long before its first test row a fold trains on",
}


def known_by(moments: NDArray[Any], reach: Any, start: Any) -> NDArray[np.bool_]:
    """Return the rows before `start` whose outcome was known by then: ``moment + reach ≤ start``.

    Parameters
    ----------
    moments : ndarray of shape (n_rows,)
        Moment of each row, in any unit.
    reach : number
        Gap plus horizon, in the same unit.
    start : number
        Moment of the first test row.

    Returns
    -------
    ndarray of bool, of shape (n_rows,)

    Examples
    --------
    >>> known_by(np.array([0, 1, 2, 3]), 2, 3).tolist()
    [True, True, False, False]
    """
    return np.asarray((moments + reach <= start) & (moments < start), dtype=np.bool_)


def places(distinct: Any, key: bytes = b"") -> list[int]:
    """Return a number from 0 to 2⁶⁴ − 1 for each customer: a stable hash of its text.

    Parameters
    ----------
    distinct : iterable
        Customers; each number depends on that customer's text and the key only.
    key : bytes, default=b""
        Another key gives other numbers.

    Examples
    --------
    >>> places(["a", "b"]) == places(["b", "a"])[::-1]
    True
    """
    return [
        int.from_bytes(
            hashlib.blake2b(
                str(c).encode("utf-8", "surrogatepass"), key=key, digest_size=8
            ).digest(),
            "big",
        )
        for c in distinct
    ]


def purged_folds(
    groups: ArrayLike | None,
    times: Any,
    reach: Any,
    n_splits: int = 5,
    disjoint: bool = False,
    window: Any = None,
) -> list[Fold]:
    """Divide rows into folds that test on later rows than they train on.

    The moments of the rows are cut into an early part, which is only trained on, and `n_splits`
    consecutive blocks of about equally many rows. The first fold trains on about one in
    ``n_splits + 1`` of all rows, as far as the moments allow. Each fold tests on one block and
    trains on the rows with ``time + reach ≤`` the block's first moment: what is learned from was
    known when the first test row was counted. Rows between are in neither part of that fold.

    A customer may be in both parts, at different times: its later rows are judged by a model that
    knows how its earlier ones ended, as in use. With ``disjoint=True`` customers are dealt
    into `n_splits` equal parts as well, by a hash of their text; fold k tests on the customers of
    part k in block k, and trains on the other parts. That tests on fewer rows.

    Parameters
    ----------
    groups : array-like of shape (n_rows,) or None
        The customer of each row. None is enough where folds by time share the customers.
    times : array-like of shape (n_rows,) or None
        The moment of each row: dates (a naive one is UTC), or numbers. With None folds are by
        customer alone, which does not show how a score holds up over time.
    reach : str, datetime.timedelta or number
        How long after its moment the outcome of a row is known (gap plus horizon), for example
        ``"28d"``. Beside dates, a whole number is in microseconds (`OutcomeSpec.reach`); beside
        numbers, it is a number in the same unit. Not used if `times` is None.
    n_splits : int, default=5
        Number of folds, at least 2.
    disjoint : bool, default=False
        Whether no customer may be in both parts of a fold.
    window : str, datetime.timedelta or number, optional
        How long before its first test row a fold trains on, in the unit of `reach`: rows with
        ``time ≥ first test row − window``. All that is known by then when not given.

    Returns
    -------
    list of (ndarray, ndarray)
        For each fold the sorted indices of training and test rows: what scikit-learn takes as `cv`.
        No row is tested on twice.

    Raises
    ------
    SpecError
        If an option is out of its range, there are fewer moments or customers than folds need, or
        a part of a fold is empty.

    Examples
    --------
    >>> customers = ["a", "b"] * 4
    >>> days = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]).repeat(2)
    >>> for train, test in purged_folds(customers, days, "29d", n_splits=2):
    ...     print(train, test)
    [0 1] [2 3]
    [0 1 2 3] [4 5 6 7]
    """
    _check_n_splits(n_splits)
    customers = np.asarray(np.arange(len(times)) if groups is None else groups)
    if customers.ndim != 1 or len(customers) == 0:
        raise SpecError(
            "groups do not name one customer for each row",
            got=f"shape {customers.shape}",
            allowed="one value for each row",
            hint="give the column of customers",
        )
    part = _dealt(customers, n_splits) if disjoint or times is None else None
    if times is None:
        tested = [part == k for k in range(n_splits)]
        return [(np.flatnonzero(~test), np.flatnonzero(test)) for test in tested]
    moments, length = _moments(times, len(customers)), length_of(reach, times)
    span = None if window is None else length_of(window, times, "window")
    folds: list[Fold] = []
    starts = _starts(moments, length, n_splits)
    for k, (start, end) in enumerate(zip(starts, [*starts[1:], None], strict=True)):
        test = moments >= start if end is None else (moments >= start) & (moments < end)
        train = known_by(moments, length, start)
        if span is not None:
            train &= moments >= start - span
        if part is not None:
            test, train = test & (part == k), train & (part != k)
        if not test.any() or not train.any():
            raise SpecError(
                f"fold {k + 1} has no {'training' if test.any() else 'test'} rows",
                got=f"{int(test.sum())} test rows, {int(train.sum())} training rows",
                allowed="rows in both parts of every fold",
                hint="take fewer folds"
                + (", or disjoint=False" if disjoint else "")
                + ("" if span is None else ", or a longer window"),
            )
        folds.append((np.flatnonzero(train), np.flatnonzero(test)))
    return folds


def _starts(moments: NDArray[Any], length: Any, n_splits: int) -> list[Any]:
    """Return the first moment of each test block."""
    distinct, counts = np.unique(moments, return_counts=True)
    known = (distinct >= distinct[0] + length) & (distinct > distinct[0])
    later, rows = distinct[known], np.cumsum(counts[known])
    if len(later) < n_splits:
        raise SpecError(
            "too few moments for folds by time",
            got=f"{len(distinct)} different moments, of which {len(later)} lie at least the reach "
            "of an outcome after the first",
            allowed=f"at least {n_splits} such moments for {n_splits} folds",
            hint="take earlier moments too or fewer folds, or times=None to divide customers alone",
        )
    # Were the early part as short as the reach, the first fold could train on next to no rows.
    known_by = np.searchsorted(distinct + length, later, side="right")
    trained = np.concatenate([[0], np.cumsum(counts)])[known_by][: len(later) - n_splits + 1]
    first = [int(np.abs(trained - counts.sum() / (n_splits + 1)).argmin())]
    before = int(rows[first[0] - 1]) if first[0] else 0
    for k in range(1, n_splits):
        even = int(np.abs(rows - before - (rows[-1] - before) * k / n_splits).argmin()) + 1
        first.append(min(max(even, first[-1] + 1), len(later) - (n_splits - k)))
    return [later[i] for i in first]


def _dealt(customers: NDArray[Any], n_splits: int) -> NDArray[np.intp]:
    """Return the part of each row's customer: dealt in the order of a stable hash."""
    codes, distinct = pd.factorize(customers, use_na_sentinel=False)
    if len(distinct) < n_splits:
        raise SpecError(
            "there are fewer customers than folds",
            got=f"{len(distinct)} customers, {n_splits} folds",
            allowed="at least one customer for each fold",
            hint="take fewer folds",
        )
    keys = places(distinct)
    part = np.empty(len(distinct), dtype=np.intp)
    part[sorted(range(len(keys)), key=lambda i: (keys[i], str(distinct[i])))] = (
        np.arange(len(keys)) % n_splits
    )
    return part[codes]


def _moments(times: Any, n: int) -> NDArray[Any]:
    """Return microseconds since 1970, or the numbers themselves."""
    if _are_numbers(times):
        moments = np.asarray(times)
    else:
        dates = pd.to_datetime(pd.Series(np.asarray(times)), utc=True)
        if dates.isna().any():
            raise _bad_times("a missing date")
        moments = dates.dt.as_unit("us").astype("int64").to_numpy()
    if moments.shape != (n,):
        raise _bad_times(f"times of shape {moments.shape}, {n} rows")
    if not np.isfinite(moments).all():
        raise _bad_times("a number that is not finite")
    return moments


def _bad_times(got: str) -> SpecError:
    return SpecError(
        "times do not give the moment of each row",
        got=got,
        allowed="one date or number for each row",
        hint="give the as_of of the rows, or times=None to divide customers alone",
    )


def _are_numbers(times: Any) -> bool:
    return np.asarray(times).dtype.kind in "iuf"


def _check_n_splits(n_splits: Any) -> None:
    whole = not isinstance(n_splits, bool) and isinstance(n_splits, Integral)
    if not whole or n_splits < 2:
        raise SpecError(
            "the number of folds is not a whole number of at least 2",
            got=show(n_splits),
            allowed="2, 3, 4, …",
            hint="write for example 5",
        )


def length_of(length: Any, times: Any, what: str = "reach") -> Any:
    """Return a length of time in the unit of the moments: microseconds beside dates.

    Parameters
    ----------
    length : str, datetime.timedelta or number
        Beside dates a duration or whole microseconds, beside numbers a number.
    times : array-like
        The moments.
    what : {"reach", "gap", "horizon", "window"}
        What the length is, for the error.

    Raises
    ------
    SpecError
        If it is no such length.
    """
    numbers = _are_numbers(times)
    if isinstance(length, str | timedelta) and not numbers:
        return Duration(length).us
    kind = Real if numbers else Integral
    right = isinstance(length, kind) and not isinstance(length, bool)
    if not right or not 0 <= length < np.inf:
        raise SpecError(
            f"{what} is not {_LENGTHS[what]}",
            got=show(length),
            allowed="a number in the unit of times, not negative"
            if numbers
            else "a duration such as '28d', a timedelta, or whole microseconds",
            hint="give gap plus horizon, for example OutcomeSpec.reach"
            if what == "reach"
            else f"write for example {what}='28d'",
        )
    return length
