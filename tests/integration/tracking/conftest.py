"""Real servers: MLflow's, with and without passwords, and PostgreSQL behind one."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from ces_ml.tracking.ui import ui_environment
from ces_ml.weights import Band, Provenance, Scale, WeightedTerm, WeightSet


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def make_weight_set(shift: float = 0.0) -> WeightSet:
    names = ("login", "it's; --", "🎉 café", "")
    return WeightSet(
        name="churn",
        terms=tuple(
            WeightedTerm(name=name, event=name, window="30d", weight=shift + k / 8)
            for k, name in enumerate(names)
        ),
        intercept=-1.0,
        scale=Scale(method="probability"),
        bands=(Band(name="at_risk", from_score=0), Band(name="advocate", from_score=60)),
        provenance=Provenance(
            data_digest="ab" * 32, config_digest="cd" * 32, rows=20, customers=10, positives=5
        ),
    )


@pytest.fixture
def weight_set() -> WeightSet:
    return make_weight_set()


@pytest.fixture(autouse=True)
def quiet_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder and a home of the test's own; nothing set by the person who runs it."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    for name in ("TRACKING_URI", "TRACKING_USERNAME", "TRACKING_PASSWORD", "TRACKING_TOKEN"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    return here


@dataclass
class MlflowServer:
    """A running server: its address, and how to end it."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """End it as a power cut would, with its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)


Serve = Callable[..., MlflowServer]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start ``mlflow server`` with given options, and end it with the test."""
    servers: list[MlflowServer] = []

    def start(*options: str, port: int | None = None, **environment: str) -> MlflowServer:
        port = port or free_port()
        log = tmp_path / f"server-{len(servers)}.log"
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--workers", "1", *options]
        command += ["--artifacts-destination", str(tmp_path / "artifacts")]
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                env=ui_environment() | environment,
                cwd=tmp_path,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        server = MlflowServer(f"http://127.0.0.1:{port}", process, log)
        servers.append(server)
        wait_for(server)
        return server

    yield start
    for server in servers:
        server.kill()


def wait_for(server: MlflowServer) -> None:
    """Wait until the server answers; the process's end is waited for between two questions."""
    for _ in range(600):
        with suppress(OSError), urllib.request.urlopen(f"{server.url}/health", timeout=10):
            return
        with suppress(subprocess.TimeoutExpired):
            code = server.process.wait(0.2)
            raise AssertionError(f"exit code {code}: {server.log.read_text()[-3000:]}")
    raise AssertionError(f"no answer: {server.log.read_text()[-3000:]}")


@pytest.fixture
def postgresql() -> Iterator[Callable[[str], str]]:
    """Start PostgreSQL on a port of its own; make a database and return its address."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    programs = Path(os.path.realpath(found[-1] if found else str(on_path))).parent
    port = free_port()
    with _folder_of_postgres() as (folder, user):

        def run(program: str, *words: str) -> None:
            command = [f"{programs}/{program}", *words]
            subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)

        data = str(folder / "data")
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        access = ("-A", "scram-sha-256", "-U", "ces", f"--pwfile={secret}")
        run("initdb", "-D", data, "-E", "UTF8", "--locale=C.UTF-8", *access)
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")

        def database(name: str) -> str:
            environment = os.environ | {"PGPASSWORD": PASSWORD}
            command = [f"{programs}/createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "ces"]
            subprocess.run([*command, name], check=True, env=environment, cwd=folder)
            return f"postgresql+pg8000://ces:{PASSWORD}@127.0.0.1:{port}/{name}"

        try:
            yield database
        finally:
            run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


PASSWORD = "s3cr3t-word"


@contextmanager
def _folder_of_postgres() -> Iterator[tuple[Path, str | None]]:
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: the path of a socket is limited
    user = None
    if os.getuid() == 0:  # the server refuses to run as root
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = "postgres"
    try:
        yield folder, user
    finally:
        shutil.rmtree(folder, ignore_errors=True)
