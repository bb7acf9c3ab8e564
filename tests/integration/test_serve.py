"""`ces-ml serve` as a program of its own, and weights that change while it runs."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ces_ml.cli.main import app
from ces_ml.serving import ServedWeights
from ces_ml.serving.loaded import loader
from ces_ml.spec import CountSpec
from ces_ml.tracking import Tracker
from ces_ml.weights import Band, Provenance, Scale, WeightedTerm, WeightSet


def make(weight: float = 0.5) -> WeightSet:
    term = CountSpec.of(["login"], window="30d").terms[0]
    return WeightSet(
        name="churn",
        terms=(WeightedTerm(**term.model_dump(), weight=weight),),
        intercept=-1.0,
        scale=Scale(method="min_max", knots=((0, 0), (5, 100))),
        bands=(Band(name="at_risk", from_score=0), Band(name="advocate", from_score=50)),
        provenance=Provenance(
            data_digest="ab" * 32, config_digest="cd" * 32, rows=20, customers=10, positives=5
        ),
    )


def ask(url: str, body: object) -> dict[str, object]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_program_answers_on_loopback_and_ends_when_told(
    tmp_path: Path, sign: signal.Signals
) -> None:
    file = tmp_path / "weights.json"
    make().save(file)
    command = [sys.executable, "-m", "ces_ml.cli.main", "serve", str(file), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        lines = [server.stdout.readline() for _ in range(2)]
        address = re.match(r"http://127\.0\.0\.1:(\d+)", lines[1])
        assert address, (lines, server.stderr.read() if server.poll() is not None else "")
        rows = [{"customer_id": "ann", "counts": {"login": 6}}]
        found = ask(f"{address[0]}/v1/score/counts", {"rows": rows})
        assert found["scores"][0]["raw_score"] == 3.0
        foreign = urllib.request.Request(f"{address[0]}/health", headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(foreign, timeout=60)
        server.send_signal(sign)
        _, errors = server.communicate(timeout=60)
        assert server.returncode == (0 if sign == signal.SIGINT else -signal.SIGTERM)
        assert "Traceback" not in errors
    finally:
        server.kill()
        server.wait()


def test_a_port_that_is_taken_and_weights_that_are_not_there_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.json"
    make().save(file)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        found = CliRunner().invoke(app, ["serve", str(file), "--port", port])
    assert found.exit_code == 2
    assert "the port can't be used" in found.stderr
    missing = CliRunner().invoke(app, ["serve", str(tmp_path / "no.json"), "--port", "0"])
    assert missing.exit_code == 2
    assert "no.json" in missing.stderr


@pytest.mark.slow
def test_a_promotion_is_followed(tmp_path: Path) -> None:
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db")
    runs = [
        tracker.log_run(make(w), run_name="r", params={}, metrics={}).run_id for w in (0.5, 0.7)
    ]
    tracker.promote(runs[0], "churn")
    weights = ServedWeights(loader("models:/churn@champion", tracker.store))
    assert weights.current.weight_set.weights == {"login": 0.5}
    assert not weights.refresh()
    tracker.promote(runs[1], "churn")
    assert weights.refresh()
    assert weights.current.weight_set.weights == {"login": 0.7}


def test_weights_are_looked_at_again_while_the_scorer_runs() -> None:
    looked = threading.Event()
    offered = [make(0.5)]

    def load() -> WeightSet:
        if len(offered) > 1:
            looked.set()
        return offered[-1]

    weights = ServedWeights(load, every_s=0.01)
    offered.append(make(0.9))
    weights.watch()
    assert looked.wait(60)
    weights.close()
    assert weights.current.weight_set.weights == {"login": 0.9}
    assert weights.reloads == 1
