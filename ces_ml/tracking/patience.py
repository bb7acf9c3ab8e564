"""How long a server is waited for: MLflow alone would retry for minutes before it tells a failure.

MLflow reads its patience from the environment at every request. What is set here is there only
while a block runs, and only where the user has not set it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["GIVING_UP", "OPENING", "WORKING", "patience"]

_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_BACKOFF = "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
#: The first request: a server that is not there is told at once.
OPENING = {_RETRIES: "0", _TIMEOUT: "10"}
#: Every other request: a connection that was cut is tried again at once and after about 2 s.
WORKING = {_RETRIES: "2", _BACKOFF: "1", _TIMEOUT: "15"}
#: Tidying up after a request that failed.
GIVING_UP = {_RETRIES: "0", _TIMEOUT: "5"}

_lock = threading.Lock()
_active: list[Mapping[str, str]] = []
_ours: set[str] = set()


@contextmanager
def patience(settings: Mapping[str, str]) -> Iterator[None]:
    """Let MLflow wait as `settings` say while the block runs; the innermost block decides.

    Parameters
    ----------
    settings : mapping of str to str
        `OPENING`, `WORKING` or `GIVING_UP`: names and values of environment variables. One that
        the user has set keeps the user's value.

    Examples
    --------
    >>> with patience(OPENING):
    ...     os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]
    '0'
    """
    with _lock:
        _active.append(settings)
        _apply()
    try:
        yield
    finally:
        with _lock:
            # By identity from the end: blocks of several threads may end in any order.
            at = next(k for k in reversed(range(len(_active))) if _active[k] is settings)
            del _active[at]
            _apply()


def _apply() -> None:
    wanted: dict[str, str] = {}
    for settings in _active:
        wanted |= settings
    for key in _ours - set(wanted):
        os.environ.pop(key, None)
    _ours.intersection_update(wanted)
    for key, value in wanted.items():
        if key in _ours or key not in os.environ:
            os.environ[key] = value
            _ours.add(key)
