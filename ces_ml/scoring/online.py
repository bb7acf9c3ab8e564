"""Scores that follow the events: a state a customer, the same score as the batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ces_ml.errors import EventLogError, SpecError, WeightSetError, show
from ces_ml.scoring.online_buffer import EventBuffer, is_missing
from ces_ml.scoring.online_events import (
    Events,
    as_frame,
    frame_events,
    moment_us,
    plain_customer,
    wanted_columns,
)
from ces_ml.scoring.online_files import read_states, write_states
from ces_ml.scoring.online_plan import OnlinePlan
from ces_ml.scoring.online_state import packed, unpacked
from ces_ml.scoring.online_store import OnlineStore
from ces_ml.scoring.scorer import Scorer
from ces_ml.spec.duration import Duration
from ces_ml.weights.weight_set import WeightSet

__all__ = ["OnlineScorer"]

#: Events that are held back until they are worth a pass.
_BUFFER = 8192


class OnlineScorer:
    """Keeps a small state a customer while events come in, and scores it at any moment.

    The state is sums in buckets of `granularity`, no events (only starts and ends of `until` are
    kept one by one, and one entry a bucket and value for ``distinct``). With the batch being
    `score_events` on all events that were fed:

    - **At a moment that is a multiple of `granularity` since 1970 the score is that of the batch**,
      up to the rounding of sums (1e-9 of it), whatever the order in which the events came.
    - At another moment every event from ``as_of`` back to the start of the bucket that
      ``as_of − window`` lies in counts: events leave the window up to one `granularity` too late,
      never too early, and none is missing. The counts differ from the batch by exactly those
      events. Decay is not rounded: each weighs ``2^(−age/half_life)``. Pairs (`until`) are exact.
    - A score can be asked after a customer's latest event, or back to `lookback` before it at
      multiples of `granularity`; what lies further back, or between, is refused.

    An event counts from when it is fed on: with an arrival column a score before the latest
    arrival is refused, because what arrived since can't be taken out again. Rates ``per: day``
    count from the first event that was fed, of any type: feed event types that no term counts, too.
    The state is not for use by several threads at once.

    Parameters
    ----------
    weight_set : WeightSet
        Its `events` name the columns; terms ``per: seat`` are refused. Where the weights were
        learned on accounts, an event's customer is its account, in the column `account_col`.
    granularity : str, default="1h"
        Length of a bucket; it divides a day and every window. Shorter ones make larger states.
    lookback : str, default="0s"
        How far before a customer's latest event scores may be asked.
    dedupe : str, optional
        An event with the id and the time of one that the customer had is counted once, if both are
        at most so much older than the customer's latest event. Without it nothing is deduplicated,
        as in the batch.

    Raises
    ------
    SpecError
        If the granularity does not fit a window or half-life.
    WeightSetError
        If a term can't be kept online.

    Examples
    --------
    >>> from ces_ml.spec import CountSpec
    >>> from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet
    >>> term = CountSpec.of(["login"], window="30d").terms[0]
    >>> weight_set = WeightSet(
    ...     name="demo",
    ...     terms=(WeightedTerm(**term.model_dump(), weight=0.5),),
    ...     intercept=-1.0,
    ...     scale=Scale(method="min_max", knots=((0, 0), (5, 100))),
    ...     bands=(Band(name="at_risk", from_score=0),),
    ... )
    >>> online = OnlineScorer(weight_set, granularity="1d")
    >>> online.update("ann", "login", "2025-01-01T10:00:00")
    >>> online.update("ann", "login", "2025-01-20T10:00:00")
    >>> online.score("ann", as_of="2025-01-21")["raw_score"].tolist()
    [1.0]
    >>> online.score("ann", as_of="2025-02-10")["raw_score"].tolist()
    [0.5]
    """

    def __init__(
        self,
        weight_set: WeightSet,
        granularity: str = "1h",
        *,
        lookback: str = "0s",
        dedupe: str | None = None,
    ) -> None:
        horizon = None if dedupe is None else Duration(dedupe)
        self._plan = OnlinePlan(weight_set, Duration(granularity), Duration(lookback), horizon)
        self._store = OnlineStore(self._plan)
        self._report = dict.fromkeys(("events", "not_counted"), 0)
        self._buffer = EventBuffer(self._plan)

    @property
    def weight_set(self) -> WeightSet:
        """The weights that scores are made of."""
        return self._plan.weight_set

    @property
    def granularity(self) -> Duration:
        """Length of a bucket."""
        return self._plan.granularity

    @property
    def report(self) -> dict[str, int]:
        """What was fed, dropped, not counted, doubled, or too old to matter, in events."""
        self._flush()
        duplicates, too_old = self._store.found.tolist()
        return {**self._report, "duplicates": duplicates, "too_old": too_old}

    @property
    def customers(self) -> list[Any]:
        """All customers with a state, in the order in which they came."""
        self._flush()
        return list(self._store.places)

    def __len__(self) -> int:
        self._flush()
        return len(self._store.places)

    def __contains__(self, customer: object) -> bool:
        self._flush()
        return plain_customer(customer) in self._store.places

    def update(
        self,
        customer: Any,
        event_type: str,
        timestamp: Any,
        properties: Mapping[str, Any] | None = None,
        *,
        value: Any = None,
        arrival: Any = None,
        event_id: Any = None,
    ) -> None:
        """Feed one event.

        Events are gathered and added together when a score, a state or a report is asked.

        Parameters
        ----------
        customer : str or int
        event_type : str
        timestamp : str, datetime or int
            When it happened; a whole number is UTC microseconds.
        properties : mapping, optional
            Values by column of the log; those that no term reads are ignored.
        value : float, optional
            The value in the log's `value_col`.
        arrival : str, datetime or int, optional
            When it became known, where the log has an arrival column; when not given, `timestamp`.
        event_id : str or int, optional
            Needed with `dedupe`.

        Raises
        ------
        EventLogError
            If a value can't be counted; the event is not fed then.
        SpecError
            If a time is no moment.
        """
        if self._plan.dedupe is not None and is_missing(event_id):
            raise _no_id()
        at = moment_us(timestamp)
        known = at if arrival is None else moment_us(arrival)
        self._buffer.add(customer, event_type, at, known, properties or {}, value, event_id)
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def update_many(self, events: Any, *, event_id_col: str | None = None) -> None:
        """Feed a frame of events, in any order; it is added as a whole or refused as a whole.

        Parameters
        ----------
        events : DataFrame (pandas, polars), pyarrow.Table or list of mappings
            Columns as the weight set's `events` name them. Rows without customer, event type or
            time, or that never arrived, are dropped and counted in `report`.
        event_id_col : str, optional
            Needed with `dedupe`.

        Raises
        ------
        EventLogError
            If a column is missing or holds what can't be counted.
        """
        if event_id_col is None and self._plan.dedupe is not None:
            raise _no_id()
        self._flush()
        used = event_id_col if self._plan.dedupe is not None else None
        frame = as_frame(events, wanted_columns(self._plan, used))
        self._feed(*frame_events(self._plan, frame, used))

    def counts(self, customers: Iterable[Any], *, as_of: Any) -> NDArray[np.float64]:
        """Return the counts of customers before cap and transform, of shape (n, n_terms).

        A customer who is not known counts 0.

        Raises
        ------
        SpecError
            If `as_of` can't be asked of one of them any more; see the class.
        """
        self._flush()
        at = moment_us(as_of)
        names = [plain_customer(c) for c in customers]
        places = np.array([self._store.places.get(c, -1) for c in names], np.int64)
        self._check_moment(places, names, at)
        return self._store.counts(places, at)

    def score(self, customers: Any = None, *, as_of: Any, n_reasons: int = 3) -> pd.DataFrame:
        """Score customers at a moment.

        Parameters
        ----------
        customers : str, int or iterable, optional
            One or several; everyone who was known before `as_of`, in the order of their ids as
            text, when not given.
        as_of : str, date, datetime or int
            A whole number is UTC microseconds.
        n_reasons : int, default=3

        Returns
        -------
        DataFrame of shape (n_customers, …)
            The customer, ``as_of``, then as `Scorer.score`.

        Raises
        ------
        SpecError
            If `as_of` can't be asked of one of them any more; see the class.
        """
        self._flush()
        at = moment_us(as_of)
        if customers is None:
            first = self._store.first
            names = [c for c, place in self._store.places.items() if first[place] < at]
            names.sort(key=str)
        elif isinstance(customers, str | int | np.integer):
            names = [plain_customer(customers)]
        else:
            names = [plain_customer(c) for c in customers]
        X = self.counts(names, as_of=at)
        found = Scorer(self.weight_set, n_reasons).score(X)
        moment = pd.DatetimeIndex(np.full(len(names), at, "datetime64[us]"), tz="UTC")
        keys = {self.weight_set.scored_events.customer_col: names, "as_of": moment}
        kept = found[[c for c in found.columns if c not in keys]]
        return pd.concat([pd.DataFrame(keys), kept], axis=1)

    def reweight(self, weight_set: WeightSet) -> None:
        """Score with other weights from now on; the states stay.

        Raises
        ------
        WeightSetError
            If the weights need other counts, or read other columns.
        """
        mine = self.weight_set
        if weight_set.spec != mine.spec or weight_set.events != mine.events:
            raise WeightSetError(
                "the weights need other counts than the states hold",
                got=", ".join(show(n, 30) for n in weight_set.names[:5]),
                allowed="the terms, windows and columns of "
                + ", ".join(show(n, 30) for n in mine.names[:5]),
                hint="make a new OnlineScorer and feed it the log",
            )
        self._flush()
        old = self._plan
        self._plan = OnlinePlan(weight_set, old.granularity, old.lookback, old.dedupe)
        self._store.plan = self._plan

    def forget(self, customer: Any) -> None:
        """Drop a customer and the state.

        Raises
        ------
        SpecError
            If the customer has no state.
        """
        self._known_customer(customer)
        self._store.forget(plain_customer(customer))

    def state_bytes(self, customer: Any) -> bytes:
        """Return the state of a customer in a compact, versioned form; see `load_state`.

        Raises
        ------
        SpecError
            If the customer has no state.
        """
        return packed(self._store, self._known_customer(customer))

    def load_state(self, customer: Any, state: bytes) -> None:
        """Set the state of a customer, in place of the one that it may have.

        Raises
        ------
        WeightSetError
            If the bytes are damaged, or of another weight set, granularity, lookback or dedupe.
        """
        self._flush()
        known, chains = unpacked(self._plan, state, self._store)
        self._store.put(plain_customer(customer), known, chains)

    def dump(self, path: str | os.PathLike[str]) -> Path:
        """Write the states of all customers to a file, whole or not at all.

        Raises
        ------
        OutputError
            If the path can't be written.
        """
        self._flush()
        store = self._store
        states = ((c, packed(store, place)) for c, place in store.places.items())
        return write_states(path, self._plan.settings, len(store.places), states)

    @classmethod
    def load(cls, path: str | os.PathLike[str], weight_set: WeightSet) -> Self:
        """Read what `dump` wrote.

        Raises
        ------
        WeightSetError
            If the file is damaged, of an unknown version, or of another weight set.
        """
        settings, states = read_states(path, weight_set.fingerprint)
        scorer = cls(
            weight_set,
            settings["granularity"],
            lookback=settings["lookback"],
            dedupe=settings["dedupe"],
        )
        for customer, state in states:
            scorer.load_state(customer, state)
        return scorer

    def _known_customer(self, customer: Any) -> int:
        self._flush()
        place = self._store.places.get(plain_customer(customer))
        if place is None:
            raise SpecError(
                "the customer has no state",
                got=show(customer),
                allowed=f"one of {len(self._store.places):,} customers of whom an event was fed",
                hint="feed an event first, or check the id (a number and its text differ)",
            )
        return place

    def _check_moment(self, places: NDArray[np.int64], names: list[Any], at: int) -> None:
        mine = np.flatnonzero(places >= 0)
        latest, seen = self._store.latest[places[mine]], self._store.seen[places[mine]]
        grain, reach = self._plan.granularity, self._plan.lookback
        late = latest - reach.us > at if at % grain.us == 0 else latest >= at
        if self.weight_set.events.arrival_col is not None:
            late |= seen >= at
        if late.any():
            first = mine[int(np.argmax(late))]
            newest = pd.Timestamp(int(max(seen[late][0], latest[late][0])), unit="us")
            raise SpecError(
                "the score at this moment is not known any more",
                got=f"as_of {pd.Timestamp(at, unit='us').isoformat()}; the latest event of "
                f"customer {show(names[first], 40)} is of {newest.isoformat()} "
                f"({int(late.sum()):,} customers are past the moment)",
                allowed=f"a moment after the latest event, or a multiple of {grain} up to {reach} "
                "before it that nothing arrived after",
                hint="ask a later moment, make the scorer with a longer `lookback`, or score the "
                "log with score_events",
            )

    def _flush(self) -> None:
        if len(self._buffer):
            self._feed(self._buffer.taken(), {})

    def _feed(self, events: Events, dropped: dict[str, int]) -> None:
        self._store.feed(events)
        for reason, n in dropped.items():
            self._report[reason] = self._report.get(reason, 0) + n
        self._report["events"] += len(events.ts)
        self._report["not_counted"] += int((events.row < 0).sum())


def _no_id() -> EventLogError:
    return EventLogError(
        "an event has no id, and duplicates are told by it",
        got="no event id",
        allowed="an id for every event",
        hint="pass event_id (event_id_col for a frame), or make the scorer without dedupe",
    )
