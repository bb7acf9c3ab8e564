"""When simulated customers convert, upgrade and cancel: drawn from counts and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ces_ml.datasets.behaviour import ACTIONS, DAY_US, EVENT_TYPES, Behaviour, Events
from ces_ml.datasets.truth import TaskTruth, sigmoid
from ces_ml.spec.duration import Duration

__all__ = ["AS_OF", "BUSY", "HORIZONS", "OUTCOME_EVENTS", "WEIGHTS", "Outcomes", "draw_outcomes"]

#: True weight of each event type, on the log1p scale.
WEIGHTS: dict[str, dict[str, float]] = {
    "conversion": {
        "login": 0.3,
        "page_view": 0.15,
        "feature_used": 0.45,
        "project_created": 0.7,
        "invite_sent": 0.9,
        "integration_connected": 0.8,
        "report_exported": 0.35,
        "webinar_attended": 0.55,
        "demo_booked": 1.1,
        "email_opened": 0.0,
        "docs_viewed": 0.2,
        "support_ticket": -0.5,
        "error_seen": -0.6,
        "payment_failed": -0.9,
    },
    "churn": {
        "login": 0.5,
        "page_view": 0.0,
        "feature_used": 0.6,
        "project_created": 0.4,
        "invite_sent": 0.7,
        "integration_connected": 0.9,
        "report_exported": 0.5,
        "webinar_attended": 0.4,
        "demo_booked": 0.0,
        "email_opened": 0.0,
        "docs_viewed": -0.3,
        "support_ticket": -0.8,
        "error_seen": -0.7,
        "payment_failed": -1.2,
    },
    "upsell": {
        "login": 0.3,
        "page_view": 0.0,
        "feature_used": 0.5,
        "project_created": 0.7,
        "invite_sent": 1.1,
        "integration_connected": 0.6,
        "report_exported": 0.8,
        "webinar_attended": 0.5,
        "demo_booked": 0.9,
        "email_opened": 0.0,
        "docs_viewed": 0.0,
        "support_ticket": -0.4,
        "error_seen": -0.5,
        "payment_failed": -0.8,
    },
}
AS_OF = {
    "conversion": "14d after trial_started",
    "churn": "28d after subscription_started",
    "upsell": "28d after subscription_started",
}
OUTCOME_EVENTS = {
    "conversion": "subscription_started",
    "churn": "subscription_cancelled",
    "upsell": "plan_upgraded",
}
HORIZONS = {"conversion": "14d", "churn": "28d", "upsell": "28d"}
TRIAL_US, PERIOD_US = 14 * DAY_US, 28 * DAY_US
#: Decayed counts of a busy customer (about the 90th percentile), at which a default weight adds
#: the same to the raw score under every transform.
BUSY = {
    "login": 12.0,
    "page_view": 27.0,
    "feature_used": 10.0,
    "project_created": 2.5,
    "invite_sent": 2.0,
    "integration_connected": 1.5,
    "report_exported": 3.0,
    "webinar_attended": 1.0,
    "demo_booked": 0.8,
    "email_opened": 4.0,
    "docs_viewed": 4.5,
    "support_ticket": 2.0,
    "error_seen": 4.0,
    "payment_failed": 0.7,
}
#: The price of each plan, and the moment of what does not happen.
PRICES = np.array([29.0, 59.0, 119.0, 239.0])
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Outcomes:
    """What became of the customers.

    Parameters
    ----------
    events : Events
        All events inside the log, in no particular order.
    truths : dict of str to TaskTruth
        The truth of each task, with its intercept.
    """

    events: Events
    truths: dict[str, TaskTruth]


def draw_outcomes(
    behaviour: Behaviour,
    truths: Mapping[str, TaskTruth],
    base_rates: Mapping[str, float],
    rng: np.random.Generator,
) -> Outcomes:
    """Draw the outcomes of every customer and cut their events where they leave.

    Parameters
    ----------
    behaviour : Behaviour
        Draws what customers do as long as they stay.
    truths : mapping of task to TaskTruth
        How outcomes depend on counts; the intercepts are set here.
    base_rates : mapping of task to float
        Mean P(y = 1) over the rows of a task.
    rng : numpy.random.Generator
        Where all randomness comes from.
    """
    n, end = behaviour.n_customers, behaviour.end
    started, left, upgraded, cancelled = (np.full(n, NEVER) for _ in range(4))
    events = behaviour.trials()

    as_of = behaviour.trial + TRIAL_US
    rows = np.flatnonzero(as_of < end)
    counts = _counts(events, n, rows, as_of[rows], truths["conversion"])
    conversion = _calibrated(truths["conversion"], counts, base_rates["conversion"])
    converted = rng.random(len(rows)) < conversion.probability(counts)
    moment = as_of[rows] + rng.integers(0, _us(conversion.horizon), len(rows))
    started[rows[converted]] = moment[converted]
    left[rows[~converted]] = moment[~converted]

    events = Events.join([events, behaviour.later(np.flatnonzero(started < end))])
    as_of = _after(started, PERIOD_US)
    rows = np.flatnonzero(as_of < end)
    counts = _counts(events, n, rows, as_of[rows], truths["churn"])
    churn = _calibrated(truths["churn"], counts, base_rates["churn"])
    upsell = _calibrated(truths["upsell"], counts, base_rates["upsell"])
    gone = rng.random(len(rows)) >= churn.probability(counts)
    more = rng.random(len(rows)) < upsell.probability(counts)
    # Two moments in the horizon, sorted: whoever does both upgrades first, so nothing follows a
    # cancellation and yet the two outcomes are independent given the counts.
    early, late = np.sort(rng.integers(0, PERIOD_US, (2, len(rows))), axis=0)
    upgraded[rows[more]] = (as_of[rows] + early)[more]
    cancelled[rows[gone]] = (as_of[rows] + late)[gone]

    for period in range(2, end // PERIOD_US):
        as_of = _after(started, period * PERIOD_US)
        rows = np.flatnonzero((as_of < end) & (cancelled == NEVER))
        counts = _counts(events, n, rows, as_of[rows], churn)
        gone = rng.random(len(rows)) >= churn.probability(counts)
        moment = as_of[rows] + rng.integers(0, PERIOD_US, len(rows))
        cancelled[rows[gone]] = moment[gone]

    stay = np.minimum(np.minimum(left, cancelled), end)
    events = events.where(events.time < stay[events.customer])
    decisions = _decisions(started, upgraded, cancelled, end, rng)
    return Outcomes(
        Events.join([events, *decisions]),
        {"conversion": conversion, "churn": churn, "upsell": upsell},
    )


def _us(duration: str) -> int:
    return Duration(duration).us


def _after(moment: npt.NDArray[np.int64], us: int) -> npt.NDArray[np.int64]:
    return np.where(moment == NEVER, NEVER, np.minimum(moment, NEVER - us) + us)


def _counts(
    events: Events,
    n_customers: int,
    rows: npt.NDArray[np.int64],
    as_of: npt.NDArray[np.int64],
    truth: TaskTruth,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the counts of each event type in ``[as_of − window, as_of)``, one entry a row."""
    row_of = np.full(n_customers, -1)
    row_of[rows] = np.arange(len(rows))
    row = row_of[events.customer]
    # A customer without a row gets an age of −1 and so falls outside every window.
    age = np.where(row >= 0, np.append(as_of, 0)[row] - events.time, -1)
    inside = (age > 0) & (age <= _us(truth.window))
    row, age = row[inside], age[inside]
    once = np.ones(len(age)) if truth.half_life is None else np.exp2(-age / _us(truth.half_life))
    n_types = len(EVENT_TYPES)
    cell = row * n_types + events.code[inside]
    table = np.bincount(cell, weights=once, minlength=len(rows) * n_types).astype(np.float64)
    counts = table.reshape(len(rows), n_types)
    return {name: counts[:, k] for k, name in enumerate(EVENT_TYPES) if name in ACTIONS}


