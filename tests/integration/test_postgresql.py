"""Event logs in a real PostgreSQL server, which the test starts and stops itself."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
import yaml

from ces_ml.cli.main import app
from ces_ml.errors import EventLogError, SpecError
from ces_ml.events import EventSchema
from ces_ml.features import AdbcSource, build_counts
from ces_ml.spec import CountSpec, Term
from ces_ml.training import TrainingConfig, record, train

pytestmark = pytest.mark.slow

dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi", reason="needs ces-ml[adbc]")

PASSWORD = "s3cr3t @/:?#"


def binaries() -> str:
    """The newest folder with the server's programs; they are not on the PATH of Debian."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    return str(Path(os.path.realpath(found[-1] if found else on_path)).parent)


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    """Address of a new server that listens on a socket in a folder of its own."""
    programs = binaries()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: the path of a socket is limited
    user = None
    if os.getuid() == 0:  # the server refuses to run as root
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = "postgres"

    def run(program: str, *arguments: str) -> None:
        command = [f"{programs}/{program}", "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)

    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    try:
        run("initdb", "-A", "scram-sha-256", "-U", "ces", f"--pwfile={secret}", "-E", "UTF8")
        options = f"-c listen_addresses='' -k {folder} -c fsync=off"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://ces:{quote(PASSWORD, safe='')}@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def log(uri: str) -> pd.DataFrame:
    """A log with awkward names, nulls and a price, also as the table ``events``."""
    rng = np.random.default_rng(0)
    n = 2_000
    frame = pd.DataFrame(
        {
            "customer_id": [f"{k:03d}" for k in rng.integers(0, 100, n)],
            "event_type": rng.choice(["login", "it's; --", "🎉 café"], n),
            "timestamp": pd.Timestamp("2024-01-01", tz="UTC")
            + pd.to_timedelta(rng.integers(0, 120 * 86_400_000_000, n), unit="us"),
            "amount": rng.integers(0, 40_000, n) / 4,
        }
    ).astype({"customer_id": object, "event_type": object})
    frame.loc[::50, "customer_id"] = None
    with dbapi.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE events (customer_id text, event_type varchar(40), "
            '"timestamp" timestamptz, amount numeric(12, 2))'
        )
        cursor.adbc_ingest("staged", frame_to_arrow(frame), mode="create")
        cursor.execute("INSERT INTO events SELECT * FROM staged")
        connection.commit()
    return frame


def frame_to_arrow(frame: pd.DataFrame) -> object:
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False)


SPEC = CountSpec(
    terms=(
        Term(event="login", window="90d", half_life="30d"),
        Term(event="it's; --", window="30d"),
        Term(event="🎉 café", measure="sum", window="60d"),
        Term(event="login", measure="active_days", window="90d"),
    )
)
SCHEMA = EventSchema(value_col="amount")
QUERY = "SELECT * FROM events"


def test_a_query_gives_the_counts_of_the_same_rows_in_memory(uri: str, log: pd.DataFrame) -> None:
    source = AdbcSource(driver="postgresql", uri=uri, query=QUERY)
    found = build_counts(source, SPEC, as_of="2024-04-01", schema=SCHEMA)
    expected = build_counts(log, SPEC, as_of="2024-04-01", schema=SCHEMA)
    assert found.digest() == expected.digest()
    assert dict(found.report) == dict(expected.report)
    assert len(found) == 100


def test_types_of_the_server_are_read(uri: str) -> None:
    query = """
        SELECT '00000000-0000-0000-0000-000000000007'::uuid AS customer_id, 'x' AS event_type,
               '{"at": "2024-01-05T00:00:00+02:00", "paid": 1.5}'::jsonb AS body
        UNION ALL SELECT '00000000-0000-0000-0000-000000000007', 'x',
               '{"at": "2024-01-05T00:00:00Z", "paid": "2"}'
    """
    schema = EventSchema(timestamp_col="body.at", value_col="body.paid")
    source = AdbcSource(driver="postgresql", uri=uri, query=query)
    spec = CountSpec.of(["x"], window="1d", measure="sum")
    table = build_counts(source, spec, as_of="2024-01-05", schema=schema)
    assert table.X.toarray().tolist() == [[1.5]]
    assert str(table.customer[0]) == "00000000-0000-0000-0000-000000000007"


