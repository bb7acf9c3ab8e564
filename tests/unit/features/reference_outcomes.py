"""The slow and obvious judgement of outcomes: who stays in the sample, and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ces_ml.spec import OutcomeSpec

from .reference import Event, Refused, Span, heard, resolve, seen


@dataclass(frozen=True)
class Log:
    """All that judging outcomes looks at."""

    events: Sequence[Event]
    arrival: bool
    first: int
    end: int
    told: dict[tuple[object, int | None], int | None]
    spans: Sequence[Span] | None


def judge(
    log: Log,
    candidates: Sequence[tuple[object, int]],
    outcome: OutcomeSpec,
    report: dict[str, int],
) -> tuple[list[tuple[object, int]], list[int], list[float] | None]:
    """Leave out who can't be judged, with the reason, and say how it went for the others."""
    kinds = {e.kind for e in log.events}
    families = separate(outcome.families, kinds)
    if not outcome.labels and not families:
        families = [resolve(outcome.silence_of or outcome.event, kinds)]
    if outcome.anchor is not None and outcome.anchor.event not in kinds:
        raise Refused("the anchor event of within never occurs")
    treating = outcome.treated
    if treating is not None and treating.events:
        resolve(treating.events, kinds)

    verdicts = [verdict(log, customer, T, outcome, families) for customer, T in candidates]
    treated = [is_treated(log, c, T, outcome) for c, T in candidates] if treating else []
    report["candidates"] = len(candidates)
    report.update({f"left_out_{r}": 0 for r in reasons(outcome)})
    for v in verdicts:
        if isinstance(v, str):
            report[f"left_out_{v}"] += 1
    if report.get("left_out_censored") == len(candidates):
        raise Refused("no outcome is known yet")
    stay = [k for k, v in enumerate(verdicts) if not isinstance(v, str)]
    if treating is not None:
        stay = compare_treated(stay, treated, verdicts, treating.how, report)
    if log.arrival and "already_happened" in reasons(outcome):
        report["happened_unseen"] = sum(verdicts[k][1] for k in stay)
    if not stay:
        raise Refused("nobody is left in the sample")
    weight = None
    if treating is not None and treating.how == "weight":
        weight = [treating.weight if treated[k] else 1.0 for k in stay]
    return [candidates[k] for k in stay], [verdicts[k][0] for k in stay], weight


def compare_treated(
    stay: list[int], treated: list[bool], verdicts: list[Any], how: str, report: dict[str, int]
) -> list[int]:
    for name, side in (("treated", True), ("untreated", False)):
        rows = [k for k in stay if treated[k] == side]
        report[name] = len(rows)
        report[f"{name}_good"] = sum(verdicts[k][0] for k in rows)
    if how != "exclude":
        return stay
    report["left_out_treated"] = report["treated"]
    return [k for k in stay if not treated[k]]


def separate(patterns: Sequence[str], kinds: set[str]) -> list[set[str]]:
    families: list[set[str]] = []
    for pattern in patterns:
        family = resolve([pattern], kinds)
        if any(family & other for other in families):
            raise Refused("an event type belongs to two families")
        families.append(family)
    return families


def reasons(outcome: OutcomeSpec) -> list[str]:
    """Why a row may be left out."""
    found = [] if outcome.labels else ["censored"]
    if outcome.within:
        found += ["no_anchor", "window_over"]
    if outcome.labels:
        pass
    elif outcome.silence_of:
        found += ["not_active"]
    elif outcome.growth:
        found += ["look_back_before_log", "not_active"]
    elif outcome.families:
        found += ["all_used", "happened_in_gap"]
    elif not outcome.repeatable:
        found += ["already_happened", "happened_in_gap"]
    return found + ["treated"] * bool(outcome.treated and outcome.treated.how == "exclude")


