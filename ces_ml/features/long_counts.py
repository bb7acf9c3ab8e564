"""Running the queries of a plan, and bringing their long results to one matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ces_ml.errors import EventLogError, SpecError
from ces_ml.features.matrix import LongCounts, long_to_csr
from ces_ml.features.session import Session, number
from ces_ml.spec.counts import CountSpec
from ces_ml.spec.duration import DAY_US
from ces_ml.spec.terms import Term
from ces_ml.sql.counting import count_in_order_sql, count_sql, exposure_sql, unpaired_sql
from ces_ml.sql.plan import CountPlan, Part
from ces_ml.sql.seats import seats_col, seats_sql

__all__ = [
    "DENOMINATORS",
    "check_seats",
    "count_blocks",
    "count_matrix",
    "register_plan",
    "row_denominators",
    "too_large",
]

Denominator = Callable[[Term], NDArray[np.float64]]
_KINDS = (pa.string(), pa.int32(), pa.int64(), pa.int32())


def count_matrix(
    session: Session,
    plan: CountPlan,
    n_rows: int,
    denominators: Mapping[int, NDArray[np.float64]],
    *,
    arrival: bool,
) -> Any:
    """Count for the rows of ``cu``.

    Parameters
    ----------
    session : Session
        With the relations ``ev`` and ``cu``, and those of `register_plan`.
    plan : CountPlan
    n_rows : int
        Rows of ``cu``.
    denominators : mapping of int to ndarray of shape (n_rows,)
        By number of term; see `row_denominators`.
    arrival : bool
        Whether ``ev`` has ``arrival_us``.

    Returns
    -------
    csr_array of float64, of shape (n_rows, n_terms)

    Raises
    ------
    EventLogError
        If a sum is larger than any number.
    """
    parts = [
        _long(session.fetch(count_sql(plan, part, arrival=arrival), as_written=True), plan, part)
        for part in plan.parts
    ]
    return long_to_csr(parts, plan, n_rows, denominators)


def count_blocks(
    session: Session,
    plan: CountPlan,
    n_rows: int,
    size: int,
    denominators: Mapping[int, NDArray[np.float64]],
    *,
    arrival: bool,
) -> Iterator[tuple[slice, Any]]:
    """Count for the rows of ``cu``, `size` of them at a time.

    The engine sorts the long result by row, on disk where its memory is limited; only one block
    of it is held here.

    Yields
    ------
    (slice, csr_array of shape (n_rows_of_block, n_terms))
        Consecutive rows and their counts; together they are what `count_matrix` returns.
    """
    found = session.stream(count_in_order_sql(plan, arrival=arrival), as_written=True)
    for start, long in _cut(found, n_rows, size):
        rows = slice(start, min(start + size, n_rows))
        parts = []
        for k, part in enumerate(plan.parts if long is not None else ()):
            mine = long if len(plan.parts) == 1 else long.filter(pc.equal(long["part"], k))
            parts.append(_long(mine, plan, part, start))
        divisors = {t: divisor[rows] for t, divisor in denominators.items()}
        yield rows, long_to_csr(parts, plan, rows.stop - start, divisors)


def _cut(batches: Iterator[Any], n_rows: int, size: int) -> Iterator[tuple[int, Any]]:
    """Cut a result in the order of ``r`` into tables of `size` rows of ``cu`` each, or None."""
    start = 0
    held: list[Any] = []
    for batch in batches:
        rest = pa.table(batch)
        while len(rest) and rest["r"][-1].as_py() >= start + size:
            end = int(np.searchsorted(rest["r"].to_numpy(), start + size))
            yield start, pa.concat_tables([*held, rest.slice(0, end)])
            start, held, rest = start + size, [], rest.slice(end)
        held.append(rest)
    while start < n_rows:
        yield start, pa.concat_tables(held) if held else None
        start, held = start + size, []


def _long(found: Any, plan: CountPlan, part: Part, start: int = 0) -> LongCounts:
    """Return the result of a query, its rows counted from `start`."""
    aggregates = {k: _finite(found[f"a{k}"]) for k in plan.of_part(part)}
    r = found["r"].to_numpy()
    return LongCounts(r - start if start else r, found["code"].to_numpy(), aggregates)


def register_plan(session: Session, plan: CountPlan, report: dict[str, int]) -> None:
    """Make ``vo`` and ``pv``, what is counted under which code.

    Parameters
    ----------
    session : Session
        With the relation ``ev``.
    plan : CountPlan
    report : dict of str to int
        Gets how many starts of pairs have no end, where pairs are counted.
    """
    _register(session, "vo", "part", plan.vocabulary())
    if plan.pairs():
        _register(session, "pv", "is_start", plan.pairs())
        report["unpaired_starts"] = number(session, unpaired_sql())


def _register(
    session: Session, name: str, last: str, rows: list[tuple[str, int, int, int]]
) -> None:
    columns = zip(*rows, strict=True) if rows else [()] * len(_KINDS)
    arrays = [pa.array(v, kind) for v, kind in zip(columns, _KINDS, strict=True)]
    names = ("event_type", "code", "window_us", last)
    session.register(name, **dict(zip(names, arrays, strict=True)))


def _days_exposed(session: Session) -> Denominator:
    """Return the days on which a count could have grown: at least 1, at most the window."""
    known_us = session.fetch(exposure_sql())["exposure_us"].to_numpy()
    return lambda term: np.maximum(np.minimum(known_us, term.window.us) / DAY_US, 1.0)


def _seats(session: Session) -> Denominator:
    """Return how many users had a seat in the window: at least 1."""
    check_seats(session)
    found: dict[int, NDArray[np.float64]] = {}

    def seats(term: Term) -> NDArray[np.float64]:
        us = term.window.us
        if us not in found:
            counted = session.fetch(f"SELECT * FROM ({seats_sql([us])}) AS s ORDER BY r")
            found[us] = np.maximum(counted[seats_col(us)].to_numpy().astype(np.float64), 1.0)
        return found[us]

    return seats


def check_seats(session: Session) -> None:
    """Refuse counts per seat where users do not roll up to accounts.

    Raises
    ------
    SpecError
        If they do not.
    """
    if not session.by_account:
        raise SpecError(
            "a count is taken per seat, but users do not roll up to accounts",
            got="per: seat without accounts",
            allowed="per: seat where the log has an account mapping",
            hint="add `accounts: {path: …}` to events, or leave out `per: seat`",
        )


#: What the counts of each row are divided by, for every value of ``per``.
DENOMINATORS: dict[str, Callable[[Session], Denominator]] = {
    "day": _days_exposed,
    "seat": _seats,
}


def row_denominators(session: Session, spec: CountSpec) -> dict[int, NDArray[np.float64]]:
    """Return what the counts of each row of ``cu`` are divided by, by number of term.

    Reads the whole log: a customer's first event may lie before every window.
    """
    used = {term.per for term in spec.terms if term.per is not None}
    by_name = {per: DENOMINATORS[per](session) for per in sorted(used)}
    made: dict[tuple[str, int], NDArray[np.float64]] = {}  # one array for all terms of a window
    for term in spec.terms:
        if term.per is not None and (term.per, term.window.us) not in made:
            made[term.per, term.window.us] = by_name[term.per](term)
    return {
        t: made[term.per, term.window.us]
        for t, term in enumerate(spec.terms)
        if term.per is not None
    }


def _finite(column: Any) -> NDArray[np.float64]:
    """Return an aggregate as floats, NaN where there is none; refuse sums past all floats."""
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    overflown = np.isinf(values).sum() + np.isnan(values).sum() - column.null_count
    if overflown:
        raise too_large(f"{overflown:,} sums beyond 1.8e308")
    return values


def too_large(got: str = "a sum beyond 1.8e308") -> EventLogError:
    """Return the error for sums past all floats."""
    return EventLogError(
        "sums of a value column are larger than any number",
        got=got,
        allowed="values whose sums are finite",
        hint="clean or rescale the value column",
    )
