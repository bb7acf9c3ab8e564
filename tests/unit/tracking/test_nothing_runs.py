"""Loading a weight set runs nothing that lies in the store, and training talks to nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ces_ml.errors import TrackingError
from ces_ml.tracking import Tracker
from ces_ml.tracking.quiet import mlflow_part

EVIL = """
from pathlib import Path
Path({mark!r}).write_text("ran")
def _load_pyfunc(path):
    raise SystemExit("the evil model was loaded")
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "sprung"


def place(db: Path) -> Path:
    """The folder of the only logged model."""
    return next((db.parent / "mlartifacts" / "models").rglob("weights.json")).parent


@pytest.fixture
def evil(tracker: Tracker, db: Path, log, weight_set, mark: Path) -> str:
    """A logged weight set whose model was made to run code on loading."""
    run_id = log(weight_set, register_as="churn")
    folder = place(db)
    (folder / "code").mkdir()
    (folder / "code" / "evil_loader.py").write_text(EVIL.format(mark=str(mark)))
    model = (folder / "MLmodel").read_text()
    model = model.replace("ces_ml.scoring.pyfunc", "evil_loader")
    model = model.replace("  python_function:\n", "  python_function:\n    code: code\n")
    (folder / "MLmodel").write_text(model)
    return run_id


@pytest.mark.slow
def test_loading_runs_no_code_that_was_put_beside_the_weights(
    evil: str, tracker: Tracker, db: Path, weight_set, mark: Path
) -> None:
    for ref in (evil, "models:/churn/1"):
        assert tracker.load(ref) == weight_set
    assert not mark.exists()
    # The trap works: MLflow's own way of loading runs it.
    program = f"import mlflow; mlflow.pyfunc.load_model({str(place(db))!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert mark.exists(), done.stderr


def test_a_version_that_is_no_weight_set_is_refused_and_not_run(
    tracker: Tracker, db: Path, log, weight_set, mark: Path
) -> None:
    log(weight_set, register_as="churn")
    folder = place(db)
    (folder / "weights.json").unlink()
    (folder / "evil.py").write_text(EVIL.format(mark=str(mark)))
    with pytest.raises(TrackingError, match="not where the store says it is"):
        tracker.load("models:/churn/1")
    assert not mark.exists()


def test_only_the_json_is_fetched(
    tracker: Tracker, log, weight_set, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = log(weight_set, register_as="churn")
    artifacts = mlflow_part("mlflow.artifacts")
    fetched: list[str] = []
    download = artifacts.download_artifacts

    def watched(*, artifact_uri: str, **options: object) -> object:
        fetched.append(artifact_uri)
        return download(artifact_uri=artifact_uri, **options)

    monkeypatch.setattr(artifacts, "download_artifacts", watched)
    tracker.load(run_id)
    tracker.load("models:/churn/1")
    assert [uri.rsplit("/", 1)[1] for uri in fetched] == ["weights.json"] * 2


WATCHED = """
import sys

asked = []

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        asked.append((event, repr(arguments[1:] if event == "socket.connect" else arguments)))

sys.addaudithook(watch)
"""
JOB = """
from ces_ml.datasets import make_event_history
from ces_ml.tracking import Tracker
from ces_ml.training import TrainingConfig, record, train

config = TrainingConfig.parse({
    "name": "trial_conversion",
    "outcome": {"task": "conversion", "event": "subscription_started", "horizon": "14d"},
    "as_of": "14d after trial_started",
    "counts": [{"events": ["login", "demo_booked"], "window": "28d"}],
    "evaluation": {"ceiling": False},
})
result = train(config, make_event_history(2000).events)
tracker = Tracker("mlflow.db")
info = record(result, tracker, register_as="churn")
tracker.promote(info.run_id, "churn", override="a test")
assert tracker.load("models:/churn@champion") == result.weight_set
import time, threading
for thread in threading.enumerate():  # a client that tells tales does it from a thread at its end
    if thread is not threading.current_thread() and not thread.daemon:
        thread.join(5)
"""
END = """
import atexit
outside = [a for a in asked if not any(n in a[1] for n in ("127.0.0.1", "'localhost'", "::1"))]
outside = [a for a in outside if "'/" not in a[1]]  # sockets that are files
print("ASKED", outside)
"""


def outside(program: str, folder: Path, **environment: str) -> str:
    """Return what a program printed about the addresses it asked beyond this machine."""
    base = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + program + END],
        cwd=folder,
        env=base | environment,
        capture_output=True,
        text=True,
    )
    assert "ASKED" in done.stdout, done.stderr
    return done.stdout.split("ASKED ")[1].strip()


@pytest.mark.slow
def test_training_recording_promoting_and_loading_ask_no_other_machine(tmp_path: Path) -> None:
    assert outside(JOB, tmp_path) == "[]"


@pytest.mark.slow
def test_the_watch_sees_a_name_that_is_looked_up(tmp_path: Path) -> None:
    program = """
import socket
try:
    socket.create_connection(("telemetry.invalid", 443), timeout=0.1)
except OSError:
    pass
"""
    assert "telemetry.invalid" in outside(program, tmp_path)
