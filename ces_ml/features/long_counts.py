"""Running the queries of a plan, and bringing their long results to one matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ces_ml.errors import EventLogError, SpecError
from ces_ml.features.matrix import LongCounts, long_to_csr
from ces_ml.features.session import Session, number
from ces_ml.spec.counts import CountSpec
from ces_ml.spec.duration import DAY_US
from ces_ml.spec.terms import Term
from ces_ml.sql.counting import count_sql, exposure_sql, unpaired_sql
from ces_ml.sql.plan import CountPlan
from ces_ml.sql.seats import seats_sql

__all__ = ["DENOMINATORS", "count_matrix", "row_denominators"]

Denominator = Callable[[Term], NDArray[np.float64]]
_KINDS = (pa.string(), pa.int32(), pa.int64(), pa.int32())


def count_matrix(
    session: Session,
    plan: CountPlan,
    n_rows: int,
    denominators: Mapping[int, NDArray[np.float64]],
    report: dict[str, int],
    *,
    arrival: bool,
) -> Any:
    """Count for the rows of ``cu``.

    Parameters
    ----------
    session : Session
        With the relations ``ev`` and ``cu``.
    plan : CountPlan
    n_rows : int
        Rows of ``cu``.
    denominators : mapping of int to ndarray of shape (n_rows,)
        By number of term; see `row_denominators`.
    report : dict of str to int
        Gets how many starts of pairs have no end, where pairs are counted.
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
    _register(session, "vo", "part", plan.vocabulary())
    if plan.pairs():
        _register(session, "pv", "is_start", plan.pairs())
        report["unpaired_starts"] = number(session, unpaired_sql())
    parts = []
    for part in plan.parts:
        found = session.fetch(count_sql(plan, part, arrival=arrival))
        aggregates = {k: _finite(found[f"a{k}"]) for k in plan.of_part(part)}
        parts.append(LongCounts(found["r"].to_numpy(), found["code"].to_numpy(), aggregates))
    return long_to_csr(parts, plan, n_rows, denominators)


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
    if not session.by_account:
        raise SpecError(
            "a count is taken per seat, but users do not roll up to accounts",
            got="per: seat without accounts",
            allowed="per: seat where the log has an account mapping",
            hint="add `accounts: {path: …}` to events, or leave out `per: seat`",
        )
    found: dict[int, NDArray[np.float64]] = {}

    def seats(term: Term) -> NDArray[np.float64]:
        us = term.window.us
        if us not in found:
            counted = session.fetch(seats_sql(us))["seats"].to_numpy().astype(np.float64)
            found[us] = np.maximum(counted, 1.0)
        return found[us]

    return seats


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
    return {t: by_name[term.per](term) for t, term in enumerate(spec.terms) if term.per is not None}


def _finite(column: Any) -> NDArray[np.float64]:
    """Return an aggregate as floats, NaN where there is none; refuse sums past all floats."""
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    overflown = np.isinf(values).sum() + np.isnan(values).sum() - column.null_count
    if overflown:
        raise EventLogError(
            "sums of a value column are larger than any number",
            got=f"{overflown:,} sums beyond 1.8e308",
            allowed="values whose sums are finite",
            hint="clean or rescale the value column",
        )
    return values
