"""Which frames of Spark the distributed fit, scores and metrics take."""

from __future__ import annotations

from typing import Any

from ces_ml.errors import SpecError, show

__all__ = ["check_classic"]


def check_classic(frame: Any, what: str) -> None:
    """Refuse what is no DataFrame of a classic Spark session, without importing PySpark.

    Parameters
    ----------
    frame : DataFrame
    what : str
        What was asked for, such as ``"a fit on Spark"``.

    Raises
    ------
    SpecError
        If the frame is one of Spark Connect, or none of Spark at all.

    Examples
    --------
    >>> check_classic("counts.parquet", "a fit on Spark")
    Traceback (most recent call last):
    ces_ml.errors.SpecError: a fit on Spark asks for a DataFrame of Spark
      got:     'counts.parquet', a str
      allowed: a pyspark.sql.DataFrame
      next:    pass a Spark DataFrame, for example spark.read.parquet(path)
    """
    kind = f"{type(frame).__module__}.{type(frame).__qualname__}"
    if not any(c.__module__.startswith("pyspark.") for c in type(frame).__mro__):
        raise SpecError(
            f"{what} asks for a DataFrame of Spark",
            got=f"{show(frame)}, a {type(frame).__name__}",
            allowed="a pyspark.sql.DataFrame",
            hint="pass a Spark DataFrame, for example spark.read.parquet(path)",
        )
    if ".connect." in kind:
        raise SpecError(
            f"{what} does not go through Spark Connect",
            got=f"a {kind}",
            allowed="a DataFrame of a classic session: this process is the driver",
            hint="unset SPARK_REMOTE, and run the job with spark-submit or on the cluster's driver",
        )
