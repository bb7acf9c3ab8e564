"""Addresses of databases stay secret, and what is missing is named; no server is needed."""

from __future__ import annotations

import pickle
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import EventLogError, MissingDependencyError, SpecError
from ces_ml.features import AdbcSource
from ces_ml.features.adbc import masked, secrets_of

from .refusals import refused

URI = "postgresql://anna:hunter%2022@db.local:5432/shop?sslmode=require&sslpassword=abc123"


def source(**changes: object) -> AdbcSource:
    return AdbcSource(**{"driver": "postgresql", "uri": URI, "query": "SELECT 1"} | changes)


def test_an_address_never_shows() -> None:
    made = source(options={"adbc.snowflake.sql.auth_token": "token-1234"})
    for text in (repr(made), str(made), made.model_dump_json(), made.described):
        assert "hunter" not in text
        assert "abc123" not in text
        assert "token-1234" not in text
    assert pickle.loads(pickle.dumps(made)).connection() == made.connection()


@pytest.mark.parametrize("word", ["hunter%2022", "hunter 22", "anna", "abc123", URI])
def test_every_part_of_an_address_that_could_be_secret_is_masked(word: str) -> None:
    assert word not in masked(f"failed for '{word}' at db.local", secrets_of([URI]))


def test_host_and_database_are_shown() -> None:
    text = masked('could not translate "db.local" for shop', secrets_of([URI]))
    assert text == 'could not translate "db.local" for shop'


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=3))
def test_a_password_of_any_text_is_masked(password: str) -> None:
    from urllib.parse import quote

    uri = f"postgresql://u:{quote(password, safe='')}@h/d"
    hidden = secrets_of([uri])
    assert password in hidden
    assert quote(password, safe="") in hidden


@pytest.mark.parametrize(
    "uri",
    [
        "host=localhost passwordhunter22",
        "nonsense hunter22",
        "postgresql://ces:x@localhost:hunter22/db",
        "postgresql://ces:x@[hunter22/db",
        "postgresql://ces:x@/db?hunter22=1",
    ],
)
def test_what_a_driver_repeats_of_a_misspelt_address_is_masked(uri: str) -> None:
    pytest.importorskip("adbc_driver_postgresql", reason="needs ces-ml[adbc]")
    error = refused(EventLogError, "the database can't be read\n.*postgresql: ", source(uri=uri))
    assert "hunter22" not in str(error)
    assert error.__cause__ is None


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql.dbapi", None)
    match = r"not installed\n.*\n.*\n.*pip install 'ces-ml\[adbc\]'"
    refused(MissingDependencyError, match, source())
    monkeypatch.setitem(sys.modules, "adbc_driver_snowflake", None)
    match = r"no package adbc-driver-snowflake\n.*\n.*pip install adbc-driver-snowflake"
    refused(MissingDependencyError, match, source(driver="snowflake"))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"driver": "postgres"}, "unknown ADBC driver\n.*'postgres'\n.*mean 'postgresql'"),
        ({"uri_env": "X"}, "address of the database is given twice"),
        ({"uri": None}, "the database has no address"),
        ({"query": ""}, "query has a value that is not allowed"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(changes: dict[str, object], match: str) -> None:
    with pytest.raises(SpecError, match=match):
        source(**changes)


def test_a_secret_that_yaml_reads_as_a_number_is_text() -> None:
    made = source(uri=None, options={"password": 12345678})
    assert made.connection() == (None, {"password": "12345678"})


def test_an_option_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CES_ML_TEST_TOKEN", "token-1234")
    made = source(uri=None, options_env={"token": "CES_ML_TEST_TOKEN"})
    assert made.connection() == (None, {"token": "token-1234"})
    monkeypatch.delenv("CES_ML_TEST_TOKEN")
    with pytest.raises(SpecError, match=r"environment variable.*not set\n.*CES_ML_TEST_TOKEN"):
        made.connection()
