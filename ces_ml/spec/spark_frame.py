"""Which frames of Spark the distributed fit, scores and metrics take."""

from __future__ import annotations

from typing import Any

from ces_ml.errors import SpecError

__all__ = ["check_classic"]


def check_classic(frame: Any, what: str) -> None:
    """Refuse a DataFrame of Spark Connect, without importing PySpark.

    Parameters
    ----------
    frame : DataFrame
    what : str
        What was asked for, such as ``"a fit on Spark"``.

    Raises
    ------
    SpecError
        If the frame is one of Spark Connect.

    Examples
    --------
    >>> check_classic(object(), "a fit on Spark")
    """
    kind = f"{type(frame).__module__}.{type(frame).__qualname__}"
    if ".connect." in kind:
        raise SpecError(
            f"{what} does not go through Spark Connect",
            got=f"a {kind}",
            allowed="a DataFrame of a classic session: this process is the driver",
            hint="unset SPARK_REMOTE, and run the job with spark-submit or on the cluster's driver",
        )