def test_the_address_may_come_from_the_environment(
    uri: str, log: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = AdbcSource(driver="postgresql", uri_env="CES_ML_TEST_URI", query=QUERY)
    with pytest.raises(SpecError, match=r"CES_ML_TEST_URI is empty\n.*\n.*export CES_ML_TEST_URI"):
        build_counts(source, SPEC, schema=SCHEMA)
    monkeypatch.setenv("CES_ML_TEST_URI", uri)
    assert len(build_counts(source, SPEC, as_of="2024-04-01", schema=SCHEMA)) == 100


def test_a_query_that_the_server_refuses_says_why(uri: str) -> None:
    source = AdbcSource(driver="postgresql", uri=uri, query="SELECT * FROM nowhere")
    with pytest.raises(EventLogError, match='"nowhere" does not exist') as caught:
        build_counts(source, SPEC)
    assert "s3cr3t" not in str(caught.value)


def test_a_wrong_password_is_not_shown(uri: str) -> None:
    wrong = uri.replace(quote(PASSWORD, safe=""), "hunter22")
    source = AdbcSource(driver="postgresql", uri=wrong, query=QUERY)
    with pytest.raises(EventLogError, match="password authentication failed") as caught:
        build_counts(source, SPEC)
    assert "hunter22" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_error_amid_the_stream_is_told(uri: str) -> None:
    query = """SELECT 'a' AS customer_id, (100000 - k / (k - 90000))::text AS event_type,
               now() AS "timestamp" FROM generate_series(1, 100000) AS g(k)"""
    source = AdbcSource(driver="postgresql", uri=uri, query=query)
    with pytest.raises(EventLogError, match=r"can't be read\n.*division by zero") as caught:
        build_counts(source, SPEC)
    assert "s3cr3t" not in str(caught.value)


def test_a_training_job_reads_a_database_and_keeps_its_address_secret(
    uri: str, log: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "name": "buyers",
        "events": {"adbc": {"driver": "postgresql", "uri": uri, "query": QUERY}},
        "outcome": {"task": "conversion", "event": "it's; --", "horizon": "7d", "repeatable": True},
        "as_of": "every 7d from 2024-02-01 to 2024-04-10",
        "counts": [{"events": "login", "window": "30d"}],
        "tracking": {"store": f"sqlite:///{tmp_path / 'mlflow.db'}"},
    }
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    read = TrainingConfig.from_file(path)
    result = train(read)
    record(result)
    path.unlink()
    kept = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    kept.append(result.weight_set.to_json().encode())
    kept.append(repr(read).encode())
    assert not [k for k in kept if b"s3cr3t" in k]
    assert any(b"SELECT * FROM events" in k for k in kept)


def test_the_command_line_prepares_a_log_from_a_query(
    uri: str, log: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    monkeypatch.setenv("CES_ML_TEST_URI", uri)
    config = {"adbc": {"driver": "postgresql", "uri_env": "CES_ML_TEST_URI", "query": QUERY}}
    (tmp_path / "log.yaml").write_text(yaml.safe_dump({"events": config | {"value_col": "amount"}}))
    target = tmp_path / "log"
    done = CliRunner().invoke(
        app, ["prepare", "--config", str(tmp_path / "log.yaml"), "-o", str(target)]
    )
    assert done.exit_code == 0, done.output
    found = build_counts(target, SPEC, as_of="2024-04-01")
    expected = build_counts(log, SPEC, as_of="2024-04-01", schema=SCHEMA)
    assert found.digest() == expected.digest()
