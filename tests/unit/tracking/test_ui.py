from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from ces_ml.errors import TrackingError
from ces_ml.tracking import Tracker, experiment_url, open_store, start_ui, ui_command
from ces_ml.tracking import ui as ui_module
from ces_ml.tracking.ui import run_url, ui_environment


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_links_open_the_mode_for_models() -> None:
    assert experiment_url("http://h:1/", "3").endswith("/3/runs?workflowType=machine_learning")
    assert run_url("http://h:1", "3", "ab").endswith("/3/runs/ab?workflowType=machine_learning")


def test_the_command_serves_one_store_with_one_worker(db: Path) -> None:
    command = ui_command(db, 5001)
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    options = dict(zip(command[4::2], command[5::2], strict=False))
    assert options["--host"] == "127.0.0.1"
    assert options["--port"] == "5001"
    assert options["--workers"] == "1"
    assert options["--backend-store-uri"] == f"sqlite:///{db}"
    assert "--no-serve-artifacts" in command
    assert command[command.index("--default-artifact-root") + 1] == str(db.parent / "mlartifacts")


def test_the_server_runs_without_telemetry_and_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "ERROR")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    environment = ui_environment()
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_LOGGING_LEVEL"] == "ERROR"
    assert environment["PATH"] == os.environ["PATH"]


def test_a_server_as_store_has_pages_of_its_own() -> None:
    with pytest.raises(TrackingError, match="shows its pages itself"):
        ui_command("http://tracking:5000", 5001)


def test_a_port_that_is_taken_is_told(db: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(TrackingError, match="the port can't be used"):
            start_ui(db, port=port)


def test_a_port_that_is_none_is_told(db: Path) -> None:
    with pytest.raises(TrackingError, match="the port can't be used"):
        start_ui(db, port=70000)


#: Stands in for the server: starts a child, tells both process ids, and waits.
CHILD = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"],
                         stdin=subprocess.PIPE)
with open(sys.argv[1] + ".writing", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".writing", sys.argv[1])
child.wait()
"""
#: A shell may have started the tests with SIGINT ignored; a person at a terminal has not.
HEAR = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
HOST = (
    HEAR
    + """
import sys
from ces_ml.tracking import ui
ui.open_store = lambda store, **options: None
ui.page_of = lambda *args: "http://page"
ui.ui_command = lambda *args: [sys.executable, "-c", sys.argv[3], sys.argv[4]]
sys.exit(ui.start_ui(sys.argv[1], port=int(sys.argv[2])))
"""
)


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def until(condition, what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} took longer than {seconds} s"
        time.sleep(0.02)  # polling another process: there is nothing to wait on


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_stopping_ends_the_whole_group_of_processes(
    sign: signal.Signals, db: Path, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    command = [sys.executable, "-c", HOST, str(db), str(free_port()), CHILD, str(told)]
    host = subprocess.Popen(command)
    try:
        until(told.exists, "the start")
        pids = [int(pid) for pid in told.read_text().split()]
        assert all(map(running, pids))
        host.send_signal(sign)
        assert host.wait(timeout=30) == 0
        until(lambda: not any(map(running, pids)), "the end of the children")
    finally:
        host.kill()


@pytest.mark.slow
def test_the_pages_show_a_run_that_was_logged_without_the_server(db: Path, weight_set) -> None:
    info = Tracker(db).log_run(weight_set, run_name="r", params={}, metrics={})
    port = free_port()
    code = HEAR + "import sys; from ces_ml.tracking import start_ui;"
    code += "sys.exit(start_ui(sys.argv[1], port=int(sys.argv[2])))"
    host = subprocess.Popen(
        [sys.executable, "-c", code, str(db), str(port)], stderr=subprocess.DEVNULL
    )

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        until(healthy, "the start of the server", 120.0)
        remote = Tracker(f"http://127.0.0.1:{port}", experiment="over http")
        assert remote.load(info.run_id) == weight_set
        again = remote.log_run(
            weight_set, run_name="r", params={"a": "b"}, metrics={"auc": 0.5}, register_as="churn"
        )
        assert remote.promote(again.run_id, "churn") == "1"
        assert remote.load("models:/churn@champion") == weight_set
        assert again.url == run_url(remote.store, again.experiment_id, again.run_id)
        with pytest.raises(TrackingError, match="no registered weight set"):
            remote.load("models:/chrun@champion")
        with pytest.raises(TrackingError, match="no run with this id"):
            remote.load("0" * 32)
        host.send_signal(signal.SIGINT)
        assert host.wait(timeout=30) == 0
    finally:
        host.kill()
    assert Tracker(db).load("models:/churn@champion") == weight_set
    assert open_store(db).client.get_run(again.run_id).info.status == "FINISHED"


def test_the_password_of_a_database_is_not_in_the_list_of_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri, started = "postgresql+pg8000://ana:S3cret@host/db", []

    def start(command: list[str], env: dict[str, str], **options: object) -> None:
        started.append((command, env))
        raise KeyError("started")

    monkeypatch.setattr(ui_module, "open_store", lambda *args, **options: None)
    monkeypatch.setattr(ui_module, "page_of", lambda *args: "page")
    monkeypatch.setattr(ui_module, "_check_port", lambda *args: None)
    monkeypatch.setattr(ui_module.subprocess, "Popen", start)
    with pytest.raises(KeyError, match="started"):
        start_ui(uri)
    [(command, env)] = started
    assert not [word for word in command if "S3cret" in word]
    assert env["MLFLOW_BACKEND_STORE_URI"] == uri
