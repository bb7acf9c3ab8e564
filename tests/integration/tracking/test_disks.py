"""Stores on disks that are full or read only: real ones, of a few megabytes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ces_ml.errors import NotLoggedError, TrackingError
from ces_ml.tracking import Tracker, list_outbox, open_store, resume_outbox
from ces_ml.tracking.outbox import OUTBOX
from ces_ml.weights import WeightSet

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Fill the disk up to `left` bytes, and return the file that does."""
    filler = disk / "filler"
    room = os.statvfs(disk)
    filler.write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - left)))
    return filler


@pytest.mark.parametrize("left", [0, 200_000])
def test_a_store_on_a_full_disk_is_told_and_the_fit_is_kept_elsewhere(
    left: int, disk: Path, weight_set: WeightSet, quiet_place: Path
) -> None:
    tracker = Tracker(disk / "mlflow.db", "tests")
    tracker.log_run(weight_set, run_name="before", params={}, metrics={})
    filler = fill(disk, left)
    texts = {"long.md": "x" * 1_000_000}
    with pytest.raises(NotLoggedError, match="disk of the tracking store is full") as caught:
        tracker.log_run(weight_set, run_name="full", params={}, metrics={}, texts=texts)
    assert caught.value.entry is not None
    assert caught.value.entry.parent == quiet_place / OUTBOX
    assert list(disk.glob("ces-ml-outbox/*")) == []
    filler.unlink()
    (done,) = resume_outbox(tracker.store)
    assert done.info is not None
    assert tracker.load(done.info.run_id) == weight_set


def test_a_new_store_on_a_full_disk_is_told_and_the_fit_is_kept_elsewhere(
    disk: Path, weight_set: WeightSet, quiet_place: Path
) -> None:
    filler = fill(disk, 100_000)
    with pytest.raises(NotLoggedError, match=r"disk of the tracking store is full|can't be made"):
        Tracker(disk / "new.db").log_run(weight_set, run_name="r", params={}, metrics={})
    filler.unlink()
    (done,) = resume_outbox(disk / "other.db")
    assert done.error is None


BEFORE = """
import sys
from ces_ml.tracking import Tracker
from ces_ml.weights import WeightSet
weight_set = WeightSet.load(sys.argv[2])
print(Tracker(sys.argv[1]).log_run(weight_set, run_name="r", params={}, metrics={}).run_id)
"""


def test_a_store_on_a_disk_that_is_read_only_can_be_read_and_keeps_the_fit_elsewhere(
    disk: Path, weight_set: WeightSet, quiet_place: Path
) -> None:
    # By a process that has ended: a disk with files open for writing can't be made read only.
    path = weight_set.save(quiet_place / "w.json")
    command = [sys.executable, "-c", BEFORE, str(disk / "mlflow.db"), str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    run_id = done.stdout.strip()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    again = Tracker(disk / "mlflow.db", "tests")
    assert again.load(run_id) == weight_set
    with pytest.raises(NotLoggedError, match="tracking store can't be written"):
        again.log_run(weight_set, run_name="after", params={}, metrics={})
    (kept,) = list_outbox(again.store)
    assert kept.entry.parent == quiet_place / OUTBOX
    with pytest.raises(TrackingError, match="can't be made"):
        open_store(disk / "new.db")


LIMITED = """
import resource, sys
from ces_ml.errors import NotLoggedError
from ces_ml.tracking import Tracker, open_store
from ces_ml.weights import WeightSet
store, path, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
weight_set = WeightSet.load(path)
open_store(store)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    params = {f"p{k}": "x" * 5000 for k in range(100)}
    Tracker(store, "tests").log_run(weight_set, run_name="limited", params=params, metrics={})
except NotLoggedError as error:
    print(error.problem, error.entry)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")
def test_a_limit_on_the_size_of_files_is_told_as_a_full_disk(
    weight_set: WeightSet, tmp_path: Path
) -> None:
    """The database may not grow past its size now; each file of the outbox stays below that."""
    term = weight_set.terms[0]
    names = [f"event {k}" for k in range(1200)]
    terms = tuple(term.model_copy(update={"name": n, "event": n}) for n in names)
    path = weight_set.model_copy(update={"terms": terms}).save(tmp_path / "w.json")
    store = tmp_path / "mlflow.db"
    open_store(store)
    limit = store.stat().st_size
    command = [sys.executable, "-c", LIMITED, str(store), str(path), str(limit)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    assert "the disk of the tracking store is full, or fails" in done.stdout, done.stderr
    assert f"{tmp_path / OUTBOX}" in done.stdout
    assert [done.error for done in resume_outbox(store)] == [None]
