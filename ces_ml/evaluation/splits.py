"""Training rows and test rows between which nothing leaks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ces_ml.errors import EventLogError, SpecError, show
from ces_ml.spec import CountTable, OutcomeSpec, parse_moment
from ces_ml.spec.purging import known_by, places

__all__ = ["CUSTOMERS", "TimeSplit", "choose_start", "customers_to_test", "split_by_time"]

#: What a split may do with the customers, and what that means.
CUSTOMERS: dict[str, str] = {
    "shared": "customers may stand on both sides, at different times",
    "disjoint": "no customer stands on both sides",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class TimeSplit:
    """Which rows to learn from and which to judge by.

    Parameters
    ----------
    train, test : ndarray of bool, of shape (n_rows,)
        Masks of the rows; no row is in both. Read-only.
    purged : int
        Rows before `test_from` whose outcome window reaches past it: on neither side.
    set_aside : int
        Rows on neither side because their customer belongs to the other side.
    test_from : datetime.datetime or None
        Test rows have an `as_of` from this moment on. None where only customers were divided.
    description : str
        The split in words, with its numbers.
    """

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    purged: int
    set_aside: int
    test_from: datetime | None
    description: str


def split_by_time(
    table: CountTable,
    outcome: OutcomeSpec,
    *,
    test_from: Any = None,
    test_share: float = 0.3,
    customers: str = "shared",
    seed: int = 0,
) -> TimeSplit:
    """Divide rows into earlier ones to learn from and later ones to judge by.

    Test rows have ``as_of ≥ test_from``. Training rows have ``as_of + gap + horizon ≤`` the first
    `as_of` of the test rows: what is learned from was known when the first test row was counted.
    Rows between are purged. Where time can't divide the rows (one `as_of` only, or all of them
    within one outcome window) and no `test_from` is given, customers are divided instead, and the
    description says so: such a test does not show how the score holds up over time.

    Parameters
    ----------
    table : CountTable
        With outcomes.
    outcome : OutcomeSpec
        Gives gap and horizon.
    test_from : date, datetime or str, optional
        First moment of the test rows. By default the `as_of` that leaves closest to `test_share`
        of the rows for the test, the latest of equally close ones, among those that leave rows
        with both outcomes on both sides.
    test_share : float, default=0.3
        Share of the rows (and, where customers are divided, of the customers) to test on.
    customers : {"shared", "disjoint"}, default="shared"
        With ``disjoint`` no customer stands on both sides. The side of a customer depends on its
        text and the seed only, never on the other customers.
    seed : int, default=0
        Another seed divides the customers another way.

    Returns
    -------
    TimeSplit

    Raises
    ------
    SpecError
        If an option is out of range, or `test_from` leaves no rows on a side.
    EventLogError
        If the table has no rows or no outcomes, or a side has no rows or only one outcome.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from ces_ml.spec import CountSpec
    >>> days = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"] * 2, utc=True)
    >>> table = CountTable(
    ...     pd.DataFrame({"customer": list("aaabbb"), "as_of": days}), sp.csr_array((6, 1)),
    ...     CountSpec.of(["login"], window="30d"), y=np.array([0, 0, 0, 1, 1, 1], dtype=np.int8))
    >>> outcome = OutcomeSpec(task="conversion", event="buy", horizon="31d")
    >>> split = split_by_time(table, outcome, test_from="2024-02-15")
    >>> split.train.tolist(), split.purged
    ([True, False, False, True, False, False], 2)
    """
    _check_options(table, test_share, customers)
    y = np.asarray(table.y)
    moments = _microseconds(table.as_of)
    if customers == "shared":
        train_pool = test_pool = np.ones(len(table), dtype=bool)
    else:
        test_pool = customers_to_test(table.customer, test_share, seed)
        train_pool = ~test_pool
    if test_from is not None:
        start = _to_us(parse_moment(test_from))
    else:
        rows, good = np.ones(len(table), dtype=np.int64), (y == 1).astype(np.int64)
        pools = train_pool, test_pool
        found = choose_start(moments, rows, good, pools, outcome.reach, test_share)
        if found is None:
            return _by_customer(y, moments, customers_to_test(table.customer, test_share, seed))
        start = found
    late = moments >= start
    test = late & test_pool
    if not test.any():
        raise _empty("test", start, moments, outcome)
    first = int(moments[test].min())
    ended = known_by(moments, outcome.reach, first)
    train = ended & train_pool
    if not train.any():
        raise _empty("training", start, moments, outcome)
    _check_classes(y, train, test)
    purged = int((~late & ~ended).sum())
    set_aside = len(table) - int(train.sum()) - int(test.sum()) - purged
    words = [
        f"test: {int(test.sum()):,} rows from {_day(first)} on",
        f"training: {int(train.sum()):,} rows whose outcome was known by then",
        f"{purged:,} rows between them purged",
        CUSTOMERS[customers] + (f" ({set_aside:,} rows set aside)" if set_aside else ""),
    ]
    return _frozen(train, test, purged, set_aside, _moment(start), "; ".join(words))


def choose_start(
    moments: NDArray[np.int64],
    rows: NDArray[np.int64],
    good: NDArray[np.int64],
    pools: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    reach: int,
    test_share: float,
) -> int | None:
    """Return the first `as_of` of the test rows; None where time can't divide the rows.

    Parameters
    ----------
    moments : ndarray of int64, of shape (n_groups,)
        The `as_of` of a group of rows, in UTC microseconds; a row may be a group.
    rows, good : ndarray of int64, of shape (n_groups,)
        Rows of the group, and how many of them have the good outcome.
    pools : (ndarray of bool, ndarray of bool), of shape (n_groups,)
        Groups whose customers may be trained on, and those whose customers may be tested on.
    reach : int
        Gap and horizon of the outcome, in microseconds.
    test_share : float
        See `split_by_time`, which divides rows by this moment.

    Examples
    --------
    >>> every, ones = np.ones(4, dtype=bool), np.ones(4, dtype=np.int64)
    >>> choose_start(np.arange(4), 10 * ones, 5 * ones, (every, every), 1, 0.3)
    3
    """
    train, test = pools
    if not train.any() or not test.any():
        return None
    starts = np.unique(moments[test])
    n_test, good_test = _count(moments, rows, good, test, starts, "from")
    n_train, good_train = _count(moments, rows, good, train, starts - reach, "to")
    possible = n_train > 0
    both = (good_test > 0) & (good_test < n_test) & (good_train > 0) & (good_train < n_train)
    if (possible & both).any():
        possible &= both
    if not possible.any():
        return None
    distance = np.abs(n_test / rows[test].sum() - test_share)
    distance[~possible] = np.inf
    closest = np.flatnonzero(distance <= distance.min() + 1e-9)
    return int(starts[closest[-1]])


def _count(
    moments: NDArray[np.int64],
    rows: NDArray[np.int64],
    good: NDArray[np.int64],
    pool: NDArray[np.bool_],
    at: NDArray[np.int64],
    side: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many rows of the pool lie from (or up to) every moment, and how many are good."""
    order = np.argsort(moments[pool], kind="stable")
    before, good_before = (
        np.concatenate([[0], np.cumsum(n[pool][order], dtype=np.int64)]) for n in (rows, good)
    )
    if side == "from":
        place = np.searchsorted(moments[pool][order], at, side="left")
        return before[-1] - before[place], good_before[-1] - good_before[place]
    place = np.searchsorted(moments[pool][order], at, side="right")
    return before[place], good_before[place]


