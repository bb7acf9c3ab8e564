"""Weight sets in stores behind real servers, and what happens when those fail."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ces_ml.errors import NotLoggedError, TrackingError
from ces_ml.tracking import Tracker, open_store, resume_outbox
from ces_ml.tracking import tracker as tracker_module
from ces_ml.tracking.pending import LOG_ID_TAG
from ces_ml.weights import WeightSet

pytestmark = pytest.mark.slow

RUN: dict[str, Any] = {
    "run_name": "run",
    "params": {"a": "b"},
    "metrics": {"auc": 0.5},
    "texts": {"card.md": "# card"},
    "register_as": "churn",
}


def logged_promoted_and_loaded(tracker: Tracker, weight_set: WeightSet) -> str:
    info = tracker.log_run(weight_set, **RUN)
    assert tracker.promote(info.run_id, "churn") == info.model_version == "1"
    assert tracker.load("models:/churn@champion") == tracker.load(info.run_id) == weight_set
    return info.run_id


def statuses(url: str, experiment: str = "tests") -> list[str]:
    store = open_store(url)
    return sorted(
        run.info.status for run in store.client.search_runs([store.experiment_id(experiment)])
    )


def test_a_server_keeps_weight_sets_and_files_for_clients_without_a_disk_of_theirs(
    serve, weight_set: WeightSet, tmp_path: Path, quiet_place: Path
) -> None:
    server = serve("--backend-store-uri", f"sqlite:///{tmp_path}/server.db")
    tracker = Tracker(server.url, "tests")
    run_id = logged_promoted_and_loaded(tracker, weight_set)
    path = open_store(server.url).client.download_artifacts(run_id, "card.md")
    assert Path(path).read_text() == "# card"
    assert list(quiet_place.iterdir()) == []


INI = """
[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/users.db
admin_username = admin
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""
ADMIN, ANA = ("admin", "admin-password-1"), ("ana", "ana-password-12")


@pytest.fixture
def guarded(serve, tmp_path: Path) -> str:
    """A server with passwords, and an account that may read only."""
    (tmp_path / "auth.ini").write_text(INI.format(folder=tmp_path, password=ADMIN[1]))
    server = serve(
        *("--app-name", "basic-auth", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"),
        MLFLOW_AUTH_CONFIG_PATH=str(tmp_path / "auth.ini"),
        MLFLOW_FLASK_SERVER_SECRET_KEY="of the test",
    )
    request = urllib.request.Request(
        f"{server.url}/api/2.0/mlflow/users/create",
        data=json.dumps({"username": ANA[0], "password": ANA[1]}).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": "Basic " + base64.b64encode(":".join(ADMIN).encode()).decode(),
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    return str(server.url)


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    def as_user(name: str, password: str) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)

    return as_user


def test_a_server_with_passwords_takes_the_account_of_the_environment_and_explains_the_rest(
    guarded: str, as_user, weight_set: WeightSet, quiet_place: Path
) -> None:
    with pytest.raises(TrackingError, match="server does not know you") as caught:
        open_store(guarded)
    assert "MLFLOW_TRACKING_USERNAME" in str(caught.value)
    as_user("admin", "no-such-password")
    with pytest.raises(TrackingError, match="server does not know you"):
        open_store(guarded)
    as_user(*ADMIN)
    logged_promoted_and_loaded(Tracker(guarded, "tests"), weight_set)
    as_user(*ANA)
    assert Tracker(guarded).load("models:/churn@champion") == weight_set
    with pytest.raises(NotLoggedError, match="server refuses the request") as refused:
        Tracker(guarded, "tests").log_run(weight_set, **RUN)
    assert "permission" in str(refused.value)
    secrets = (ADMIN[1].encode(), ANA[1].encode())
    for path in (p for p in quiet_place.rglob("*") if p.is_file()):
        assert not [s for s in secrets if s in path.read_bytes()]
    as_user(*ADMIN)
    (done,) = resume_outbox()
    assert done.info is not None
    assert done.info.model_version == "2"
    assert statuses(guarded) == ["FINISHED", "FINISHED"]


def test_a_server_on_postgresql_keeps_weight_sets(
    serve, postgresql: Callable[[str], str], weight_set: WeightSet
) -> None:
    server = serve("--backend-store-uri", postgresql("tracking"))
    tracker = Tracker(server.url, "tests")
    run_id = logged_promoted_and_loaded(tracker, weight_set)
    data = open_store(server.url).client.get_run(run_id).data
    assert data.metrics["weight/login"] == weight_set.weights["login"]


MAKE = """
import sys
from ces_ml.tracking import Tracker
from ces_ml.weights import WeightSet
weight_set = WeightSet.load(sys.argv[2])
Tracker(sys.argv[1], "shared").log_run(
    weight_set, run_name=sys.argv[3], params={}, metrics={}, register_as="churn"
)
"""


def four_at_once(store: str, weight_set: WeightSet, folder: Path) -> None:
    path = weight_set.save(folder / "w.json")
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, store, str(path), f"run {k}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(4)
    ]
    said = [job.communicate(timeout=300)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 4, said
    opened = open_store(store)
    runs = opened.client.search_runs([opened.experiment_id("shared")])
    assert sorted(run.info.run_name for run in runs) == [f"run {k}" for k in range(4)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    versions = opened.client.search_model_versions("name = 'churn'")
    assert sorted(str(v.version) for v in versions) == ["1", "2", "3", "4"]
    assert Tracker(store).load("models:/churn/4") == weight_set


def test_four_jobs_log_into_one_new_sqlite_store_at_once(
    weight_set: WeightSet, tmp_path: Path
) -> None:
    four_at_once(f"sqlite:///{tmp_path}/new.db", weight_set, tmp_path)


def test_four_jobs_log_into_one_new_postgresql_store_at_once(
    postgresql: Callable[[str], str], weight_set: WeightSet, tmp_path: Path
) -> None:
    uri = postgresql("new")
    four_at_once(uri, weight_set, tmp_path)
    with pytest.raises(TrackingError, match="the database of the tracking store does not know you"):
        open_store(uri.replace("s3cr3t", "other"))
    with pytest.raises(TrackingError, match="there is no such database") as caught:
        open_store(uri.replace("/new", "/old"))
    assert "s3cr3t" not in str(caught.value)


def test_a_server_that_dies_in_the_middle_of_a_run_costs_neither_minutes_nor_the_fit(
    serve, weight_set: WeightSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = ("--backend-store-uri", f"sqlite:///{tmp_path}/server.db")
    server = serve(*backend)
    tracker = Tracker(server.url, "tests")
    real = tracker_module.log_values

    def dying(*args: Any) -> Any:
        server.kill()
        return real(*args)

    monkeypatch.setattr(tracker_module, "log_values", dying)
    with pytest.raises(NotLoggedError, match="server can't be reached") as caught:
        tracker.log_run(weight_set, **RUN)
    assert caught.value.entry is not None
    monkeypatch.setattr(tracker_module, "log_values", real)

    serve(*backend, port=int(server.url.rpartition(":")[2]))
    (done,) = resume_outbox()
    assert done.info is not None
    assert Tracker(server.url).load("models:/churn/1") == weight_set
    assert statuses(server.url) == ["FAILED", "FINISHED"]  # the half of a run does not go on
    store = open_store(server.url)
    runs = store.client.search_runs([store.experiment_id("tests")])
    assert len({run.data.tags[LOG_ID_TAG] for run in runs}) == 1


@pytest.fixture
def failing() -> Iterator[tuple[str, Counter[str]]]:
    """A server that fails at everything, and how often each thing was asked of it."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked[self.path.partition("?")[0]] += 1
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815  - the names of http.server

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join(60)


def test_a_server_that_fails_is_asked_once_at_first_and_three_times_later(failing) -> None:
    url, asked = failing
    with pytest.raises(TrackingError, match="the tracking server failed"):
        open_store(url)
    assert asked.total() == 1
    from ces_ml.tracking.quiet import mlflow_part
    from ces_ml.tracking.store import Store

    client = mlflow_part().MlflowClient(tracking_uri=url, registry_uri=url)
    asked.clear()
    with pytest.raises(TrackingError, match="the tracking server failed"):
        Store(url, client).experiment_id("tests")
    assert asked.total() == 3


def test_a_server_that_listens_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ces_ml.tracking import patience

    monkeypatch.setitem(patience.OPENING, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(TrackingError, match="server can't be reached"),
    ):
        open_store(f"http://127.0.0.1:{silent.getsockname()[1]}")
