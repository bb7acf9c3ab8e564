"""MLflow's pages over a store, from a server that starts light and stops clean."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ces_ml.errors import TrackingError, show
from ces_ml.tracking.explain import explaining, without_password
from ces_ml.tracking.quiet import FORCED, PREFERRED
from ces_ml.tracking.store import ARTIFACT_FOLDER, Store, open_store, resolve_store, sqlite_path

__all__ = [
    "VIEW_KEY",
    "VIEW_TAG",
    "experiment_url",
    "page_of",
    "run_url",
    "start_ui",
    "ui_command",
    "ui_environment",
]

#: MLflow opens in the mode for language models unless the address says otherwise.
_MODE = "workflowType=machine_learning"
#: Name of an experiment's view in addresses (``viewStateShareKey=…``), and the tag that holds it.
VIEW_KEY = "ces-overview"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
_STORE = "--backend-store-uri"
_STOP_TIMEOUT_S = 10.0
_START_TIMEOUT_S = 120


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


def page_of(store: Store, base: str | None = None, experiment: str | None = None) -> str:
    """Return the address of the page that shows the weight sets of a store.

    Parameters
    ----------
    store : Store
    base : str, optional
        Where the pages are served; a store behind a server has its own.
    experiment : str, optional
        Name of the experiment that is shown. When not given, that of the newest run; where there
        is no run yet, the list of experiments.

    Raises
    ------
    TrackingError
        If there is no such experiment.
    """
    base = (base or without_password(store.uri).replace("…@", "")).rstrip("/")
    with explaining(store.uri, "find the experiment"):
        known = {e.name: e for e in store.client.search_experiments()}
        if experiment is None:
            ids = {e.experiment_id: name for name, e in known.items()}
            order = ["attributes.start_time DESC"]
            newest = store.client.search_runs(list(ids), max_results=1, order_by=order)
            if not newest:
                return f"{base}/#/experiments?{_MODE}"
            experiment = ids[newest[0].info.experiment_id]
    if experiment not in known:
        raise TrackingError.unknown(
            "no experiment with this name", experiment, known, hint="correct --experiment"
        )
    found = known[experiment]
    return experiment_url(base, found.experiment_id, VIEW_KEY if VIEW_TAG in found.tags else None)


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
            got=show(without_password(uri)),
            allowed="a store without a server, such as sqlite:////path/mlflow.db",
            hint=f"open {without_password(uri).replace('…@', '')}/#/experiments?{_MODE}",
        )
    db = sqlite_path(uri)
    folder = db.parent if db is not None else os.getcwd()
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)),
        *("--workers", "1", _STORE, uri, "--no-serve-artifacts"),
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
    store: str | os.PathLike[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 5000,
    *,
    experiment: str | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> int:
    """Serve MLflow's pages over a store until interrupted; return the exit code.

    Nothing is printed here, and what the server prints goes to standard error. It runs in a
    process group of its own, which ends as a whole on Ctrl-C and on SIGTERM.

    Parameters
    ----------
    store : str or path-like, optional
        See `default_store`.
    host : str, default="127.0.0.1"
    port : int, default=5000
    experiment : str, optional
        As in `page_of`.
    ready : callable, optional
        Called with the address of the page once the server answers.

    Raises
    ------
    TrackingError
        If the store can't be opened or the port is taken, or the server does not start.
    """
    command, environment = _without_secret(ui_command(store, port, host), resolve_store(store))
    _check_port(host, port)
    page = page_of(open_store(store, make=False), _base(host, port), experiment)
    with _interrupted_by_sigterm():
        server = subprocess.Popen(  # noqa: S603  - our own interpreter, arguments as a list
            command, env=environment, stdout=2, start_new_session=True
        )
        try:
            if _answers(server, f"{_base(host, port)}/health"):
                ready(page)
            return _wait(server)
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(server)


def _without_secret(command: list[str], uri: str) -> tuple[list[str], dict[str, str]]:
    """Return the command and its environment; an address with a password stands in the latter.

    Everybody on the machine may list the arguments of a process, not its environment.
    """
    environment = ui_environment()
    if without_password(uri) == uri:
        return command, environment
    at = command.index(_STORE)
    return [*command[:at], *command[at + 2 :]], {**environment, "MLFLOW_BACKEND_STORE_URI": uri}


def _base(host: str, port: int) -> str:
    """Return an address under which a server that listens on `host` is reached from here."""
    near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host)  # noqa: S104  - read, not listened on
    return f"http://{near or (f'[{host}]' if ':' in host else host)}:{port}"


def _answers(server: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server answers; return whether it did before it was given up.

    Raises
    ------
    TrackingError
        If the server ended instead.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(_START_TIMEOUT_S * 5):
        with suppress(OSError), opener.open(url, timeout=5.0):
            return True
        with suppress(subprocess.TimeoutExpired):
            raise TrackingError(
                "the server of the pages ended before it answered",
                got=f"exit code {server.wait(timeout=0.2)}",
                allowed="a server that starts",
                hint="its own words stand above; another program may have taken the port: --port",
            )
    return False


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
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            return
    except (OSError, OverflowError) as error:
        raise TrackingError(
            "the port can't be used",
            got=f"{host}:{port}: {getattr(error, 'strerror', None) or error}",
            allowed="a port from 1 to 65535 that no other program listens on",
            hint="choose another one with --port",
        ) from error