def _calibrated(
    truth: TaskTruth, counts: Mapping[str, npt.NDArray[np.float64]], base_rate: float
) -> TaskTruth:
    """Return `truth` with the intercept that makes the mean P(y = 1) equal to `base_rate`.

    Without any row (a handful of customers) a busy customer stands in.
    """
    if not len(counts["login"]):
        counts = {name: np.array([n]) for name, n in BUSY.items()}
    raw = replace(truth, intercept=0.0).raw_score(counts)
    odds = float(np.log(base_rate / (1.0 - base_rate)))
    low, high = odds - float(raw.max()), odds - float(raw.min())
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if sigmoid(raw + middle).mean() < base_rate:
            low = middle
        else:
            high = middle
    return replace(truth, intercept=0.5 * (low + high))


def _decisions(
    started: npt.NDArray[np.int64],
    upgraded: npt.NDArray[np.int64],
    cancelled: npt.NDArray[np.int64],
    end: int,
    rng: np.random.Generator,
) -> list[Events]:
    plan = rng.choice(3, size=len(started), p=(0.6, 0.3, 0.1))
    parts = []
    for event_type, moment, value in (
        ("subscription_started", started, PRICES[plan]),
        ("plan_upgraded", upgraded, PRICES[plan + 1]),
        ("subscription_cancelled", cancelled, np.full(len(started), np.nan)),
    ):
        who = np.flatnonzero(moment < end)
        parts.append(Events.of(event_type, who, moment[who], value[who]))
    return parts
