"""Folders of Parquet files that Spark writes whole or not at all."""

from __future__ import annotations

import hashlib
import re
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ces_ml.errors import OutputError, show
from ces_ml.features.spark_start import cause, classic

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["left_between_renames", "read_folder", "write_folder"]

_DAY_MS = 86_400_000
#: A writer whose folder did not change for so long is taken to be dead. A write is silent while
#: Spark sorts what it is about to write, which takes hours, never days.
SILENT_MS = 7 * _DAY_MS
_WRITING, _OLD = "_ces_ml_writing_", "_ces_ml_old_"
#: Names of files have at most 255 bytes, and ours stand around that of the target.
_LONGEST = 180
_TRIES = 5


def write_folder(frame: DataFrame, path: str, about: str, body: str) -> None:
    """Write a frame to a folder of Parquet files, on any file system that Spark reaches.

    The files are written beside the folder ``NAME``, to ``_ces_ml_writing_NAME_…``, which is
    renamed when all of them are there; the earlier folder is then called ``_ces_ml_old_NAME_…``
    until it is deleted. So a job that is killed leaves one of these beside whole data:

    - Killed while it wrote: the old folder is as it was. The next write of the same folder that
      succeeds removes what was left, if nothing in it changed for 7 days before that write ended
      (by the clock of the file system). What is younger may belong to a job that is still
      writing, and stays.
    - Killed in the moment between the two renames: there is no folder, and the old one lies
      beside. The next write puts it back before it begins.
    - Killed before it deleted the old folder: the next write that succeeds removes it.

    Of jobs that write the same folder at the same time the last to end wins, and all its files
    are of one job.

    Parameters
    ----------
    frame : DataFrame
    path : str
        A new folder, or one with the file `about`, which is replaced.
    about : str
        Name of the file that says what the folder holds. Spark, and what reads its folders, takes
        files that begin with _ for no data.
    body : str
        What that file says.

    Raises
    ------
    OutputError
        If the path holds something else, or can't be written.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    place = None
    try:
        place = _Place(classic(frame.sparkSession), path)
        place.put_back(about)
        if place.files.exists(place.target) and not place.files.exists(place.path(about)):
            raise _occupied(path)
        frame.write.parquet(place.writing.toString())
        written = place.write_about(about, body)
        superseded = place.old()
        place.replace()
    except (PySparkException, Py4JError) as error:
        raise _unwritable(path, cause(error)) from error
    finally:
        if place is not None:
            with suppress(Py4JError):  # what failed before says more
                place.files.delete(place.writing, True)
    with suppress(Py4JError):  # the data are there, whoever may delete what lies beside them
        place.remove(superseded)
        place.remove(place.silent_since(written - SILENT_MS))


def read_folder(spark: Any, path: str) -> DataFrame:
    """Return the rows of a folder, whose name is no pattern: brackets in it are brackets."""
    found: DataFrame = spark.read.parquet(re.sub(r"([\[\]{}*?\\])", r"\\\1", path))
    return found


def left_between_renames(spark: Any, path: str, about: str) -> str | None:
    """Return the earlier folder that a job left when it was killed between its two renames.

    Parameters
    ----------
    spark : SparkSession
    path : str
        The folder as it was asked for.
    about : str
        As in `write_folder`.

    Returns
    -------
    str or None
        None where the folder is there, or nothing lies beside.
    """
    place = _Place(spark, path)
    found = None if place.files.exists(place.target) else place.newest_old(about)
    return None if found is None else str(found.toString())


class _Place:
    """A folder to write, what lies beside it, and the file system of both.

    Parameters
    ----------
    spark : SparkSession
    path : str
    """

    def __init__(self, spark: Any, path: str) -> None:
        jvm: Any = spark.sparkContext._jvm
        self.asked = path
        self._path = jvm.org.apache.hadoop.fs.Path
        target = self._path(path)
        self.files = target.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
        self.target = self.files.makeQualified(target)
        self._beside = self.target.getParent()
        name = str(self.target.getName())
        if len(name.encode()) > _LONGEST:
            name = hashlib.sha256(name.encode()).hexdigest()
        self._name = name
        self.writing = self._new(_WRITING)

    def path(self, name: str) -> Any:
        """Return the path of a file in the folder."""
        return self._path(self.target, name)

    def write_about(self, about: str, body: str) -> int:
        """Write the file about the folder; return when, by the clock of the file system."""
        file = self._path(self.writing, about)
        stream = self.files.create(file)
        stream.write(bytearray(body.encode()))
        stream.close()
        return int(self.files.getFileStatus(file).getModificationTime())

    def replace(self) -> None:
        """Put what is written in the place of the folder.

        A folder that is renamed to one that is there is moved into it: where another job put its
        own there in the moment between, what is written is taken out and put in place again.
        """
        for _ in range(_TRIES):
            # Never one that was there, so that no other job takes it for a folder that it knows.
            old = self._new(_OLD)
            replaced = self.files.exists(self.target) and self.files.rename(self.target, old)
            moved = self.files.rename(self.writing, self.target)
            inside = self.path(self.writing.getName())
            again = moved and self.files.exists(inside)
            if again:
                self.files.rename(inside, self.writing)
            if replaced and not self.files.exists(self.target):
                self.files.rename(old, self.target)
            elif replaced:
                self.files.delete(old, True)
            if not again:
                break
        if again or not moved:
            raise _unwritable(self.asked, "the folder can't be renamed")

    def put_back(self, about: str) -> None:
        """Give its name back to the folder of a job that was killed between its two renames."""
        if not self.files.exists(self.target):
            old = self.newest_old(about)
            if old is not None:
                self.files.rename(old, self.target)

    def newest_old(self, about: str) -> Any:
        """Return the newest earlier folder with the file `about`; None where there is none."""
        old = self.old()
        found = [(self._changed(p), p) for p in old if self.files.exists(self._path(p, about))]
        return max(found, key=lambda one: one[0])[1] if found else None

    def old(self) -> list[Any]:
        """Return the earlier folders beside: of writers that died, or are about to delete them."""
        return self._left(_OLD)

    def silent_since(self, moment: int) -> list[Any]:
        """Return the unfinished folders in which nothing changed since, in milliseconds."""
        return [path for path in self._left(_WRITING) if self._changed(path) < moment]

    def remove(self, folders: list[Any]) -> None:
        """Remove folders beside, with all that they hold."""
        for folder in folders:
            self.files.delete(folder, True)

    def _new(self, kind: str) -> Any:
        return self._path(self._beside, f"{kind}{self._name}_{uuid.uuid4().hex}")

    def _left(self, kind: str) -> list[Any]:
        """Return the folders of a kind that belong to jobs which wrote this folder."""
        if not self.files.exists(self._beside):
            return []
        ours = re.compile(re.escape(kind + self._name) + "_[0-9a-f]{32}")
        paths = [status.getPath() for status in self.files.listStatus(self._beside)]
        return [path for path in paths if ours.fullmatch(path.getName())]

    def _changed(self, folder: Any) -> int:
        """Return when the last of its files changed, in milliseconds.

        That of a folder counts only where it holds none: object stores answer with the present.
        """
        files, times = self.files.listFiles(folder, True), []
        while files.hasNext():
            times.append(int(files.next().getModificationTime()))
        return max(times) if times else int(self.files.getFileStatus(folder).getModificationTime())


def _occupied(path: str) -> OutputError:
    return OutputError(
        "the output is no folder of this kind",
        got=f"{show(path)}, which holds something else",
        allowed="a new folder, or one that was written by the same command before",
        hint="choose another folder",
    )


def _unwritable(path: str, why: str) -> OutputError:
    return OutputError(
        "the output can't be written",
        got=f"{show(path)}: {why}",
        allowed="a folder that Spark's executors and its driver may write to",
        hint="choose another output path",
    )
