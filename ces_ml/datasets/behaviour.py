"""How simulated customers behave: latent engagement, sessions, and what happens in them.

Nothing here knows an outcome. Every customer has an engagement level (gamma), a taste for each
kind of event (gamma), an engagement that drifts from week to week (autoregressive, with a slow
decline for most), and a trial that starts on a day of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["ACTIONS", "DAY_US", "EVENT_TYPES", "Behaviour", "Events", "code_of"]

DAY_US = 86_400_000_000
WEEK_US = 7 * DAY_US

#: Events of a session: mean number in a session, and the shape of the taste for them (a
#: small shape: few customers do most of it).
IN_SESSION = {
    "page_view": (2.0, 1.6),
    "feature_used": (0.70, 1.5),
    "project_created": (0.16, 1.2),
    "invite_sent": (0.13, 0.9),
    "integration_connected": (0.09, 1.0),
    "report_exported": (0.20, 0.9),
    "docs_viewed": (0.32, 1.2),
    "support_ticket": (0.13, 0.9),
    "error_seen": (0.26, 1.0),
}
#: Events outside sessions: mean number a day, shape of the taste, and the power of the
#: engagement level that drives them (0: they happen to anybody).
ON_THEIR_OWN = {
    "email_opened": (0.14, 1.5, 0.3),
    "webinar_attended": (0.030, 1.0, 0.5),
    "demo_booked": (0.020, 1.0, 0.5),
    "payment_failed": (0.020, 0.8, 0.0),
}
LIFECYCLE = ("trial_started", "subscription_started", "plan_upgraded", "subscription_cancelled")
#: Events that carry a weight.
ACTIONS = ("login", *IN_SESSION, *ON_THEIR_OWN)
#: All event types; alphabetical, so that sorting by code sorts by name.
EVENT_TYPES = tuple(sorted((*ACTIONS, *LIFECYCLE)))

SESSIONS_A_DAY = 0.50
#: After the first weeks of a trial people come less often.
SETTLED = 0.45
WEEKS_OF_TRIAL = 4
VISITS_A_DAY_BEFORE = 0.12


def code_of(event_type: str) -> int:
    """Return the position of an event type in `EVENT_TYPES`."""
    return EVENT_TYPES.index(event_type)


class Events(NamedTuple):
    """Events as columns: customer number, time (µs since the log's start), code, value."""

    customer: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    code: npt.NDArray[np.int8]
    value: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        event_type: str,
        customer: npt.NDArray[np.int64],
        time: npt.NDArray[np.int64],
        value: npt.NDArray[np.float64] | None = None,
    ) -> Events:
        """Return events of one type; NaN where they have no value."""
        code = np.full(len(time), code_of(event_type), dtype=np.int8)
        return cls(customer, time, code, np.full(len(time), np.nan) if value is None else value)

    @classmethod
    def join(cls, parts: list[Events]) -> Events:
        """Return the events of all parts, in their order."""
        return cls(
            np.concatenate([part.customer for part in parts]),
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.code for part in parts]),
            np.concatenate([part.value for part in parts]),
        )

    def where(self, mask: npt.NDArray[np.bool_]) -> Events:
        """Return the events for which `mask` holds."""
        return Events(self.customer[mask], self.time[mask], self.code[mask], self.value[mask])


