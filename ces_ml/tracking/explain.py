"""What MLflow raises, said as a `TrackingError` that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ces_ml.errors import CesError, TrackingError
from ces_ml.tracking.patience import WORKING, patience

__all__ = ["error_code", "explaining", "without_password"]

#: Pattern in MLflow's message → problem, what is allowed, what to do. The first match speaks.
_KNOWN = (
    (
        r"out-of-date database schema|Can't locate revision",
        "the tracking store has the schema of another version of MLflow",
        "a store made by the installed MLflow, or brought up to it",
        "if the store is newer: pip install --upgrade mlflow; if it is older: copy the file, then "
        "run `mlflow db upgrade` on it",
    ),
    (
        r"\b401\b|Unauthorized|not authenticated",
        "the tracking server does not know you",
        "the user name and password of an account on the server",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    ),
    (
        r"Invalid Host header",
        "the tracking server does not answer under this host name",
        "a host name that the server allows",
        "use another name of the server, or start it with --allowed-hosts NAME,NAME:PORT",
    ),
    (
        r"error code 403\b|Permission denied to",
        "the tracking server refuses the request",
        "an account with the permission to edit the experiment and the registered model",
        "ask the administrator of the server for the permission, or choose another --experiment",
    ),
    (
        r"password authentication failed|no password supplied|Access denied for user"
        r"|no pg_hba\.conf entry",
        "the database of the tracking store does not know you",
        "the user name and password of an account of the database",
        "correct them in the address; the signs @ : / in a password are written %40 %3A %2F",
    ),
    (
        r"database .*does not exist|Unknown database",
        "there is no such database on the server",
        "a database that exists; MLflow makes its tables, not the database",
        "make it, for example: createdb mlflow",
    ),
    (
        r"ModuleNotFoundError: No module named|Can't load plugin: sqlalchemy",
        "the driver of the database is not installed",
        "an installed driver, such as pg8000 for postgresql+pg8000://user@host/database",
        "install it, for example: pip install pg8000; or use an MLflow server in front",
    ),
    (
        r"error code 5\d\d\b|too many 5\d\d error responses",
        "the tracking server failed",
        "a server whose own database and disk work",
        "look at the log of the server, then try again",
    ),
    (
        r"Max retries exceeded|Connection refused|ConnectionError|ConnectionRefused|timed out"
        r"|Name or service|name resolution|Can't create a connection|RemoteDisconnected"
        r"|Connection aborted|Connection reset|network error",
        "the tracking server can't be reached",
        "the address of a running MLflow server",
        "check the address, or start the server; without a server use sqlite:////path/mlflow.db",
    ),
    (
        r"file is not a database|malformed",
        "the tracking store is not an SQLite database, or is damaged",
        "a database made by MLflow",
        "choose another path, or restore the file from a copy",
    ),
    (
        r"disk is full|No space left|File too large|Disk quota exceeded|disk I/O error",
        "the disk of the tracking store is full, or fails",
        "a store on a disk with space left",
        "make room, or choose a --store on another disk",
    ),
    (
        r"readonly database|unable to open database|Permission denied|Read-only file system",
        "the tracking store can't be written",
        "a store in a folder that you may write to",
        "check the permissions of the folder, or choose another --store",
    ),
    (
        r"database is locked",
        "the tracking store is busy",
        "a store that no other program keeps locked",
        "wait and try again; for many parallel jobs use an MLflow server",
    ),
    (
        r"mlflow-artifacts URI was supplied",
        "the experiment keeps its files behind a server, and the store was opened without it",
        "the http:// address of the server that made the experiment",
        "set MLFLOW_TRACKING_URI to the server, or choose another experiment name",
    ),
    (
        r"No such artifact|No such file or directory|does not exist on the remote",
        "a file of the tracking store is not where the store says it is",
        "a store that was not moved: MLflow keeps absolute paths",
        "move the folder back, or train again into a new store",
    ),
)


@contextmanager
def explaining(store: str, doing: str) -> Iterator[None]:
    """Turn every error of the block that is not ours into a `TrackingError`.

    While the block runs, MLflow waits for a server as `patience.WORKING` says.

    Parameters
    ----------
    store : str
        URI of the store, for the message; its password is left out.
    doing : str
        What was tried, for example ``"log a run"``.
    """
    try:
        with patience(WORKING):
            yield
    except CesError:
        raise
    except Exception as error:
        raise _explained(error, store, doing) from error


def _explained(error: Exception, store: str, doing: str) -> TrackingError:
    text = f"{type(error).__name__}: {error}"
    said = _first_line(text)
    got = f"{without_password(store)!r}: {said}"
    for pattern, problem, allowed, hint in _KNOWN:
        if re.search(pattern, text):
            return TrackingError(problem, got=got, allowed=allowed, hint=hint)
    return TrackingError(
        f"the tracking store could not {doing}",
        got=got,
        allowed="an MLflow store of version 3.17 or later",
        hint="check that the address is an MLflow store; the cause above is MLflow's own message",
    )


def _first_line(text: str, limit: int = 240) -> str:
    text = re.sub(r"\(Background on this error at: \S+\)", "", text)
    line = without_password(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def without_password(text: str) -> str:
    """Return `text` with the user and password of every address in it left out.

    Examples
    --------
    >>> without_password("postgresql+pg8000://ana:secret@host/db")
    'postgresql+pg8000://…@host/db'
    >>> without_password("mysql://host/db?user=ana&password=secret")
    'mysql://host/db?user=ana&password=…'
    """
    text = re.sub(r"([?&](?:password|passwd|pwd|token)=)[^&\s'\"]*", r"\1…", text, flags=re.I)
    # Addresses of databases may hold a / in the password; those of servers end their host at it.
    text = re.sub(r"(?<!http)(?<!https)://[^/\s:@]*:\S*@", "://…@", text, flags=re.I)
    return re.sub(r"://[^/\s]*@", "://…@", text)


def error_code(error: Exception) -> str:
    """Return MLflow's name of the error, such as ``RESOURCE_DOES_NOT_EXIST``, or ``""``."""
    return str(getattr(error, "error_code", ""))