def _by_customer(
    y: NDArray[Any], moments: NDArray[np.int64], for_test: NDArray[np.bool_]
) -> TimeSplit:
    """Divide customers alone, at all moments."""
    train, test = ~for_test, for_test
    for side, rows in (("test", test), ("training", train)):
        if not rows.any():
            raise EventLogError(
                f"dividing the customers leaves no {side} rows",
                got=f"{len(y):,} rows, all on one side",
                allowed="customers on both sides",
                hint="take more customers, another seed, or test_share closer to one half",
            )
    _check_classes(y, train, test)
    single = moments.min() == moments.max()
    reason = (
        f"all rows have the as_of {_day(int(moments[0]))}"
        if single
        else f"all rows lie within one outcome window, {_day(int(moments.min()))} to "
        f"{_day(int(moments.max()))}"
    )
    words = (
        f"test: {int(test.sum()):,} rows; training: {int(train.sum()):,} rows; divided by "
        f"customer, not by time, because {reason}; no customer stands on both sides"
    )
    return _frozen(train, test, 0, 0, None, words)


def customers_to_test(customer: pd.Series, share: float, seed: int) -> NDArray[np.bool_]:
    """Return which rows belong to customers of the test side: a stable hash of their text."""
    codes, distinct = pd.factorize(customer)
    chosen = np.array(
        [p < share * 2.0**64 for p in places(distinct, str(seed).encode())], dtype=bool
    )
    return np.asarray(chosen[codes], dtype=np.bool_)


