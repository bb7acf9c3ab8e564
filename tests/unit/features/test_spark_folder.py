"""Folders that Spark writes: what jobs that died beside them leave, and jobs that write at once."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest

from ces_ml.errors import OutputError, SpecError
from ces_ml.features import read_spark_counts
from ces_ml.features.spark_folder import SILENT_MS, _Place, read_folder, write_folder

pytestmark = pytest.mark.slow
ABOUT = "_about.json"
HOUR_MS = 3_600_000


def write(spark: Any, folder: Path, n: int) -> None:
    write_folder(spark.range(n), str(folder), ABOUT, json.dumps({"n": n}))


def rows(spark: Any, folder: Path) -> int:
    return read_folder(spark, str(folder)).count()


def beside(parent: Path, name: str, ages_ms: list[int]) -> Path:
    """A folder beside with a file of each age, as a dead job leaves it."""
    folder = parent / f"{name}_{uuid.uuid4().hex}"
    for k, age in enumerate(ages_ms):
        file = folder / "_temporary" / "0" / f"part-{k}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("half of it")
        older(file, age)
    folder.mkdir(exist_ok=True)
    older(folder, max(ages_ms, default=0))
    return folder


def older(path: Path, by_ms: int) -> None:
    then = path.stat().st_mtime_ns - by_ms * 1_000_000
    os.utime(path, ns=(then, then))


@pytest.mark.parametrize("name", ["counts", "it's 100 % [a-z]{x,y} größe", "n" * 250])
def test_a_write_removes_what_dead_writers_of_the_same_folder_left(
    spark: Any, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    stem = str(_Place(spark, str(folder)).writing.getName())[: -len(uuid.uuid4().hex) - 1]
    dead, young = SILENT_MS + HOUR_MS, SILENT_MS - HOUR_MS
    gone = [
        beside(tmp_path, stem, [dead, dead + HOUR_MS]),
        beside(tmp_path, stem.replace("writing", "old"), [dead]),
        beside(tmp_path, stem.replace("writing", "old"), [0]),  # superseded, however young
    ]
    kept = [
        beside(tmp_path, stem, [young]),
        beside(tmp_path, stem, [dead, 0]),  # its last file is of now
        beside(tmp_path, stem, []),
        beside(tmp_path, f"{stem}_2", [dead]),  # of another folder, whose name begins alike
        beside(tmp_path, f"{stem}_2".replace("writing", "old"), [dead]),
        beside(tmp_path, "_ces_ml_writing", [dead]),  # nobody knows of which
    ]
    write(spark, folder, 3)
    assert [path for path in gone if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert sorted(tmp_path.iterdir()) == sorted([*kept, folder])
    assert rows(spark, folder) == 3


def test_a_write_that_fails_removes_nothing_of_others(spark: Any, tmp_path: Path) -> None:
    dead = beside(tmp_path, "_ces_ml_writing_counts", [SILENT_MS + HOUR_MS])
    broken = spark.range(3).selectExpr("RAISE_ERROR('broken') AS x")
    with pytest.raises(OutputError, match="broken"):
        write_folder(broken, str(tmp_path / "counts"), ABOUT, "{}")
    assert list(tmp_path.iterdir()) == [dead]


def test_a_folder_lost_between_two_renames_is_told_of_and_put_back(
    spark: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "counts"
    for n in (3, 4):
        write(spark, tmp_path / "made", n)
        (tmp_path / "made").rename(tmp_path / f"_ces_ml_old_counts_{uuid.UUID(int=n).hex}")
    earlier, newest = sorted(tmp_path.iterdir())
    for file in earlier.iterdir():
        older(file, HOUR_MS)
    shutil.copy(newest / ABOUT, newest / "_ces_ml_counts.json")
    with pytest.raises(SpecError, match="a job that was killed left") as caught:
        read_spark_counts(str(folder), spark)
    assert newest.name in str(caught.value.got)
    assert "rename that folder" in str(caught.value.hint)
    broken = spark.range(3).selectExpr("RAISE_ERROR('broken') AS x")
    with pytest.raises(OutputError, match="broken"):
        write_folder(broken, str(folder), ABOUT, "{}")
    assert rows(spark, folder) == 4  # a write that fails leaves what there was before
    assert sorted(tmp_path.iterdir()) == [earlier, folder]
    write(spark, folder, 5)
    assert rows(spark, folder) == 5
    assert list(tmp_path.iterdir()) == [folder]


class Crossed:
    """A file system on which another job does something after each of the first renames."""

    def __init__(self, files: Any, others: list[Any]) -> None:
        self._files, self._others = files, others

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def rename(self, source: Any, target: Any) -> bool:
        done = bool(self._files.rename(source, target))
        if self._others:
            self._others.pop(0)()
        return done


def staged(spark: Any, folder: Path, n: int) -> _Place:
    """A job that has written all, and is about to rename."""
    place = _Place(spark, str(folder))
    spark.range(n).write.parquet(place.writing.toString())
    place.write_about(ABOUT, "{}")
    return place


def test_of_jobs_that_write_at_once_the_last_to_end_wins_whole(spark: Any, tmp_path: Path) -> None:
    folder = tmp_path / "counts"
    write(spark, folder, 3)
    job = staged(spark, folder, 5)
    job.files = Crossed(job.files, [lambda: write(spark, folder, 4)])
    job.replace()
    assert rows(spark, folder) == 5
    assert list(tmp_path.iterdir()) == [folder]
    assert not list(folder.glob("_ces_ml_*"))


def test_a_job_that_begins_between_two_renames_of_another_harms_neither(
    spark: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "counts"
    write(spark, folder, 3)
    job = staged(spark, folder, 5)
    job.files = Crossed(job.files, [lambda: _Place(spark, str(folder)).put_back(ABOUT)])
    job.replace()
    assert rows(spark, folder) == 5
    assert list(tmp_path.iterdir()) == [folder]


def test_a_rename_that_is_refused_leaves_the_earlier_folder(spark: Any, tmp_path: Path) -> None:
    class Refusing(Crossed):
        def rename(self, source: Any, target: Any) -> bool:
            return "_ces_ml_writing" not in source.getName() and super().rename(source, target)

    folder = tmp_path / "counts"
    write(spark, folder, 3)
    job = staged(spark, folder, 5)
    writing = job.writing.getName()
    job.files = Refusing(job.files, [])
    with pytest.raises(OutputError, match="the folder can't be renamed"):
        job.replace()
    assert rows(spark, folder) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([writing, "counts"])
    job = staged(spark, folder, 5)
    # After each rename of the folder, before what is written takes its place.
    job.files = Crossed(job.files, [lambda: write(spark, folder, 4), int, int] * 5)
    with pytest.raises(OutputError, match="the folder can't be renamed"):
        job.replace()
    assert rows(spark, folder) == 4
