"""How often do intervals under rules hold the truth? See README.md.

    OMP_NUM_THREADS=1 python experiments/coverage/run.py      # what results.json lacks
    python experiments/coverage/run.py --sets 500 --only "tied pair" --sizes 1000

Every data set has its own seed, so a run that was stopped goes on where it was, and any data set
can be looked at again.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm
from settings import SETTINGS, Setting, intercept, sample

from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.linear.inference import weight_intervals

LEVEL = 0.9
ESTIMAND_ROWS = 2_000_000
METHODS = ("intervals", "without rules", "percentiles")


def estimand(setting: Setting, c: float) -> np.ndarray:
    """Return what the intervals are to hold: the truth, or the best weights under the rules."""
    if setting.true_rules:
        return setting.weights
    X, y, _ = sample(setting, c, ESTIMAND_ROWS, 10**6)
    return ConstrainedLogisticRegression(constraints=list(setting.rules)).fit(X, y).coef_[0]


def one(setting: Setting, c: float, n: int, seed: int, percentiles: bool) -> dict[str, Any] | None:
    """Return the ends of the intervals of one data set by method, each of shape (2, 6)."""
    X, y, customer = sample(setting, c, n, seed)
    if min(y.sum(), n - y.sum()) < 3:
        return None
    groups = customer if setting.rows > 1 else None
    model = ConstrainedLogisticRegression(constraints=list(setting.rules)).fit(X, y)
    found = weight_intervals(model, X, y, groups=groups, level=LEVEL, random_state=seed)
    free_model = ConstrainedLogisticRegression().fit(X, y)
    free = weight_intervals(free_model, X, y, groups=groups, level=LEVEL)
    plain = np.sqrt(np.diag(free._numbers.spread.plain)[:-1]) * norm.ppf(0.5 + 0.5 * LEVEL)
    ends = {
        "intervals": np.array([found.low, found.high]),
        "without rules": np.array([free.low, free.high]),
        "plain": np.array([free.coef - plain, free.coef + plain]),
    }
    if percentiles:
        tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
        ends["percentiles"] = np.percentile(found.draws, tails, axis=0)
    return ends | {"broken": bool(found.broken)}


def study(name: str, n: int, sets: int, percentiles: int) -> dict[str, Any]:
    """Return coverage and widths of one setting at one size."""
    setting = SETTINGS[name]
    c = intercept(setting)
    truth = estimand(setting, c)
    found: dict[str, list[Any]] = {}
    dropped = broken = 0
    began = time.perf_counter()
    for seed in range(sets):
        ends = one(setting, c, n, seed, seed < percentiles)
        if ends is None:
            dropped += 1
            continue
        broken += ends.pop("broken")
        for method, value in ends.items():
            found.setdefault(method, []).append(value)
    ends = {method: np.array(values) for method, values in found.items()}
    width = {method: value[:, 1] - value[:, 0] for method, value in ends.items()}
    slack = 1e-9
    held = {
        method: ((v[:, 0] <= truth + slack) & (truth - slack <= v[:, 1])).mean(axis=0)
        for method, v in ends.items()
    }
    ratio = width["intervals"] / width["without rules"]
    to_plain = width["intervals"] / width["plain"]
    return {
        "setting": name,
        "n": n,
        "sets": sets,
        "dropped": dropped,
        "sets_with_a_broken_rule": broken,
        "truth": truth.round(4).tolist(),
        "coverage": {method: value.round(4).tolist() for method, value in held.items()},
        "median_width_over_without_rules": np.median(ratio, axis=0).round(4).tolist(),
        "mean_width_over_without_rules": (
            width["intervals"].mean(axis=0) / width["without rules"].mean(axis=0)
        )
        .round(4)
        .tolist(),
        "sets_wider_than_1.15_without_rules": (ratio > 1.15).mean(axis=0).round(4).tolist(),
        "largest_width_over_without_rules": float(ratio.max().round(3)),
        "median_width_over_plain_sandwich": np.median(to_plain, axis=0).round(4).tolist(),
        "mean_width": {m: w.mean(axis=0).round(4).tolist() for m, w in width.items()},
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Run what is not there yet and write results.json after each setting."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--percentiles", type=int, default=500)
    parser.add_argument("--sizes", default="1000,10000")
    parser.add_argument("--only", default=",".join(SETTINGS))
    parser.add_argument("--out", default=str(Path(__file__).with_name("results.json")))
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    out = Path(arguments.out)
    results = json.loads(out.read_text()) if out.exists() else []
    for n in map(int, arguments.sizes.split(",")):
        for name in arguments.only.split(","):
            if any((r["setting"], r["n"]) == (name, n) for r in results):
                continue
            results.append(study(name, n, arguments.sets, arguments.percentiles))
            out.write_text(json.dumps(results, indent=1) + "\n")
            show(results[-1])


def show(r: dict[str, Any]) -> None:
    """Print one setting."""
    print(f"\n{r['setting']}, n = {r['n']}, {r['sets']} sets, {r['seconds']} s", flush=True)
    for method, value in r["coverage"].items():
        print(f"  {method:14}", " ".join(f"{v:.3f}" for v in value))
    print("  width ratio   ", " ".join(f"{v:.3f}" for v in r["median_width_over_without_rules"]))
    print("  to plain      ", " ".join(f"{v:.3f}" for v in r["median_width_over_plain_sandwich"]))
    wide = r["sets_wider_than_1.15_without_rules"]
    print(
        "  sets > 1.15   ",
        " ".join(f"{v:.3f}" for v in wide),
        "broken",
        r["sets_with_a_broken_rule"],
    )


if __name__ == "__main__":
    main()
