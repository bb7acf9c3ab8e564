from __future__ import annotations

import os
import threading

import pytest

from ces_ml.tracking.explain import explaining
from ces_ml.tracking.patience import OPENING, WORKING, patience

RETRIES, TIMEOUT = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
KEYS = {*OPENING, *WORKING}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)


def test_the_innermost_block_decides_and_nothing_is_left_behind() -> None:
    with explaining("http://h", "log"):
        assert os.environ[RETRIES] == WORKING[RETRIES]
        with patience(OPENING):
            assert os.environ[RETRIES] == "0"
        assert os.environ[RETRIES] == WORKING[RETRIES]
    assert not KEYS & set(os.environ)


def test_mlflow_reads_what_is_set() -> None:
    from ces_ml.tracking.quiet import mlflow_part

    variables = mlflow_part("mlflow.environment_variables")
    with patience(WORKING):
        assert variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES.get() == int(WORKING[RETRIES])
        assert variables.MLFLOW_HTTP_REQUEST_TIMEOUT.get() == int(WORKING[TIMEOUT])


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RETRIES, "6")
    with patience(OPENING):
        assert os.environ[RETRIES] == "6"
        assert os.environ[TIMEOUT] == OPENING[TIMEOUT]
    assert os.environ[RETRIES] == "6"
    assert TIMEOUT not in os.environ


def test_blocks_of_threads_may_end_in_any_order() -> None:
    inside, first_may_end, first_ended = (threading.Event() for _ in range(3))

    def first() -> None:
        with patience(WORKING):
            inside.set()
            first_may_end.wait(60)
        first_ended.set()

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(60)
    with patience(OPENING):
        first_may_end.set()
        assert first_ended.wait(60)
        assert os.environ[RETRIES] == OPENING[RETRIES]
    thread.join(60)
    assert not KEYS & set(os.environ)
