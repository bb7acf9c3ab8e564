"""The outbox: a folder of runs that could not be logged, so that no finished fit is lost."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ces_ml.errors import CesError, NotLoggedError, TrackingError, show
from ces_ml.tracking.explain import without_password
from ces_ml.tracking.pending import PendingRun, write_pending
from ces_ml.tracking.store import sqlite_path

__all__ = ["OUTBOX", "kept_if_not_logged", "kept_runs", "locked", "outboxes_of", "take_out"]

#: Name of the folder.
OUTBOX = "ces-ml-outbox"
_ENTRY = re.compile(r"[0-9]{8}T[0-9]{6}Z-.+-[0-9a-f]{8}")
_LOCK_TIMEOUT_S = 600


def outboxes_of(store: str, outbox: str | os.PathLike[str] | None = None) -> list[Path]:
    """Return the folders that an outbox of `store` may be, the preferred first.

    Parameters
    ----------
    store : str
        URI of the store.
    outbox : path-like, optional
        The one folder that is used. When not given: beside an SQLite store, then in the working
        folder, then in the home folder.
    """
    if outbox is not None:
        return [Path(outbox).absolute()]
    db = sqlite_path(store)
    homes = [db.parent] if db is not None and db.parent.is_dir() else []
    with suppress(OSError):
        homes.append(Path.cwd())
    with suppress(RuntimeError):
        homes.append(Path.home())
    return [home / OUTBOX for home in dict.fromkeys(homes)]


@contextmanager
def kept_if_not_logged(
    run: PendingRun, uri: str, outbox: str | os.PathLike[str] | None = None
) -> Iterator[None]:
    """Keep `run` in an outbox when the block, which logs it, fails or is interrupted.

    Parameters
    ----------
    run : PendingRun
    uri : str
        Address of the store. Its password is kept nowhere.
    outbox : path-like, optional
        As in `outboxes_of`.

    Raises
    ------
    NotLoggedError
        In place of the error of the block; it says where the run is.
    KeyboardInterrupt
        If the block was interrupted, with the same words.
    """
    try:
        yield
    except Exception as error:
        raise _told(error, *_kept(run, uri, outbox, error), uri) from error
    except KeyboardInterrupt as error:
        entry, words = _kept(run, uri, outbox, error)
        raise KeyboardInterrupt(_where(entry, words, uri)) from error


def kept_runs(folder: Path) -> list[Path]:
    """Return the runs in an outbox, the oldest first; none where there is no outbox."""
    try:
        return sorted(p for p in folder.iterdir() if _ENTRY.fullmatch(p.name) and p.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def take_out(entry: Path) -> None:
    """Remove a run from its outbox, at once for everybody who looks."""
    removing = entry.with_name(f".removing-{entry.name}")
    os.rename(entry, removing)
    shutil.rmtree(removing, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the outbox alone, so that no run is logged twice; one that is empty then is removed.

    Raises
    ------
    TrackingError
        If it can't be locked.
    """
    import filelock

    lock = filelock.FileLock(folder / ".lock", timeout=_LOCK_TIMEOUT_S)
    try:
        (folder / ".lock").open("a").close()
        lock.acquire()
    except FileNotFoundError:  # another process has emptied and removed it meanwhile
        yield
        return
    except (filelock.Timeout, OSError) as error:
        raise TrackingError(
            "the outbox can't be locked",
            got=f"{show(str(folder), 200)}: {getattr(error, 'strerror', None) or error}",
            allowed="an outbox that you may write to and that no other process empties",
            hint="check the permissions of the folder, or wait for the other process",
        ) from error
    try:
        yield
    finally:
        if not kept_runs(folder):  # filelock lets nobody have a lock whose file is gone
            (folder / ".lock").unlink(missing_ok=True)
            with suppress(OSError):  # something else is in it
                folder.rmdir()
        lock.release()


def _kept(
    run: PendingRun, uri: str, outbox: str | os.PathLike[str] | None, error: BaseException
) -> tuple[Path | None, str]:
    """Write the run to the first outbox that takes it; return where it is, or why it is nowhere."""
    said = error.problem if isinstance(error, CesError) else f"{type(error).__name__}: {error}"
    run = replace(run.without(uri), store=without_password(uri), error=said)
    moment = f"{run.started:%Y%m%dT%H%M%SZ}"
    label = re.sub(r"[^\w-]+", "_", run.run_name).strip("_-")[:40] or "run"
    name = f"{moment}-{label}-{run.log_id[:8]}"
    failures = []
    for folder in outboxes_of(uri, outbox):
        try:
            write_pending(run, folder / name)
        except Exception as failed:  # the next folder, or at least both reasons
            why = getattr(failed, "strerror", None) or failed
            failures.append(f"{show(str(folder), 200)}: {why}")
        else:
            return folder / name, ""
    return None, "; ".join(failures)


def _told(error: Exception, entry: Path | None, failures: str, uri: str) -> NotLoggedError:
    ours = error if isinstance(error, CesError) else None
    problem = ours.problem if ours else f"a defect of ces-ml: {type(error).__name__}: {error}"
    hint = ours.hint if ours else None
    return NotLoggedError(
        f"the run was not logged: {problem}",
        got=ours.got if ours else None,
        allowed=ours.allowed if ours else None,
        hint="; ".join(filter(None, [hint, _where(entry, failures, uri)])),
        entry=entry,
    )


def _where(entry: Path | None, failures: str, uri: str) -> str:
    if entry is None:
        return f"the fit could not be kept on disk either ({failures}): write it out with --output"
    store = f" --store {shlex.quote(uri)}" if without_password(uri) == uri else " --store STORE"
    box = f" --outbox {shlex.quote(str(entry.parent))}"
    return f"the fit is kept in {entry}; log it later with: ces-ml track --resume{store}{box}"
