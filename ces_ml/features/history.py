"""How lately, how long and how often the customers of a sample are active."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ces_ml.features.session import Session, number
from ces_ml.spec.counts import CountSpec
from ces_ml.spec.duration import DAY_US
from ces_ml.sql.history import history_sql

__all__ = ["read_history"]


def read_history(session: Session, spec: CountSpec, *, arrival: bool) -> NDArray[np.float64]:
    """Return what happened before `as_of`, in three numbers a row of the relation ``cu``.

    Parameters
    ----------
    session : Session
        With the relations ``ev`` and ``cu``.
    spec : CountSpec
        Its event types are what counts as activity.
    arrival : bool
        Whether the log has arrival times.

    Returns
    -------
    ndarray of shape (n_rows, 3)
        Days since the last event, days since the first, both NaN without any event, and how many
        events there are within the longest window of their type. Events at or after `as_of`, and
        those that had not arrived, are not seen.
    """
    longest: dict[str, int] = {}
    for term in spec.terms:
        longest[term.event] = max(longest.get(term.event, 0), term.window.us)
    session.register(
        "hv",
        event_type=pa.array(list(longest), pa.string()),
        window_us=pa.array(list(longest.values()), pa.int64()),
    )
    found = session.fetch(history_sql(arrival=arrival))
    history = np.full((number(session, "SELECT COUNT(*) FROM cu"), 3), np.nan)
    history[:, 2] = 0.0
    columns = [found[c].to_numpy() for c in ("since_last_us", "since_first_us", "n")]
    history[found["r"].to_numpy()] = np.column_stack(columns) / [DAY_US, DAY_US, 1]
    return history
