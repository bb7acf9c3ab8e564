"""Learned weights beside counting and the ceiling, out of time, on three real logs.

    python experiments/real_logs/run.py --data DIR

`DIR` holds the folders `oulad_assessments` and `online_retail`, each with `events.parquet` (and
`labels.parquet`); see README.md beside this file. Complete Journey comes with the extra `demo`.
Writes results.json beside this file and prints the tables of the README.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from ces_ml.datasets import complete_journey
from ces_ml.errors import CesWarning
from ces_ml.training import TrainingConfig, TrainingResult, train

ASSESSMENTS = ["submit_*", "score_*", "early_submission", "late_submission"]
BOUGHT = ["order", "purchase_*", "return_line", "cancellation", "postage"]
SIGNS = ["order* >= 0", "purchase_* >= 0"]


def demo(name: str) -> tuple[TrainingConfig, Any, Any]:
    """Return a job of the demonstration, its log, and no labels."""
    text = files("ces_ml.training.demo_configs").joinpath(f"{name}.yaml").read_text("utf-8")
    return TrainingConfig.from_yaml(text), complete_journey(), None


def oulad(folder: Path, task: str, label: str) -> tuple[TrainingConfig, Any, Any]:
    """Return a job on assessments: earlier terms train, the last one judges."""
    labels = pd.read_parquet(folder / "labels.parquet")
    labels = labels[labels["task"] == label]
    y = 1 - labels["label"] if task == "churn" else labels["label"]
    rows = pd.DataFrame(
        {"customer_id": labels["customer_id"], "as_of": labels["cutoff"], "y": y}
    ).reset_index(drop=True)
    signs = ["submit_* >= 0", "score_high >= 0", "score_fail <= 0"]
    config = {
        "name": f"oulad_{label}",
        "outcome": {"task": task, "labels": {}, "horizon": "210d"},
        "counts": [{"events": ASSESSMENTS, "window": "120d", "transform": "log1p"}],
        "model": {"rules": signs, "price_of_rules": False},
        "split": {"test_from": "2014-11-01"},
    }
    return TrainingConfig.parse(config), folder / "events.parquet", rows


def retail(folder: Path, name: str, outcome: dict[str, Any]) -> tuple[TrainingConfig, Any, Any]:
    """Return a job on the gift shop: outcomes known by the end of summer train, autumn judges."""
    counts = [
        {"events": BOUGHT, "window": "90d", "transform": "log1p"},
        {"events": "order", "window": "30d", "transform": "log1p"},
    ]
    config = {
        "name": f"retail_{name}",
        "events": {"value_col": "amount"},
        "outcome": {**outcome, "horizon": "60d", "count_own_events": True},
        "as_of": "every 14d from 2011-03-01 to 2011-10-10",
        "counts": counts,
        "model": {"rules": SIGNS, "price_of_rules": False},
        "split": {"test_from": "2011-08-30"},
    }
    return TrainingConfig.parse(config), folder / "events.parquet", None


def jobs(data: Path) -> dict[str, tuple[TrainingConfig, Any, Any]]:
    """Return every job by name."""
    students, shop = data / "oulad_assessments", data / "online_retail"
    growth = {"property": "amount", "factor": 1.5, "least": 0}
    return {
        "Complete Journey, coupons": demo("coupon_conversion"),
        "Complete Journey, churn": demo("churn"),
        "Open University, stays": oulad(students, "churn", "churn_withdraws"),
        "Open University, passes": oulad(students, "conversion", "conversion_passes"),
        "gift shop, buys again": retail(
            shop, "repurchase", {"task": "conversion", "event": "order", "repeatable": True}
        ),
        "gift shop, churn": retail(
            shop, "churn", {"task": "churn", "silence_of": "order", "active_within": "90d"}
        ),
        "gift shop, spends half more": retail(
            shop, "upsell", {"task": "upsell", "event": "order", "growth": growth}
        ),
    }


def told(result: TrainingResult, seconds: float) -> dict[str, Any]:
    """Return what is kept of a result."""
    gains = {(d.against, d.metric): d for d in result.differences}
    compared = {}
    for row in result.comparison[1:]:
        kept = {"roc_auc": round(row["roc_auc"], 4), "log_loss": round(row["log_loss"], 4)}
        for metric in ("roc_auc", "log_loss"):
            d = gains[row["name"], metric]
            kept[f"{metric}_gain"] = [round(v, 4) for v in (d.value, d.low, d.high)]
        compared[row["name"]] = kept
    verdict, bar, data = result.verdict, result.bar, result.data
    assert verdict is not None
    assert bar is not None
    assert data is not None
    test = int(result.split.test.sum())
    return {
        "training rows": data.outcome.rows,
        "held-out rows": test,
        "held-out customers, rarer outcome": verdict.rarer,
        "learned": {k: round(result.metrics[k], 4) for k in ("roc_auc", "log_loss")},
        "verdict": verdict.words,
        "against": verdict.against,
        "compared": compared,
        "bar": bar.words,
        "bands": [
            {"name": b.name, "rate": b.rate, "low": b.low, "high": b.high, "rows": b.rows}
            for b in result.weight_set.bands
        ],
        "data": data.outcome.words,
        "terms without enough data": {t.name: t.words for t in data.lacking},
        "seconds": round(seconds, 1),
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return the tables of the README."""
    names = list(dict.fromkeys(n for job in found.values() for n in job["compared"]))
    lines = ["| ROC AUC | learned | " + " | ".join(n.replace("_", " ") for n in names) + " |"]
    lines.append("| --- |" + " ---: |" * (len(names) + 1))
    for job, kept in found.items():
        cells = [f"**{kept['learned']['roc_auc']:.3f}**"]
        for name in names:
            other = kept["compared"].get(name)
            cells.append(f"{other['roc_auc']:.3f}" if other else "–")
        lines.append(f"| {job} | " + " | ".join(cells) + " |")
    shown = ("total_count", "equal_weights", "univariate_lift", "no_rules", "boosting")
    shown += ("boosting_with_recency",)
    lines += ["", "| learned minus | " + " | ".join(n.replace("_", " ") for n in shown) + " |"]
    lines.append("| --- |" + " ---: |" * len(shown))
    for job, kept in found.items():
        cells = []
        for name in shown:
            other = kept["compared"].get(name)
            gain = other["roc_auc_gain"] if other else None
            cells.append(f"{gain[0]:+.3f} ({gain[1]:+.3f} to {gain[2]:+.3f})" if gain else "–")
        lines.append(f"| {job} | " + " | ".join(cells) + " |")
    lines += ["", "| log | verdict | held out: rows, rarer outcome |", "| --- | --- | ---: |"]
    for job, kept in found.items():
        size = f"{kept['held-out rows']:,}, {kept['held-out customers, rarer outcome']:,}"
        lines.append(f"| {job} | {kept['verdict']} | {size} |")
    return "\n".join(lines).replace("-0.", "−0.")


def main() -> None:
    """Train every job, write results.json and print the tables."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--data", type=Path, required=True)
    options = asked.parse_args()
    warnings.simplefilter("ignore", CesWarning)
    found = {}
    for name, (config, events, labels) in jobs(options.data).items():
        start = time.perf_counter()
        source = str(events) if isinstance(events, Path) else events
        result = train(config, source, labels=labels)
        found[name] = told(result, time.perf_counter() - start)
        print(f"{name}: {found[name]['verdict']} ({found[name]['seconds']} s)", flush=True)
    out = Path(__file__).parent / "results.json"
    out.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n" + table(found))
    for name, kept in found.items():
        print(f"\n{name}: {kept['bar']}; {kept['data']}")


if __name__ == "__main__":
    main()
