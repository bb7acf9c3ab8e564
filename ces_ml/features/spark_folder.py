"""Folders of Parquet files that Spark writes whole or not at all."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ces_ml.errors import OutputError, show
from ces_ml.features.spark_start import cause, classic

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["write_folder"]


def write_folder(frame: DataFrame, path: str, about: str, body: str) -> None:
    """Write a frame to a folder of Parquet files, on any file system that Spark reaches.

    The files are written beside the folder, which is renamed when all of them are there. A job that
    is killed before leaves the old folder as it was; one that is killed in the moment between the
    two renames leaves it beside, as ``_ces_ml_old_…``.

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

    spark = classic(frame.sparkSession)
    jvm: Any = spark.sparkContext._jvm
    hadoop = jvm.org.apache.hadoop.fs
    temporary = None
    try:
        target = hadoop.Path(path)
        files = target.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
        target = files.makeQualified(target)
        if files.exists(target) and not files.exists(hadoop.Path(target, about)):
            raise _occupied(path)
        temporary = hadoop.Path(target.getParent(), f"_ces_ml_writing_{uuid.uuid4().hex}")
        frame.write.parquet(temporary.toString())
        with_about = files.create(hadoop.Path(temporary, about))
        with_about.write(bytearray(body.encode()))
        with_about.close()
        old = hadoop.Path(target.getParent(), f"_ces_ml_old_{uuid.uuid4().hex}")
        replaced = files.exists(target) and files.rename(target, old)
        if not files.rename(temporary, target):
            if replaced:
                files.rename(old, target)
            raise _unwritable(path, "the folder can't be renamed")
        if replaced:
            files.delete(old, True)
    except (PySparkException, Py4JError) as error:
        raise _unwritable(path, cause(error)) from error
    finally:
        if temporary is not None:
            files.delete(temporary, True)


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
