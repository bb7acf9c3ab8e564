"""Frames of Spark Connect are refused before anything is asked of them."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from ces_ml.errors import SpecError
from ces_ml.evaluation.distributed import spark_metrics
from ces_ml.linear.distributed import SparkRows, fit_spark
from ces_ml.scoring.distributed import score_spark

#: Not looked at: the frame is refused first.
WEIGHTS: Any = None


@pytest.mark.parametrize(
    ("what", "work"),
    [
        ("a fit", lambda frame: fit_spark(frame, target="y")),
        ("a fit", lambda frame: SparkRows(frame, target="y")),
        ("scoring", lambda frame: score_spark(frame, WEIGHTS)),
        ("metrics", spark_metrics),
    ],
    ids=["fit_spark", "SparkRows", "score_spark", "spark_metrics"],
)
def test_frames_of_spark_connect_are_refused(what: str, work: Callable[[Any], Any]) -> None:
    connected = type("DataFrame", (), {"__module__": "pyspark.sql.connect.dataframe"})()
    with pytest.raises(SpecError, match=f"{what} on Spark does not go through") as caught:
        work(connected)
    assert "spark-submit" in str(caught.value.hint)


@pytest.mark.parametrize("given", ["x", pd.DataFrame({"y": [0, 1]}), None])
def test_what_is_no_frame_of_spark_is_refused(given: Any) -> None:
    with pytest.raises(SpecError, match="a fit on Spark asks for a DataFrame of Spark") as caught:
        SparkRows(given, target="y")
    assert "pass a Spark DataFrame" in str(caught.value.hint)
