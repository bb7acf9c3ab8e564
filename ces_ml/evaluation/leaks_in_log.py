"""Leaks that the log shows: the outcome's own events, their twins, their heralds, late rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from ces_ml.errors import show
from ces_ml.evaluation.certainty import rate_at_least
from ces_ml.evaluation.findings import Finding, Severity
from ces_ml.evaluation.leaks_in_counts import DOUBT, FEWEST, Presence
from ces_ml.spec import CountTable, OutcomeSpec

__all__ = ["EventOnset", "heralds", "late_rows", "own_events", "twins"]

#: Almost always: the rate, and what it must be at least, given how many customers were seen.
ALMOST_ALL, ALMOST_ALL_AT_LEAST = 0.9, 0.8
#: An event that begins with the outcome stops a job if having it says this much about it.
HERALD_RATE, HERALD_ODDS = 0.5, 5.0
#: Counts that arrival times change, from which on it is worth a word.
CHANGED = 0.01


class EventOnset(Protocol):
    """When the events of a type begin, beside the onset of the outcome; see `Onset`."""

    @property
    def customers(self) -> int:
        """Customers who have the event."""
        ...

    @property
    def with_onset(self) -> int:
        """Of these: who have the outcome's onset too."""
        ...

    @property
    def within(self) -> Mapping[int, int]:
        """Of these, by days: whose first event is at most so long before the onset, or after."""
        ...

    @property
    def rows(self) -> int:
        """Rows of the event."""
        ...

    @property
    def rows_near(self) -> int:
        """Of these: within minutes of one of the outcome's own events."""
        ...

    @property
    def outcomes_near(self) -> int:
        """Moments of the outcome with this event near."""
        ...

    @property
    def customers_near(self) -> int:
        """Their customers."""
        ...


def own_events(
    table: CountTable, outcome: OutcomeSpec, own: Iterable[str], presence: Mapping[str, Presence]
) -> list[Finding]:
    """Return the outcome's own events among the counts.

    Where the outcome can happen once they stop the job: a customer in the sample has none, so
    counts of them are 0 or wrong. Where it can happen again they are a warning, and churn by
    silence counts them on purpose.

    Parameters
    ----------
    table : CountTable
    outcome : OutcomeSpec
    own : iterable of str
        The event types of the log that `outcome.event` means.
    presence : mapping of str to Presence

    Returns
    -------
    list of Finding
        Of kind ``own_event``.
    """
    if outcome.silence_of:
        return []
    found = []
    for event in sorted(set(own) & set(table.spec.events)):
        seen = presence.get(event)
        who = (
            f"{seen.customers:,} customers in the sample have it"
            if seen
            else "nobody in the sample has it"
        )
        found.append(
            Finding(
                "own_event",
                "warning" if outcome.repeatable else "failure",
                f"{show(event, 60)} is the outcome itself and is counted; {who}",
                "remove `count_own_events` from the outcome"
                + (", or keep it: what it learns is that it happens again" * outcome.repeatable),
                event,
                {"customers": seen.customers if seen else 0},
            )
        )
    return found


def twins(
    table: CountTable,
    outcome: OutcomeSpec,
    own: Iterable[str],
    onsets: Mapping[str, EventOnset],
    n_moments: int,
    presence: Mapping[str, Presence],
) -> list[Finding]:
    """Return counted events that happen within minutes of the outcome, and it of them.

    Parameters
    ----------
    table : CountTable
    outcome : OutcomeSpec
    own : iterable of str
    onsets : mapping of str to EventOnset
        By event type, of the audited customers.
    n_moments : int
        Moments of the outcome's own events.
    presence : mapping of str to Presence

    Returns
    -------
    list of Finding
        Of kind ``twin_of_outcome``: a failure where the outcome happens once and yet its twin was
        counted before it.
    """
    found = []
    doubt = DOUBT / max(1, len(table.spec.events))
    for event in set(table.spec.events) - set(own):
        seen = onsets.get(event)
        if seen is None or not seen.rows or not n_moments or seen.customers_near < FEWEST:
            continue
        there, back = seen.rows_near / seen.rows, seen.outcomes_near / n_moments
        trials = seen.customers_near
        sure = rate_at_least(min(there, back) * trials, trials, doubt) >= ALMOST_ALL_AT_LEAST
        if min(there, back) < ALMOST_ALL or not sure:
            continue
        counted = event in presence
        severity: Severity = "failure" if counted and not outcome.repeatable else "warning"
        found.append(
            Finding(
                "twin_of_outcome",
                severity,
                f"{100 * there:.1f} % of {show(event, 60)} happens within ten minutes of the "
                f"outcome's own event, and {100 * back:.1f} % of those have it near",
                "it is the outcome under another name: leave it out with `exclude`",
                event,
                {"near_outcome": there, "outcome_near": back, "customers": trials},
            )
        )
    return found


