"""Finding the user's Spark, or starting one; and a session of our own in it."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ces_ml.errors import MissingDependencyError, SpecError, show

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["call_it", "cause", "classic", "kept_active", "own_session", "started"]

#: What every query relies on, whatever the user's own session says.
_SETTINGS = {
    # The texts state moments, days and numbers; none of them may depend on where Spark runs.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.ansi.enabled": "true",  # what overflows is an error, not another number
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    # A name such as ${env:HOME} in a filter is text.
    "spark.sql.variable.substitute": "false",
    # Columns that differ in capitals only are two columns.
    "spark.sql.caseSensitive": "true",
    # Partition values stay text, so that ids such as 007 stay what they are.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.legacy.parquet.nanosAsLong": "false",
    # What lies together by customer need not be sent again to be joined by customer and moment.
    "spark.sql.requireAllClusterKeysForCoPartition": "false",
}


def started(spark: Any = None) -> SparkSession:
    """Return the session that is given, the active one, or a new one as Spark is configured.

    Parameters
    ----------
    spark : SparkSession, optional

    Raises
    ------
    MissingDependencyError
        If PySpark or Java is absent.
    SpecError
        If the session is no classic one: Spark Connect, or no session at all.
    """
    if find_spec("pyspark") is None:
        raise MissingDependencyError(
            "counting on Spark needs PySpark",
            got="no package named pyspark",
            allowed="pyspark 4 and Java 17",
            hint='run: pip install "ces-ml[spark]"',
        )
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    found = spark if spark is not None else SparkSession.getActiveSession()
    if found is None:
        _java()
        _same_python()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # about pandas, which is not used
                found = SparkSession.builder.appName("ces-ml").getOrCreate()
        except PySparkException as error:
            raise MissingDependencyError(
                "Spark does not start",
                got=str(error).splitlines()[0][:300],
                allowed="pyspark 4 with Java 17, and a master that can be reached",
                hint="run `python -m pyspark.sql` to see why, or pass a session as spark=",
            ) from error
    return classic(found)


def classic(session: Any) -> SparkSession:
    """Return a session, refusing what is no SparkSession of this process.

    Raises
    ------
    SpecError
        If it is one of Spark Connect, or none.
    """
    from pyspark.sql.classic.dataframe import DataFrame  # noqa: F401 - PySpark 4 or later

    kind = f"{type(session).__module__}.{type(session).__qualname__}"
    if ".connect." in kind:
        raise SpecError(
            "counting on Spark does not go through Spark Connect",
            got=f"a session of {kind}",
            allowed="a classic session: this process is the driver",
            hint="unset SPARK_REMOTE, and run the job with spark-submit or on the cluster's driver",
        )
    if kind != "pyspark.sql.session.SparkSession":
        raise SpecError(
            "the session is no Spark session",
            got=f"spark={show(session)}",
            allowed="a pyspark.sql.SparkSession",
            hint="pass the one that you work in, or leave it out",
        )
    found: SparkSession = session
    return found


def _same_python() -> None:
    """Let executors on this machine run the Python that runs here, not the first one in PATH."""
    from pyspark import SparkConf

    if str(SparkConf().get("spark.master", "local")).startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)


def cause(error: Exception) -> str:
    """Return the line of an error of Spark that says what happened."""
    lines = [t.strip() for t in str(error).splitlines() if t.strip()] or [type(error).__name__]
    deepest = [t for t in lines if t.startswith("Caused by:")]
    named = [t[t.index("[") :] for t in (*deepest[::-1], *lines) if "[" in t and "SQLSTATE" in t]
    return (named or deepest[::-1] or lines)[0][:300]


@contextmanager
def kept_active(spark: SparkSession) -> Iterator[None]:
    """Let the user's session stay the active one: making a frame puts its session in that place."""
    before = type(spark).getActiveSession() or spark
    try:
        yield
    finally:
        type(before)._activeSession = before
        before._jvm.SparkSession.setActiveSession(before._jsparkSession)


def _java() -> None:
    """Refuse a machine without Java before Spark's own script prints about it."""
    home = os.environ.get("JAVA_HOME")
    path = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if os.environ.get("SPARK_REMOTE") or (path is not None and os.access(path, os.X_OK)):
        return
    raise MissingDependencyError(
        "Spark needs Java, which is not found",
        got=f"JAVA_HOME={show(home)}" if home else "no `java` in PATH, and JAVA_HOME is not set",
        allowed="Java 17 or 21",
        hint="install it, for example openjdk-17-jre-headless, or set JAVA_HOME; "
        "or use engine: duckdb",
    )


def own_session(spark: SparkSession) -> SparkSession:
    """Return a session in the same Spark: its settings, but for those that results depend on.

    Relations and settings made in it are not seen in the user's.
    """
    from pyspark.errors import PySparkException

    own = spark.newSession()
    for key, value in spark.conf.getAll.items():
        if key.startswith("spark.sql.") and own.conf.isModifiable(key):
            try:
                own.conf.set(key, value)
            except PySparkException:  # a value that only its own session may have
                continue
    for key, value in _SETTINGS.items():
        own.conf.set(key, value)
    return own


def call_it(frame: DataFrame, name: str) -> None:
    """Let a name stand for a frame in the frame's session, whatever it stood for before.

    A view that is replaced makes Spark forget the kept tables that are made of it, and compute them
    again for each later query; one that is dropped first does not.
    """
    frame.sparkSession.catalog.dropTempView(name)
    frame.createOrReplaceTempView(name)