def window_end(log: Log, customer: object, T: int, outcome: OutcomeSpec) -> int | None:
    if outcome.anchor is None:
        return T + outcome.gap.us + outcome.horizon.us
    kind = outcome.anchor.event
    times = [e.at for e in log.events if e.customer == customer and e.kind == kind]
    if not times or min(times) >= T:
        return None
    if log.arrival and not heard(log.events, customer, kind, lambda a: a < T):
        return None
    return min(times) + outcome.anchor.after.us


def verdict(
    log: Log, customer: object, T: int, outcome: OutcomeSpec, families: list[set[str]]
) -> str | tuple[int, bool]:
    """Why a row is left out; or its y, and whether its event had happened unseen."""
    if outcome.labels:
        return log.told[customer, T], False
    start, stop = T + outcome.gap.us, window_end(log, customer, T, outcome)
    if stop is None:
        return "no_anchor"
    if outcome.within and stop <= start:
        return "window_over"
    if stop > log.end:
        return "censored"
    own = set().union(*families)
    mine = [e for e in log.events if e.customer == customer and e.kind in own]
    known = [e for e in seen(log.events, customer, T, log.arrival) if e.kind in own]
    later = [e for e in mine if start <= e.at < stop]
    if outcome.silence_of:
        if not any(e.at >= T - outcome.active_within.us for e in known):
            return "not_active"
        return int(bool(later)), False
    if outcome.growth:
        since = T - outcome.horizon.us
        if since < log.first:
            return "look_back_before_log"
        if not any(e.at >= since for e in known):
            return "not_active"
        return int(grew(outcome, [e for e in mine if since <= e.at < T], later)), False
    if outcome.families:
        return sold_across(families, mine, known, T, start, stop)
    return once_or_again(outcome, mine, known, T, start, stop)


def sold_across(
    families: list[set[str]], mine: list[Event], known: list[Event], T: int, start: int, stop: int
) -> str | tuple[int, bool]:
    if all(any(e.kind in f for e in known) for f in families):
        return "all_used"
    new = [f for f in families if not any(e.kind in f and e.at < T for e in mine)]
    first = [min([e.at for e in mine if e.kind in f], default=stop) for f in new]
    if any(at < start for at in first):
        return "happened_in_gap"
    return int(any(at < stop for at in first)), False


def once_or_again(
    outcome: OutcomeSpec, mine: list[Event], known: list[Event], T: int, start: int, stop: int
) -> str | tuple[int, bool]:
    happens, cancelled = any(start <= e.at < stop for e in mine), outcome.task == "churn"
    if outcome.repeatable:
        return int(happens != cancelled), False
    if known:
        return "already_happened"
    if any(e.at < T for e in mine):
        return 0, True
    if any(e.at < start for e in mine):
        return "happened_in_gap"
    return int(happens != cancelled), False


def grew(outcome: OutcomeSpec, before: Sequence[Event], later: Sequence[Event]) -> bool:
    """Exact sums, compared to a billionth of the sum of absolute values."""
    growth = outcome.growth

    def values(events: Sequence[Event]) -> list[Fraction]:
        if growth.property is None:
            return [Fraction(1)] * len(events)
        # The log's value column has a name of its own.
        held = [e.values.get(growth.property, e.values["value"]) for e in events]
        return [Fraction(v or 0.0) for v in held]

    size = sum(map(abs, values(before) + values(later)), Fraction(0)) / 10**9
    base, new = max(sum(values(before)), Fraction(0)), sum(values(later))
    enough = new >= base * Fraction(growth.factor) - size
    return new > base + size and enough and new >= base + Fraction(growth.least) - size


def is_treated(log: Log, customer: object, T: int, outcome: OutcomeSpec) -> bool:
    """Whether a treatment lies in [as_of, end of the outcome window)."""
    stop = window_end(log, customer, T, outcome)
    if stop is None:
        return False
    treated = outcome.treated
    if treated.events:
        named = resolve(treated.events, {e.kind for e in log.events})
        mine = [e for e in log.events if e.customer == customer and e.kind in named]
        return any(T <= e.at < stop for e in mine)
    return any(
        s.customer == customer
        and (T <= s.start < stop or (s.start < T and (s.end is None or s.end > T)))
        for s in log.spans
    )