def heralds(
    table: CountTable,
    outcome: OutcomeSpec,
    own: Iterable[str],
    onsets: Mapping[str, EventOnset],
    presence: Mapping[str, Presence],
) -> list[Finding]:
    """Return counted events that begin when the outcome does: in its last day, or after it.

    For an event outcome that can happen once, the onset is that event; for churn by silence the
    customer's last sign of life. An outcome that can happen again has no single onset.

    Parameters
    ----------
    table : CountTable
    outcome : OutcomeSpec
    own : iterable of str
    onsets : mapping of str to EventOnset
    presence : mapping of str to Presence

    Returns
    -------
    list of Finding
        Of kind ``begins_with_outcome``: a failure where having the event says much about the
        outcome, else a warning.
    """
    if outcome.repeatable and not outcome.silence_of:
        return []
    found = []
    doubt = DOUBT / max(1, len(table.spec.events))
    # Silence has no moment of decision: only what comes after the last sign of life is late.
    days = 0 if outcome.silence_of else 1
    onset = "their last sign of life" if outcome.silence_of else "the outcome"
    for event in set(table.spec.events) - set(own):
        seen = onsets.get(event)
        if seen is None or seen.with_onset < FEWEST:
            continue
        near = seen.within[days]
        share = near / seen.with_onset
        if share < ALMOST_ALL or rate_at_least(near, seen.with_onset, doubt) < ALMOST_ALL_AT_LEAST:
            continue
        told = presence.get(event)
        says = (
            told is not None
            and told.rate_at_least >= HERALD_RATE
            and told.odds_ratio_at_least >= HERALD_ODDS
        )
        when = "at or after" if outcome.silence_of else "less than a day before, or after,"
        who = f"{told.customers:,} customers" if told else "nobody"
        found.append(
            Finding(
                "begins_with_outcome",
                "failure" if says else "warning",
                f"{show(event, 60)} begins {when} {onset} for {100 * share:.1f} % of the "
                f"{seen.with_onset:,} customers who have both; {who} in the sample had it before "
                "as_of",
                "it comes of the outcome and can't warn of it: leave it out with `exclude`",
                event,
                {
                    "share": share,
                    "customers": seen.with_onset,
                    "within_1d": seen.within[1] / seen.with_onset,
                    "within_3d": seen.within[3] / seen.with_onset,
                    "within_7d": seen.within[7] / seen.with_onset,
                    "in_sample": told.customers if told else 0,
                },
            )
        )
    return found


def late_rows(lateness: Mapping[str, float] | None) -> list[Finding]:
    """Return what late-arriving rows do to the counts, or that it can't be told.

    Parameters
    ----------
    lateness : mapping of str to float or None
        Shares and delays, see `gather_evidence`; None without an arrival column.

    Returns
    -------
    list of Finding
        One of kind ``late_rows`` where 1 % of the counts or more depend on it, or one of kind
        ``no_arrival_time``, or none.
    """
    if lateness is None:
        return [
            Finding(
                "no_arrival_time",
                "note",
                "the log has no arrival column: rows that were written after as_of but carry an "
                "earlier time are counted as if they had been known",
                "name the column that says when a row was written as `arrival_col`, if there is "
                "one",
            )
        ]
    if lateness["changed"] < CHANGED and lateness["before"] < CHANGED:
        return []
    what = (
        f"{100 * lateness['late']:.1f} % of the rows arrived late (half of these within "
        f"{lateness.get('delay_days_p50', 0.0):.2g} days, 99 % within "
        f"{lateness.get('delay_days_p99', 0.0):.2g}), {100 * lateness['never_arrived']:.1f} % "
        f"never; {100 * lateness['changed']:.1f} % of the counts would be larger by event time "
        "alone"
    )
    if lateness["before"] >= CHANGED:
        what += f"; {100 * lateness['before']:.1f} % arrived before they happened"
    return [
        Finding(
            "late_rows",
            "warning",
            what,
            "keep `arrival_col`: without it these counts would know too much; and give the log as "
            "long to arrive when customers are scored",
            None,
            dict(lateness),
        )
    ]