def _frozen(
    train: NDArray[np.bool_],
    test: NDArray[np.bool_],
    purged: int,
    set_aside: int,
    test_from: datetime | None,
    description: str,
) -> TimeSplit:
    train, test = train.copy(), test.copy()
    train.setflags(write=False)
    test.setflags(write=False)
    return TimeSplit(train, test, purged, set_aside, test_from, description)


def _microseconds(moments: pd.Series) -> NDArray[np.int64]:
    utc = pd.to_datetime(moments, utc=True).dt.as_unit("us")
    return np.asarray(utc.astype("int64").to_numpy(), dtype=np.int64)


def _to_us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _day(us: int) -> str:
    moment = _moment(us)
    midnight = us % 86_400_000_000 == 0
    return moment.date().isoformat() if midnight else moment.isoformat(timespec="seconds")


def _check_options(table: CountTable, test_share: float, customers: str) -> None:
    if not 0 < test_share < 1:
        raise SpecError(
            "test_share is not a share",
            got=show(test_share),
            allowed="above 0 and below 1",
            hint="write for example 0.3",
        )
    if customers not in CUSTOMERS:
        raise SpecError.unknown(
            "customers can't be divided so",
            customers,
            CUSTOMERS,
            hint="correct the option `customers`",
        )
    if table.y is None or len(table) == 0:
        raise EventLogError(
            "there is nothing to split",
            got="rows without outcomes" if len(table) else "no rows",
            allowed="rows with outcomes",
            hint="count with an outcome, at an as_of whose horizon ends inside the log",
        )


def _check_classes(y: NDArray[Any], train: NDArray[np.bool_], test: NDArray[np.bool_]) -> None:
    for side, rows in (("training", train), ("test", test)):
        n, good = int(rows.sum()), int((y[rows] == 1).sum())
        if good in (0, n):
            raise EventLogError(
                f"the {side} rows have one outcome only",
                got=f"{good:,} good and {n - good:,} bad outcomes among {n:,} {side} rows",
                allowed="some of both on both sides",
                hint="move test_from, take more as_of moments, or lengthen the horizon",
            )


def _empty(side: str, start: int, moments: NDArray[np.int64], outcome: OutcomeSpec) -> SpecError:
    low, high = int(moments.min()), int(moments.max())
    earliest = low + outcome.reach
    if earliest <= high:
        allowed = f"a test_from after {_day(earliest - 1)} and not after {_day(high)}"
        hint = "correct test_from, or leave it out"
    else:
        allowed = f"as_of moments more than gap + horizon ({_span(outcome.reach)}) apart"
        hint = "take earlier as_of moments too, shorten the horizon, or leave out test_from"
    return SpecError(
        f"test_from leaves no {side} rows",
        got=f"test_from {_day(start)}; as_of from {_day(low)} to {_day(high)}",
        allowed=allowed,
        hint=hint,
    )


def _span(us: int) -> str:
    return f"{us / 86_400_000_000:g}d"
