"""The tracking store: which one is meant, and opening it."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ces_ml.errors import TrackingError, show
from ces_ml.tracking.database import alone_in_database
from ces_ml.tracking.explain import error_code, explaining, without_password
from ces_ml.tracking.patience import OPENING, patience
from ces_ml.tracking.quiet import mlflow_part

__all__ = ["Store", "default_store", "open_store", "resolve_store", "sqlite_path"]

#: Name of the folder beside an SQLite store that holds figures, tables and weight sets.
ARTIFACT_FOLDER = "mlartifacts"
_DB_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_ALLOWED = (
    "sqlite:////absolute/path/mlflow.db, the path of a .db file, or the http(s):// address of an "
    "MLflow server"
)
_LOCK_TIMEOUT_S = 180


@dataclass(frozen=True)
class Store:
    """An open tracking store.

    Parameters
    ----------
    uri : str
        Where it is, as MLflow writes it.
    client : mlflow.MlflowClient
        Bound to this store for tracking and registry; no global setting of MLflow is touched.
    db : pathlib.Path or None
        The file of an SQLite store.
    """

    uri: str
    client: Any
    db: Path | None = None

    @property
    def is_server(self) -> bool:
        """Whether a server stands between us and the store."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def artifact_root(self) -> str | None:
        """Absolute URI of the folder for files, or None where that is the server's business."""
        return None if self.db is None else (self.db.parent / ARTIFACT_FOLDER).as_uri()

    def experiment_id(self, name: str) -> str:
        """Return the id of the experiment called `name`; it is made if it is not there.

        Raises
        ------
        TrackingError
            If the name is not allowed or the experiment was deleted.
        """
        with explaining(self.uri, f"open the experiment {show(name)}"):
            found = self.client.get_experiment_by_name(name)
            if found is None:
                try:
                    made = self.client.create_experiment(name, artifact_location=self.artifact_root)
                    return str(made)
                except Exception as error:  # another process may have been faster
                    if error_code(error) != "RESOURCE_ALREADY_EXISTS":
                        raise
                    found = self.client.get_experiment_by_name(name)
        if found.lifecycle_stage == "deleted":
            raise TrackingError(
                "the experiment was deleted",
                got=show(name),
                allowed="an experiment that is active, or a new name",
                hint=f"restore it: mlflow experiments restore -x {found.experiment_id}",
            )
        return str(found.experiment_id)


def default_store() -> str:
    """Return the store that is used when none is named.

    ``MLFLOW_TRACKING_URI`` if that is set, else ``mlflow.db`` in the current folder.
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(Path("mlflow.db"))


def resolve_store(store: str | os.PathLike[str] | None = None) -> str:
    """Return the absolute URI of a store.

    Parameters
    ----------
    store : str or path-like, optional
        An MLflow URI or the path of a ``.db`` file; `default_store` when not given.

    Raises
    ------
    TrackingError
        If it is neither, or a folder store (which MLflow no longer supports).

    Examples
    --------
    >>> resolve_store("/data/team.db")
    'sqlite:////data/team.db'
    """
    text = os.fspath(store) if store is not None else default_store()
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
    if scheme and len(scheme[1]) > 1:
        if scheme[1].lower() == "file":
            raise _folder_store(text)
        if scheme[1].lower() == "sqlite":
            return _absolute_sqlite(text)
        if not re.match(r"[A-Za-z0-9+.-]+://[^/]", text):
            raise _not_a_store(text)
        return text.rstrip("/") if text.startswith("http") else text
    path = Path(text).expanduser()
    if text and path.is_dir():
        raise _folder_store(text)
    if path.suffix not in _DB_SUFFIXES:
        raise _not_a_store(text)
    return _sqlite_uri(path)


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an SQLite store, or None for another kind of store.

    Examples
    --------
    >>> sqlite_path("sqlite:////data/team.db").as_posix()
    '/data/team.db'
    """
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0])


