"""What all tests share: the environment, and the option of tests with golden files."""

import os

# Before scipy is imported: with it, scikit-learn's estimator checks test arrays of other kinds too.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Before a console is made: the width and the colours of whoever runs the tests do not decide.
for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH", "FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE"):
    os.environ.pop(name, None)

# CI repeats the same examples, so that a change is judged by itself; other runs search on. A
# deadline would judge the machine, and so would a bound on the time that examples take to make.
ANY_SPEED: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("search", **ANY_SPEED)
settings.register_profile("ci", **ANY_SPEED, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "search")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--overwrite",
        action="store_true",
        help="write the golden files anew from what the code gives now, then look at the diff",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, on one of several workers, what shares a Spark or a server."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("spark"))
        elif "integration" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """One small Spark for the whole run; in another time zone, as a user's may be."""
    if find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: pip install 'ces-ml[spark]'")
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        pytest.skip("Java is not on this machine, Spark needs 17 or 21")
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else the first python3 on the path
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        # Code that runs once is not worth the second compiler.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.log.level": "OFF",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "America/New_York",
    }
    builder = SparkSession.builder.master("local[2,4]").appName("tests")
    session = builder.config(map=settings).getOrCreate()
    yield session
    session.stop()
