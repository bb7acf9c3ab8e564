"""Runs out of an outbox into a store, each of them once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ces_ml.errors import CesError, TrackingError, show
from ces_ml.tracking.explain import without_password
from ces_ml.tracking.outbox import kept_runs, locked, outboxes_of, take_out
from ces_ml.tracking.pending import PendingRun, read_pending
from ces_ml.tracking.store import default_store, resolve_store
from ces_ml.tracking.tracker import RunInfo, Tracker

__all__ = ["KeptRun", "Resumed", "list_outbox", "resume_outbox"]


@dataclass(frozen=True)
class KeptRun:
    """A run that waits in an outbox.

    Parameters
    ----------
    entry : pathlib.Path
        Its folder.
    run : PendingRun or None
        None where the folder can't be read.
    problem : str
        Why it was not logged, or why it can't be read.
    """

    entry: Path
    run: PendingRun | None
    problem: str


@dataclass(frozen=True)
class Resumed:
    """What became of a run of the outbox.

    Parameters
    ----------
    entry : pathlib.Path
        Where it was kept; it is gone if `error` is None.
    info : RunInfo or None
        The run, if it is logged.
    error : CesError or None
        Why it is not.
    """

    entry: Path
    info: RunInfo | None
    error: CesError | None


def list_outbox(
    store: str | os.PathLike[str] | None = None, outbox: str | os.PathLike[str] | None = None
) -> list[KeptRun]:
    """Return the runs that wait to be logged, the oldest of each outbox first.

    Parameters
    ----------
    store : str or path-like, optional
        Beside an SQLite store its outbox is looked for; see `default_store`.
    outbox : path-like, optional
        The one folder to look in. When not given: beside the store, in the working folder and in
        the home folder.
    """
    return [_look(entry) for entry in _entries(store, outbox)]


def resume_outbox(
    store: str | os.PathLike[str] | None = None,
    outbox: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] = lambda run: None,
) -> Iterator[Resumed]:
    """Log the runs that wait in an outbox, and say of each what became of it.

    A run leaves the outbox when the store has all of it. One that broke off half-way before is
    marked as failed and logged anew; one of which only the end was missing is ended. Where two
    processes resume at once, the second waits for the first and finds nothing left.

    Parameters
    ----------
    store : str or path-like, optional
        Where all the runs go. When not given, each goes where it was meant to go; a store whose
        address held a password must be given.
    outbox : path-like, optional
        As in `list_outbox`.
    progress : callable, optional
        Called with the name of each run as it begins.

    Yields
    ------
    Resumed

    Raises
    ------
    TrackingError
        If the outbox is not there or can't be locked.
    """
    if outbox is not None and not Path(outbox).is_dir():
        raise TrackingError(
            "there is no outbox",
            got=show(os.fspath(outbox)),
            allowed="a folder in which runs were kept",
            hint="take the folder from the message of the run that failed",
        )
    for folder in _folders(store, outbox):
        if not kept_runs(folder):
            continue
        with locked(folder):
            for entry in kept_runs(folder):
                try:
                    run = read_pending(entry)
                    progress(run.run_name)
                    tracker = Tracker(_store_of(run, store), run.experiment)
                    info = tracker.log_pending(run)
                except CesError as error:
                    yield Resumed(entry, None, error)
                else:
                    take_out(entry)
                    yield Resumed(entry, info, None)


def _folders(
    store: str | os.PathLike[str] | None, outbox: str | os.PathLike[str] | None
) -> list[Path]:
    if outbox is not None:
        return [Path(outbox).absolute()]
    return outboxes_of(resolve_store(store))


def _entries(
    store: str | os.PathLike[str] | None, outbox: str | os.PathLike[str] | None
) -> Iterator[Path]:
    for folder in _folders(store, outbox):
        yield from kept_runs(folder)


def _look(entry: Path) -> KeptRun:
    try:
        run = read_pending(entry)
    except TrackingError as error:
        return KeptRun(entry, None, error.problem)
    return KeptRun(entry, run, run.error)


def _store_of(run: PendingRun, store: str | os.PathLike[str] | None) -> str:
    """Return the store that is named, or the one that the run was meant for."""
    if store is not None:
        return os.fspath(store)
    if "…" not in run.store:
        return run.store
    default = default_store()
    if without_password(default) == run.store:
        return default
    raise TrackingError(
        "the store of a kept run needs its password",
        got=f"{run.store}, kept without it",
        allowed="the whole address of the store",
        hint="give it with --store, or in MLFLOW_TRACKING_URI",
    )
