"""What is lost on the way: Java, PySpark, an executor, the driver; and one customer who is most."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ces_ml.errors import MissingDependencyError, SpecError
from ces_ml.features import SparkEngine, build_counts, read_spark_counts
from ces_ml.features.spark_folder import SILENT_MS
from ces_ml.features.spark_start import classic, started
from ces_ml.spec import CountSpec, parse_as_of

SPEC = CountSpec.of(["login", "buy"], window="30d")

#: Counts a log of 60,000 events. Trouble comes to part 2: of the log, where an executor is to be
#: killed; of the counts, parts 0 and 1 of which are then written, where the driver is.
PROGRAM = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from pyspark import TaskContext
from pyspark.sql import SparkSession
from ces_ml.features import SparkEngine
from ces_ml.spec import CountSpec, parse_as_of

place, master, trouble = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
armed, pipe = str(place / "armed"), str(place / "pipe")
settings = {
    "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.log.level": "OFF",
    "spark.driver.bindAddress": "127.0.0.1", "spark.sql.shuffle.partitions": "4",
    "spark.executor.memory": "512m", "spark.driver.memory": "512m",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
spark = SparkSession.builder.master(master).config(map=settings).getOrCreate()

def troubled(batches):
    if os.path.exists(armed) and TaskContext.get().partitionId() == 2:
        if trouble == "executor":
            os.remove(armed)
            parent = int(open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1])
            os.kill(parent, signal.SIGKILL)  # the executor: parent of the daemon of this worker
        if trouble == "driver":
            with open(pipe, "w") as end:
                end.write("in the middle")
            signal.pause()
    yield from batches

log = spark.range(0, 60000, 1, 4).selectExpr(
    "CAST(id % 500 AS STRING) AS customer_id", "IF(id % 3 = 0, 'buy', 'login') AS event_type",
    "TIMESTAMP_MICROS(1704067200000000 + id * 40000000) AS timestamp")
if trouble == "executor":
    log = log.mapInArrow(troubled, log.schema)
with SparkEngine(log) as engine:
    counts = engine.counts(CountSpec.of(["login", "buy"], window="30d"), parse_as_of("2024-01-25"))
    print(engine.place.spark.table("cu").count(), flush=True)
    Path(armed).touch()
    if trouble == "driver":
        parts = counts.frame.repartition(4)
        counts = replace(counts, frame=parts.mapInArrow(troubled, parts.schema))
    counts.write(str(place / "counts"))
print("armed still" if os.path.exists(armed) else "all counted", flush=True)
"""


