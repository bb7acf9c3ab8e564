from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ces_ml.errors import TrackingError
from ces_ml.tracking import Tracker, default_store, open_store
from ces_ml.tracking.explain import without_password
from ces_ml.tracking.store import resolve_store, sqlite_path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ana:pa/ss@host/db", "postgresql://…@host/db"),
        ("mysql+pymysql://ana:p@/ss@host:1/db", "mysql+pymysql://…@host:1/db"),
        ("http://ana:secret@host:5000/x", "http://…@host:5000/x"),
        ("http://host:5000/models@champion", "http://host:5000/models@champion"),
        ("sqlite:////data/a@b.db", "sqlite:////data/a@b.db"),
    ],
)
def test_a_password_is_left_out_whatever_signs_it_has(text: str, shown: str) -> None:
    assert without_password(text) == shown
    assert without_password(f"can't open {text!r}: no") == f"can't open {shown!r}: no"


def test_the_default_store_is_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert default_store() == "http://tracking:5000"


def test_the_default_store_is_a_database_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert default_store() == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert resolve_store() == default_store()


def test_relative_stores_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    whole = f"sqlite:///{tmp_path / 'a.db'}"
    assert resolve_store("a.db") == resolve_store("sqlite:///a.db") == resolve_store(whole) == whole
    assert resolve_store(Path("a.db")) == whole
    assert resolve_store("http://tracking:5000/") == "http://tracking:5000"


@pytest.mark.parametrize("folder", ["with space", "a+b&c=d", "c#d", "é'\"", "semi;colon"])
def test_any_folder_name_can_hold_a_store(
    folder: str, tmp_path: Path, template_db: Path, make_weight_set
) -> None:
    place = tmp_path / folder
    place.mkdir()
    (place / "mlflow.db").write_bytes(template_db.read_bytes())
    tracker = Tracker(place / "mlflow.db")
    assert sqlite_path(tracker.store) == place / "mlflow.db"
    weight_set = make_weight_set()
    info = tracker.log_run(weight_set, run_name="r", params={}, metrics={}, register_as="churn")
    assert tracker.load(info.run_id) == tracker.load("models:/churn/1") == weight_set
    assert sorted(p.name for p in tmp_path.iterdir()) == [folder]
    assert {p.name for p in place.iterdir()} <= {"mlflow.db", "mlflow.db.lock", "mlartifacts"}


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("file:///tmp/mlruns", "a folder can't be a tracking store"),
        ("./", "a folder can't be a tracking store"),
        ("weights.json", "not a tracking store"),
        ("sqlite:///:memory:", "not a tracking store"),
        ("sqlite://", "not a tracking store"),
        ("http://", "not a tracking store"),
        ("", "not a tracking store"),
    ],
)
def test_what_is_no_store_is_refused_with_what_to_use(
    store: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(TrackingError, match=message) as caught:
        Tracker(store)
    assert "sqlite:////" in str(caught.value)


@pytest.mark.parametrize("folder", ["100%", "a%20b", "what?"])
def test_a_path_that_mlflow_reads_in_two_ways_is_refused(folder: str, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"under a path with % or \?"):
        Tracker(tmp_path / folder / "mlflow.db")


def test_a_folder_in_place_of_the_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(TrackingError, match="a folder can't be a tracking store"):
        open_store(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_missing_folder_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="folder of the tracking store is not there"):
        open_store(tmp_path / "missing" / "mlflow.db")
    assert not (tmp_path / "missing").exists()


def test_a_text_file_in_place_of_the_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("name,weight\nlogin,0.3\n")
    with pytest.raises(TrackingError, match="not an SQLite database"):
        open_store(path)
    assert path.read_text() == "name,weight\nlogin,0.3\n"


def test_a_damaged_database_is_refused_at_once(db: Path) -> None:
    whole = db.read_bytes()
    db.write_bytes(whole[:16] + b"\xff" * 200 + whole[216:])
    with pytest.raises(TrackingError, match=r"damaged|could not"):
        open_store(db)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_a_place_that_can_t_be_written_is_refused_at_once() -> None:
    with pytest.raises(TrackingError, match="can't be made"):
        open_store("/proc/mlflow.db")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TrackingError, match="can't be made"):
        open_store(tmp_path / "mlflow.db")


def test_a_schema_of_another_mlflow_is_explained(db: Path) -> None:
    with sqlite3.connect(db) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(TrackingError, match="schema of another version of MLflow") as caught:
        open_store(db)
    assert "mlflow db upgrade" in str(caught.value)


def test_a_server_that_is_not_there_is_told_at_once_and_without_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    before = dict(os.environ)
    with pytest.raises(TrackingError, match="server can't be reached") as caught:
        open_store(f"http://ana:secret@127.0.0.1:{port}")
    assert "secret" not in str(caught.value)
    assert {k: v for k, v in os.environ.items() if "HTTP_REQUEST" in k} == {
        k: v for k, v in before.items() if "HTTP_REQUEST" in k
    }


@pytest.fixture
def answering() -> Iterator[Callable[[int, str], str]]:
    """Start a server that gives one answer to everything; return its address."""
    servers: list[HTTPServer] = []

    def start(status: int, body: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args: object) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, "You are not authenticated.", "does not know you"),
        (403, "Invalid Host header - possible DNS rebinding attack detected", "this host name"),
        (403, "Permission denied", "refuses the request"),
        (404, "<html>not here</html>", "could not be opened"),
        (200, "<html>a web page</html>", "could not be opened"),
        (500, "broken", "the tracking server failed"),
    ],
)
def test_a_server_that_is_no_store_or_refuses_is_explained(
    status: int, body: str, message: str, answering: Callable[[int, str], str]
) -> None:
    with pytest.raises(TrackingError, match=message):
        open_store(answering(status, body))


def test_a_deleted_experiment_is_refused_with_how_to_restore_it(db: Path) -> None:
    store = open_store(db)
    store.client.delete_experiment(store.experiment_id("old"))
    with pytest.raises(TrackingError, match="experiment was deleted"):
        store.experiment_id("old")


def test_an_experiment_keeps_its_files_beside_the_database(db: Path) -> None:
    store = open_store(db)
    made = store.client.get_experiment(store.experiment_id("new"))
    assert made.artifact_location == (db.parent / "mlartifacts").as_uri()
    assert store.experiment_id("new") == made.experiment_id


MAKE = """
import sys
from ces_ml.tracking import open_store
store = open_store(sys.argv[1])
print(store.experiment_id("shared"))
"""


@pytest.mark.slow
def test_four_processes_that_make_one_new_store_at_once_do_not_collide(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path / "mlflow.db")]
    jobs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    results = [(*job.communicate(timeout=240), job.returncode) for job in jobs]
    assert [(out.strip(), code) for out, _, code in results] == [("1", 0)] * 4, results


def test_importing_tracking_imports_no_mlflow() -> None:
    code = "import sys, ces_ml.tracking; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_telemetry_is_off_when_mlflow_is_imported(db: Path) -> None:
    code = (
        "import os, sys; from ces_ml.tracking import open_store; open_store(sys.argv[1]);"
        "from mlflow.telemetry.utils import is_telemetry_disabled as off;"
        "print(off(), os.environ['MLFLOW_DISABLE_TELEMETRY'], os.environ['DO_NOT_TRACK'],"
        " os.environ['MLFLOW_LOGGING_LEVEL'])"
    )
    switches = ("MLFLOW_", "DO_NOT_TRACK", "CI")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(switches)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(db)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment | {"DO_NOT_TRACK": "1"},
    )
    assert done.stdout.split() == ["True", "true", "true", "WARNING"]
    assert done.stderr == ""
