"""The three logs as design matrices: what both peers are given, bit for bit the same.

    python data.py --data DIR

DIR holds the folders ``oulad_assessments`` and ``online_retail``, each with ``events.parquet``
(``customer_id``, ``event_type``, ``timestamp``) and ``labels.parquet`` (``customer_id``,
``cutoff``, ``task``, ``label``). Complete Journey comes from its package. Each problem is written
as one ``.npz`` file: `X` (float64, dense), `y` (−1, +1), `later` (rows held out) and `names`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

FOLDER = Path(
    os.environ.get("CES_BENCHMARK_DATA", f"{tempfile.gettempdir()}/ces-ml-benchmark"), "points"
)
STUDENT = ["submit_tma", "submit_cma", "submit_exam", "score_high", "score_fail"]
STUDENT += ["early_submission", "late_submission"]
SHOPPER = ["order", "purchase_new_item", "purchase_repeat_item", "return_line", "cancellation"]
SHOPPER += ["postage", "manual_adjustment"]
LABELLED = {  # folder, task, whether its label 1 is the bad outcome, events, windows
    "oulad_churn": ("oulad_assessments", "churn_withdraws", True, STUDENT),
    "oulad_passes": ("oulad_assessments", "conversion_passes", False, STUDENT),
    "retail_churn": ("online_retail", "churn", True, SHOPPER),
    "retail_repurchase": ("online_retail", "repurchase", False, SHOPPER),
}
WINDOWS = ("28d", "90d", "365d")
JOURNEY = {"journey_churn": "churn", "journey_coupon": "coupon_conversion"}
PROBLEMS = (*LABELLED, *JOURNEY)


def write(problem: str, data: str) -> None:
    """Write one problem to its file."""
    import numpy as np

    X, y, later, names = _labelled(data, problem) if problem in LABELLED else _journey(problem)
    used = X[~later].std(axis=0) > 0.0
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.savez(
        FOLDER / f"{problem}.npz",
        X=np.ascontiguousarray(X[:, used]),
        y=np.where(y == 1, 1.0, -1.0),
        later=later,
        names=np.array(names)[used],
    )


def _labelled(data: str, problem: str) -> tuple[Any, Any, Any, Sequence[str]]:
    """Count as of each customer's cutoff, with the label that the source states."""
    import numpy as np
    import pandas as pd

    from ces_ml import CountSpec, build_counts
    from ces_ml.spec.counts import CountRule

    folder, task, bad, events = LABELLED[problem]
    labels = pd.read_parquet(Path(data, folder, "labels.parquet"))
    labels = labels[labels["task"] == task]
    rules = [CountRule(events=tuple(events), window=w, transform="log1p") for w in WINDOWS]
    spec = CountSpec.from_rules(rules, events)
    cutoffs = sorted(labels["cutoff"].dt.strftime("%Y-%m-%d").unique())
    path = str(Path(data, folder, "events.parquet"))
    table = build_counts(path, spec, as_of=cutoffs)
    keys = pd.DataFrame(
        {"customer_id": table.customer.astype(str), "cutoff": table.as_of.dt.tz_localize(None)}
    )
    keys["row"] = np.arange(len(keys))
    wanted = labels.assign(
        customer_id=labels["customer_id"].astype(str), cutoff=labels["cutoff"].astype("<M8[us]")
    )
    keys["cutoff"] = keys["cutoff"].astype("<M8[us]")
    found = keys.merge(wanted, on=["customer_id", "cutoff"], validate="one_to_one")
    X = table.design()[found["row"].to_numpy()].toarray()
    y = found["label"].to_numpy()
    moments = found["cutoff"].to_numpy()
    if len(cutoffs) > 1:
        later = moments == moments.max()
    else:  # one cutoff: a third of the customers
        later = np.random.default_rng(0).random(len(found)) < 1.0 / 3.0
    return X, 1 - y if bad else y, later, table.names


def _journey(problem: str) -> tuple[Any, Any, Any, Sequence[str]]:
    """Count as the demonstration does, with its outcome and its split by time."""
    from ces_ml.datasets import complete_journey
    from ces_ml.evaluation import split_by_time
    from ces_ml.training.config import TrainingConfig
    from ces_ml.training.job import count_for_training

    packaged = files("ces_ml.training.demo_configs").joinpath(f"{JOURNEY[problem]}.yaml")
    config = TrainingConfig.from_yaml(packaged.read_text("utf-8"))
    table, _ = count_for_training(config, complete_journey())
    split = split_by_time(table, config.outcome, test_from=config.split.test_from)
    rows = split.train | split.test
    X = table.design().toarray()[rows]
    return X, table.outcomes[rows], split.test[rows], table.names


def main() -> None:
    import numpy as np

    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True, help="folder of the two logs")
    arguments = parser.parse_args()
    for problem in PROBLEMS:
        write(problem, arguments.data)
        with np.load(FOLDER / f"{problem}.npz") as saved:
            X, y, later = saved["X"], saved["y"], saved["later"]
        print(
            f"{problem:18} {int((~later).sum())} + {int(later.sum())} rows, {X.shape[1]} columns, "
            f"{(X != 0).mean():.0%} non-zero, {(y[~later] == 1).mean():.1%} and "
            f"{(y[later] == 1).mean():.1%} good"
        )


if __name__ == "__main__":
    main()