def start(folder: Path, master: str, trouble: str) -> subprocess.Popen[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    import pyspark

    environment = os.environ | {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_SCALA_VERSION": "2.13",
        "SPARK_WORKER_DIR": str(folder / "work"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, str(program), str(folder), master, trouble],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def same_counts(folder: Path, spark: Any) -> None:
    """The rows are those that arithmetic gives."""
    table = read_spark_counts(str(folder), spark).to_table()
    assert len(table) == 500
    found = {int(c): x for c, x in zip(table.customer, table.X.toarray().tolist(), strict=True)}
    for customer in (0, 1, 2, 499):
        mine = [k for k in range(customer, 60_000, 500) if k * 40 < 24 * 86_400]  # before as_of
        buys = sum(k % 3 == 0 for k in mine)
        assert found[customer] == [len(mine) - buys, buys]


@pytest.mark.slow
def test_an_executor_that_is_killed_while_it_counts_changes_nothing(
    spark: Any, tmp_path: Path
) -> None:
    process = start(tmp_path, "local-cluster[2,1,512]", "executor")
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert "all counted" in printed, printed
    same_counts(tmp_path / "counts", spark)


@pytest.mark.slow
def test_a_driver_that_is_lost_while_it_writes_leaves_the_old_counts_whole(
    spark: Any, tmp_path: Path
) -> None:
    old = spark.createDataFrame(
        [("a", "buy", "2024-01-02T00:00:00Z")],
        "customer_id string, event_type string, timestamp string",
    )

    def count() -> None:
        with SparkEngine(old) as engine:
            engine.counts(SPEC, parse_as_of("2024-01-03")).write(str(tmp_path / "counts"))

    count()
    before = {p.name: p.read_bytes() for p in (tmp_path / "counts").iterdir()}
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    process = start(tmp_path, "local[1]", "driver")
    try:
        reached, _, _ = select.select([pipe], [], [], 300)
        written = list(tmp_path.glob("_ces_ml_writing_counts_*/**/part-*.parquet"))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        os.close(pipe)
    printed, _ = process.communicate()
    assert reached, printed
    assert len(written) == 2, printed
    assert {p.name: p.read_bytes() for p in (tmp_path / "counts").iterdir()} == before
    assert read_spark_counts(str(tmp_path / "counts"), spark).to_table().X.toarray().tolist() == [
        [0.0, 1.0]
    ]
    [left] = tmp_path.glob("_ces_ml_writing_*")
    count()
    assert left.exists()  # its job might be writing still
    long_ago = left.stat().st_mtime - SILENT_MS / 1000 - 3600
    for path in (left, *left.rglob("*")):
        os.utime(path, (long_ago, long_ago))
    count()
    assert not left.exists()


@pytest.mark.slow
def test_one_customer_with_ten_million_events_is_counted_like_the_others(spark: Any) -> None:
    heap = spark.sparkContext._jvm.java.lang.Runtime.getRuntime().maxMemory()
    assert heap <= 2**30  # less than the rows of this customer take there
    n, others = 10_000_000, 20_000
    log = spark.range(n + others).selectExpr(
        f"IF(id < {n}, 'everybody', CAST(id % 1000 AS STRING)) AS customer_id",
        "IF(id % 4 = 0, 'buy', 'login') AS event_type",
        f"TIMESTAMP_MICROS(1704067200000000 + (id % {n}) * 200000) AS timestamp",
    )
    with SparkEngine(log) as engine:
        table = engine.counts(SPEC, parse_as_of("2024-01-20")).to_table()
    found = dict(zip(table.customer, table.X.toarray().tolist(), strict=True))
    known = 19 * 86_400 * 5  # five events a second, before as_of
    everybody = {"everybody": [known * 3 / 4, known / 4]}
    assert found == everybody | {str(c): [20, 0] if c % 4 else [0, 20] for c in range(1000)}


def test_without_java_it_is_said_what_is_missing() -> None:
    program = (
        "import sys, pandas as pd\n"
        "from ces_ml import build_counts, CountSpec\n"
        "log = pd.DataFrame({'customer_id': ['a'], 'event_type': ['x'], "
        "'timestamp': ['2025-01-01']})\n"
        "try:\n"
        "    build_counts(log, CountSpec.of(['x'], window='7d'), engine='spark')\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    bare = {k: v for k, v in os.environ.items() if k not in ("JAVA_HOME", "SPARK_REMOTE", "PATH")}
    for more, got in (({}, "JAVA_HOME is not set"), ({"JAVA_HOME": "/nowhere"}, "'/nowhere'")):
        found = subprocess.run(
            [sys.executable, "-c", program],
            env=bare | more | {"PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.startswith("Spark needs Java, which is not found")
        assert got in found.stdout
        assert "allowed: Java 17 or 21" in found.stdout
        assert "next:" in found.stdout
        assert found.stderr == ""


def test_without_pyspark_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ces_ml.features.spark_start.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"ces-ml\[spark\]\""):
        build_counts(None, SPEC, engine="spark", table="events")


def test_spark_connect_is_refused_with_what_to_do() -> None:
    pytest.importorskip("pyspark")
    connected = type("SparkSession", (), {"__module__": "pyspark.sql.connect.session"})()
    with pytest.raises(SpecError, match="does not go through Spark Connect") as caught:
        started(connected)
    assert "spark-submit" in str(caught.value.hint)
    with pytest.raises(SpecError, match="no Spark session"):
        classic("local[2]")


@pytest.mark.slow
def test_a_spark_that_does_not_start_says_why(tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Java is not on this machine")
    program = "from ces_ml.features.spark_start import started\nstarted()\n"
    environment = os.environ | {"PYSPARK_SUBMIT_ARGS": "--no-such-option pyspark-shell"}
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert found.returncode == 1
    assert "MissingDependencyError: Spark does not start" in found.stderr
