"""The simulated worlds: counts, true weights, rules that they obey or break."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

Floats = NDArray[np.float64]

SIGNS = ("x0 >= 0", "x1 >= 0", "x2 >= 0", "x3 >= 0", "x4 >= 0", "x5 <= 0")
ALL_POSITIVE = ("* >= 0",)
PLAIN = np.array([1.2, 1.0, 0.8, 0.9, 0.7, -0.8])


@dataclass(frozen=True)
class Setting:
    """One world.

    Parameters
    ----------
    weights : ndarray of shape (6,)
        The truth.
    rules : tuple of str
        What is imposed.
    rate : float
        Share of good outcomes.
    shared : float
        How alike the events of a customer are: shape of the gamma activity, smaller is more.
    pair : float
        Correlation of the first two events, 0 to 1.
    rows : int
        Rows of a customer, at most; 1 to so many, skewed.
    within : float
        Correlation of the latent outcomes of a customer's rows.
    interior : tuple of int
        Weights that lie far inside the rules.
    true_rules : bool
        Whether the truth obeys the rules.
    """

    weights: Floats
    rules: tuple[str, ...]
    rate: float = 0.3
    shared: float = 2.0
    pair: float = 0.0
    rows: int = 1
    within: float = 0.0
    interior: tuple[int, ...] = ()
    true_rules: bool = True


def _with(**changes: float) -> Floats:
    weights = PLAIN.copy()
    for name, value in changes.items():
        weights[int(name[1:])] = value
    return weights


SETTINGS: dict[str, Setting] = {
    "interior": Setting(PLAIN, (*SIGNS, "x0 >= 0.2 * x1"), interior=(0, 1, 2, 3, 4, 5)),
    "at bounds": Setting(_with(x2=0.0, x3=0.0), (*SIGNS, "x0 <= 1.2"), interior=(1, 4, 5)),
    "tied pair": Setting(_with(x0=0.9, x1=0.9), (*SIGNS, "x0 >= x1"), interior=(2, 3, 4, 5)),
    "tied chain": Setting(
        _with(x0=0.9, x1=0.9, x2=0.9), (*SIGNS, "x0 >= x1 >= x2"), interior=(3, 4, 5)
    ),
    "share at its cap": Setting(
        np.array([1.2, 0.6, 0.4, 0.5, 0.3, 0.0]), (*ALL_POSITIVE, "x0 <= 40%"), interior=()
    ),
    "correlated events": Setting(
        _with(x0=0.9, x1=0.9), (*SIGNS, "x0 >= x1"), pair=0.9, shared=0.7, interior=(2, 3, 4, 5)
    ),
    "repeated customers": Setting(
        _with(x0=0.9, x1=0.9, x3=0.0),
        (*SIGNS, "x0 >= x1"),
        rows=12,
        within=0.6,
        interior=(2, 4, 5),
    ),
    "rare outcome": Setting(
        _with(x0=0.9, x1=0.9, x3=0.0), (*SIGNS, "x0 >= x1"), rate=0.02, interior=(2, 4, 5)
    ),
    "no signal": Setting(np.zeros(6), (*ALL_POSITIVE, "x0 >= x1 >= x2")),
    "broken rules": Setting(
        _with(x0=0.4, x1=1.0, x3=-0.5), (*SIGNS, "x0 >= x1"), interior=(2, 4), true_rules=False
    ),
}


def counts(setting: Setting, n: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.intp]]:
    """Return ``log1p`` counts of shape (n, 6) and the customer of each row."""
    if setting.rows == 1:
        customer = np.arange(n)
    else:
        size = rng.geometric(0.35, n).clip(max=setting.rows)
        customer = np.repeat(np.arange(n), size)[:n]
    people = int(customer[-1]) + 1
    activity = rng.gamma(setting.shared, 1.0 / setting.shared, people)[customer]
    rates = np.array([2.0, 1.5, 1.0, 0.7, 1.2, 0.5])
    taste = rng.gamma(2.0, 0.5, (people, 6))[customer] if setting.rows > 1 else np.ones((n, 6))
    raw = rng.poisson(activity[:, None] * rates * taste)
    if setting.pair:
        same = rng.random(n) < setting.pair
        raw[:, 1] = np.where(same, raw[:, 0], raw[:, 1])
    return np.log1p(raw.astype(np.float64)), customer


def intercept(setting: Setting) -> float:
    """Return the intercept that gives the rate, on 400,000 rows."""
    X, _ = counts(setting, 400_000, np.random.default_rng(12345))
    eta = X @ setting.weights
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if expit(eta + middle).mean() < setting.rate else (low, middle)
    return 0.5 * (low + high)


def sample(
    setting: Setting, c: float, n: int, seed: int
) -> tuple[Floats, NDArray[np.int8], NDArray[np.intp]]:
    """Return counts, outcomes and customers of one data set.

    Outcomes of one customer are correlated by a Gaussian copula, so each row alone follows the
    logistic model exactly and the true weights are the weights.
    """
    rng = np.random.default_rng([seed, n])
    X, customer = counts(setting, n, rng)
    p = expit(X @ setting.weights + c)
    if setting.within:
        common = rng.standard_normal(int(customer[-1]) + 1)[customer]
        own = rng.standard_normal(n)
        u = ndtr(np.sqrt(setting.within) * common + np.sqrt(1.0 - setting.within) * own)
    else:
        u = rng.random(n)
    return X, (u < p).astype(np.int8), customer
