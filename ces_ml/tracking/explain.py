"""What MLflow raises, said as a `TrackingError` that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ces_ml.errors import CesError, TrackingError

__all__ = ["error_code", "explaining", "without_password"]

_UNWRITABLE = (
    "a store on a disk with space left, in a folder that you may write to",
    "check the permissions and the free space of the folder",
)
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
        r"Invalid Host header|\b403\b|Permission denied to",
        "the tracking server refuses the request",
        "a host name that the server allows, and an account with the permission",
        "start the server with --allowed-hosts NAME,NAME:PORT, or ask for the permission",
    ),
    (
        r"Max retries exceeded|Connection refused|ConnectionError|timed out|Name or service",
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
        r"readonly database|unable to open database|Permission denied|Read-only file system"
        r"|disk is full|No space left",
        "the tracking store can't be written",
        *_UNWRITABLE,
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

    Parameters
    ----------
    store : str
        URI of the store, for the message; its password is left out.
    doing : str
        What was tried, for example ``"log a run"``.
    """
    try:
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
    >>> without_password("postgresql+psycopg://ana:secret@host/db")
    'postgresql+psycopg://…@host/db'
    """
    return re.sub(r"://[^/\s]*@", "://…@", text)


def error_code(error: Exception) -> str:
    """Return MLflow's name of the error, such as ``RESOURCE_DOES_NOT_EXIST``, or ``""``."""
    return str(getattr(error, "error_code", ""))
