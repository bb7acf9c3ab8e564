"""Reading a log once: how many rows, of which kinds, over which time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ces_ml.errors import EventLogError
from ces_ml.features.engine import LogProfile
from ces_ml.features.session import Session, number
from ces_ml.spec.as_of import to_us
from ces_ml.sql.population import profile_and_customers_sql

__all__ = ["of_accounts", "read_profile", "read_profile_and_customers"]

_DROPPED = ("null_customer", "null_event_type", "null_timestamp")
_FIRST_US, _LAST_US = to_us(datetime(1, 1, 1, tzinfo=UTC)), to_us(datetime(9000, 1, 1, tzinfo=UTC))


def read_profile(
    fetch: Callable[[str], Any], select: str, *, naive: bool, arrival: bool
) -> LogProfile:
    """Read the log once and say what it holds.

    Parameters
    ----------
    fetch : callable
        Runs a query and returns an Arrow table.
    select : str
        The query for ``ev``, nulls still in it.
    naive, arrival : bool
        Whether times carry no zone; whether ``ev`` has ``arrival_us``.

    Raises
    ------
    EventLogError
        If no row is left, or times lie outside every calendar.
    """
    arrived = "arrival_us" if arrival else "1"
    found = fetch(
        "SELECT event_type, COUNT(*) AS n, COUNT(customer_id) AS n_c, COUNT(ts_us) AS n_t, "
        "COUNT(CASE WHEN customer_id IS NOT NULL AND ts_us IS NOT NULL THEN 1 END) AS n_ok, "
        f"COUNT(CASE WHEN customer_id IS NOT NULL AND ts_us IS NOT NULL AND {arrived} IS NULL "
        "THEN 1 END) AS n_late, "
        "MIN(CASE WHEN customer_id IS NOT NULL THEN ts_us END) AS t0, "
        "MAX(CASE WHEN customer_id IS NOT NULL THEN ts_us END) AS t1 "
        f"FROM ({select}) GROUP BY event_type"
    ).to_pydict()
    return _profile_of(found, naive=naive)


def read_profile_and_customers(session: Session, select: str, *, naive: bool) -> LogProfile | None:
    """Read the log once for its profile and, by the way, for since when customers are known.

    Makes ``fk(customer_id, known_us)``, see `ces_ml.sql.population`, for a log without arrival
    times. Where a row lacks a customer, a type or a time, the two need different rows: then nothing
    is returned, and nothing made.
    """
    session.make("TABLE", "kp", profile_and_customers_sql(select))
    found = session.fetch(
        "SELECT event_type, n, n AS n_c, n_t, n AS n_ok, 0 AS n_late, t0, t1 FROM kp WHERE g = 1"
    ).to_pydict()
    nobody = number(session, "SELECT COUNT(*) FROM kp WHERE g = 0 AND customer_id IS NULL")
    if nobody or found["n"] != found["n_t"] or None in found["event_type"]:
        return None
    session.make("VIEW", "fk", "SELECT customer_id, t0 AS known_us FROM kp WHERE g = 0")
    return _profile_of(found, naive=naive)


def of_accounts(session: Session, profile: LogProfile) -> LogProfile:
    """Return the profile of a log whose customers are accounts; any other as it is.

    Events of users without an account at the time are dropped as ``no_account``, and
    ``users_without_account`` says how many users they are of.
    """
    if not session.by_account:
        return profile
    dropped = dict(profile.dropped)
    # Who has no account has no customer: where nobody lacks one, the log need not be read again.
    events, users = session.unmapped() if dropped["null_customer"] else (0, 0)
    dropped["null_customer"] -= events
    return replace(
        profile, dropped={**dropped, "no_account": events, "users_without_account": users}
    )


def _profile_of(found: dict[str, list[Any]], *, naive: bool) -> LogProfile:
    types, rows = found["event_type"], sum(found["n"])
    held = [k for k, e in enumerate(types) if e is not None and found["n_ok"][k]]
    dropped = {
        "null_customer": rows - sum(found["n_c"]),
        "null_event_type": sum(n for e, n in zip(types, found["n"], strict=True) if e is None),
        "null_timestamp": rows - sum(found["n_t"]),
    }
    if not held:
        raise EventLogError(
            "the event log holds no events that can be counted",
            got=f"{rows:,} rows; "
            + ", ".join(f"{dropped[d]:,} with {d.replace('_', ' ')}" for d in _DROPPED),
            allowed="at least one row with customer, event type and timestamp",
            hint="check the file and the event schema",
        )
    first_us = min(found["t0"][k] for k in held)
    last_us = max(found["t1"][k] for k in held)
    if first_us < _FIRST_US or last_us > _LAST_US:
        raise EventLogError(
            "the event log holds times that no calendar knows",
            got=f"from {first_us:,} to {last_us:,} microseconds after 1970",
            allowed="times from the year 1 to the year 9000",
            hint="check the unit of the times: milliseconds read as seconds look like this",
        )
    return LogProfile(
        rows=rows,
        dropped=dropped,
        never_arrived=sum(found["n_late"][k] for k in held),
        first_us=first_us,
        last_us=last_us,
        event_types={types[k]: found["n_ok"][k] for k in sorted(held, key=lambda k: types[k])},
        naive=naive,
    )
