"""A log that invites a wrong training job: customers counted until they churn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ces_ml.errors import SpecError, show

__all__ = ["make_count_until_churn"]

DAYS, CONTRACT_DAYS = 450, 180
_DAY_US = 86_400_000_000
#: Mean number a day; the same for customers who leave and who stay.
_RATES = {"login": 0.30, "page_view": 0.60, "support_ticket": 0.02}


def make_count_until_churn(n_customers: int = 2000, *, seed: int = 0) -> pd.DataFrame:
    """Simulate subscribers whose behaviour says nothing about churn, with a trap laid.

    Customers subscribe over the first eight months. Each logs in, views pages and writes tickets at
    a rate of its own, which has nothing to do with when it leaves. ``account_reviewed`` stands
    where each customer's study ends: shortly before the cancellation, or after half a year,
    whichever comes first.

    The trap: ``as_of: 0d after account_reviewed`` with a long window counts customers who leave
    until they leave, and the others for longer. Total counts then "predict" churn well, and counts
    per day of exposure do not. With the same moments for everybody and a short window, as in
    ``as_of: every 28d from 2025-05-01 to 2025-12-31``, there is nothing to find.

    Parameters
    ----------
    n_customers : int, default=2000
    seed : int, default=0

    Returns
    -------
    pandas.DataFrame
        ``customer_id`` (str), ``event_type`` (str) and ``timestamp`` (datetime64[us], UTC without a
        zone), sorted by all three; from 2025-01-01, 450 days.

    Raises
    ------
    SpecError
        If there are no customers.

    Examples
    --------
    >>> from ces_ml.datasets import make_count_until_churn
    >>> sorted(make_count_until_churn(100)["event_type"].unique())[:3]
    ['account_reviewed', 'login', 'page_view']
    """
    if n_customers < 1:
        raise SpecError(
            "a log needs customers",
            got=f"n_customers={show(n_customers)}",
            allowed="a whole number from 1 up",
            hint="simulate at least one customer",
        )
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 240, n_customers)
    leaves = start + 7 + rng.exponential(150, n_customers)
    cancelled = leaves < DAYS
    last = np.minimum(leaves, DAYS)
    # The review that leads to a cancellation is held one to six days before it.
    renewal = start + CONTRACT_DAYS + rng.uniform(-14, 14, n_customers)
    review = np.minimum(leaves - rng.uniform(1, 6, n_customers), renewal)
    everyone = np.arange(n_customers)
    parts = [
        ("subscription_started", everyone, start),
        ("account_reviewed", everyone, review),
        ("subscription_cancelled", everyone[cancelled], leaves[cancelled]),
    ]
    level = rng.gamma(4.0, 1 / 4.0, n_customers)
    for name, rate in _RATES.items():
        who = np.repeat(everyone, rng.poisson(rate * level * (last - start)))
        parts.append((name, who, start[who] + rng.random(len(who)) * (last - start)[who]))
    width = max(5, len(str(n_customers - 1)))
    origin = np.datetime64("2025-01-01", "us")
    frame = pd.DataFrame(
        {
            "customer_id": [f"s{k:0{width}d}" for k in np.concatenate([p[1] for p in parts])],
            "event_type": np.repeat([p[0] for p in parts], [len(p[1]) for p in parts]),
            "timestamp": origin
            + (np.concatenate([p[2] for p in parts]) * _DAY_US).astype("timedelta64[us]"),
        }
    )
    return frame.sort_values(["customer_id", "timestamp", "event_type"], ignore_index=True)
