"""MLflow's pages over a store, from a server that starts light and stops clean."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ces_ml.errors import TrackingError, show
from ces_ml.tracking.quiet import FORCED, PREFERRED
from ces_ml.tracking.store import ARTIFACT_FOLDER, open_store, resolve_store, sqlite_path

__all__ = ["experiment_url", "run_url", "start_ui", "ui_command", "ui_environment"]

#: MLflow opens in the mode for language models unless the address says otherwise.
_MODE = "workflowType=machine_learning"
_STOP_TIMEOUT_S = 10.0


def experiment_url(base: str, experiment_id: str, view: str | None = None) -> str:
    """Return the address of an experiment's table of runs, as a shared view shows it.

    Examples
    --------
    >>> experiment_url("http://127.0.0.1:5000", "1")
    'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning'
    """
    shown = f"&viewStateShareKey={view}" if view else ""
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs?{_MODE}{shown}"


def run_url(base: str, experiment_id: str, run_id: str) -> str:
    """Return the address of a run's page.

    Examples
    --------
    >>> run_url("http://127.0.0.1:5000/", "1", "ab12")
    'http://127.0.0.1:5000/#/experiments/1/runs/ab12?workflowType=machine_learning'
    """
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}?{_MODE}"


def ui_command(
    store: str | os.PathLike[str] | None, port: int = 5000, host: str = "127.0.0.1"
) -> list[str]:
    """Return the command that serves MLflow's pages over a store.

    One worker and no job runner: 0.4 GB of memory instead of 1.9. Artifacts are not proxied, so
    experiments made through this server can be opened without it too.

    Raises
    ------
    TrackingError
        If the store is a server, which has pages of its own.
    """
    uri = resolve_store(store)
    if uri.startswith("http"):
        raise TrackingError(
            "the store is a server, which shows its pages itself",
            got=show(uri),
            allowed="a store without a server, such as sqlite:////path/mlflow.db",
            hint=f"open {uri}/#/experiments?{_MODE}",
        )
    db = sqlite_path(uri)
    folder = db.parent if db is not None else os.getcwd()
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", uri, "--no-serve-artifacts"),
        *("--default-artifact-root", os.path.join(folder, ARTIFACT_FOLDER)),
        *("--uvicorn-opts", "--log-level warning"),
    ]


def ui_environment() -> dict[str, str]:
    """Return the environment of the server: ours, quiet, without the job runner."""
    return {
        **PREFERRED,
        **os.environ,
        **FORCED,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def start_ui(
    store: str | os.PathLike[str] | None = None, host: str = "127.0.0.1", port: int = 5000
) -> int:
    """Serve MLflow's pages over a store until interrupted; return the exit code.

    Nothing is printed here. The server runs in a process group of its own, which ends as a whole
    on Ctrl-C and on SIGTERM.

    Raises
    ------
    TrackingError
        If the store can't be opened or the port is taken.
    """
    command = ui_command(store, port, host)
    _check_port(host, port)
    open_store(store, make=False)
    with _interrupted_by_sigterm():
        server = subprocess.Popen(  # noqa: S603  - our own interpreter, arguments as a list
            command, env=ui_environment(), start_new_session=True
        )
        try:
            return _wait(server)
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(server)


def _wait(server: subprocess.Popen[bytes]) -> int:
    """Wait for the server with short sleeps.

    Where a library has started threads, a signal may reach one of those, and a wait without end
    in the main thread would never see it.
    """
    while True:
        with suppress(subprocess.TimeoutExpired):
            return server.wait(timeout=1.0)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the whole process group, asking first."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(server.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=_STOP_TIMEOUT_S)
            return


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that no server is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_port(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            return
    except (OSError, OverflowError) as error:
        raise TrackingError(
            "the port can't be used",
            got=f"{host}:{port}: {getattr(error, 'strerror', None) or error}",
            allowed="a port from 1 to 65535 that no other program listens on",
            hint="choose another one with --port",
        ) from error
