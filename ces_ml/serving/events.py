"""From the events of a request to counts, by the scorer of one file that exports have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.errors import EventLogError
from ces_ml.serving.bodies import EventsRequest
from ces_ml.serving.loaded import Served

__all__ = ["count_events"]

Ids = list[str | int]


def count_events(served: Served, body: EventsRequest) -> tuple[Ids, NDArray[np.float64], set[str]]:
    """Count the events of a request, each customer's as of the moment asked for.

    Parameters
    ----------
    served : Served
    body : EventsRequest
        Where the weights were learned on accounts, its customers are accounts.

    Returns
    -------
    customers : list
        As they first appear in the request.
    n : ndarray of shape (n_customers, n_terms)
    unknown : set of str
        Event types that no term counts.

    Raises
    ------
    EventLogError
        If a time or a property can't be read, or a term can't be counted from events alone.
    """
    schema = served.weight_set.scored_events
    by_customer: dict[str | int, list[Mapping[str, Any]]] = {}
    unknown: set[str] = set()
    for event in body.events:
        own: dict[str, Any] = {
            **({} if schema.arrival_col is None else {schema.arrival_col: event.timestamp}),
            **event.properties,
            schema.customer_col: event.customer_id,
            schema.event_col: event.event_type,
            schema.timestamp_col: event.timestamp,
        }
        by_customer.setdefault(event.customer_id, []).append(own)
        if event.event_type not in served.event_types:
            unknown.add(event.event_type)
    as_of = datetime.now(UTC) if body.as_of is None else body.as_of
    n = np.zeros((len(by_customer), len(served.place)))
    for i, events in enumerate(by_customer.values()):
        try:
            counts = served.count_events(events, as_of)
        except ValueError as error:
            raise EventLogError(
                "the events can't be counted",
                got=str(error)[:300],
                allowed="times in ISO 8601, and properties of the kind that the weights read",
                hint="correct the events; GET /v1/weights says what each term reads",
            ) from error
        for name, count in counts.items():
            n[i, served.place[name]] = count
    return list(by_customer), n, unknown
