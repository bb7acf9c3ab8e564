"""The run behind a weight set: which one it is, and files that are read from it or added to it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ces_ml.errors import TrackingError, show
from ces_ml.tracking.explain import explaining
from ces_ml.tracking.load import parts_of
from ces_ml.tracking.registry import version_of
from ces_ml.tracking.store import Store

__all__ = ["add_run_files", "has_run_file", "read_run_file", "run_of"]


def run_of(store: Store, ref: str | os.PathLike[str]) -> str | None:
    """Return the id of the run that made the weight set that `ref` means.

    None for a file, and for a model or version that was made without a run.

    Parameters
    ----------
    store : Store
    ref : str or path-like
        As `load_weight_set` takes it.
    """
    kind, *parts = parts_of(os.fspath(ref))
    if kind == "run":
        return parts[0]
    if kind == "model":
        with explaining(store.uri, f"find the logged model {parts[0]}"):
            return store.client.get_logged_model(parts[0]).source_run_id or None
    if kind == "alias":
        return version_of(store, parts[0], alias=parts[1]).run_id or None
    if kind == "version":
        return version_of(store, parts[0], number=str(int(parts[1]))).run_id or None
    return None


def has_run_file(store: Store, run_id: str, path: str) -> bool:
    """Return whether a run has an artifact of this path.

    Raises
    ------
    TrackingError
        If the store can't tell.
    """
    with explaining(store.uri, f"look for {show(path)} of run {run_id}"):
        return path in _beside(store, run_id, path)


def _beside(store: Store, run_id: str, path: str) -> list[str]:
    """Return the paths of the artifacts that stand in one folder with `path`."""
    folder = path.rpartition("/")[0] or None
    return sorted(found.path for found in store.client.list_artifacts(run_id, folder))


def read_run_file(store: Store, run_id: str, path: str) -> str:
    """Return the text of an artifact of a run.

    Raises
    ------
    TrackingError
        If the run has no such artifact.
    """
    with explaining(store.uri, f"read {show(path)} of run {run_id}"):
        held = _beside(store, run_id, path)
        if path not in held:
            raise TrackingError(
                f"the run has no artifact {show(path)}",
                got=f"run {run_id} with {show(held, 200)}",
                allowed="a run made by ces-ml",
                hint="choose another run, or pass the configuration with --config",
            )
        with tempfile.TemporaryDirectory() as place:
            found = store.client.download_artifacts(run_id, path, place)
            return Path(found).read_text(encoding="utf-8")


def add_run_files(store: Store, run_id: str, files: Mapping[str, str]) -> None:
    """Add texts, by artifact path, to a run that has ended; equal paths are replaced.

    Raises
    ------
    TrackingError
        If the store can't be written.
    """
    with (
        explaining(store.uri, f"add files to run {run_id}"),
        tempfile.TemporaryDirectory() as folder,
    ):
        for path, text in files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        store.client.log_artifacts(run_id, folder)