class Behaviour:
    """The latent variables of all customers, and the events that come of them.

    Parameters
    ----------
    n_customers : int
        Number of customers.
    days : int
        Length of the log.
    rng : numpy.random.Generator
        Where all randomness comes from.

    Attributes
    ----------
    trial : ndarray of shape (n_customers,)
        Start of each customer's trial, in µs since the log's start.
    first_seen : ndarray of shape (n_customers,)
        When the customer first could be seen, before the trial.
    end : int
        End of the log, in µs since its start.
    """

    def __init__(self, n_customers: int, days: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self.n_customers, self.end = n_customers, days * DAY_US
        # Early starts are more frequent, so most rows have a whole horizon; the last are censored.
        share = rng.beta(1.0, 1.7, n_customers)
        self.trial = ((14 + share * (days - 21)) * DAY_US).astype(np.int64)
        ahead = np.minimum(rng.exponential(9 * DAY_US, n_customers), 45 * DAY_US).astype(np.int64)
        self.first_seen = np.maximum(self.trial - ahead, 0)
        self._level = rng.gamma(1.5, 1 / 1.5, n_customers)
        self._taste = {
            name: rng.gamma(shape, 1 / shape, n_customers)
            for name, shape in {
                **{name: shape for name, (_, shape) in IN_SESSION.items()},
                **{name: shape for name, (_, shape, _) in ON_THEIR_OWN.items()},
            }.items()
        }
        self._drift = self._weekly_drift(days // 7 + 1)

    def _weekly_drift(self, n_weeks: int) -> npt.NDArray[np.float32]:
        """Return the factor on engagement of each customer in each week since the trial began."""
        shocks = self._rng.standard_normal((self.n_customers, n_weeks), dtype=np.float32)
        slope = self._rng.normal(-0.04, 0.05, self.n_customers).astype(np.float32)
        keep, spread = np.float32(0.8), np.float32(0.6)
        drift = shocks
        drift *= spread
        for week in range(1, n_weeks):
            drift[:, week] *= np.sqrt(1 - keep**2)
            drift[:, week] += keep * drift[:, week - 1]
        drift += slope[:, None] * np.arange(n_weeks, dtype=np.float32)
        drift -= spread**2 / 2
        return np.exp(np.minimum(drift, np.float32(2.5)))

    def trials(self) -> Events:
        """Return all events from the first sight of a customer to four weeks after trial start."""
        everyone = np.arange(self.n_customers)
        until = self.trial + WEEKS_OF_TRIAL * WEEK_US
        return Events.join(
            [
                Events.of("trial_started", everyone, self.trial),
                *self._visits_before(),
                *self._sessions(everyone, range(WEEKS_OF_TRIAL), 1.0),
                *self._outside_sessions(everyone, self.first_seen, until),
            ]
        )

    def later(self, customers: npt.NDArray[np.int64]) -> Events:
        """Return the events of these customers from four weeks after trial start to the end."""
        since = self.trial[customers] + WEEKS_OF_TRIAL * WEEK_US
        weeks = range(WEEKS_OF_TRIAL, self._drift.shape[1])
        return Events.join(
            [
                *self._sessions(customers, weeks, SETTLED),
                *self._outside_sessions(customers, since, np.full(len(customers), self.end)),
            ]
        )

    def _visits_before(self) -> list[Events]:
        """Return what is seen of a customer on the web site before the trial."""
        ahead = self.trial - self.first_seen
        mean = VISITS_A_DAY_BEFORE * np.sqrt(self._level) * ahead / DAY_US
        customer = np.repeat(np.arange(self.n_customers), self._rng.poisson(mean))
        time = self.first_seen[customer] + (self._rng.random(len(customer)) * ahead[customer])
        length = np.minimum(10 * 60e6, self.trial[customer] - time)
        return [
            self._during(name, rate, customer, time, length)
            for name, rate in (("page_view", 2.0), ("docs_viewed", 0.3))
        ]

    def _sessions(
        self, customers: npt.NDArray[np.int64], weeks: range, pace: float
    ) -> list[Events]:
        start = self.trial[customers, None] + np.arange(weeks.start, weeks.stop) * WEEK_US
        drift = self._drift[customers, weeks.start : weeks.stop]
        mean = (7 * SESSIONS_A_DAY * pace) * self._level[customers, None] * drift
        n = self._rng.poisson(np.where(start < self.end, mean, 0.0))
        row, week = (np.repeat(index, n.ravel()) for index in np.indices(n.shape).reshape(2, -1))
        customer = customers[row]
        time = start[row, week] + self._rng.random(len(row)) * WEEK_US
        minutes = self._rng.gamma(2.0, 9.0, len(row)).round(1)
        login = Events.of("login", customer, time.astype(np.int64), minutes)
        return [
            login,
            *(
                self._during(name, rate, customer, time, minutes * 60e6)
                for name, (rate, _) in IN_SESSION.items()
            ),
        ]

    def _during(
        self,
        event_type: str,
        rate: float,
        customer: npt.NDArray[np.int64],
        time: npt.NDArray[np.float64],
        length: npt.NDArray[np.float64],
    ) -> Events:
        """Return events of one type inside sessions that start at `time`."""
        n = self._rng.poisson(rate * self._taste[event_type][customer])
        session = np.repeat(np.arange(len(customer)), n)
        when = time[session] + self._rng.random(len(session)) * length[session]
        return Events.of(event_type, customer[session], when.astype(np.int64))

    def _outside_sessions(
        self,
        customers: npt.NDArray[np.int64],
        since: npt.NDArray[np.int64],
        until: npt.NDArray[np.int64],
    ) -> list[Events]:
        parts = []
        for name, (rate, _, power) in ON_THEIR_OWN.items():
            # Nobody's card is charged before there is an account.
            first = np.maximum(since, self.trial[customers]) if name == "payment_failed" else since
            length = np.maximum(until - first, 0)
            level = self._level[customers] ** power * self._taste[name][customers]
            row = np.repeat(
                np.arange(len(customers)), self._rng.poisson(rate * level * length / DAY_US)
            )
            when = first[row] + (self._rng.random(len(row)) * length[row]).astype(np.int64)
            parts.append(Events.of(name, customers[row], when))
        return parts
