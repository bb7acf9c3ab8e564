"""What an online state keeps for a weight set: slots that events add to, columns read from them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ces_ml.errors import SpecError, WeightSetError, show
from ces_ml.spec.duration import DAY_US, SECOND_US, Duration
from ces_ml.spec.terms import Term
from ces_ml.sql.plan import CountPlan, Property
from ces_ml.weights.given import check_weight_set
from ces_ml.weights.weight_set import WeightSet

__all__ = ["ADDED", "DISTINCT", "PAIRS", "OnlinePlan", "Slot"]

#: Kinds of slots: a sum a bucket; starts and ends one by one; different values a bucket.
ADDED, PAIRS, DISTINCT = 0, 1, 2
#: How a column is read: see `ces_ml.scoring.online_kernels.evaluate`.
MODES = {"plain": 0, "daily": 1, "days": 2, "distinct": 3, "pairs": 4, "mean": 5}
#: Half-lives that fit a bucket at most: 2^−512 and its inverse are ordinary doubles.
_MOST_HALF_LIVES = 512


@dataclass(frozen=True)
class Slot:
    """A series of numbers that is kept a customer; terms with different windows share it.

    Parameters
    ----------
    code : int
        The group of events in the plan.
    kind : int
        `ADDED`, `PAIRS` or `DISTINCT`.
    value : Property, optional
        What an event adds; 1 when not given.
    where : str, optional
    half_life : Duration, optional
    present : bool, default=False
        Whether an event adds 1 where the value is not null, instead of the value.
    """

    code: int
    kind: int
    value: Property | None = None
    where: str | None = None
    half_life: Duration | None = None
    present: bool = False


@dataclass(frozen=True)
class OnlinePlan:
    """A weight set's counting, in the arrays that the compiled passes read.

    Parameters
    ----------
    weight_set : WeightSet
    granularity : Duration
        Length of a bucket; a day is a whole number of them.
    lookback : Duration
        How far behind a customer's latest event a score may be asked.
    dedupe : Duration, optional
        How long event ids are remembered.
    """

    weight_set: WeightSet
    granularity: Duration
    lookback: Duration
    dedupe: Duration | None = None
    counting: CountPlan = field(init=False)
    slots: tuple[Slot, ...] = field(init=False)
    arrays: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_weight_set(self.weight_set)
        _check_granularity(self.granularity)
        schema = self.weight_set.events
        terms = self.weight_set.spec.terms
        for term in terms:
            _check_term(term, self.granularity, schema.value_col)
        counting = CountPlan.of(terms, schema.value_col)
        object.__setattr__(self, "counting", counting)
        found: dict[Slot, int] = {}
        windows: dict[int, int] = {}
        columns = []
        for term, (code, a) in zip(terms, counting.columns, strict=True):
            mine = [found.setdefault(s, len(found)) for s in _slots(code, counting.aggregates[a])]
            for s in mine:
                windows[s] = max(windows.get(s, 0), term.window.us)
            columns.append(_column(term, mine))
        object.__setattr__(self, "slots", tuple(found))
        reach = [windows[s] + self.lookback.us for s in range(len(found))]
        object.__setattr__(self, "arrays", self._arrays(columns, reach))

    @property
    def n_chains(self) -> int:
        """Series a customer: one a slot, and one of event ids where those are remembered."""
        return len(self.slots) + (self.dedupe is not None)

    @cached_property
    def grain(self) -> int:
        """Length of a bucket in microseconds."""
        return self.granularity.us

    @cached_property
    def settings(self) -> dict[str, str | None]:
        """What a state depends on; states with other settings are refused."""
        return {
            "weight_set": self.weight_set.fingerprint,
            "granularity": str(self.granularity),
            "lookback": str(self.lookback),
            "dedupe": None if self.dedupe is None else str(self.dedupe),
        }

    @cached_property
    def digest(self) -> bytes:
        """Eight bytes that stand for the settings."""
        return hashlib.sha256(repr(sorted(self.settings.items())).encode()).digest()[:8]

    @cached_property
    def event_types(self) -> dict[str, int]:
        """Row of every event type in ``type_start``."""
        groups = self.counting.groups
        named = {e for g in groups for e in (*g.events, *([] if g.until is None else [g.until]))}
        return {event: k for k, event in enumerate(sorted(named))}

    @property
    def numbers(self) -> tuple[Property, ...]:
        """Properties that are read as numbers or lengths of time."""
        return tuple(p for p in self.counting.properties if p.kind != "text")

    @property
    def texts(self) -> tuple[Property, ...]:
        """Properties whose different values are counted."""
        return tuple(p for p in self.counting.properties if p.kind == "text")

    def _arrays(self, columns: list[tuple[float, ...]], reach: list[int]) -> dict[str, Any]:
        numbers, texts, filters = self.numbers, self.texts, self.counting.filters
        value = [-1] * len(self.slots)
        for s, slot in enumerate(self.slots):
            if slot.value is not None:
                held = texts if slot.kind == DISTINCT else numbers
                value[s] = held.index(slot.value)
        kinds = [s.kind for s in self.slots]
        if self.dedupe is not None:
            kinds, reach = [*kinds, PAIRS], [*reach, self.dedupe.us]
        start, slots, starts = self._by_type()
        modes, first, second, windows, units, caps, decays, neutrals, per = (
            np.array(c) for c in zip(*columns, strict=True)
        )
        return {
            "kind": np.array(kinds, np.int64),
            "value": np.array(value, np.int64),
            "present": np.array([s.present for s in self.slots], np.bool_),
            "filter": np.array(
                [-1 if s.where is None else filters.index(s.where) for s in self.slots], np.int64
            ),
            "decay": np.array([_rate(s.half_life) for s in self.slots]),
            "reach": np.array(reach, np.int64),
            "type_start": start,
            "type_slot": slots,
            "type_is_start": starts,
            "column": np.stack([modes, first, second, windows, per], axis=1).astype(np.int64),
            "number": np.stack([units, caps, decays, neutrals], axis=1).astype(np.float64),
        }

    def _by_type(self) -> tuple[Any, Any, Any]:
        """Return, event type by event type, the slots that it adds to and whether it starts."""
        start, slots, starts = [0], [], []
        for event in self.event_types:
            for s, slot in enumerate(self.slots):
                group = self.counting.groups[slot.code]
                if event in group.events or event == group.until:
                    slots.append(s)
                    starts.append(event != group.until)
            start.append(len(slots))
        return np.array(start), np.array(slots, np.int64), np.array(starts, np.int64)


def _rate(half_life: Duration | None) -> float:
    return 0.0 if half_life is None else math.log(2) / half_life.us


def _slots(code: int, aggregate: Any) -> list[Slot]:
    """Return the slots of an aggregate: two for a mean, its total and its weights."""
    value, where, half_life = aggregate.value, aggregate.where, aggregate.half_life
    if aggregate.paired:
        return [Slot(code, PAIRS)]
    if aggregate.measure == "distinct":
        return [Slot(code, DISTINCT, value, where)]
    total = Slot(code, ADDED, value, where, half_life)
    if aggregate.measure == "mean":
        return [total, Slot(code, ADDED, value, where, half_life, present=True)]
    return [total]


def _column(term: Term, slots: list[int]) -> tuple[float, ...]:
    """Return how a term is read from its slots, as numbers."""
    mode = "plain" if term.cap_per_day is None else "daily"
    mode = {"active_days": "days", "distinct": "distinct", "mean": "mean"}.get(term.measure, mode)
    unit = 1.0
    if term.measure == "duration":
        unit = (term.unit or Duration("1h")).us / SECOND_US
    cap = math.inf if term.cap_per_day is None else term.cap_per_day
    return (
        MODES["pairs" if term.until is not None else mode],
        slots[0],
        slots[-1],
        term.window.us,
        unit,
        cap,
        _rate(term.half_life),
        term.neutral,
        term.per is not None,
    )


def _check_granularity(granularity: Duration) -> None:
    if granularity.us == 0 or DAY_US % granularity.us:
        raise SpecError(
            "the granularity does not divide a day",
            got=show(str(granularity)),
            allowed="a length that a day is a whole number of: 1d, 12h, 6h, 1h, 15min, 1min, 1s …",
            hint="choose one of these as granularity",
        )


def _check_term(term: Term, granularity: Duration, value_col: str | None) -> None:
    """Refuse what can't be kept online, naming the term."""
    reads = term.measure in ("sum", "mean", "duration") and term.until is None
    if term.per == "seat":
        raise WeightSetError(
            f"term {show(term.name)} can't be scored online: it is taken per seat",
            got="per: seat",
            allowed="terms without `per: seat`; who belonged to an account, and when, is not part "
            "of the events",
            hint="score it from the log with score_events",
        )
    if reads and not (term.property or value_col):
        raise WeightSetError(
            f"term {show(term.name)} reads a value but no column is named",
            got=f"measure: {term.measure} without property",
            allowed="a property of the term, or value_col in the event schema",
            hint="name the value column in the weight set's events",
        )
    if term.until is None and term.window.us % granularity.us:
        raise SpecError(
            f"the window of term {show(term.name)} is no whole number of buckets",
            got=f"window {term.window}, granularity {granularity}",
            allowed="a granularity that divides every window, for example "
            + str(Duration(f"{math.gcd(term.window.us, DAY_US) // SECOND_US}s")),
            hint="choose a finer granularity",
        )
    if term.half_life is not None and granularity.us > _MOST_HALF_LIVES * term.half_life.us:
        raise SpecError(
            f"the half-life of term {show(term.name)} is too short for the buckets",
            got=f"half-life {term.half_life}, granularity {granularity}",
            allowed=f"at most {_MOST_HALF_LIVES} half-lives in a bucket",
            hint="choose a finer granularity",
        )
