"""How often the leak audit stops an honest job, and how often it finds a planted leak."""

from __future__ import annotations

import argparse
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ces_ml.datasets import complete_journey, make_count_until_churn, make_event_history
from ces_ml.errors import CesError
from ces_ml.training import TrainingConfig, train

HERE = Path(__file__).parent
CUSTOMERS = 3000
DAY = pd.Timedelta("1D")
TRIALS = {"window": "28d", "half_life": "14d", "transform": "log1p"}
CONVERSION = {
    "outcome": {"task": "conversion", "event": "subscription_started", "horizon": "14d"},
    "as_of": "14d after trial_started",
    "counts": [TRIALS],
}
CHURN = {
    "outcome": {"task": "churn", "event": "subscription_cancelled", "horizon": "28d"},
    "as_of": "28d after subscription_started",
    "counts": [TRIALS],
}
UPSELL = {
    "outcome": {"task": "upsell", "event": "plan_upgraded", "horizon": "28d"},
    "as_of": "28d after subscription_started",
    "counts": [TRIALS],
}
ON_DATES = "every 14d from 2025-02-01 to 2025-05-31"
FIXED_RATES = {
    "outcome": {"task": "churn", "event": "subscription_cancelled", "horizon": "28d"},
    "as_of": "every 28d from 2025-05-01 to 2025-12-31",
    "counts": [{"events": ["login", "page_view", "support_ticket"], "window": "28d"}],
}
Log = Callable[[int], pd.DataFrame]


def simulated(seed: int) -> pd.DataFrame:
    return make_event_history(CUSTOMERS, seed=seed).events


def subscribers(seed: int) -> pd.DataFrame:
    return make_count_until_churn(2000, seed=seed)


#: Jobs without any leak, by name: a log of a seed and a configuration.
HONEST: dict[str, tuple[Log, dict[str, Any]]] = {
    "simulator: conversion, 14d after trial": (simulated, CONVERSION),
    "simulator: churn, 28d after subscription": (simulated, CHURN),
    "simulator: upsell, 28d after subscription": (simulated, UPSELL),
    "simulator: conversion on dates, 60d counts": (
        simulated,
        {**CONVERSION, "as_of": ON_DATES, "counts": [{"window": "60d"}]},
    ),
    "simulator: churn by silence on dates": (
        simulated,
        {
            "outcome": {
                "task": "churn",
                "silence_of": "login",
                "active_within": "30d",
                "horizon": "28d",
            },
            "as_of": ON_DATES,
            "counts": [
                {"window": "28d", "exclude": "subscription_cancelled"},
                {"events": "login", "window": "7d"},
            ],
        },
    ),
    "subscribers: churn on dates, 28d counts": (subscribers, FIXED_RATES),
}


def _with(log: pd.DataFrame, customers: Any, times: Any, event: str) -> pd.DataFrame:
    new = pd.DataFrame({"customer_id": customers, "event_type": event, "timestamp": times})
    return pd.concat([log, new.assign(timestamp=new["timestamp"].astype("datetime64[us]"))])


