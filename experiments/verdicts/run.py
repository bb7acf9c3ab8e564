"""How often does a verdict claim a gain that is not there?

python experiments/verdicts/run.py            # 100 seeds, writes results.json beside this file
python experiments/verdicts/run.py --seeds 10 # quicker
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.datasets import make_event_history
from ces_ml.errors import CesWarning
from ces_ml.evaluation import paired_differences, split_by_time
from ces_ml.spec.count_table import CountTable
from ces_ml.training import TrainingConfig, fitting
from ces_ml.training.evaluating import evaluated
from ces_ml.training.job import count_for_training

COUNTS = {
    "events": ["login", "page_view", "demo_booked", "webinar_attended", "support_ticket"],
    "window": "28d",
    "half_life": "14d",
    "transform": "log1p",
}
CONVERSION = {"task": "conversion", "event": "subscription_started", "horizon": "14d"}
CHURN = {"task": "churn", "silence_of": "login", "active_within": "28d", "horizon": "14d"}
#: One row a customer, and about eight rows a customer.
SETTINGS: dict[str, dict[str, Any]] = {
    "a row a customer": {"outcome": CONVERSION, "as_of": "14d after trial_started"},
    "rows repeat customers": {
        "outcome": CHURN,
        "as_of": "every 14d from 2025-02-01 to 2025-06-01",
    },
}
POSITIVES = (10, 20, 30, 50, 100)
#: Of two scores, in standard deviations: ROC AUC 0.5, and 0.92.
STRENGTHS = (0.0, 2.0)


def configuration(setting: dict[str, Any], seed: int) -> TrainingConfig:
    """Return the job of a setting, under signs as a person would state them."""
    return TrainingConfig.parse(
        {
            "name": "shuffled",
            **setting,
            "counts": [COUNTS],
            "model": {"rules": ["login >= 0", "support_ticket <= 0"], "price_of_rules": False},
            "evaluation": {"ceiling": False},
            "seed": seed,
        }
    )


def shuffled(table: CountTable, rng: np.random.Generator) -> NDArray[np.int8]:
    """Give every customer the outcomes of another one, at the same moments.

    So outcomes keep their rate at each moment and hang together within a customer as before, but
    have nothing to do with the counts. Where the other has no row at a moment, any other's does.
    """
    who = table.customer.astype(str).to_numpy()
    names = np.unique(who)
    if names.size == who.size:  # moments differ by customer: the rows are shuffled
        return rng.permutation(table.outcomes)
    when = table.as_of.astype("int64").to_numpy()
    other = dict(zip(names, rng.permutation(names), strict=True))
    known = dict(zip(zip(who, when, strict=True), table.outcomes, strict=True))
    pool = {t: table.outcomes[when == t] for t in np.unique(when)}
    y = [
        known[other[c], t] if (other[c], t) in known else rng.choice(pool[t])
        for c, t in zip(who, when, strict=True)
    ]
    return np.array(y, dtype=np.int8)


def study(setting: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Return how often each verdict was reached on shuffled outcomes."""
    kinds: Counter[str] = Counter()
    gains = []
    for seed in range(seeds):
        config = configuration(setting, seed)
        table, _ = count_for_training(config, make_event_history(2000, seed=seed).events)
        table = replace(table, y=shuffled(table, np.random.default_rng([seed, 1])))
        split = split_by_time(table, config.outcome, seed=seed)
        fitted = fitting.fit(config, table, split, progress=lambda stage: None)
        verdict = evaluated(config, table, split, fitted).weight_set.verdict
        assert verdict is not None
        kinds[verdict.kind] += 1
        gains.append(verdict.difference)
    told = [g for g in gains if g is not None]
    return {
        "seeds": seeds,
        "verdicts": dict(kinds),
        "not better": seeds - kinds["better"],
        "mean difference in ROC AUC": round(float(np.mean(told)), 4) if told else None,
    }


def false_gains(
    positives: int, strength: float, simulations: int = 400, n: int = 1000
) -> dict[str, float]:
    """Return how often the interval of two scores that are equally good lies above or below 0."""
    above = below = 0
    for k in range(simulations):
        rng = np.random.default_rng([positives, k])
        y = np.zeros(n, dtype=int)
        y[:positives] = 1
        common, one, two = rng.normal(size=(3, n))
        common += strength * y
        pair = {"other": (common + two, None)}
        [d] = paired_differences(
            y, (common + one, None), pair, np.arange(n), replicates=200, seed=k
        )
        above, below = above + (d.low > 0), below + (d.high < 0)
    return {
        "positives": positives,
        "strength": strength,
        "claims a gain": round(above / simulations, 4),
        "claims a loss": round(below / simulations, 4),
    }


def main() -> None:
    """Run the study and write what was found."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--seeds", type=int, default=100)
    asked.add_argument("--out", type=Path, default=Path(__file__).parent / "results.json")
    options = asked.parse_args()
    warnings.simplefilter("ignore", CesWarning)
    found = {
        "shuffled outcomes": {n: study(s, options.seeds) for n, s in SETTINGS.items()},
        "few positives, level 0.9": [false_gains(m, s) for s in STRENGTHS for m in POSITIVES],
    }
    options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