def open_store(store: str | os.PathLike[str] | None = None, *, make: bool = True) -> Store:
    """Open a store; an SQLite store is made if its file is not there.

    Parameters
    ----------
    store : str or path-like, optional
        As in `resolve_store`.
    make : bool, default=True
        Whether to make what is not there. Reading from a store that is not there is refused.

    Raises
    ------
    TrackingError
        If the store can't be opened; an unreachable server fails within seconds.
    """
    uri = resolve_store(store)
    db = sqlite_path(uri)
    if db is not None:
        _check_place(db)
        if not make and not db.exists():
            raise TrackingError(
                "there is no tracking store",
                got=show(str(db), 200),
                allowed="the file of a store that holds runs",
                hint="check --store, or train first",
            )
    mlflow = mlflow_part()
    alone = _alone(db) if db is not None or uri.startswith("http") else alone_in_database(uri)
    with explaining(uri, "be opened"), patience(OPENING), alone:
        if db is not None:
            _try_database(db)
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return Store(uri=uri, client=client, db=db)


def _absolute_sqlite(uri: str) -> str:
    path, question, options = uri.partition("?")
    name = path.removeprefix("sqlite:///")
    if name == path or name in ("", ":memory:"):
        raise _not_a_store(uri)
    return f"{_sqlite_uri(Path(name))}{question}{options}"


def _sqlite_uri(path: Path) -> str:
    whole = str(path.absolute())
    if "%" in whole or "?" in whole:
        # One part of MLflow reads these as they are, another as signs of an address.
        raise TrackingError(
            "MLflow can't keep a store under a path with % or ?",
            got=show(whole, 200),
            allowed="a path without these two characters",
            hint="choose another folder for the store",
        )
    return f"sqlite:///{whole}"


def _check_place(db: Path) -> None:
    """Refuse a place where no SQLite database is or can be."""
    if db.is_dir():
        raise _folder_store(str(db))
    if not db.parent.is_dir():
        raise TrackingError(
            "the folder of the tracking store is not there",
            got=show(str(db), 200),
            allowed="a file in a folder that exists",
            hint=f"make the folder: mkdir -p {show(str(db.parent), 200)}",
        )
    try:
        with db.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        return
    except OSError as error:
        raise TrackingError(
            "the tracking store can't be read",
            got=f"{show(str(db), 200)}: {error.strerror or error}",
            allowed="a file that you may read",
            hint="check the permissions of the file",
        ) from error
    if start and start != b"SQLite format 3\0":
        raise TrackingError(
            "the tracking store is not an SQLite database",
            got=f"{show(str(db), 200)}, which starts with {show(start[:12])}",
            allowed="a database made by MLflow, or a path where no file is yet",
            hint="choose another path; a weight set kept as a file is loaded by its path",
        )


def _try_database(db: Path) -> None:
    """Open the database as MLflow will: it would try for minutes before it tells a failure."""
    new = not db.exists() or db.stat().st_size == 0
    place = f"file:{quote(str(db))}?mode={'rwc' if new else 'ro'}"
    with closing(sqlite3.connect(place, uri=True, timeout=20)) as connection:
        connection.execute("PRAGMA schema_version").fetchone()


@contextmanager
def _alone(db: Path | None) -> Iterator[None]:
    """Hold a lock beside the database: two processes that make it at once break it."""
    if db is None:
        yield
        return
    import filelock

    lock = filelock.FileLock(f"{db}.lock", timeout=_LOCK_TIMEOUT_S)
    try:
        Path(f"{db}.lock").open("a").close()  # filelock would keep trying where it may not write
        lock.acquire()
    except filelock.Timeout as error:
        raise TrackingError(
            "another process has been opening the tracking store for minutes",
            got=show(f"{db}.lock", 200),
            allowed=f"a lock that is free within {_LOCK_TIMEOUT_S} s",
            hint="end the process that holds the lock, then try again",
        ) from error
    except OSError as error:
        if db.exists() and db.stat().st_size > 0:  # a store that is there may be read only
            yield
            return
        raise TrackingError(
            "the tracking store can't be made",
            got=f"{show(str(db), 200)}: {error.strerror or error}",
            allowed="a file in a folder that you may write to, on a disk with space left",
            hint="choose another path for the store",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _folder_store(text: str) -> TrackingError:
    return TrackingError(
        "a folder can't be a tracking store: MLflow has given up stores made of files",
        got=show(text, 200),
        allowed=_ALLOWED,
        hint="use sqlite:////absolute/path/mlflow.db; `mlflow migrate-filestore` takes old runs "
        "along",
    )


def _not_a_store(text: str) -> TrackingError:
    return TrackingError(
        "not a tracking store",
        got=show(without_password(text), 200),
        allowed=_ALLOWED,
        hint="correct the store, or leave it out for mlflow.db in the current folder",
    )