def backfilled(seed: int) -> pd.DataFrame:
    """A status is written when customers have cancelled, with a time in their first month."""
    log, rng = simulated(seed), np.random.default_rng(seed)
    began = log[log["event_type"] == "subscription_started"].set_index("customer_id")["timestamp"]
    ended = log[log["event_type"] == "subscription_cancelled"].set_index("customer_id")["timestamp"]
    left = ended.index[(ended - began.reindex(ended.index)) < 56 * DAY]
    chosen = np.concatenate([left, rng.choice(began.index, len(began) // 100)])
    times = began.loc[chosen] + rng.uniform(5, 27, len(chosen)) * DAY
    return _with(log, chosen, times.to_numpy(), "account_flagged")


def contracts(seed: int) -> pd.DataFrame:
    """A contract is sent in the last day before as_of to most who will convert."""
    log, rng = simulated(seed), np.random.default_rng(seed)
    trial = log[log["event_type"] == "trial_started"].set_index("customer_id")["timestamp"]
    began = log[log["event_type"] == "subscription_started"].set_index("customer_id")["timestamp"]
    later = began.index[(began - trial.loc[began.index]) > 14 * DAY]
    sent = later[rng.random(len(later)) < 0.6]
    others = trial.index.difference(began.index)
    chosen = np.concatenate([sent, others[rng.random(len(others)) < 0.05]])
    times = trial.loc[chosen] + (14 - rng.uniform(0.05, 0.9, len(chosen))) * DAY
    return _with(log, chosen, times.to_numpy(), "contract_sent")


def goodbyes(seed: int) -> pd.DataFrame:
    """Most customers who fall silent say goodbye after their last visit."""
    log, rng = simulated(seed), np.random.default_rng(seed)
    last = log[log["event_type"] == "login"].groupby("customer_id")["timestamp"].max()
    gone = last[last < last.max() - 40 * DAY]
    gone = gone[rng.random(len(gone)) < 0.7]
    times = gone + rng.uniform(0.01, 1.0, len(gone)) * DAY
    return _with(log, gone.index, times.to_numpy(), "goodbye")


#: Jobs with one planted leak: log, configuration, and the finding (kind, event) to be made.
PLANTED: dict[str, tuple[Log, dict[str, Any], tuple[str, str | None]]] = {
    "a status written after the fact": (backfilled, CHURN, ("decides_outcome", "account_flagged")),
    "an event of the last day": (contracts, CONVERSION, ("late_power", "contract_sent")),
    "an event after the last visit": (
        goodbyes,
        HONEST["simulator: churn by silence on dates"][1],
        ("begins_with_outcome", "goodbye"),
    ),
    "counted until churn": (
        subscribers,
        {
            "outcome": {
                "task": "churn",
                "event": "subscription_cancelled",
                "horizon": "14d",
            },
            "as_of": "0d after account_reviewed",
            "counts": [{"events": ["login", "page_view", "support_ticket"], "window": "52w"}],
        },
        ("exposure", None),
    ),
}


def audited(log: Any, body: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """Return (severity, kind, event) of every finding, failures included."""
    config = TrainingConfig.parse({"name": "study", **body, "audit": {"allow": "*"}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = train(config, log)
    return [(f.severity, f.kind, f.event) for f in result.audit.findings]


def journey() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the weight sets of the demonstration, and jobs that count everything on its log."""
    for name in ("churn", "coupon_conversion"):
        text = files("ces_ml.training.demo_configs").joinpath(f"{name}.yaml").read_text("utf-8")
        body = yaml.safe_load(text)
        body.pop("name")
        yield f"complete journey: {name}", body
        yield (
            f"complete journey: {name}, everything counted",
            {
                **body,
                "counts": [{"window": "90d"}],
                "model": {},
            },
        )
    first_seafood = {"task": "upsell", "event": "buy_seafood", "horizon": "28d"}
    yield (
        "complete journey: upsell to seafood",
        {
            "outcome": first_seafood,
            "as_of": "every 28d from 2017-04-01 to 2017-11-11",
            "counts": [{"window": "90d"}],
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=25)
    seeds = range(parser.parse_args().seeds)
    honest, planted = {}, {}
    for name, (make, body) in HONEST.items():
        failures: Counter[str] = Counter()
        found: Counter[str] = Counter()
        stopped, ran = 0, 0
        for seed in seeds:
            try:
                findings = audited(make(seed), body)
            except CesError as error:  # a seed without both outcomes on both sides of the split
                print(name, seed, error.problem)
                continue
            ran += 1
            stopped += any(severity == "failure" for severity, _, _ in findings)
            for severity, kind, event in findings:
                (failures if severity == "failure" else found)[f"{kind} {event or ''}".strip()] += 1
        honest[name] = {
            "jobs": ran,
            "stopped": stopped,
            "failures": dict(failures),
            "warnings": {k: v for k, v in found.items() if not k.startswith("no_arrival")},
        }
        print(name, honest[name])
    log = complete_journey()
    for name, body in journey():
        findings = audited(log, body)
        honest[name] = {
            "jobs": 1,
            "stopped": int(any(severity == "failure" for severity, _, _ in findings)),
            "warnings": {f"{k} {e or ''}".strip(): 1 for s, k, e in findings if s == "warning"},
        }
        print(name, honest[name])
    for name, (make, body, wanted) in PLANTED.items():
        hits = sum(("failure", *wanted) in audited(make(seed), body) for seed in seeds)
        planted[name] = {
            "jobs": len(seeds),
            "found": hits,
            "finding": " ".join(filter(None, wanted)),
        }
        print(name, planted[name])
    results = {"honest": honest, "planted": planted}
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
